//! What systemd tells a hook in its environment (systemd.exec(5)).

use std::fs;
use std::path::Path;

use bij_core::{Exit, ExperimentId, InvocationId, ServiceResult};
use bij_host::HostContext;

use crate::exit_status::parse_exit;

/// The part of a hook's environment that it reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HookEnv {
    /// `$INVOCATION_ID`: this life of the unit.
    pub invocation: Option<InvocationId>,
    /// `$BIJ_STAMP`: of the definition that the unit's drop-in was rendered from.
    pub stamp: Option<String>,
    /// `$PATH` of the unit, where programs without a path are looked for. The hook runs none by it.
    pub path: Option<String>,
    /// `$NOTIFY_SOCKET`: where the service manager listens.
    pub notify_socket: Option<String>,
    /// `$SERVICE_RESULT`, for `end`.
    pub service_result: Option<ServiceResult>,
    /// `$EXIT_CODE` and `$EXIT_STATUS`, for `end`; absent if the main process never ran.
    pub exit: Option<Exit>,
}

impl HookEnv {
    /// Reads the environment by `variable`. What is missing or makes no sense is absent.
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

    /// Takes the life of the unit from where root alone writes it.
    ///
    /// A variable of the unit can take the place of systemd's own. systemd also links each unit to its
    /// invocation in a directory of its own (`unit_export_invocation_id()` of its core/unit.c, since
    /// 236); the variable counts only where that could not be written.
    #[must_use]
    pub fn verified(mut self, host: &HostContext, id: &ExperimentId) -> Self {
        let runtime = host.layout().runtime().parent().unwrap_or(Path::new("/run"));
        let link = runtime.join(format!("systemd/units/invocation:{}", id.unit_name()));
        let known = fs::read_link(link).ok().and_then(|target| target.to_str()?.parse().ok());
        if known.is_some() && known != self.invocation {
            log::warn!(
                BIJ_EXPERIMENT:% = id;
                "$INVOCATION_ID of {id} is not this life of its unit: a drop-in of the unit sets it"
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
    use crate::testing::Machine;

    #[test]
    fn what_systemd_has_written_down_is_stronger_than_the_variable() {
        let machine = Machine::new();
        let told = || HookEnv {
            invocation: Some(InvocationId::from_bytes([1; 16])),
            ..HookEnv::default()
        };
        let verified = || told().verified(&machine.host, &machine.id).invocation.unwrap();
        assert_eq!(verified(), InvocationId::from_bytes([1; 16]));
        let link = machine.path("run/systemd/units/invocation:brain-experiment@x.service");
        symlink(InvocationId::from_bytes([2; 16]).to_string(), &link).unwrap();
        assert_eq!(verified(), InvocationId::from_bytes([2; 16]));
    }

    #[test]
    fn an_environment_of_exec_stop_post_is_read() {
        let told = HookEnv::read(|name| {
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
        assert_eq!(told.service_result, Some(ServiceResult::OomKill));
        assert_eq!(told.exit, Some(Exit::Signal(9)));
        assert_eq!(told.stamp, None);
        assert_eq!(told.invocation.unwrap().to_string(), "0123456789abcdef0123456789abcdef");
    }
}
