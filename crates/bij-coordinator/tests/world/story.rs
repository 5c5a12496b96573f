//! Stories by their seeds.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::world::World;

/// Which stories are told.
pub(crate) struct Stories {
    first: u64,
    seeds: u64,
    steps: usize,
    /// The first of them is told whole, and no other.
    aloud: bool,
}

/// How a story went.
pub(crate) struct StoryResult {
    pub(crate) wrong: Vec<String>,
    pub(crate) lines: Vec<String>,
    /// How many runs came to their end in it.
    pub(crate) ended: usize,
}

/// So many lines lead up to what is wrong.
const LAST_LINES: usize = 80;

impl Stories {
    /// What `cargo xtask sim` asks for, or these.
    pub(crate) fn from_environment(seeds: u64, steps: usize) -> Self {
        Self {
            first: number("BIJ_SIM_SEED").unwrap_or(0),
            seeds: number("BIJ_SIM_SEEDS").unwrap_or(seeds),
            steps: number("BIJ_SIM_STEPS").and_then(|steps| steps.try_into().ok()).unwrap_or(steps),
            aloud: number("BIJ_SIM_ALOUD").is_some(),
        }
    }

    /// Tells stories until one leads to a world that is not allowed, and says how.
    pub(crate) fn first_that_breaks(&self) -> Option<String> {
        if self.aloud { self.tell_aloud() } else { self.tell_all() }
    }

    #[expect(clippy::print_stdout, reason = "the story was asked for")]
    fn tell_aloud(&self) -> Option<String> {
        let StoryResult { wrong, lines, ended } = run_story(self.first, self.steps, true);
        println!("{}\n{ended} runs have come to their end", lines.join("\n"));
        (!wrong.is_empty()).then(|| wrong.join("\n"))
    }

    fn tell_all(&self) -> Option<String> {
        let next = AtomicU64::new(self.first);
        let end = self.first.saturating_add(self.seeds);
        let broken = AtomicU64::new(u64::MAX);
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= end || broken.load(Ordering::Relaxed) < seed {
                            return;
                        }
                        if !run_story(seed, self.steps, false).wrong.is_empty() {
                            broken.fetch_min(seed, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        let seed = broken.into_inner();
        (seed != u64::MAX).then(|| self.how_it_breaks(seed))
    }

    fn how_it_breaks(&self, seed: u64) -> String {
        let StoryResult { wrong, lines, .. } = run_story(seed, self.steps, true);
        let last = lines.len().saturating_sub(LAST_LINES);
        format!(
            "seed {seed} of {} steps leads to a world that is not allowed:\n{}\n{}\nthe whole \
             story: cargo xtask sim --seed {seed} --steps {}\n",
            self.steps,
            lines[last..].join("\n"),
            wrong.join("\n"),
            self.steps,
        )
    }
}

/// Tells the story of a seed.
pub(crate) fn run_story(seed: u64, steps: usize, keeps_story: bool) -> StoryResult {
    let mut world = World::new(seed, keeps_story);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        for _ in 0..steps {
            let step = world.next_step();
            world.step(step);
            if !world.wrong.is_empty() {
                return;
            }
        }
        world.run_out();
    }));
    if let Err(panic) = outcome {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        world.wrong.push(format!("nothing panics: {}", text.unwrap_or_default()));
    }
    StoryResult { wrong: world.wrong, lines: world.lines, ended: world.chronicle.ended() }
}

#[expect(clippy::disallowed_methods, reason = "a chore says by it which stories it wants")]
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
