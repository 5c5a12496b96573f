//! `bij power`: the power modes of the board, of which one is in force for all.

use bij_api::message::{QueueQuery, State};
use bij_core::Outcome;
use bij_core::port::DefinitionSource as _;
use bij_jetson::{JetsonClocks, Nvpmodel, PowerConf, PowerModes, Root, SwitchError, WhyNot};

use crate::args::{PowerArgs, PowerVerb};
use crate::context::Context;
use crate::error::{CliError, Kind};
use crate::source::Source;
use crate::view::{ChangedAtAll, PowerPage};

/// Lists the modes, or switches the board.
pub(crate) async fn power(context: &Context, args: &PowerArgs) -> Result<(), CliError> {
    match &args.verb {
        None | Some(PowerVerb::List) => list(context),
        Some(PowerVerb::Set { mode, allow_reboot_later }) => {
            set(context, mode, *allow_reboot_later).await
        }
    }
}

fn list(context: &Context) -> Result<(), CliError> {
    let root = Root::new(&context.root);
    let PowerModes { current, offered, .. } = PowerModes::read(&root);
    let offered = offered.map_err(|why| no_modes(&why))?;
    let asked = Nvpmodel::below(root).query().ok().map(|mode| mode.id);
    let at_next_boot = current.ok().map(|mode| mode.id);
    context.terminal.show(&PowerPage::new(&offered, asked.or(at_next_boot), at_next_boot))
}

async fn set(context: &Context, mode: &str, allow_reboot_later: bool) -> Result<(), CliError> {
    let root = Root::new(&context.root);
    let conf = PowerConf::read(&root).map_err(|why| no_modes(&why))?;
    let Some(wanted) = conf.find(mode) else {
        let names: Vec<&str> = conf.modes.iter().map(|mode| mode.name.as_str()).collect();
        let text = format!("there is no power mode {mode}; there are {}", names.join(", "));
        return Err(CliError::new(Kind::Usage, text));
    };
    in_the_way(context, &conf, wanted.id).await?;
    let nvpmodel = Nvpmodel::below(root.clone());
    let clocks = JetsonClocks::below(&root, context.layout.state().join("jetson-clocks"));
    let (changed, said) = match nvpmodel.switch(wanted.id, &clocks) {
        Ok(Outcome::Changed) => (true, format!("The board is in power mode {}.", wanted.name)),
        Ok(Outcome::Unchanged) => {
            (false, format!("The board was in power mode {} already.", wanted.name))
        }
        Err(SwitchError::NeedsReboot { id }) if allow_reboot_later => {
            nvpmodel.set_at_next_boot(id).map_err(|error| refused(&error))?;
            (true, format!("The next boot comes up in power mode {}.", wanted.name))
        }
        Err(error) => return Err(refused(&error)),
    };
    context.terminal.status(&said);
    context.terminal.show(&ChangedAtAll { changed })
}

/// Refuses to switch the board under those that want it as it is.
async fn in_the_way(context: &Context, conf: &PowerConf, to: u32) -> Result<(), CliError> {
    let query = QueueQuery::default();
    let entries = Source::of(context).await?.queue(&query).await?;
    let up =
        entries.into_iter().filter(|entry| matches!(entry.state, State::Starting | State::Running));
    for entry in up {
        // One whose definition is gone wants nothing that could be told.
        let Ok(found) = context.definitions().find(&entry.experiment) else { continue };
        let wanted = found.spec.power.mode.and_then(|mode| conf.find(&mode.to_string()));
        if let Some(other) = wanted.filter(|mode| mode.id != to) {
            let (name, run) = (&other.name, entry.run.0);
            let text = format!("{}#{run} is up and wants power mode {name}", entry.experiment);
            let hint = format!("stop it first: bij stop {}", entry.experiment);
            return Err(CliError::new(Kind::Failed, text).hint(hint));
        }
    }
    Ok(())
}

fn no_modes(why: &WhyNot) -> CliError {
    let text = match why {
        WhyNot::Absent => {
            "this machine has no power modes: /etc/nvpmodel.conf is not there".to_owned()
        }
        why => format!("the power modes cannot be told: /etc/nvpmodel.conf is {why}"),
    };
    CliError::new(Kind::Unsupported, text)
}

fn refused(error: &SwitchError) -> CliError {
    let told = CliError::of(Kind::Failed, error);
    match error {
        SwitchError::NeedsReboot { .. } => {
            told.hint("--allow-reboot-later has the next boot come up with it")
        }
        // 13 is EACCES.
        SwitchError::Refused { errno: 13, .. } => told.hint("only root may switch the board"),
        _ => told,
    }
}
