//! The control groups of a process.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use crate::{CgroupPath, Controller};

/// The control groups of one process: one in the version 2 tree, one for every version 1
/// controller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    unified: Option<CgroupPath>,
    controllers: BTreeMap<Controller, CgroupPath>,
}

impl Membership {
    /// Returns a membership with the same path in every hierarchy, as systemd places units.
    pub fn in_all_hierarchies(path: &CgroupPath) -> Self {
        Self {
            unified: Some(path.clone()),
            controllers: Controller::ALL.into_iter().map(|c| (c, path.clone())).collect(),
        }
    }

    /// Parses `/proc/PID/cgroup`: lines of `hierarchy:controllers:path` (cgroups(7)).
    ///
    /// Lines of other controllers and of named hierarchies are ignored.
    pub fn parse(text: &str) -> Self {
        let mut membership = Self::default();
        for line in text.lines() {
            let mut fields = line.splitn(3, ':');
            let (Some(number), Some(controllers), Some(path)) =
                (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            // The kernel adds this to the path of a group that has been removed.
            let Ok(path) = path.trim_end_matches(" (deleted)").parse::<CgroupPath>() else {
                continue;
            };
            if number == "0" && controllers.is_empty() {
                membership.unified = Some(path);
                continue;
            }
            for name in controllers.split(',') {
                if let Some(known) = Controller::ALL.into_iter().find(|c| c.as_str() == name) {
                    membership.controllers.insert(known, path.clone());
                }
            }
        }
        membership
    }

    /// Reads the control groups of a process; `proc` is usually `/proc`, `pid` a number or `self`.
    ///
    /// # Errors
    /// If the file cannot be read, for example because the process is gone.
    pub fn of_process(proc: &Path, pid: &str) -> io::Result<Self> {
        let text = std::fs::read(proc.join(pid).join("cgroup"))?;
        Ok(Self::parse(&String::from_utf8_lossy(&text)))
    }

    /// Keeps only the hierarchies for whose control group `wanted` returns `true`.
    #[must_use]
    pub fn only(mut self, wanted: impl Fn(&CgroupPath) -> bool) -> Self {
        self.unified = self.unified.filter(&wanted);
        self.controllers.retain(|_, path| wanted(path));
        self
    }

    /// Returns the control group in the version 2 tree.
    pub fn unified(&self) -> Option<&CgroupPath> {
        self.unified.as_ref()
    }

    /// Returns the control group in the hierarchy of a version 1 controller.
    pub fn controller(&self, controller: Controller) -> Option<&CgroupPath> {
        self.controllers.get(&controller)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_2_is_one_line() {
        let membership = Membership::parse("0::/brain.slice/brain-experiment@x.service\n");
        let path = membership.unified().unwrap();
        assert_eq!(path.to_string(), "/brain.slice/brain-experiment@x.service");
        assert_eq!(membership.controller(Controller::Memory), None);
    }

    #[test]
    fn version_1_has_a_path_for_each_controller() {
        let membership = Membership::parse(
            "12:cpu,cpuacct:/a\n5:memory:/b:c\n1:name=systemd:/d\n3:rdma:/e\nnonsense\n0::/u\n",
        );
        let path = |c| membership.controller(c).map(ToString::to_string);
        assert_eq!(path(Controller::Cpu).as_deref(), Some("/a"));
        assert_eq!(path(Controller::CpuAcct).as_deref(), Some("/a"));
        assert_eq!(path(Controller::Memory).as_deref(), Some("/b:c"));
        assert_eq!(path(Controller::Pids), None);
        assert_eq!(membership.unified().map(ToString::to_string).as_deref(), Some("/u"));
    }

    #[test]
    fn a_removed_group_keeps_its_name() {
        let membership = Membership::parse("0::/a.slice/b (deleted)\n");
        assert_eq!(membership.unified().unwrap().to_string(), "/a.slice/b");
    }
}
