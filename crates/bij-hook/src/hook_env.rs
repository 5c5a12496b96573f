//! The environment variables that systemd sets for a hook (systemd.exec(5)).

use std::fs;
use std::path::Path;

use bij_core::{Exit, ExperimentId, InvocationId, ServiceResult};
use bij_host::HostContext;

use crate::exit_status::parse_exit;

/// The environment variables that a hook reads. Missing and invalid ones are `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HookEnv {
    /// `$INVOCATION_ID`: this invocation of the unit.
    pub invocation: Option<InvocationId>,
    /// `$BIJ_STAMP`: the stamp of the definition that the unit's drop-in was rendered from.
    pub stamp: Option<String>,
    /// `$PATH` of the unit, used to check the experiment's command. The hook itself runs no program by it.
    pub path: Option<String>,
    /// `$NOTIFY_SOCKET`: the socket for messages to the service manager.
    pub notify_socket: Option<String>,
    /// `$SERVICE_RESULT`, for `end`.
    pub service_result: Option<ServiceResult>,
    /// `$EXIT_CODE` and `$EXIT_STATUS`, for `end`; absent if the main process never ran.
    pub exit: Option<Exit>,
}

impl HookEnv {
    /// Reads the variables with `variable`.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        Self {
            invocation: set("INVOCATION_ID").and_then(|text| text.parse().ok()),
            stamp: set("BIJ_STAMP"),
            path: set("PATH"),
            notify_socket: set("NOTIFY_SOCKET"),
            service_result: set("SERVICE_RESULT").map(ServiceResult::from),
            exit: parse_exit(set("EXIT_CODE").as_deref(), set("EXIT_STATUS").as_deref()),
        }
    }

    /// Replaces the invocation by that of a link that only root can write.
    ///
    /// A drop-in of the unit can override the variable. systemd also links each unit to its invocation below its
    /// runtime directory (`unit_export_invocation_id()` of its core/unit.c, since 236); the variable counts only if
    /// the link is missing.
    #[must_use]
    pub fn verified(mut self, host: &HostContext, id: &ExperimentId) -> Self {
        let runtime = host.layout().runtime().parent().unwrap_or(Path::new("/run"));
        let link = runtime.join(format!("systemd/units/invocation:{}", id.unit_name()));
        let known = fs::read_link(link).ok().and_then(|target| target.to_str()?.parse().ok());
        if known.is_some() && known != self.invocation {
            log::warn!(
                BIJ_EXPERIMENT:% = id;
                "$INVOCATION_ID of {id} is wrong and ignored: a drop-in of its unit sets it"
            );
        }
        self.invocation = known.or(self.invocation);
        self
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::testing::TestMachine;

    #[test]
    fn the_invocation_link_overrides_the_variable() {
        let machine = TestMachine::new();
        let env = || HookEnv {
            invocation: Some(InvocationId::from_bytes([1; 16])),
            ..HookEnv::default()
        };
        let verified = || env().verified(&machine.host, &machine.id).invocation.unwrap();
        assert_eq!(verified(), InvocationId::from_bytes([1; 16]));
        let link = machine.path("run/systemd/units/invocation:brain-experiment@x.service");
        symlink(InvocationId::from_bytes([2; 16]).to_string(), &link).unwrap();
        assert_eq!(verified(), InvocationId::from_bytes([2; 16]));
    }

    #[test]
    fn an_environment_of_exec_stop_post_is_read() {
        let env = HookEnv::read(|name| {
            let value = match name {
                "INVOCATION_ID" => "0123456789abcdef0123456789abcdef",
                "SERVICE_RESULT" => "oom-kill",
                "EXIT_CODE" => "killed",
                "EXIT_STATUS" => "KILL",
                "BIJ_STAMP" => "",
                _ => return None,
            };
            Some(value.to_owned())
        });
        assert_eq!(env.service_result, Some(ServiceResult::OomKill));
        assert_eq!(env.exit, Some(Exit::Signal(9)));
        assert_eq!(env.stamp, None);
        assert_eq!(env.invocation.unwrap().to_string(), "0123456789abcdef0123456789abcdef");
    }
}
