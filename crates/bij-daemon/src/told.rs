//! What systemd tells a hook in its environment (systemd.exec(5)).

use bij_core::{Exit, InvocationId, ServiceResult};

use crate::exit_status::parse_exit;

/// The part of a hook's environment that it reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// `$INVOCATION_ID`: this life of the unit.
    pub invocation: Option<InvocationId>,
    /// `$BIJ_STAMP`: of the definition that the unit's drop-in was rendered from.
    pub stamp: Option<String>,
    /// `$NOTIFY_SOCKET`: where the service manager listens.
    pub notify_socket: Option<String>,
    /// `$SERVICE_RESULT`, for `end`.
    pub service_result: Option<ServiceResult>,
    /// `$EXIT_CODE` and `$EXIT_STATUS`, for `end`; absent if the main process never ran.
    pub exit: Option<Exit>,
}

impl Told {
    /// Reads the environment by `variable`. What is missing or makes no sense is absent.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        Self {
            invocation: set("INVOCATION_ID").and_then(|text| text.parse().ok()),
            stamp: set("BIJ_STAMP"),
            notify_socket: set("NOTIFY_SOCKET"),
            service_result: set("SERVICE_RESULT").map(ServiceResult::from),
            exit: parse_exit(set("EXIT_CODE").as_deref(), set("EXIT_STATUS").as_deref()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_of_exec_stop_post_is_read() {
        let told = Told::read(|name| {
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
