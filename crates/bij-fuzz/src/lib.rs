//! Tests parsers of foreign text with hostile input, in the normal test run or for a given time.
//!
//! A *target* is a test named `fuzz_<target>` that passes one input to a parser and checks the result. Inputs
//! come from the target's corpus, the files in `fuzz/<target>/` of its crate: each is tried as it is, then
//! mutated; others consist of the target's own tokens, or of noise.
//!
//! In a normal test run a target tries a few hundred inputs, always the same ones. With `$BIJ_FUZZ_SECONDS`
//! it tries new ones for this time, and with `$BIJ_FUZZ_SEED` in a reproducible order; `cargo xtask fuzz` sets
//! both. A failing input is minimized and written into the corpus as `failed-…`, where every later run tries
//! it first.
//!
//! Besides the target's own checks, no input may take more processor time than [`TIME_LIMIT`] or, in a run
//! with a given time, more memory than [`MEMORY_LIMIT`].

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

/// Maximum processor time for one input in a build without optimizations. Parsers take microseconds.
pub const TIME_LIMIT: Duration = Duration::from_secs(5);

/// Maximum address space of the process in a run with a given time, in bytes.
pub const MEMORY_LIMIT: u64 = 4 << 30;

/// Maximum length of an input in bytes. Parsers refuse long files by their size, which has its own tests.
const MAX_INPUT_LEN: usize = 32 << 10;

/// Number of inputs in a normal test run.
const CASES: u32 = 400;

/// A parser of foreign text, and the material for its inputs.
#[derive(Debug)]
pub struct FuzzTarget {
    name: &'static str,
    corpus: PathBuf,
    seeds: Vec<Vec<u8>>,
    tokens: &'static [&'static str],
}

impl FuzzTarget {
    /// Creates a target of the crate in a directory (`env!("CARGO_MANIFEST_DIR")`).
    ///
    /// # Panics
    /// If the target has no corpus.
    pub fn new(name: &'static str, manifest_dir: &str) -> Self {
        let corpus = Path::new(manifest_dir).join("fuzz").join(name);
        let seeds = files(&corpus);
        assert!(!seeds.is_empty(), "{} holds no corpus of {name}", corpus.display());
        Self { name, corpus, seeds, tokens: &[] }
    }

    /// Sets words that have a meaning for the parser.
    #[must_use]
    pub const fn tokens(mut self, tokens: &'static [&'static str]) -> Self {
        self.tokens = tokens;
        self
    }

    /// Adds more seeds, for example captured files of other tests.
    #[must_use]
    pub fn also(mut self, seeds: impl IntoIterator<Item = Vec<u8>>) -> Self {
        self.seeds.extend(seeds.into_iter().filter(|seed| seed.len() <= MAX_INPUT_LEN));
        self
    }

    /// Calls `check` with one input after the other; `check` panics if the parser failed.
    ///
    /// # Panics
    /// If an input failed; the message names the file of the input.
    pub fn run(self, check: impl Fn(&[u8])) {
        let duration = std::env::var("BIJ_FUZZ_SECONDS").ok().map(|seconds| {
            Duration::from_secs(seconds.parse().expect("BIJ_FUZZ_SECONDS is a number"))
        });
        if duration.is_some() {
            setrlimit(Resource::RLIMIT_AS, MEMORY_LIMIT, MEMORY_LIMIT)
                .expect("a limit can always be lowered");
        }
        let watchdog = Watchdog::new(&self);
        let check_in_time = |bytes: &[u8]| watchdog.check_in_time(bytes, &check);
        std::thread::scope(|scope| {
            scope.spawn(|| watchdog.watch());
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                for seed in &self.seeds {
                    check_in_time(seed);
                }
                match duration {
                    None => self.try_cases(deterministic_runner(), check_in_time),
                    Some(duration) => self.try_for(duration, check_in_time),
                }
            }));
            watchdog.end();
            if let Err(panic) = result {
                std::panic::resume_unwind(panic);
            }
        });
    }

    fn try_for(&self, duration: Duration, check: impl Fn(&[u8])) {
        let seed = std::env::var("BIJ_FUZZ_SEED").ok();
        let mut seed = seed.map(|seed| seed.parse::<u64>().expect("BIJ_FUZZ_SEED is a number"));
        let started = Instant::now();
        while started.elapsed() < duration {
            self.try_cases(runner(seed), &check);
            seed = seed.map(|seed| seed.wrapping_add(1));
        }
    }

    fn try_cases(&self, mut runner: TestRunner, check: impl Fn(&[u8])) {
        let material = Material::new(&self.seeds, self.tokens);
        let inputs = input(&material).prop_map(|mut bytes| {
            bytes.truncate(MAX_INPUT_LEN);
            bytes
        });
        let result = runner.run(&inputs, |bytes| {
            check(&bytes);
            Ok::<(), TestCaseError>(())
        });
        match result {
            Ok(()) => {}
            Err(TestError::Fail(why, bytes)) => {
                let file = write_to_corpus(&self.corpus, "failed", &bytes);
                panic!("{} failed on {}: {why}", self.name, file.display());
            }
            Err(TestError::Abort(why)) => panic!("{}: no input could be made: {why}", self.name),
        }
    }
}

