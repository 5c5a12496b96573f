use bij_core::{
    Attempt, AttemptEnd, AttemptKey, AttemptNumber, BootId, Bytes, Evidence, Exit, InvocationId,
    Limit, Order, OrderKind, Resources, RunId, ServiceResult, SubState, Tally, TimeSpan,
};
use insta::{assert_json_snapshot, assert_snapshot};

use super::*;
use crate::facts::GpuShare;

pub(crate) fn attempt(run: &str, number: u32, end: Option<AttemptEnd>) -> Attempt {
    Attempt {
        run: run.parse::<RunId>().unwrap(),
        number: AttemptNumber(number),
        key: AttemptKey {
            boot: BootId::from_bytes([1; 16]),
            invocation: InvocationId::from_bytes([u8::try_from(number).unwrap(); 16]),
        },
        started: "2026-11-23T22:00:00Z".parse().unwrap(),
        started_uptime: None,
        ready: None,
        end,
        board: None,
    }
}

pub(crate) fn oom(at: &str) -> AttemptEnd {
    let mut evidence = Evidence::default();
    evidence.witness = Some(bij_core::Witness::Hook);
    evidence.service_result = Some(ServiceResult::Signal);
    evidence.exit = Some(Exit::Signal(9));
    evidence.became_ready = true;
    evidence.ran_for = Some(TimeSpan::from_secs(62));
    evidence.oom_kills = Some(1);
    evidence.memory_peak = Some(Bytes::new(64 << 20));
    evidence.memory_max = Some(Limit::At(Bytes::new(64 << 20)));
    evidence.cpu_usage_nsec = Some(12_345_000_000);
    evidence.progress = Some("step=7 total=9 checkpoint=/c".parse().unwrap());
    AttemptEnd { at: at.parse().unwrap(), cause: evidence.prove(), evidence }
}

pub(crate) fn stopped(at: &str) -> AttemptEnd {
    let mut evidence = Evidence::default();
    evidence.exit = Some(Exit::Code(0));
    evidence.became_ready = true;
    evidence.order =
        Some(Order { kind: OrderKind::Stop, by: "bij stop by alice (uid 1000)".to_owned() });
    AttemptEnd { at: at.parse().unwrap(), cause: evidence.prove(), evidence }
}

fn id() -> ExperimentId {
    ExperimentId::new("amnesiac_001").unwrap()
}

pub(crate) fn running() -> ExperimentFacts {
    let mut unit = UnitStatus::down(id());
    unit.active_state = ActiveState::Active;
    unit.sub_state = SubState::Running;
    unit.result = Some(ServiceResult::Success);
    unit.main_pid = Some(4711);
    unit.invocation = Some(InvocationId::from_bytes([2; 16]));
    unit.since = Some("2026-11-23T22:01:02Z".parse().unwrap());
    unit.restarts = Some(1);
    unit.enabled = Some(true);
    unit.status_text = Some("epoch 3\x1b[2J".to_owned());
    unit.resources = Resources {
        memory_current: Some(Bytes::new(48 << 20)),
        memory_peak: Some(Bytes::new(50 << 20)),
        memory_max: Some(Limit::At(Bytes::new(64 << 20))),
        cpu_usage_nsec: Some(80_345_000_000),
        cpu_quota: Some(Limit::At("150%".parse().unwrap())),
        memory_pressure: None,
    };
    let tally = Tally {
        attempts: 2,
        crashes: 3,
        crashes_by_cause: [(Cause::OomKill, 2), (Cause::Exit, 1)].into(),
        last: Some(attempt("amnesiac_001#3", 2, None)),
        last_cause: Some(Cause::OomKill),
        ..Tally::default()
    };
    let progress = Some("step=120 total=1000 text=epoch 3".parse().unwrap());
    ExperimentFacts {
        id: id(),
        unit: Some(unit),
        tally: Some(tally),
        progress,
        queued: None,
        gpu: None,
    }
}

pub(crate) fn crashed() -> ExperimentFacts {
    let mut facts = running();
    facts.progress = None;
    let unit = facts.unit.as_mut().unwrap();
    unit.active_state = ActiveState::Failed;
    unit.sub_state = SubState::Failed;
    unit.result = Some(ServiceResult::Signal);
    unit.main_pid = None;
    unit.status_text = None;
    unit.resources = Resources::default();
    let end = oom("2026-11-23T22:01:02Z");
    facts.tally.as_mut().unwrap().last = Some(attempt("amnesiac_001#3", 2, Some(end)));
    facts
}

pub(crate) fn without_unit() -> ExperimentFacts {
    let tally = Tally { last: Some(attempt("amnesiac_001#1", 1, None)), ..Tally::default() };
    ExperimentFacts {
        id: id(),
        unit: None,
        tally: Some(tally),
        progress: None,
        queued: None,
        gpu: None,
    }
}

