//! Gives a reader of foreign text hostile input, in the normal test run and for as long as one likes.
//!
//! A *target* is a test named `fuzz_<target>` that hands one input to the code in question and checks what
//! comes back. Inputs are made from the target's corpus, the files in `fuzz/<target>/` of its crate: each is
//! tried as it is, then mutated; others are made of the target's own tokens, and of noise.
//!
//! In a normal test run a target tries some hundred inputs, always the same ones. With
//! `$BIJ_FUZZ_SECONDS` it goes on for that long with new ones, with `$BIJ_FUZZ_SEED` in an order that is
//! always the same; `cargo xtask fuzz` sets both. An input that
//! fails is made smaller and written into the corpus as `failed-…`, where every later run tries it first.
//!
//! Besides what the target checks, no input may take longer than [`TIME_LIMIT`] of processor time or, when
//! it is run by time, bring the process beyond [`MEMORY_LIMIT`].

mod mutation;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, setrlimit};
use nix::time::{ClockId, clock_gettime};
use proptest::strategy::Strategy as _;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use mutation::{Material, input};

/// The processor time that one input may take, in a build without optimizations. Readers take
/// microseconds.
pub const TIME_LIMIT: Duration = Duration::from_secs(5);

/// The address space that the process may have when it is run by time.
pub const MEMORY_LIMIT: u64 = 4 << 30;

/// The longest input. Larger ones are refused by size before they are read, which has tests of its own.
const MOST_BYTES: usize = 32 << 10;

/// The inputs of a normal test run.
const CASES: u32 = 400;

/// A reader of foreign text, and what its input is made of.
#[derive(Debug)]
pub struct Target {
    name: &'static str,
    corpus: PathBuf,
    seeds: Vec<Vec<u8>>,
    tokens: &'static [&'static str],
}

impl Target {
    /// The target of this name of the crate in this directory (`env!("CARGO_MANIFEST_DIR")`).
    ///
    /// # Panics
    /// If it has no corpus.
    pub fn new(name: &'static str, manifest_dir: &str) -> Self {
        let corpus = Path::new(manifest_dir).join("fuzz").join(name);
        let seeds = files(&corpus);
        assert!(!seeds.is_empty(), "{} holds no corpus of {name}", corpus.display());
        Self { name, corpus, seeds, tokens: &[] }
    }

    /// Words that mean something to the reader.
    #[must_use]
    pub const fn tokens(mut self, tokens: &'static [&'static str]) -> Self {
        self.tokens = tokens;
        self
    }

    /// Takes further files for seeds, for example captured ones of other tests.
    #[must_use]
    pub fn also(mut self, seeds: impl IntoIterator<Item = Vec<u8>>) -> Self {
        self.seeds.extend(seeds.into_iter().filter(|seed| seed.len() <= MOST_BYTES));
        self
    }

    /// Gives `check` one input after the other. It panics if the reader did what it must not.
    ///
    /// # Panics
    /// If an input failed; the message says where the input was written to.
    pub fn run(self, check: impl Fn(&[u8])) {
        let time = std::env::var("BIJ_FUZZ_SECONDS").ok();
        let time = time.map(|seconds| seconds.parse().map(Duration::from_secs));
        let time = time.map(|time| time.expect("BIJ_FUZZ_SECONDS is a number"));
        if time.is_some() {
            setrlimit(Resource::RLIMIT_AS, MEMORY_LIMIT, MEMORY_LIMIT)
                .expect("a limit can always be lowered");
        }
        let watch = Watch::new(&self);
        let limited = |bytes: &[u8]| watch.limited(bytes, &check);
        std::thread::scope(|scope| {
            scope.spawn(|| watch.watch());
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                for seed in &self.seeds {
                    limited(seed);
                }
                match time {
                    None => self.try_cases(same_runner(), limited),
                    Some(time) => self.try_for(time, limited),
                }
            }));
            watch.end();
            if let Err(panic) = done {
                std::panic::resume_unwind(panic);
            }
        });
    }

    fn try_for(&self, time: Duration, check: impl Fn(&[u8])) {
        let seed = std::env::var("BIJ_FUZZ_SEED").ok();
        let mut seed = seed.map(|seed| seed.parse::<u64>().expect("BIJ_FUZZ_SEED is a number"));
        let started = Instant::now();
        while started.elapsed() < time {
            self.try_cases(runner(seed), &check);
            seed = seed.map(|seed| seed.wrapping_add(1));
        }
    }

    fn try_cases(&self, mut runner: TestRunner, check: impl Fn(&[u8])) {
        let material = Material::new(&self.seeds, self.tokens);
        let inputs = input(&material).prop_map(|mut bytes| {
            bytes.truncate(MOST_BYTES);
            bytes
        });
        let tried = runner.run(&inputs, |bytes| {
            check(&bytes);
            Ok::<(), TestCaseError>(())
        });
        match tried {
            Ok(()) => {}
            Err(TestError::Fail(why, bytes)) => {
                let file = self.keep("failed", &bytes);
                panic!("{} failed on {}: {why}", self.name, file.display());
            }
            Err(TestError::Abort(why)) => panic!("{}: no input could be made: {why}", self.name),
        }
    }

    fn keep(&self, what: &str, bytes: &[u8]) -> PathBuf {
        keep(&self.corpus, what, bytes)
    }
}

