//! Sizes, shares, spans and numbers.

use std::str::FromStr;

use bij_core::spec::PowerModeRef;
use bij_core::{Bytes, CpuQuota, InvalidQuantity, Limit, MemoryLimit, Percent, TimeSpan};

use super::word::{line, text};
use crate::document::{Value, ValueNode};
use crate::fault::ParseFault;

/// Reads a quantity from a text or a bare number.
fn quantity<T: FromStr<Err = InvalidQuantity>>(
    node: &ValueNode,
    expected: &str,
) -> Result<T, ParseFault> {
    let text = match &node.value {
        Value::Number(number) => number.as_str(),
        Value::Text(text) => text,
        _ => return Err(node.instead_of(expected)),
    };
    text.parse().map_err(|error: InvalidQuantity| node.instead_of(error.expected))
}

const SIZE: &str = "a size such as \"512M\", \"8G\", \"50%\" or \"infinity\"";

/// Reads an amount of memory with a unit. systemd reads a bare number as bytes, a limit that would kill every
/// program at once, so a bare number is refused.
fn sized(node: &ValueNode) -> Result<MemoryLimit, ParseFault> {
    let bare = match &node.value {
        Value::Number(number) => Some(number.as_str()),
        Value::Text(text) => Some(text.trim()),
        _ => None,
    };
    let is_number = |text: &&str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'_'))
    };
    if let Some(number) = bare.filter(is_number) {
        let fault = ParseFault::new(node.at, format!("{number} has no unit, expected {SIZE}"));
        return Err(fault.hint(format!("\"{number}G\" or \"{number}M\"?")));
    }
    quantity(node, SIZE).map_err(|fault| {
        let guess = bare.and_then(guess_size);
        match guess {
            Some(guess) => fault.hint(format!("did you mean {guess:?}?")),
            None => fault,
        }
    })
}

/// Returns the probable meaning of a size such as `8GB`, `8 GiB` or `8g`.
fn guess_size(text: &str) -> Option<String> {
    let plain: String = text.to_uppercase().chars().filter(|c| !c.is_whitespace()).collect();
    let ending = ["IB", "I", "B"].iter().find_map(|ending| plain.strip_suffix(ending));
    let plain = ending.unwrap_or(&plain);
    (plain.parse::<Bytes>().is_ok() && !plain.ends_with(|c: char| c.is_ascii_digit()))
        .then(|| plain.to_owned())
}

/// Reads a memory limit above zero. systemd ignores `MemoryMax=0`, which would leave the experiment unlimited.
pub(crate) fn memory(node: &ValueNode) -> Result<MemoryLimit, ParseFault> {
    let limit = sized(node)?;
    let is_zero = match limit {
        MemoryLimit::Absolute(limit) => limit == Limit::At(Bytes::new(0)),
        MemoryLimit::Share(share) => share.permyriad() == 0,
    };
    if is_zero {
        return Err(ParseFault::new(
            node.at,
            format!("memory cannot be limited to 0, expected {SIZE}"),
        ));
    }
    Ok(limit)
}

/// Reads a limit of swap space; `0` allows none.
pub(crate) fn swap(node: &ValueNode) -> Result<MemoryLimit, ParseFault> {
    match &node.value {
        Value::Number(number) if number == "0" => Ok(NO_MEMORY),
        Value::Text(text) if text.trim() == "0" => Ok(NO_MEMORY),
        _ => sized(node),
    }
}

const NO_MEMORY: MemoryLimit = MemoryLimit::Absolute(Limit::At(Bytes::new(0)));

/// Reads a share of processors.
pub(crate) fn cpu_quota(node: &ValueNode) -> Result<Limit<CpuQuota>, ParseFault> {
    let number = match &node.value {
        Value::Number(number) => Some(number.as_str()),
        Value::Text(text) => Some(text.trim()),
        _ => None,
    };
    quantity(node, "a share of processors such as \"100%\" (one whole processor) or \"250%\"")
        .map_err(|fault| match number.and_then(|number| number.parse::<u32>().ok()) {
            Some(number) if (1..10).contains(&number) => {
                fault.hint(format!("{number} whole processors are \"{number}00%\""))
            }
            Some(number) if number > 0 => fault.hint(format!("did you mean \"{number}%\"?")),
            _ => fault,
        })
}

/// Reads a number of tasks, at least one.
pub(crate) fn tasks(node: &ValueNode) -> Result<Limit<u64>, ParseFault> {
    positive(node, "a number of processes and threads from 1, or \"infinity\"")
}

/// Reads a number of file descriptors, at least one.
pub(crate) fn open_files(node: &ValueNode) -> Result<Limit<u64>, ParseFault> {
    positive(node, "a number of open files from 1, or \"infinity\"")
}

/// Reads a limit of locked memory; `0` allows none.
pub(crate) fn locked_memory(node: &ValueNode) -> Result<Limit<Bytes>, ParseFault> {
    match swap(node)? {
        MemoryLimit::Absolute(limit) => Ok(limit),
        MemoryLimit::Share(_) => Err(node.instead_of("a size such as \"1G\", or \"infinity\"")),
    }
}

fn positive(node: &ValueNode, expected: &str) -> Result<Limit<u64>, ParseFault> {
    let text = match &node.value {
        Value::Number(number) => number.as_str(),
        Value::Text(text) => text.trim(),
        _ => "",
    };
    if text == "infinity" {
        return Ok(Limit::Max);
    }
    // systemd stores "no limit" as the highest number.
    match text.parse().ok().filter(|count| (1..u64::MAX).contains(count)) {
        Some(count) => Ok(Limit::At(count)),
        None => Err(node.instead_of(expected)),
    }
}

