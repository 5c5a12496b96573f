//! `bij submit`: the requests to the coordinator, and the files that are written.

use bij_api::{Refusal, RefusalKind};
use serde_json::json;

use super::bij::Bij;
use super::model::Coordinator;

const TRAIN: &str = "command = [\"/bin/echo\", \"{lr}\"]\n[limits]\nmemory = \"64M\"\n";

fn submitted_files(bij: &Bij) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(bij.path("var/lib/brain-in-jar/definitions")) else {
        return Vec::new();
    };
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
    names.sort();
    names
}

#[test]
fn the_names_of_the_runs_are_the_result_and_all_terms_arrive() {
    let bij = Bij::new();
    bij.define("train.toml", TRAIN);
    bij.define("x.toml", TRAIN);
    let coordinator = Coordinator::start(&bij);
    let words = "submit train x --priority -3 --group night --after calibrate,end:warm-up#2 \
                 --not-before 2026-11-24T00:00:00Z --hold -E SEED=7 --limit memory=32M";
    let result = bij.call(&words.split_whitespace().collect::<Vec<_>>());
    assert_eq!((result.code, result.out.as_str()), (0, "train#1\nx#1\n"), "{result:?}");
    assert_eq!(result.err, "2 runs: 2 held.\n");
    let state = coordinator.model.state();
    let [train, x] = state.submitted.as_slice() else { panic!("{:?}", state.submitted) };
    assert_eq!((train.experiment.as_str(), x.experiment.as_str()), ("train", "x"));
    assert_eq!((train.priority, train.hold, train.now), (Some(-3), true, false));
    assert_eq!(train.group.as_ref().unwrap().as_str(), "night");
    assert_eq!(
        serde_json::to_value(&train.after).unwrap(),
        json!({"all": ["calibrate", "end:warm-up#2"]})
    );
    assert_eq!(train.not_before, "2026-11-24T00:00:00Z".parse().ok());
    assert!(train.extras.contains("SEED") && train.extras.contains("memory"), "{}", train.extras);
    assert!(!bij.path("var/lib/brain-in-jar/extras/train.toml").exists());
}

#[test]
fn a_submission_without_options_sends_no_terms() {
    let bij = Bij::new();
    bij.define("train.toml", TRAIN);
    let coordinator = Coordinator::start(&bij);
    let result = bij.call(&["--json", "submit", "train", "--after-any", "a,b"]);
    assert_eq!(result.json()[0]["experiment"], "train");
    assert_eq!(result.json()[0]["waiting_on"][0]["gate"], "slots");
    let state = coordinator.model.state();
    let run = &state.submitted[0];
    assert_eq!((run.priority, &run.group, run.not_before), (None, &None, None));
    assert_eq!(run.extras, "");
    assert_eq!(serde_json::to_value(&run.after).unwrap(), json!({"any": ["a", "b"]}));
}

#[test]
fn each_submission_prints_the_name_of_its_run() {
    let bij = Bij::new();
    bij.define("train.toml", TRAIN);
    let _coordinator = Coordinator::start(&bij);
    for number in 1..=3 {
        let result = bij.call(&["submit", "train"]);
        let err = format!("train#{number}, waiting: 4 of 4 slots are taken\n");
        assert_eq!((result.out, result.err), (format!("train#{number}\n"), err));
    }
}

#[test]
fn misleading_lines_of_an_environment_file_cause_warnings_at_submission() {
    let bij = Bij::new();
    bij.define("train.toml", TRAIN);
    bij.define("train.env", "TOKEN=\"value\"  # mine\nexport SEED=7\nDATA=$HOME/data\n");
    let _coordinator = Coordinator::start(&bij);
    for words in [&["submit", "train"][..], &["submit", "train", "--param", "lr=1,2"]] {
        let result = bij.call(words);
        assert_eq!(result.code, 0, "{result:?}");
        for (line, words) in [
            (1, "systemd has no comments after a value"),
            (2, "`export` is shell syntax; systemd skips this line"),
            (3, "the program gets \"$HOME\" literally"),
        ] {
            let location = format!("train.env:{line}: ");
            let mut warnings = result.err.lines().filter(|text| text.starts_with("warning: "));
            let is_told = warnings.any(|text| text.contains(&location) && text.contains(words));
            assert!(is_told, "{line}: {result:?}");
        }
    }
    assert_eq!(bij.call(&["check", "train"]).out.matches("train.env:").count(), 3);
}

#[test]
fn a_sweep_becomes_an_experiment_a_combination() {
    let bij = Bij::new();
    bij.define("train.toml", TRAIN);
    let coordinator = Coordinator::start(&bij);
    let sweep = ["submit", "train", "--param", "lr=0.1,0.2", "--param", "seed=1..3"];
    let result = bij.call(&sweep);
    let names: Vec<String> = (1..=6).map(|number| format!("train.{number}#1")).collect();
    assert_eq!(result.out.lines().collect::<Vec<_>>(), names, "{result:?}");
    let show = bij.call(&["show", "train.4", "-p", "command,environment,limits.memory"]);
    assert_eq!(
        show.out,
        "command=[\"/bin/echo\",\"0.2\"]\nenvironment={\"lr\":\"0.2\",\"seed\":\"1\"}\nlimits.memory=67108864\n"
    );
    // The same again is six more runs of the same experiments.
    let again = bij.call(&sweep);
    assert_eq!((again.code, again.out.lines().next()), (0, Some("train.1#2")), "{again:?}");
    // Another one must not take their names.
    let other = bij.call(&["submit", "train", "--param", "lr=0.5"]);
    assert_eq!(other.code, 101, "{other:?}");
    assert!(other.err.contains("train.1 is already defined") && other.err.contains("--name"));
    let other_name = bij.call(&["submit", "train", "--param", "lr=0.5", "--name", "high"]);
    assert_eq!(other_name.out, "high.1#1\n", "{other_name:?}");
    assert_eq!(coordinator.model.state().submitted.len(), 13);
}

