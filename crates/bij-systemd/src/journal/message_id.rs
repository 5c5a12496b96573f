//! The message ids of systemd's records about units (`sd-messages.h`).

/// A process of a unit ended with a failure: `EXIT_CODE`, `EXIT_STATUS`, `COMMAND`.
pub(super) const PROCESS_EXIT: &str = "98e322203f7a4ed290d09fe03c09fe15";
/// A unit failed: `UNIT_RESULT`.
pub(super) const FAILURE_RESULT: &str = "d9b373ed55a64feb8242e02dbe79a49c";
/// A unit ended successfully.
pub(super) const SUCCESS: &str = "7ad2d189f7e94e70a38c781354912448";
/// The kernel OOM-killed a process of a unit (cgroup v2 only).
pub(super) const OUT_OF_MEMORY: &str = "fe6faa94e7774663a0da52717891d8ef";
/// systemd-oomd killed a unit.
pub(super) const OOMD_KILL: &str = "d989611b15e44c9dbf31e3c81256e4ed";
/// An automatic restart was scheduled.
pub(super) const RESTART_SCHEDULED: &str = "5eb03494b6584870a536b337290809b3";
/// A start job is done.
pub(super) const STARTED: &str = "39f53479d3a045ac8e11786248231fbf";
/// A stop job begins.
pub(super) const STOPPING: &str = "de5b426a63be47a7b6ac3eaac82e2f6f";
/// The resources that a unit used: `CPU_USAGE_NSEC`, `MEMORY_PEAK`.
pub(super) const RESOURCES: &str = "ae8f7b866b0347b9af31fe1c80b127c0";
