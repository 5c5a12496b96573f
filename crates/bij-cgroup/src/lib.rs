#![doc = include_str!("../README.md")]

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