/// Returns a runner for many inputs: those of a seed, or different ones each time.
fn runner(seed: Option<u64>) -> TestRunner {
    let Some(seed) = seed else { return TestRunner::new(config(1000)) };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    TestRunner::new_with_rng(config(1000), rng)
}

/// Returns a runner whose inputs are the same each time.
fn deterministic_runner() -> TestRunner {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    TestRunner::new_with_rng(config(CASES), rng)
}

/// Returns the configuration of a runner. Failures are written as inputs, because the meaning of a seed
/// changes with the corpus.
fn config(cases: u32) -> Config {
    Config { cases, failure_persistence: None, ..Config::default() }
}

/// Writes an input into the corpus, with the hash of its bytes (FNV-1a) in its name.
fn write_to_corpus(corpus: &Path, prefix: &str, bytes: &[u8]) -> PathBuf {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let file = corpus.join(format!("{prefix}-{hash:016x}"));
    fs::write(&file, bytes).expect("the corpus is writable");
    file
}

/// Returns the content of all regular files in a directory, in the order of their names.
///
/// # Panics
/// If a file cannot be read.
pub fn files(directory: &Path) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| entry.expect("readable entry").path()).collect();
    paths.retain(|path| path.is_file());
    paths.sort();
    let read = |path: &PathBuf| fs::read(path).expect("readable file");
    paths.iter().map(read).collect()
}

/// Aborts the process if one input hangs, and writes that input into the corpus.
struct Watchdog {
    corpus: PathBuf,
    /// The input of the running check, and the processor time at its start.
    current: Mutex<Option<(Duration, Vec<u8>)>>,
    has_ended: AtomicBool,
}

/// Processor time of the process, other tests included, after which an input hangs. Wall-clock time would
/// depend on the load of the machine.
const HUNG_AFTER: Duration = Duration::from_secs(100);

impl Watchdog {
    fn new(target: &FuzzTarget) -> Self {
        Self {
            corpus: target.corpus.clone(),
            current: Mutex::new(None),
            has_ended: AtomicBool::new(false),
        }
    }

    /// Runs the check for one input and measures its processor time.
    fn check_in_time(&self, bytes: &[u8], check: &impl Fn(&[u8])) {
        *self.current.lock().expect("no panic while it is locked") =
            Some((process_cpu_time(), bytes.to_owned()));
        let before = thread_cpu_time();
        check(bytes);
        let took = thread_cpu_time().saturating_sub(before);
        *self.current.lock().expect("no panic while it is locked") = None;
        assert!(took < TIME_LIMIT, "it took {took:?} of processor time");
    }

    fn watch(&self) {
        while !self.has_ended.load(Ordering::Acquire) {
            std::thread::park_timeout(Duration::from_millis(50));
            let current = self.current.lock().expect("no panic while it is locked");
            if let Some((since, bytes)) = &*current
                && process_cpu_time().saturating_sub(*since) > HUNG_AFTER
            {
                write_to_corpus(&self.corpus, "hung", bytes);
                std::process::abort();
            }
        }
    }

    fn end(&self) {
        self.has_ended.store(true, Ordering::Release);
    }
}

/// Returns the processor time of this thread.
fn thread_cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("the clock exists").into()
}

/// Returns the processor time of this process.
fn process_cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).expect("the clock exists").into()
}

/// Asserts that a text for users has no character that controls a terminal, except line breaks and tabs.
///
/// # Panics
/// If the text has such a character.
pub fn assert_harmless(text: &str) {
    let harmful = |c: &char| c.is_control() && !matches!(c, '\n' | '\t') || is_directional(*c);
    let found: Vec<char> = text.chars().filter(harmful).collect();
    assert!(found.is_empty(), "{found:?} in {text:?}");
}

/// Whether a character reorders text (Unicode Standard Annex #9, "Directional Formatting Characters").
const fn is_directional(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn a_failing_input_is_minimized_and_written_into_the_corpus() {
        let directory = std::env::temp_dir().join(format!("bij-fuzz-{}", std::process::id()));
        let corpus = directory.join("fuzz/self");
        fs::create_dir_all(&corpus).unwrap();
        fs::write(corpus.join("seed"), "key = \"value\"\n").unwrap();
        let manifest_dir = directory.to_str().unwrap();
        let fragile = |bytes: &[u8]| assert!(!bytes.contains(&b'!'), "it broke");
        let run = || FuzzTarget::new("self", manifest_dir).tokens(&["!"]).run(fragile);
        assert!(catch_unwind(AssertUnwindSafe(run)).is_err(), "the token was never tried");
        let kept = files(&corpus);
        assert_eq!(kept.len(), 2, "{kept:?}");
        let small = |bytes: &&Vec<u8>| bytes.contains(&b'!') && bytes.len() < 20;
        assert_eq!(kept.iter().filter(small).count(), 1, "{kept:?}");
        // The next run tries it first.
        assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
        FuzzTarget::new("self", manifest_dir).run(|bytes| assert!(bytes.len() <= MAX_INPUT_LEN));
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn characters_that_control_a_terminal_are_found() {
        assert_harmless("a.toml:3: grün\n\thint");
        for harmful in ["\x1b[2J", "\u{9b}", "\u{202e}", "\r"] {
            assert!(catch_unwind(|| assert_harmless(harmful)).is_err(), "{harmful:?}");
        }
    }
}