#[test]
fn commands_and_files_are_defined_and_submitted() {
    let bij = Bij::new();
    let coordinator = Coordinator::start(&bij);
    let made = bij.call(&["submit", "--limit", "memory=64M", "--", "true", "x"]);
    assert_eq!((made.code, made.out.as_str()), (0, "true-1#1\n"), "{made:?}");
    let memory = bij.call(&["show", "true-1", "-p", "limits.memory", "--value"]);
    assert_eq!(memory.out, "67108864\n");
    let file = bij.write("somewhere/job.toml", TRAIN);
    let file = file.to_str().unwrap();
    assert_eq!(bij.call(&["submit", file]).out, "job#1\n");
    let swept = bij.call(&["submit", file, "--param", "lr=1,2", "--name", "s"]);
    assert_eq!(swept.out, "s.1#1\ns.2#1\n", "{swept:?}");
    let swept = bij.call(&["submit", "--name", "c", "--param", "n=1..2", "--", "echo", "{n}"]);
    assert_eq!(swept.out, "c.1#1\nc.2#1\n", "{swept:?}");
    let nameless = bij.call(&["submit", "--param", "n=1..2", "--", "echo", "{n}"]);
    assert_eq!(nameless.code, 2, "{nameless:?}");
    assert!(nameless.err.contains("--name ID"), "{nameless:?}");
    assert_eq!(coordinator.model.state().submitted.len(), 6);
}

#[test]
fn a_refused_submission_leaves_nothing_behind() {
    let bij = Bij::new();
    bij.define("train.toml", TRAIN);
    let coordinator = Coordinator::start(&bij);
    let refusal = Refusal::new(RefusalKind::Impossible, "claims 8G of memory, the budget is 4G")
        .remedy("claim less, or raise TOTAL_RAM_LIMIT_GB");
    coordinator.model.state().refuses = Some(refusal);
    let result = bij.call(&["submit", "train", "--param", "lr=1..9"]);
    assert_eq!((result.code, result.out.as_str()), (101, ""), "{result:?}");
    assert_eq!(
        result.err,
        "error: claims 8G of memory, the budget is 4G\n\
         hint: claim less, or raise TOTAL_RAM_LIMIT_GB\n"
    );
    assert_eq!(bij.call(&["submit", "--", "true"]).code, 101);
    assert_eq!(submitted_files(&bij), [""; 0]);
    assert!(coordinator.model.state().submitted.is_empty());
}

#[test]
fn a_dry_run_asks_the_coordinator_and_changes_nothing() {
    let bij = Bij::new();
    bij.define("train.toml", TRAIN);
    let coordinator = Coordinator::start(&bij);
    let result = bij.call(&["submit", "train", "--param", "lr=0.1,0.2", "--dry-run"]);
    assert_eq!(result.code, 0, "{result:?}");
    assert_eq!(
        result.out,
        "EXPERIMENT  PARAMETERS  COMMAND\n\
         train.1     lr=0.1      /bin/echo 0.1\n\
         train.2     lr=0.2      /bin/echo 0.2\n"
    );
    assert_eq!(result.err, "2 runs would be queued.\n");
    assert_eq!(coordinator.model.state().requests, ["dry run of 2"]);
    let command = bij.call(&["--json", "submit", "--dry-run", "--", "true"]);
    assert_eq!(command.json()[0]["experiment"], json!(null), "{command:?}");
    assert!(command.err.contains("not checked"), "{command:?}");
    let refusal = Refusal::new(RefusalKind::Impossible, "it can never fit");
    coordinator.model.state().refuses = Some(refusal);
    assert_eq!(bij.call(&["submit", "train", "--dry-run"]).code, 101);
    assert!(coordinator.model.state().submitted.is_empty());
    assert_eq!(submitted_files(&bij), [""; 0]);
}

#[test]
fn an_experiment_that_cannot_run_is_refused_before_the_coordinator_is_asked() {
    let bij = Bij::new();
    bij.define("bad.toml", "command = [\"/no/such/program\"]\n");
    bij.define("good.toml", TRAIN);
    let coordinator = Coordinator::start(&bij);
    for (words, code) in [
        (vec!["submit", "bad"], 101),
        (vec!["submit", "good", "bad"], 101),
        (vec!["submit", "missing"], 102),
        (vec!["submit", "/no/such.toml"], 101),
        (vec!["submit", "--", "/no/such/program"], 101),
        (vec!["submit"], 2),
        (vec!["submit", "good", "--not-before", "soon"], 2),
        (vec!["submit", "good", "--param", "lr=0.1..0.9"], 2),
        (vec!["submit", "good", "--param", "a=1..101", "--param", "b=1..100"], 2),
        (vec!["submit", "good", "--after", "../x"], 2),
        (vec!["submit", "good", "--after", "a", "--after-any", "b"], 2),
        (vec!["submit", "good", "--group", "no group"], 2),
        (vec!["submit", "good", "--hold", "--now"], 2),
        (vec!["submit", "good", "--name", "other"], 2),
        (vec!["submit", "good", "good", "--param", "lr=1"], 2),
    ] {
        let result = bij.call(&words);
        assert_eq!((result.code, result.out.as_str()), (code, ""), "{words:?}: {result:?}");
        assert!(result.err.contains("error:"), "{words:?}: {result:?}");
    }
    assert!(coordinator.model.state().submitted.is_empty());
    assert_eq!(submitted_files(&bij), [""; 0]);
}
