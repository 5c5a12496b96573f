//! `cargo xtask bench`: the queue beside those of others, in one run on one machine.
//!
//! Times of one machine say little; ratios say more. So every contender does the same work, one after
//! the other: so many additions to a queue that starts nothing, each by a process of its own as people
//! and scripts do it, then one listing. What is written and what stays resident is counted by the
//! kernel. The figures of a run that was worth keeping are `benches/queue.json`; each run is printed
//! beside them.
//!
//! The others are built by cargo, once, and kept where the laboratory keeps its images.

mod bij;
mod contender;
mod depth;
mod figures;
mod peers;

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;

use crate::stage::{self, Linking, Profile};
use crate::workspace::{self, Metadata};
use contender::Contender;
use depth::Depth;
use figures::{Figures, Record};

/// What is measured.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// So many runs are added, one process each
    #[arg(long, value_name = "N", default_value_t = 2000)]
    adds: usize,
    /// So many runs are in the queue when it is long, submitted in one call; 0 leaves that out
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    queued: usize,
    /// Leave the others out
    #[arg(long)]
    alone: bool,
    /// Measure instead how long the queue takes for N runs of /bin/true that one `bij wait` waits for, in a
    /// machine with systemd, beside the same units with hooks that do nothing, systemd-run and pueue
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "5000", conflicts_with_all = ["adds", "queued", "alone", "store"])]
    waiting: Option<u32>,
    /// Measure this staged tree, instead of one that is staged from the sources in the laboratory's profile
    #[arg(long, value_name = "DIR", requires = "waiting")]
    staged: Option<PathBuf>,
    /// Keep these figures as the ones to compare with
    #[arg(long)]
    store: bool,
}

/// Where the stored figures lie.
fn stored() -> PathBuf {
    workspace::root().join("benches/queue.json")
}

/// Measures every contender and prints them side by side.
pub(crate) fn bench(options: &Options) -> Result<()> {
    if let Some(runs) = options.waiting {
        return crate::test::bench_of_waiting(runs, &peers::pueue()?, options.staged.as_deref());
    }
    println!("building bij");
    let packages = ["bij-cli", "bijd"];
    let programs =
        stage::build_programs(Linking::Native, Profile::Release, &Metadata::read()?, &packages)?;
    let mut contenders: Vec<Box<dyn Contender>> = vec![Box::new(bij::Bij::start(&programs)?)];
    if !options.alone {
        contenders.push(Box::new(peers::Pueue::start()?));
        contenders.push(Box::new(peers::Qex::start()?));
    }
    let mut record = Record::default();
    for contender in &mut contenders {
        let mut figures = Figures::measure(contender.as_mut(), options.adds)?;
        if figures.is_ours() && options.queued > 0 {
            figures =
                figures.at_depth(Depth::measure(&bij::Bij::start(&programs)?, options.queued)?);
        }
        println!("{figures}");
        record.insert(figures);
    }
    let path = stored();
    if let Some(before) = Record::read(&path)? {
        print!("{}", record.beside(&before));
    }
    if options.store {
        record.write(&path).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