/// A runner for many inputs: those of this seed, or others each time.
fn runner(seed: Option<u64>) -> TestRunner {
    let Some(seed) = seed else { return TestRunner::new(config(1000)) };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    TestRunner::new_with_rng(config(1000), rng)
}

/// A runner whose inputs are the same each time.
fn same_runner() -> TestRunner {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    TestRunner::new_with_rng(config(CASES), rng)
}

/// Failures are kept as inputs, not as seeds: these change their meaning with the corpus.
fn config(cases: u32) -> Config {
    Config { cases, failure_persistence: None, ..Config::default() }
}

/// Writes an input into the corpus, under a name made of its bytes (FNV-1a).
fn keep(corpus: &Path, what: &str, bytes: &[u8]) -> PathBuf {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let file = corpus.join(format!("{what}-{hash:016x}"));
    fs::write(&file, bytes).expect("the corpus can be written");
    file
}

/// All regular files of a directory, in the order of their names.
///
/// # Panics
/// If one of them cannot be read.
pub fn files(directory: &Path) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.is_file());
    paths.sort();
    let read = |path: &PathBuf| fs::read(path).expect("a file of the corpus");
    paths.iter().map(read).collect()
}

/// Ends the process if one input takes for ever, and keeps that input.
struct Watch {
    corpus: PathBuf,
    /// The input under way.
    current: Mutex<Option<(Duration, Vec<u8>)>>,
    is_over: AtomicBool,
}

/// An input has hung if the process has had so much processor time since it began, other tests of the process
/// included. The time of day would be the fault of a busy machine.
const HUNG_AFTER: Duration = Duration::from_secs(100);

impl Watch {
    fn new(target: &Target) -> Self {
        Self {
            corpus: target.corpus.clone(),
            current: Mutex::new(None),
            is_over: AtomicBool::new(false),
        }
    }

    /// Gives the check one input and measures it.
    fn limited(&self, bytes: &[u8], check: &impl Fn(&[u8])) {
        *self.current.lock().expect("nothing panics with it") =
            Some((processor_time_of_all(), bytes.to_owned()));
        let before = processor_time();
        check(bytes);
        let took = processor_time().saturating_sub(before);
        *self.current.lock().expect("nothing panics with it") = None;
        assert!(took < TIME_LIMIT, "it took {took:?} of processor time");
    }

    fn watch(&self) {
        while !self.is_over.load(Ordering::Acquire) {
            std::thread::park_timeout(Duration::from_millis(50));
            let current = self.current.lock().expect("nothing panics with it");
            if let Some((since, bytes)) = &*current
                && processor_time_of_all().saturating_sub(*since) > HUNG_AFTER
            {
                keep(&self.corpus, "hung", bytes);
                std::process::abort();
            }
        }
    }

    fn end(&self) {
        self.is_over.store(true, Ordering::Release);
    }
}

/// The processor time that this thread has had.
fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("the clock exists").into()
}

/// The processor time that this process has had.
fn processor_time_of_all() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).expect("the clock exists").into()
}

/// Checks that a text that people are shown has no character that a terminal obeys, lines and tabs
/// excepted.
///
/// # Panics
/// If it has one.
pub fn assert_harmless(text: &str) {
    let harmful = |c: &char| c.is_control() && !matches!(c, '\n' | '\t') || is_directional(*c);
    let found: Vec<char> = text.chars().filter(harmful).collect();
    assert!(found.is_empty(), "{found:?} in {text:?}");
}

/// Marks that reorder text (Unicode Standard Annex #9, "Directional Formatting Characters").
const fn is_directional(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn what_fails_is_made_small_and_kept() {
        let directory = std::env::temp_dir().join(format!("bij-fuzz-{}", std::process::id()));
        let corpus = directory.join("fuzz/self");
        fs::create_dir_all(&corpus).unwrap();
        fs::write(corpus.join("seed"), "key = \"value\"\n").unwrap();
        let manifest_dir = directory.to_str().unwrap();
        let fragile = |bytes: &[u8]| assert!(!bytes.contains(&b'!'), "it broke");
        let run = || Target::new("self", manifest_dir).tokens(&["!"]).run(fragile);
        assert!(catch_unwind(AssertUnwindSafe(run)).is_err(), "the token was never tried");
        let kept = files(&corpus);
        assert_eq!(kept.len(), 2, "{kept:?}");
        let small = |bytes: &&Vec<u8>| bytes.contains(&b'!') && bytes.len() < 20;
        assert_eq!(kept.iter().filter(small).count(), 1, "{kept:?}");
        // From now on it is the first that is tried.
        assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
        Target::new("self", manifest_dir).run(|bytes| assert!(bytes.len() <= MOST_BYTES));
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn text_that_a_terminal_would_obey_is_found() {
        assert_harmless("a.toml:3: grün\n\thint");
        for harmful in ["\x1b[2J", "\u{9b}", "\u{202e}", "\r"] {
            assert!(catch_unwind(|| assert_harmless(harmful)).is_err(), "{harmful:?}");
        }
    }
}
