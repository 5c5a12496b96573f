//! Names of signals, users and variables, by the rules of systemd and the kernel.

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

/// Variables that systemd or bij itself sets (systemd.exec(5), "Environment Variables Set on
/// Spawned Processes"); a definition that set them would mislead the process.
const RESERVED: &[&str] = &[
    "CACHE_DIRECTORY",
    "CONFIGURATION_DIRECTORY",
    "CREDENTIALS_DIRECTORY",
    "EXIT_CODE",
    "EXIT_STATUS",
    "FDSTORE",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "LISTEN_FDNAMES",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LOGS_DIRECTORY",
    "LOG_NAMESPACE",
    "MAINPID",
    "MANAGERPID",
    "MEMORY_PRESSURE_WATCH",
    "MEMORY_PRESSURE_WRITE",
    "NOTIFY_SOCKET",
    "PIDFILE",
    "REMOTE_ADDR",
    "REMOTE_PORT",
    "RUNTIME_DIRECTORY",
    "SERVICE_RESULT",
    "STATE_DIRECTORY",
    "SYSTEMD_EXEC_PID",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
];

/// Why a definition may not set a variable of this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadName {
    Malformed,
    Reserved,
}

impl BadName {
    pub(crate) const fn message(self) -> &'static str {
        match self {
            Self::Malformed => {
                "the name of a variable has only A-Z a-z 0-9 _ and does not begin with a digit"
            }
            Self::Reserved => "systemd and bij set this variable themselves",
        }
    }

    pub(crate) const fn hint(self) -> &'static str {
        match self {
            Self::Malformed => "for example: HF_HOME",
            Self::Reserved => "use another name",
        }
    }
}

/// Checks the name of an environment variable that a definition sets.
pub(crate) fn environment_name(name: &str) -> Result<(), BadName> {
    let first = |b: &u8| b.is_ascii_alphabetic() || *b == b'_';
    let rest = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if !name.as_bytes().first().is_some_and(first) || !name.bytes().all(rest) {
        return Err(BadName::Malformed);
    }
    let is_ours = ["BIJ_", "MONITOR_", "TRIGGER_"].iter().any(|prefix| name.starts_with(prefix));
    if is_ours || RESERVED.contains(&name) { Err(BadName::Reserved) } else { Ok(()) }
}

/// Checks the value of an environment variable; the error describes the problem.
///
/// systemd drops values with control characters other than tab and newline
/// (`env_value_is_valid`), so the program would never get them.
pub(crate) fn environment_value(value: &str) -> Result<(), String> {
    match value.chars().find(|c| c.is_ascii_control() && !matches!(c, '\t' | '\n')) {
        None => Ok(()),
        Some(bad) => {
            Err(format!("the value contains the control character U+{:04X}", u32::from(bad)))
        }
    }
}