fn page(facts: ExperimentFacts) -> StatusPage {
    let log = LogRow {
        at: "2026-11-23T22:10:01Z".parse().unwrap(),
        id: facts.id.clone(),
        writer: None,
        message: "50%\r\x1b[32m60%\x1b[0m".to_owned(),
        hue: None,
    };
    StatusPage {
        status: ExperimentStatus::new(facts),
        definition: DefinitionInfo::Found {
            source: "/etc/brain-in-jar/experiments/amnesiac_001.toml".to_owned(),
            description: Some("Amnesiac, total".to_owned()),
        },
        log: vec![log],
    }
}

fn text(view: &impl View) -> String {
    let mut out = Vec::new();
    view.text(&mut out, &TextFormat::for_test()).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn an_experiment_that_runs_looks_as_in_systemctl() {
    assert_snapshot!(text(&page(running())));
    assert_json_snapshot!(page(running()));
}

#[test]
fn an_experiment_that_crashed_shows_the_cause() {
    assert_snapshot!(text(&page(crashed())));
    assert_json_snapshot!(page(crashed()));
}

#[test]
fn without_the_manager_the_state_of_an_open_attempt_is_unknown() {
    let page =
        StatusPage { definition: DefinitionInfo::Missing, log: Vec::new(), ..page(without_unit()) };
    assert_snapshot!(text(&StatusPages(vec![page.clone(), page.clone()])));
    assert_json_snapshot!(page);
}

#[test]
fn an_experiment_that_waits_for_its_restart_shows_the_result() {
    let mut facts = crashed();
    facts.unit.as_mut().unwrap().active_state = ActiveState::Activating;
    for sub_state in [SubState::AutoRestart, SubState::AutoRestartQueued] {
        facts.unit.as_mut().unwrap().sub_state = sub_state.clone();
        let text = text(&page(facts.clone()));
        let expected = format!("activating ({sub_state}) (Result: signal) since");
        assert!(text.contains(&expected), "{text}");
    }
}

#[test]
fn frozen_and_masked_units_look_as_in_systemctl() {
    let mut facts = running();
    facts.unit.as_mut().unwrap().frozen = true;
    let frozen = text(&page(facts.clone()));
    assert!(frozen.contains("active (running) (frozen) since"), "{frozen}");
    facts.unit.as_mut().unwrap().masked = true;
    let masked = text(&page(facts));
    assert!(masked.contains("Loaded: masked (/etc/brain-in-jar/"), "{masked}");
}

#[test]
fn colours_are_used_on_terminals_only() {
    let mut out = Vec::new();
    let format = TextFormat { colour: true, ..TextFormat::for_test() };
    page(running()).text(&mut out, &format).unwrap();
    assert!(String::from_utf8(out).unwrap().starts_with("\x1b[1m\x1b[32m●\x1b[0m amnesiac_001"));
    assert!(!text(&page(running())).contains('\x1b'));
}

#[test]
fn a_failed_unit_does_not_show_the_success_of_an_earlier_attempt() {
    let mut facts = running();
    let unit = facts.unit.as_mut().unwrap();
    unit.active_state = ActiveState::Failed;
    // A listing of units has no result; the ledger has that of an earlier attempt.
    unit.result = None;
    let mut end = stopped("2026-11-23T22:02:00Z");
    end.evidence.service_result = Some(ServiceResult::Success);
    facts.tally.as_mut().unwrap().last = Some(attempt("amnesiac_001#3", 2, Some(end)));
    assert_eq!(ExperimentStatus::new(facts).result, None);
}

#[test]
fn gpu_memory_is_shown_beside_that_of_the_control_group_with_the_sum() {
    let mut facts = running();
    let current = facts.unit.as_ref().unwrap().resources.memory_current.unwrap();
    facts.gpu = Some(GpuShare::Used(Bytes::new(2 << 30)));
    let json = serde_json::to_value(ExperimentStatus::new(facts.clone())).unwrap();
    assert_eq!(json["gpu_memory"], 2u64 << 30);
    assert_eq!(json["memory_used"], current.get() + (2 << 30));
    assert!(json["gpu_memory_why"].is_null());
    let text = text(&page(facts));
    let all = Bytes::new(current.get() + (2 << 30));
    assert!(text.contains(&format!(" GPU memory: 2.0G; {all} in all\n")), "{text}");
}

#[test]
fn an_unknown_amount_of_gpu_memory_is_shown_only_if_the_memory_is_shared() {
    let status =
        |gpu: GpuShare| ExperimentStatus::new(ExperimentFacts { gpu: Some(gpu), ..running() });
    let unknown = GpuShare::Unknown("forbidden".to_owned());
    for (gpu, why) in [(unknown.clone(), "forbidden"), (GpuShare::NotShared, "no GPU shares")] {
        let json = serde_json::to_value(status(gpu)).unwrap();
        assert!(json["gpu_memory"].is_null() && json["memory_used"].is_null());
        assert!(json["gpu_memory_why"].as_str().unwrap().starts_with(why), "{json}");
    }
    let shown = text(&page(ExperimentFacts { gpu: Some(unknown), ..running() }));
    assert!(shown.contains("GPU memory: unknown: forbidden"), "{shown}");
    let shown = text(&page(ExperimentFacts { gpu: Some(GpuShare::NotShared), ..running() }));
    assert!(!shown.contains("GPU memory"), "{shown}");
}
