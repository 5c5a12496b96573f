//! Texts below the help that clap generates.

/// Below `bij -h`.
pub(super) const ROOT: &str = "\
An ID may be written as the name of its unit: brain-experiment@x.service is x.
A RUN is ID, its newest run, or ID#N.
Exit codes: bij --help. Commands of the older tool: docs/cli.md.";

/// Below `bij --help`.
pub(super) const ROOT_LONG: &str = "\
An ID may be written as the name of its unit: brain-experiment@x.service is x.
A RUN is ID, its newest run, or ID#N.

Exit codes of bij itself:
  0    done as asked; also for a start that is queued because a gate is closed
  1    not done as asked: a job failed, or the request is not possible now
  2    the command line is wrong, or the request makes no sense
  100  an error in bij, or an error without a code of its own
  101  a definition, or a file that it names, is wrong or missing; or a run could never start
  102  no such experiment, run or group
  103  no permission
  104  the service manager or the coordinator cannot be reached
  105  not possible here, for example `start` without a resident manager
  106  the state database failed
`bij run` ends with the experiment's own code; see `bij run --help`.";

/// Below `bij run --help`.
pub(super) const RUN: &str = "\
A TARGET with a `/` in it, or ending in .toml or .json, is a file; anything else is an id.
A command after -- becomes a definition under a generated name, or the name given by --name.

Ctrl-C stops in good order; a second Ctrl-C kills.

Exit codes:
  0..125   the experiment's own code in the last attempt of the run; 124 also for the time limit
  126      the last attempt never ran: its command could not be executed
  128+N    the last attempt was ended by signal N: 137 for an OOM kill
  100..106 bij's own, see `bij --help`; 2 if the command line is wrong
Of several experiments, the first one given that did not end with 0 decides.";

/// Below `bij logs --help`.
pub(super) const LOGS: &str = "\
Times are written as in journalctl: \"2026-11-23 22:00\", \"22:00\", now, today, yesterday,
-90s, \"1 hour ago\", or RFC 3339. `bij logs ID 100` is `bij logs ID -n 100`.";

/// Below `bij board --help`.
pub(super) const BOARD: &str = "\
Readings and records are described in docs/board.md, the keys of the JSON in docs/json.md.";

/// Below `bij simulate --help`.
pub(super) const SIMULATE: &str = "\
A TRACE has lines of seconds,zone,celsius, or the lines that `bij board --watch` prints in a pipe.
FAN is none, weak or strong; LOAD is constant, pair, many-small, huge-and-small, short-bursts,
long-bursts, ramp, sawtooth, random, queue, training, inference or training-and-huge.
The heat ladder is described in docs/board.md.";

/// Below `bij submit --help`.
pub(super) const SUBMIT: &str = "\
Values of --param are separated by commas: lr=0.1,0.2; FIRST..LAST and FIRST..LAST..STEP are
ranges of integers, both ends included: seed=1..3. A value with a comma in it is quoted: \"a,b\".
Several --param make all combinations; the last parameter changes fastest.

A RUN is ID, its newest run, or ID#N. The names of the runs are printed, one per line.
The manual of the queue is docs/queue.md.";

/// Below `bij wait --help`.
pub(super) const WAIT: &str = "\
The exit code is that of `bij run`, for the last attempt of each run; a run that was cancelled or
gave up never ends with 0. Of several runs, the first one given that did not end with 0 decides.";