const SPAN: &str = "a span of time such as \"90s\", \"5min 20s\" or \"12h\"";

/// Reads a span of time, which may be zero.
pub(crate) fn span_or_zero(node: &ValueNode) -> Result<TimeSpan, ParseFault> {
    quantity(node, SPAN)
}

/// Reads a span of time above zero. For most of its time-outs systemd takes 0 as "no limit", which users do not
/// expect.
pub(crate) fn span(node: &ValueNode) -> Result<TimeSpan, ParseFault> {
    let span = span_or_zero(node)?;
    above_zero(node, Limit::At(span)).map(|_| span)
}

/// Reads a span of time above zero, or `infinity`.
pub(crate) fn span_limit(node: &ValueNode) -> Result<Limit<TimeSpan>, ParseFault> {
    above_zero(node, quantity(node, SPAN)?)
}

/// Reads a span of time, which may be zero, or `infinity`.
pub(crate) fn span_limit_or_zero(node: &ValueNode) -> Result<Limit<TimeSpan>, ParseFault> {
    quantity(node, SPAN)
}

fn above_zero(node: &ValueNode, limit: Limit<TimeSpan>) -> Result<Limit<TimeSpan>, ParseFault> {
    if limit == Limit::At(TimeSpan::default()) {
        return Err(ParseFault::new(node.at, format!("found a span of 0, expected {SPAN}"))
            .hint("leave the key out for no limit"));
    }
    Ok(limit)
}

/// Reads a number that is valid.
fn number<T: FromStr>(
    node: &ValueNode,
    valid: impl Fn(&T) -> bool,
    expected: &str,
) -> Result<T, ParseFault> {
    match &node.value {
        Value::Number(number) => number.parse().ok().filter(valid),
        _ => None,
    }
    .ok_or_else(|| node.instead_of(expected))
}

pub(crate) fn priority(node: &ValueNode) -> Result<i32, ParseFault> {
    number(node, |_| true, "a whole number, higher goes first")
}

/// Reads the number of starts within the interval.
pub(crate) fn burst(node: &ValueNode) -> Result<u32, ParseFault> {
    let expected = "a number of starts from 1, the first one counted";
    number(node, |burst| *burst >= 1, expected).map_err(|fault| {
        fault.hint("1 never restarts it; to restart it for ever: [restart] interval = \"0\"")
    })
}

/// Reads a temperature limit.
pub(crate) fn celsius(node: &ValueNode) -> Result<f64, ParseFault> {
    // Below 20 degrees nothing would ever start; above 125 no chip of these boards works.
    let is_plausible = |celsius: &f64| (20.0..=125.0).contains(celsius);
    number(node, is_plausible, "degrees Celsius from 20 to 125, such as 80")
}

/// Reads a power mode, by number or name.
pub(crate) fn power_mode(node: &ValueNode) -> Result<PowerModeRef, ParseFault> {
    let expected = "a mode of this board's nvpmodel list, by name such as \"MAXN\" or by number";
    let mode = match &node.value {
        Value::Number(number) => number,
        _ => text(node)?,
    };
    match (PowerModeRef::from(mode), &node.value, line(node)) {
        (mode @ PowerModeRef::Number(_), ..) => Ok(mode),
        (PowerModeRef::Name(name), Value::Text(_), Ok(_)) if (1..=64).contains(&name.len()) => {
            Ok(PowerModeRef::Name(name))
        }
        _ => Err(node.instead_of(expected)),
    }
}

/// Reads a count, at least one.
pub(crate) fn count(node: &ValueNode) -> Result<u32, ParseFault> {
    number(node, |count| *count >= 1, "a whole number from 1")
}

/// Reads an amount of memory in gibibytes, as a number without a unit.
pub(crate) fn gibibytes(node: &ValueNode) -> Result<Bytes, ParseFault> {
    let expected = "a number of gibibytes without a unit, such as 48";
    let Value::Number(number) = &node.value else { return Err(node.instead_of(expected)) };
    let bytes = format!("{number}G").parse().ok().filter(|bytes| *bytes > Bytes::new(0));
    bytes.ok_or_else(|| node.instead_of(expected))
}

/// Reads a count, which may be zero.
pub(crate) fn count_or_zero(node: &ValueNode) -> Result<u32, ParseFault> {
    number(node, |_| true, "a whole number from 0")
}

/// Reads a memory reserve, an amount or a share, which may be zero.
pub(crate) fn reserve(node: &ValueNode) -> Result<MemoryLimit, ParseFault> {
    match swap(node)? {
        MemoryLimit::Absolute(Limit::Max) => {
            let expected = "a size such as \"512M\" or a share such as \"5%\"";
            Err(ParseFault::new(
                node.at,
                format!("all memory cannot be reserved, expected {expected}"),
            ))
        }
        reserve => Ok(reserve),
    }
}

/// Reads a share of up to 100 %.
pub(crate) fn share(node: &ValueNode) -> Result<Percent, ParseFault> {
    let expected = "a share such as \"20%\", up to \"100%\"";
    let share: Percent = quantity(node, expected)?;
    if share > Percent::HUNDRED { Err(node.instead_of(expected)) } else { Ok(share) }
}
