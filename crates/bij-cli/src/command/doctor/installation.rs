//! Checks of the installation: systemd, units, rights, definitions, the board.

use bij_core::port::{DefinitionSource as _, UnitManager as _};
use bij_core::{ActiveState, ExperimentId, LoadState};
use bij_jetson::Hardware;
use bij_systemd::experiment::SystemdVersion;
use bij_systemd::{Manager, ManagerAddress, UnitDetails, UnitName};
use nix::unistd::Group;

use super::Check;
use crate::context::Context;
use crate::scope::Scope;

const COORDINATOR: &str = "brain-experiment-coordinator.service";

/// Units that a package installs, for either scope.
const UNITS: [&str; 4] =
    ["brain-experiment.target", "brain-experiment-boot.service", "brain.slice", COORDINATOR];

/// Checks the installation of the scope.
pub(super) async fn checks(context: &Context) -> Vec<Check> {
    let mut checks = Vec::new();
    let address = match context.scope {
        Scope::System => Some(ManagerAddress::System),
        Scope::User => Some(ManagerAddress::User),
        Scope::Local => None,
    };
    match address {
        Some(address) => checks.extend(units(&Manager::unconnected(address)).await),
        None => checks.push(Check::warning(
            "systemd",
            "it is not PID 1 here, so experiments run as long as `bij run` does",
            "boot with systemd; in a container, start /sbin/init",
        )),
    }
    if context.scope == Scope::System {
        checks.push(group(Group::from_name("bij").ok().flatten().is_some()));
    }
    checks.extend(definitions(context));
    checks.extend(stale(context).await);
    checks.push(board(context));
    checks
}

async fn units(manager: &Manager) -> Vec<Check> {
    let version = match manager.version().await {
        Ok(version) => version,
        Err(error) => {
            let text = bij_core::error_chain(&error);
            let remedy = "systemctl status dbus.service; journalctl -b -u dbus.service";
            return vec![Check::failure("systemd", text, remedy)];
        }
    };
    let mut checks = vec![systemd(&version)];
    for name in UNITS {
        let unit = UnitName::new(name).expect("it is a name");
        match manager.status(&unit).await {
            Ok(details) => checks.push(judge_unit(&details)),
            Err(error) => {
                let text = bij_core::error_chain(&error);
                checks.push(Check::failure("units", text, format!("systemctl status {name}")));
            }
        }
    }
    checks
}

fn systemd(version: &str) -> Check {
    const NAME: &str = "systemd";
    let SystemdVersion(oldest) = SystemdVersion::OLDEST;
    let number =
        version.split(|c: char| !c.is_ascii_digit()).find_map(|part| part.parse::<u32>().ok());
    match number {
        Some(number) if number >= oldest => Check::ok(NAME, format!("version {version}")),
        _ => Check::failure(
            NAME,
            format!("version {version} is older than {oldest}"),
            "take a newer release of the distribution",
        ),
    }
}

fn judge_unit(unit: &UnitDetails) -> Check {
    const NAME: &str = "units";
    let name = unit.name.as_str();
    match &unit.load_state {
        LoadState::Masked => {
            return Check::failure(
                NAME,
                format!("{name} is masked"),
                format!("sudo systemctl unmask {name}"),
            );
        }
        LoadState::Loaded => {}
        other => {
            let message = format!("{name} is not loaded: {}", other.as_str());
            return Check::failure(
                NAME,
                message,
                "install bij again; sudo systemctl daemon-reload",
            );
        }
    }
    if unit.needs_reload {
        let message = format!("systemd has not read the newest {name}");
        return Check::warning(NAME, message, "sudo systemctl daemon-reload");
    }
    match unit.active_state {
        ActiveState::Failed => Check::failure(
            NAME,
            format!("{name} has failed"),
            format!(
                "journalctl -b -u {name}; sudo systemctl reset-failed {name}; sudo systemctl start {name}"
            ),
        ),
        ActiveState::Inactive if name == COORDINATOR => Check::warning(
            NAME,
            "no coordinator runs, so every start goes through at once, and nothing can be queued",
            format!("sudo systemctl enable --now {name}"),
        ),
        _ => Check::ok(NAME, format!("{name} is {}", unit.active_state)),
    }
}

