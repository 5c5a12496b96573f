//! Names of signals and users by the rules of systemd and the kernel, and the nearest name for a mistyped word.

use strsim::damerau_levenshtein;

/// Signals and their numbers on Linux (signal(7)); the same on x86-64 and arm64.
pub(crate) const SIGNALS: &[(&str, u8)] = &[
    ("SIGHUP", 1),
    ("SIGINT", 2),
    ("SIGQUIT", 3),
    ("SIGILL", 4),
    ("SIGTRAP", 5),
    ("SIGABRT", 6),
    ("SIGBUS", 7),
    ("SIGFPE", 8),
    ("SIGKILL", 9),
    ("SIGUSR1", 10),
    ("SIGSEGV", 11),
    ("SIGUSR2", 12),
    ("SIGPIPE", 13),
    ("SIGALRM", 14),
    ("SIGTERM", 15),
    ("SIGSTKFLT", 16),
    ("SIGCHLD", 17),
    ("SIGCONT", 18),
    ("SIGSTOP", 19),
    ("SIGTSTP", 20),
    ("SIGTTIN", 21),
    ("SIGTTOU", 22),
    ("SIGURG", 23),
    ("SIGXCPU", 24),
    ("SIGXFSZ", 25),
    ("SIGVTALRM", 26),
    ("SIGPROF", 27),
    ("SIGWINCH", 28),
    ("SIGIO", 29),
    ("SIGPWR", 30),
    ("SIGSYS", 31),
];

/// The highest offset from `SIGRTMIN`: 34 to 64 are the real-time signals with glibc.
const REALTIME: u8 = 30;

/// Returns the full name of a signal given by name, with or without `SIG`, or by number.
pub(crate) fn signal(text: &str) -> Option<String> {
    if let Ok(number) = text.parse::<u8>() {
        let found = SIGNALS.iter().find(|(_, signal)| *signal == number);
        return found.map(|(name, _)| (*name).to_owned());
    }
    let name = text.strip_prefix("SIG").unwrap_or(text);
    let offset = |rest: &str, sign: char| {
        let digits = rest.strip_prefix(sign)?;
        digits.parse::<u8>().ok().filter(|n| *n <= REALTIME && n.to_string() == digits)
    };
    let realtime = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        (Some(""), _) | (_, Some("")) => true,
        (Some(rest), _) => offset(rest, '+').is_some(),
        (_, Some(rest)) => offset(rest, '-').is_some(),
        _ => false,
    };
    let known =
        realtime || SIGNALS.iter().any(|(known, _)| known.strip_prefix("SIG") == Some(name));
    known.then(|| format!("SIG{name}"))
}

/// The longest user name in bytes: `UT_NAMESIZE` of utmp.h is 32 with the closing NUL.
const MAX_USER_LEN: usize = 31;

/// Returns whether systemd accepts this as `User=`: a name by its strict rule (`valid_user_group_name`), or
/// the number of a user.
///
/// 65535 and 4294967295 mean "no user" to system calls of 16 and of 32 bits.
pub(crate) fn is_user(text: &str) -> bool {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        let number = text.parse::<u32>().ok().filter(|uid| !matches!(*uid, 0xffff | u32::MAX));
        return number.is_some_and(|uid| uid.to_string() == text);
    }
    let first = |b: &u8| b.is_ascii_alphabetic() || *b == b'_';
    let rest = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    text.len() <= MAX_USER_LEN
        && text.as_bytes().first().is_some_and(first)
        && text.bytes().all(rest)
}

/// Returns the candidate nearest to `word`, if it is near enough to be a typing mistake.
///
/// Up to a third of the letters may differ, or one letter of a short word: `memroy` finds `memory`, `x` finds
/// nothing. Case does not count, and `-` equals `_`.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // The cost of a distance is the product of the lengths, and no candidate is near to a very long word.
    const MAX_LEN: usize = 64;
    if word.len() > MAX_LEN {
        return None;
    }
    let normalized = |word: &str| word.to_lowercase().replace('-', "_");
    let word = normalized(word);
    candidates
        .into_iter()
        .map(|candidate| (damerau_levenshtein(&word, &normalized(candidate)), candidate))
        .filter(|(distance, candidate)| {
            *distance <= (candidate.len().max(word.len()) / 3).max(1) && *distance < candidate.len()
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
