//! Reads the kernel's counters of one control group, and creates control groups with limits.
//!
//! There are three kinds of hierarchy (cgroups(7)): version 2 ("unified"), version 1 ("legacy"), and
//! systemd's hybrid, which has version 1 controllers and an empty version 2 tree beside them. A
//! [`CgroupRoot`] is a directory such as `/sys/fs/cgroup` and detects the kind; a [`Cgroup`] has the same
//! methods for all three:
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
//! An [`OwnedCgroup`] is a control group that this program creates, for processes that no service manager
//! limits; a [`ParentCgroup`] is the group below which it can be created.
//!
//! # Invariants
//! - Every path lies below a root that is a parameter; parsing text is separate from reading files.
//! - A counter that the kernel does not have is `None`, never 0.
//! - A control group that holds processes other than the caller is never changed.
//! - Knows nothing of systemd but the form of its paths.

mod cgroup;
mod membership;
mod owned;
mod parent;
mod parse;
mod path;
mod root;

pub use cgroup::{Cgroup, CgroupReading};
pub use membership::Membership;
pub use owned::{
    CgroupLimits, CgroupSetting, CreateError, EnterError, KillError, MissingLimit, MissingReason,
    OwnedCgroup, RemoveError,
};
pub use parent::{Delegation, ParentCgroup, ParentError};
pub use path::{CgroupPath, InvalidCgroupPath};
pub use root::{CgroupRoot, Controller, Hierarchy, RootError};
