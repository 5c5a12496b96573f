use bij_definition::SpecOverlay;
use clap::{CommandFactory as _, Parser as _};

use super::*;
use crate::args::{IdArg, TargetArg};

fn parse(line: &str) -> Command {
    let words = std::iter::once("bij").chain(line.split_whitespace());
    Cli::try_parse_from(words).unwrap().command.unwrap()
}

fn refused(line: &str) -> String {
    let words = std::iter::once("bij").chain(line.split_whitespace());
    Cli::try_parse_from(words).unwrap_err().to_string()
}

#[test]
fn the_definition_of_the_command_line_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn a_unit_name_is_an_id() {
    for name in ["x", "brain-experiment@x", "brain-experiment@x.service"] {
        let Command::Stop(IdsArgs { ids }) = parse(&format!("stop {name}")) else { panic!() };
        assert_eq!(ids[0].0.as_str(), "x");
    }
    // Without the unit's prefix the ending is a part of the id: ids may hold dots.
    let IdArg(id) = "x.service".parse().unwrap();
    assert_eq!(id.as_str(), "x.service");
}

#[test]
fn an_invalid_id_is_refused_with_a_sentence() {
    for bad in ["../x", "%i", "a%ib", "-", "brain-experiment@", "brain-experiment@../x.service"] {
        assert!(refused(&format!("status {bad}")).contains("is not an experiment id"), "{bad}");
    }
}

#[test]
fn a_slash_or_a_known_ending_makes_a_target_a_file() {
    let file = |text: &str| matches!(text.parse(), Ok(TargetArg::File(_)));
    assert!(file("./x") && file("x.toml") && file("/a/b") && file("x.json"));
    assert!(!file("x") && !file("brain-experiment@x.service"));
}

#[test]
fn a_command_stands_after_two_dashes() {
    let Command::Run(run) = parse("run --limit memory=64M -E A=b=c --name n -- sh -c exit") else {
        panic!()
    };
    assert_eq!(run.command, ["sh", "-c", "exit"]);
    let mut expected = SpecOverlay::default();
    expected.add_limit("memory=64M").unwrap();
    expected.add_environment("A=b=c").unwrap();
    assert_eq!(run.overlay.spec().unwrap(), expected);
    assert!(refused("run").contains("required"));
    assert!(refused("run x -- y").contains("cannot be used"));
}

#[test]
fn the_older_tools_forms_are_understood() {
    let Command::Start(start) = parse("start x configs/x.json") else { panic!() };
    assert_eq!(start.config.unwrap().to_str(), Some("configs/x.json"));
    let Command::Logs(logs) = parse("logs x 100") else { panic!() };
    assert_eq!(logs.ids.len(), 2);
    assert!(matches!(parse("start-all"), Command::StartAll));
    assert!(matches!(parse("list"), Command::List));
}

#[test]
fn a_time_may_begin_with_a_dash() {
    let Command::Logs(logs) = parse("logs x --since -1h -n 5 -f") else { panic!() };
    assert_eq!(logs.since.as_deref(), Some("-1h"));
    assert_eq!(logs.lines, Some(5));
    assert!(logs.follow);
}

#[test]
fn switches_stand_before_or_after_the_verb() {
    for line in ["bij --json --user list", "bij list --json --user"] {
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        assert!(cli.global.json && cli.global.user && !cli.global.local);
    }
}

#[test]
fn a_wrong_limit_is_refused_with_the_nearest_right_one() {
    assert!(refused("start x --limit memroy=8G").contains("did you mean `memory`?"));
    assert!(refused("start x --limit memory=8Q").contains("8Q"));
    assert!(refused("start x -E 1=2").contains("1=2"));
}

#[test]
fn every_verb_and_every_kind_of_event_is_in_the_manuals() {
    let (cli, json) =
        (include_str!("../../../../docs/cli.md"), include_str!("../../../../docs/json.md"));
    for verb in Cli::command().get_subcommands().filter(|verb| !verb.is_hide_set()) {
        let name = verb.get_name();
        let forms = [format!("`{name} "), format!("`{name}`")];
        let is_documented = forms.iter().any(|form| cli.contains(form));
        assert!(is_documented, "{name} is not in docs/cli.md");
    }
    for kind in bij_core::queue::EventKind::ALL {
        assert!(json.contains(&format!("`{}`", kind.as_str())), "{} is not there", kind.as_str());
    }
}

#[test]
fn the_terms_of_an_edit_are_read() {
    let Command::Edit(edit) = parse("edit x y#2 --priority -4 --after a,end:b#3") else { panic!() };
    assert_eq!(edit.priority, Some(-4));
    assert_eq!(edit.runs.len(), 2);
    let after = serde_json::to_value(edit.after.dependencies()).unwrap();
    assert_eq!(after, serde_json::json!({"all": ["a", "end:b#3"]}));
    assert!(refused("edit x").contains("required"));
    assert!(refused("edit x --after a --after-any b").contains("cannot be used"));
}

#[test]
fn a_move_takes_exactly_one_position() {
    assert!(matches!(parse("move x y --first"), Command::Move(_)));
    for line in ["move x", "move x --first --last", "move x --before a --behind b"] {
        assert!(refused(line).contains("--first"), "{line}: {}", refused(line));
    }
}

#[test]
fn an_invalid_run_state_slots_or_parameter_is_refused_with_a_sentence() {
    assert!(refused("hold x#0").contains("is not a run"));
    assert!(refused("queue --state done").contains("the states are"));
    assert!(refused("groups set g --slots -1").contains("--slots"));
    assert!(refused("groups set g --slots x").contains("or infinity"));
    assert!(refused("submit x --param lr").contains("NAME=VALUES"));
}
