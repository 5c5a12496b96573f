//! Reads what the kernel counts for one control group, and makes control groups with limits.
//!
//! Three worlds are known (cgroups(7)): version 2 ("unified"), version 1 ("legacy"), and systemd's
//! hybrid, in which the controllers are version 1 and an empty version 2 tree stands beside them.
//! A [`CgroupRoot`] is a directory such as `/sys/fs/cgroup` and finds out which of them it is;
//! from then on a [`Cgroup`] answers the same questions in all three:
//!
//! ```no_run
//! use bij_cgroup::{CgroupPath, CgroupRoot};
//!
//! let root = CgroupRoot::open("/sys/fs/cgroup")?;
//! let unit: CgroupPath = "/brain.slice/brain-experiment@amnesiac_001.service".parse()?;
//! let reading = root.at(&unit).read();
//! println!("{:?} in use, {:?} killed", reading.resources.memory_current, reading.oom_kills);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A [`Jar`] is a control group that this program makes, for processes that no service manager limits;
//! a [`ParentCgroup`] is where one can be made.
//!
//! # Invariants
//! - Every path lies below a root that is a parameter; parsing text and touching files are apart.
//! - What a kernel does not count is `None`, never 0.
//! - A control group that holds processes which are not the caller's is never changed.
//! - Nothing here knows systemd beyond the shape of its paths.

mod cgroup;
mod controller;
mod jar;
mod membership;
mod parent;
mod parse;
mod path;
mod root;

pub use cgroup::{Cgroup, Reading};
pub use controller::Controller;
pub use jar::{
    EnterError, Jar, JarError, JarLimits, KillError, MissingLimit, MissingReason, RemoveError,
    Setting,
};
pub use membership::Membership;
pub use parent::{ParentCgroup, ParentError, Tenure};
pub use path::{CgroupPath, InvalidCgroupPath};
pub use root::{CgroupRoot, Hierarchy, RootError};
