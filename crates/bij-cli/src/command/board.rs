//! `bij board`: how hot, how fast and how busy the machine is.

use std::path::Path;
use std::time::Duration;

use bij_jetson::{BoardSample, Machine, Nvpmodel, Root};

use crate::context::Context;
use crate::error::CliError;
use crate::view::BoardPage;

/// It answers within a tenth of a second, or something is wrong with it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Reads the machine once, or a captured tree of one, and shows it.
pub(crate) fn board(context: &Context) -> Result<(), CliError> {
    let mut sample = Machine::below(&context.root).sample();
    if context.root == Path::new("/") {
        ask(&mut sample);
    }
    context.terminal.show(&BoardPage::new(&sample))
}

/// Of this very machine nvpmodel knows better than what it wrote down when it last set a mode.
fn ask(sample: &mut BoardSample) {
    if sample.identity.is_jetson() && sample.power.offered.is_ok() {
        let nvpmodel = Nvpmodel::below(Root::new("/")).with_limit(PATIENCE);
        if let Ok(current) = nvpmodel.query() {
            sample.power.current = Ok(current);
        }
    }
}