fn group(exists: bool) -> Check {
    const NAME: &str = "group";
    if exists {
        return Check::ok(NAME, "members of bij may manage experiments: sudo usermod -aG bij USER");
    }
    Check::failure(NAME, "there is no group bij", "sudo systemd-sysusers brain-in-jar.conf")
}

fn definitions(context: &Context) -> Vec<Check> {
    const NAME: &str = "definitions";
    let definitions = context.definitions();
    let ids = match definitions.ids() {
        Ok(ids) => ids,
        Err(error) => {
            return vec![Check::failure(NAME, bij_core::error_chain(&error), "bij check")];
        }
    };
    let total = ids.len();
    let wrong: Vec<String> = ids
        .into_iter()
        .filter(|id| definitions.find(id).is_err())
        .map(|id| id.to_string())
        .collect();
    let mut checks = vec![if wrong.is_empty() {
        Check::ok(NAME, format!("{total}, and none with an error"))
    } else {
        let message = format!("{} of {total} cannot be used: {}", wrong.len(), wrong.join(", "));
        Check::warning(NAME, message, format!("{} check", context.bij_command))
    }];
    if let Err(error) = definitions.settings() {
        let text = bij_core::error_chain(&error);
        checks.push(Check::failure("settings", text, format!("{} check", context.bij_command)));
    }
    checks
}

/// Finds units that are up though their definition is gone, whose next start would fail.
async fn stale(context: &Context) -> Option<Check> {
    const NAME: &str = "stale-units";
    if context.scope == Scope::Local {
        return None;
    }
    let listed = context.units().await.ok()?.list().await.ok()?;
    let is_stale = |id: &ExperimentId| context.definitions().find(id).is_err();
    let stale: Vec<String> = listed
        .into_iter()
        .filter(|unit| !unit.active_state.is_down() && is_stale(&unit.id))
        .map(|unit| unit.id.to_string())
        .collect();
    if stale.is_empty() {
        return Some(Check::ok(NAME, "none"));
    }
    let names = stale.join(" ");
    let message = format!(
        "up without a usable definition, so they will not come back after a crash: {names}"
    );
    Some(Check::warning(NAME, message, format!("{} check {names}", context.bij_command)))
}

fn board(context: &Context) -> Check {
    const NAME: &str = "board";
    let hardware = match Hardware::open(&context.root) {
        Ok(hardware) => hardware,
        Err(error) => return Check::warning(NAME, bij_core::error_chain(&error), "bij board"),
    };
    let sample = hardware.quick_sample();
    match sample.zones {
        Ok(zones) if zones.is_empty() => Check::ok(NAME, "no temperature sensors"),
        Ok(zones) => {
            let silent = zones.iter().filter(|zone| zone.celsius.is_err()).count();
            let message = format!("{} temperatures, {silent} of them without a value", zones.len());
            Check::ok(NAME, message)
        }
        Err(why) => Check::warning(
            NAME,
            format!("no temperature can be read ({why}), so heat keeps no run from starting"),
            "bij board",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn an_old_systemd_is_a_failure() {
        assert_eq!(systemd("245.4-4ubuntu3.24").verdict, Verdict::Ok);
        assert_eq!(systemd("252.39-1~deb12u1").verdict, Verdict::Ok);
        assert_eq!(systemd("v257").verdict, Verdict::Ok);
        assert_eq!(systemd("241").verdict, Verdict::Failure);
        assert_eq!(systemd("?").verdict, Verdict::Failure);
    }

    #[test]
    fn a_missing_group_is_a_failure() {
        assert_eq!(group(true).verdict, Verdict::Ok);
        assert_eq!(group(false).verdict, Verdict::Failure);
    }
}
