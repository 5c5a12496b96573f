//! The hooks of `brain-experiment@.service`; the library of this crate documents them.

use std::env;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bij_core::ExperimentId;
use bij_definition::Definitions;
use bij_hook::{
    HookArguments, HookContext, HookEnv, NoCommand, NotAdmitted, Systemd, SystemdJournal, Verb,
    admit, boot, manager_socket, note_leftovers, open_ledger, render_at_boot, shutdown,
    start_logging,
};
use bij_host::{HostContext, ask_for_time, confine, report_status};

/// `EX_CONFIG` of sysexits.h(3head): the unit is not restarted after it.
const EX_CONFIG: u8 = 78;
/// For `ExecCondition=`, 1 to 254 skip the start; only 255 fails the unit (systemd.service(5)).
const NOT_NOW: u8 = 1;
const CONDITION_FAILED: u8 = 255;

/// Time that a hook asks the service manager for: longer than waiting for the ledger and a reload take on a slow
/// board, and at most systemd's own default (`DefaultTimeoutStopSec=`).
const TIME_NEEDED: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let call = HookArguments::parse(env::args_os().skip(1));
    // A requested stop: the main process still runs, and is signalled only after this hook.
    let is_leftovers = matches!(&call, Ok(HookArguments { verb: Verb::Leftovers(_), .. }));
    if is_leftovers && env::var_os("EXIT_CODE").is_none() {
        return ExitCode::SUCCESS;
    }
    // A user's manager is found by environment variables, and has only the rights of the user.
    let is_users = call.as_ref().is_ok_and(|call| call.user);
    if !is_users && let Err(error) = confine(&[]) {
        let _ = writeln!(std::io::stderr(), "cannot execute bij-hook again: {error}");
        return ExitCode::from(CONDITION_FAILED);
    }
    start_logging("bij-hook", call.as_ref().ok().and_then(HookArguments::unit));
    match call {
        Ok(call) => {
            let is_start = matches!(call.verb, Verb::Start(_) | Verb::Begin(_));
            let failed = if matches!(call.verb, Verb::Start(_)) { CONDITION_FAILED } else { 1 };
            // In the system's units `$NOTIFY_SOCKET` is the experiment's filter, not the manager's socket.
            let socket = if call.user {
                env::var_os("NOTIFY_SOCKET")
            } else {
                manager_socket(&HostContext::system(&call.root), None).map(Into::into)
            };
            run(call).unwrap_or_else(|error| {
                log::error!("{error:#}");
                if is_start {
                    // `systemctl status` and `bij start` show it.
                    report_status(socket, &format!("{error:#}"));
                }
                ExitCode::from(failed)
            })
        }
        // An invalid call fails the unit: any other code would skip the start silently.
        Err(error) => {
            log::error!("{:#}", anyhow::Error::from(error));
            ExitCode::from(CONDITION_FAILED)
        }
    }
}

fn run(call: HookArguments) -> Result<ExitCode> {
    let HookArguments { verb, user, root } = call;
    let host = if user {
        HostContext::user(&root, |name| env::var_os(name))
            .context("cannot find the user's files")?
    } else {
        HostContext::system(&root)
    };
    if matches!(verb, Verb::Start(_) | Verb::Begin(_) | Verb::Leftovers(_) | Verb::End(_))
        && let Some(socket) = manager_socket(&host, env::var_os("NOTIFY_SOCKET").as_deref())
        && let Err(error) = ask_for_time(socket.as_os_str(), TIME_NEEDED)
    {
        log::debug!("cannot ask for more time: {error}");
    }
    match verb {
        Verb::Start(id) => {
            // Both steps share a connection, because connecting is expensive.
            let manager = Systemd::new(&host);
            match admit(&host, &manager, &id, hook_env(&host, &id).invocation) {
                Ok(()) => {}
                Err(not_now @ NotAdmitted::NotNow { .. }) => {
                    // Into the unit's log. The run is queued even if this fails.
                    drop(writeln!(std::io::stderr(), "{not_now}"));
                    return Ok(ExitCode::from(NOT_NOW));
                }
                Err(error) => return Err(error).with_context(|| format!("{id} cannot start")),
            }
            begin(&host, &manager, &id)?;
        }
        Verb::Begin(id) => begin(&host, &Systemd::new(&host), &id)?,
        Verb::Leftovers(id) => {
            drop(note_leftovers(&host, &hook_env(&host, &id), &id, std::thread::sleep));
        }
        Verb::End(id) => end(&host, &id)?,
        Verb::Refuse(id) => {
            let definitions = Definitions::new(host.layout().clone());
            let NoCommand { text, is_final } =
                NoCommand::diagnose(&definitions, host.layout(), &id);
            // Into the unit's log.
            writeln!(std::io::stderr(), "{text}")?;
            return Ok(if is_final { ExitCode::from(EX_CONFIG) } else { ExitCode::FAILURE });
        }
        Verb::Boot => {
            let definitions = Definitions::new(host.layout().clone());
            let manager = Systemd::new(&host);
            render_at_boot(&host, &definitions, manager.is_here().then_some(&manager));
            boot(&host, &mut open_ledger(&host))?;
        }
        Verb::Shutdown => drop(shutdown(&host, &mut open_ledger(&host), &Systemd::new(&host))?),
    }
    Ok(ExitCode::SUCCESS)
}

fn hook_env(host: &HostContext, id: &ExperimentId) -> HookEnv {
    HookEnv::read(|name| env::var(name).ok()).verified(host, id)
}

fn begin(host: &HostContext, manager: &Systemd, id: &ExperimentId) -> Result<()> {
    let hook = HookContext {
        host,
        env: &hook_env(host, id),
        definitions: &Definitions::new(host.layout().clone()),
        ledger: &mut open_ledger(host),
        manager,
        journal: &SystemdJournal::new(host),
    };
    hook.begin(id).with_context(|| format!("{id} cannot start"))?;
    Ok(())
}

fn end(host: &HostContext, id: &ExperimentId) -> Result<()> {
    let hook = HookContext {
        host,
        env: &hook_env(host, id),
        definitions: &Definitions::new(host.layout().clone()),
        ledger: &mut open_ledger(host),
        manager: &Systemd::new(host),
        journal: &SystemdJournal::new(host),
    };
    hook.end(id).with_context(|| format!("cannot record the end of {id}"))?;
    Ok(())
}
