//! Conversion of nodes into checked types. The faults describe the expected value.

mod amount;
mod list;
mod word;

pub(crate) use amount::{
    burst, celsius, count, count_or_zero, cpu_quota, gibibytes, locked_memory, memory, open_files,
    power_mode, priority, reserve, share, span, span_limit, span_limit_or_zero, span_or_zero, swap,
    tasks,
};
pub(crate) use list::{after, command, environment, paths, patterns};
pub(crate) use word::{
    MAX_ARGUMENT, choice, cpu_set, description, directory, environment_value, flag, group, signal,
    user,
};
