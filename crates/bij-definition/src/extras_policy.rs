//! `[policy]`: the extras that members of group `bij` may add to a run.

use std::fmt;

use bij_core::spec::{CpuSet, ExperimentSpec, ExtrasPolicy, LimitsSpec};
use bij_core::variable::steers;
use bij_core::{Bytes, Limit, MemoryLimit, Requester};
use thiserror::Error;

use crate::older;
use crate::overlay::SpecOverlay;

/// An extra that a member may not add to a run.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DeniedExtra {
    /// The policy does not allow members to set the variable.
    #[error("may not set {name}: [policy] environment of the definition does not name it")]
    Variable {
        /// The name of the variable.
        name: String,
    },
    /// The variable decides which code the program runs.
    #[error("may not set {name}: it decides which code the program runs")]
    Steering {
        /// The name of the variable.
        name: String,
    },
    /// The policy does not allow members to pass another config.
    #[error("may not pass another config: [policy] config of the definition does not allow it")]
    Config,
    /// The limit would be higher than that of the definition.
    #[error(
        "may not raise {key} to {asked}: the definition sets {defined}, and members may only lower limits"
    )]
    Limit {
        /// The key of the definition.
        key: &'static str,
        /// The limit that the extras set.
        asked: String,
        /// The limit of the definition.
        defined: String,
    },
}

impl DeniedExtra {
    /// Returns the remedy, a fragment without a full stop.
    pub fn remedy(&self) -> String {
        match self {
            Self::Variable { name } => {
                format!("root may add to the definition: [policy] environment = [\"{name}\"]")
            }
            Self::Steering { .. } => {
                "have root set it in the definition, or submit the run".to_owned()
            }
            Self::Config => "root may add to the definition: [policy] config = true".to_owned(),
            Self::Limit { key, defined, .. } => {
                format!("ask for at most {defined}, or have root change {key} in the definition")
            }
        }
    }
}

/// Checks that an account may add these extras to a run.
///
/// `spec` is the definition without extras, `total` the machine's memory if it is known. Limits are compared
/// by value: an absent limit counts as unlimited, and an absent number of tasks as that of the unit template.
///
/// # Errors
/// [`DeniedExtra`] for the first extra that the account may not add.
pub fn check_extras(
    spec: &ExperimentSpec,
    extras: &SpecOverlay,
    requester: &Requester,
    defaults: &ExtrasPolicy,
    total: Option<Bytes>,
) -> Result<(), DeniedExtra> {
    if *requester == Requester::Operator {
        return Ok(());
    }
    let policy = spec.policy.or(defaults);
    if !requester.is_user(spec.user.as_deref()) {
        if extras.config().is_some_and(|config| spec.config.as_deref() != Some(config))
            && policy.config != Some(true)
        {
            return Err(DeniedExtra::Config);
        }
        for name in extras.environment().keys() {
            let name = || name.clone();
            if steers(&name()) {
                return Err(DeniedExtra::Steering { name: name() });
            }
            let is_allowed = policy.allows(&name()) && !older::is_setting(&name());
            if !is_allowed && !older::is_limit(&name()) {
                return Err(DeniedExtra::Variable { name: name() });
            }
        }
    }
    // The older tool's variables set limits, too. They are also checked alone, because the program sees them.
    let mut by_variables = spec.clone();
    extras.environment_only().apply(&mut by_variables);
    let mut by_all = spec.clone();
    extras.apply(&mut by_all);
    for changed in [by_variables, by_all] {
        check_limits(&spec.limits, &changed.limits, total)?;
        let (defined, asked) = (spec.thermal.max_celsius, changed.thermal.max_celsius);
        if asked != defined && asked.zip(defined).is_none_or(|(asked, defined)| asked > defined) {
            let text = |celsius: Option<f64>| {
                celsius.map_or_else(|| "nothing".to_owned(), |celsius| celsius.to_string())
            };
            return Err(denied("thermal.max_celsius", text(asked), text(defined)));
        }
    }
    Ok(())
}

fn denied(key: &'static str, asked: String, defined: String) -> DeniedExtra {
    DeniedExtra::Limit { key, asked, defined }
}

fn check_limits(
    defined: &LimitsSpec,
    asked: &LimitsSpec,
    total: Option<Bytes>,
) -> Result<(), DeniedExtra> {
    // Destructured without `..`, so that a new limit is not forgotten here.
    let LimitsSpec {
        memory,
        swap,
        cpu,
        cpus,
        tasks,
        time,
        // Extras cannot set these.
        open_files: _,
        locked_memory: _,
        oom_policy: _,
    } = asked;
    for (key, asked, defined) in
        [("limits.memory", memory, defined.memory), ("limits.swap", swap, defined.swap)]
    {
        let defined = defined.unwrap_or(MemoryLimit::Absolute(Limit::Max));
        let asked = asked.unwrap_or(MemoryLimit::Absolute(Limit::Max));
        if !memory_at_most(asked, defined, total) {
            return Err(denied(key, asked.to_string(), defined.to_string()));
        }
    }
    check_limit("limits.cpu", *cpu, &defined.cpu.unwrap_or(Limit::Max))?;
    check_limit("limits.tasks", *tasks, &defined.tasks.unwrap_or(LimitsSpec::DEFAULT_TASKS))?;
    check_limit("limits.time", *time, &defined.time.unwrap_or(Limit::Max))?;
    match (cpus, &defined.cpus) {
        (Some(asked), Some(defined)) if !is_subset(asked, defined) => {
            Err(denied("limits.cpus", asked.to_string(), defined.to_string()))
        }
        (None, Some(defined)) => Err(denied("limits.cpus", "all".to_owned(), defined.to_string())),
        _ => Ok(()),
    }
}

fn check_limit<T: PartialOrd + fmt::Display>(
    key: &'static str,
    asked: Option<Limit<T>>,
    defined: &Limit<T>,
) -> Result<(), DeniedExtra> {
    match asked {
        Some(asked) if !at_most(&asked, defined) => {
            Err(denied(key, asked.to_string(), defined.to_string()))
        }
        Some(_) | None => Ok(()),
    }
}

fn at_most<T: PartialOrd>(asked: &Limit<T>, defined: &Limit<T>) -> bool {
    match (asked, defined) {
        (_, Limit::Max) => true,
        (Limit::Max, Limit::At(_)) => false,
        (Limit::At(asked), Limit::At(defined)) => asked <= defined,
    }
}

/// Returns whether `asked` is at most `defined`; `false` if a share and an amount cannot be compared, because
/// the machine's memory is not known.
fn memory_at_most(asked: MemoryLimit, defined: MemoryLimit, total: Option<Bytes>) -> bool {
    match (asked, defined, total) {
        (asked, defined, _) if asked == defined => true,
        (_, MemoryLimit::Absolute(Limit::Max), _) => true,
        (MemoryLimit::Absolute(asked), MemoryLimit::Absolute(defined), _) => {
            at_most(&asked, &defined)
        }
        (MemoryLimit::Share(asked), MemoryLimit::Share(defined), _) => asked <= defined,
        (asked, defined, Some(total)) => at_most(&asked.resolve(total), &defined.resolve(total)),
        (_, _, None) => false,
    }
}

fn is_subset(asked: &CpuSet, defined: &CpuSet) -> bool {
    asked.iter().all(|cpu| defined.iter().any(|allowed| allowed == cpu))
}

#[cfg(test)]
mod tests {
    use bij_core::ExperimentId;
    use bij_core::variable::VariablePattern;

    use super::*;

    const TOTAL: Bytes = Bytes::new(16 << 30);

    fn member(login: &str) -> Requester {
        Requester::Member { uid: 1000, login: Some(login.to_owned()) }
    }

    fn policy(patterns: &[&str]) -> ExtrasPolicy {
        let patterns = patterns.iter().map(|text| VariablePattern::new(text).unwrap());
        ExtrasPolicy { environment: Some(patterns.collect()), config: None }
    }

    fn spec(lines: &str) -> ExperimentSpec {
        let text = format!("command = ['/r']\n{lines}");
        let file = crate::SourceFile::new("x.toml", text.as_bytes());
        let id = ExperimentId::new("x").unwrap();
        crate::Definition::new(&id, file, crate::Syntax::Toml).parse().unwrap().spec
    }

    /// Makes extras of words: `-E` for an upper-case name, `--limit` for a lower-case name, `config` for a
    /// path.
    fn extras(words: &[&str]) -> SpecOverlay {
        let mut extras = SpecOverlay::default();
        for word in words {
            match word.chars().next().unwrap() {
                '/' => extras.set_config(word).unwrap(),
                first if first.is_lowercase() => extras.add_limit(word).unwrap(),
                _ => extras.add_environment(word).unwrap(),
            }
        }
        extras
    }

    #[test]
    fn a_member_may_set_named_variables_and_lower_limits() {
        let open = "policy = { environment = ['LR', 'SEED', 'WANDB_*', '*'] }\nuser = 'alice'\n\
                    limits = { memory = '60M', swap = '0', cpu = '100%', cpus = '0-3', tasks = 100, time = '1h' }\n\
                    thermal = { max_celsius = 80 }";
        let closed = "user = 'alice'";
        let own = "user = 'member'\nlimits = { memory = '60M' }";
        let by_number = "user = '1000'";
        let share = "limits = { memory = '50%' }";
        for (definition, words, named) in [
            (open, &["SEED=1", "LR=0.1", "WANDB_MODE=x", "ANYTHING=1"][..], None),
            (open, &["SEED=1", "PYTHONPATH=/m"], Some("PYTHONPATH")),
            (open, &["LD_PRELOAD=/m"], Some("LD_PRELOAD")),
            (open, &["PATH=/m"], Some("PATH")),
            (open, &["BASH_ENV=/m"], Some("BASH_ENV")),
            (open, &["JAVA_TOOL_OPTIONS=/m"], Some("JAVA_TOOL_OPTIONS")),
            (open, &["/another.json"], Some("config")),
            (open, &["memory=60M", "swap=0", "cpu=100%", "cpus=0-3", "tasks=100", "time=1h"], None),
            (open, &["memory=1M", "cpu=1%", "cpus=2", "tasks=1", "time=1s"], None),
            (open, &["memory=61M"], Some("limits.memory")),
            (open, &["memory=infinity"], Some("limits.memory")),
            (open, &["memory=50%"], Some("limits.memory")),
            (open, &["swap=1K"], Some("limits.swap")),
            (open, &["cpu=101%"], Some("limits.cpu")),
            (open, &["cpus=0-4"], Some("limits.cpus")),
            (open, &["cpus=7"], Some("limits.cpus")),
            (open, &["tasks=infinity"], Some("limits.tasks")),
            (open, &["time=infinity"], Some("limits.time")),
            (open, &["EXPERIMENT_RAM_LIMIT=infinity"], Some("limits.memory")),
            (open, &["EXPERIMENT_RAM_LIMIT=infinity", "memory=1M"], Some("limits.memory")),
            (open, &["EXPERIMENT_CPU_QUOTA=400%"], Some("limits.cpu")),
            (open, &["EXPERIMENT_RAM_LIMIT=10M", "MAX_TEMP_CELSIUS=70"], None),
            (open, &["MAX_TEMP_CELSIUS=81"], Some("thermal.max_celsius")),
            (closed, &["SEED=1"], Some("SEED")),
            (closed, &["NVPMODEL_MODE=0"], Some("NVPMODEL_MODE")),
            (closed, &["MAX_TEMP_CELSIUS=120"], Some("thermal.max_celsius")),
            (closed, &["EXPERIMENT_RAM_LIMIT=1G"], None),
            (closed, &["memory=1G", "swap=1G", "cpu=1%", "cpus=0", "time=1h", "tasks=4096"], None),
            (closed, &["memory=infinity"], None),
            (closed, &["tasks=4097"], Some("limits.tasks")),
            (closed, &["tasks=infinity"], Some("limits.tasks")),
            (own, &["PYTHONPATH=/m", "LD_PRELOAD=/m", "/another.json"], None),
            (own, &["memory=1G"], Some("limits.memory")),
            (by_number, &["PYTHONPATH=/m"], None),
            ("", &["PYTHONPATH=/m"], Some("PYTHONPATH")),
            ("policy = { config = true }", &["/another.json"], None),
            (share, &["memory=8G"], None),
            (share, &["memory=9G"], Some("limits.memory")),
            (share, &["memory=40%"], None),
            (share, &["memory=60%"], Some("limits.memory")),
        ] {
            let (spec, extras) = (spec(definition), extras(words));
            let checked = check_extras(
                &spec,
                &extras,
                &member("member"),
                &ExtrasPolicy::default(),
                Some(TOTAL),
            );
            match (checked, named) {
                (Ok(()), None) => {}
                (Err(error), Some(named)) => {
                    assert!(error.to_string().contains(named), "{words:?}: {error}");
                    assert!(error.to_string().starts_with("may not "), "{error}");
                    assert!(!error.remedy().is_empty());
                }
                (checked, named) => panic!("{definition}, {words:?}: {checked:?}, not {named:?}"),
            }
            let root =
                check_extras(&spec, &extras, &Requester::Operator, &ExtrasPolicy::default(), None);
            assert_eq!(root, Ok(()), "{words:?}");
        }
    }

    #[test]
    fn the_settings_provide_the_policy_that_a_definition_leaves_out() {
        let defaults = policy(&["SEED"]);
        let check = |definition: &str, defaults: &ExtrasPolicy, word: &str| {
            check_extras(&spec(definition), &extras(&[word]), &member("m"), defaults, None)
        };
        assert_eq!(check("", &defaults, "SEED=1"), Ok(()));
        assert!(check("", &ExtrasPolicy::default(), "SEED=1").is_err());
        assert!(check("policy = { environment = [] }", &defaults, "SEED=1").is_err());
        assert!(check("policy = { environment = ['LR'] }", &defaults, "SEED=1").is_err());
        let config = ExtrasPolicy { config: Some(true), ..ExtrasPolicy::default() };
        assert_eq!(check("", &config, "/c.json"), Ok(()));
        assert!(check("policy = { config = false }", &config, "/c.json").is_err());
        // Without the machine's memory a share cannot be compared with an amount.
        assert!(check("limits = { memory = '50%' }", &defaults, "memory=1K").is_err());
    }

    #[test]
    fn the_default_number_of_tasks_is_that_of_the_unit_templates() {
        let line = format!("\nTasksMax={}\n", LimitsSpec::DEFAULT_TASKS);
        for unit in [
            include_str!("../../../units/usr/lib/systemd/system/brain-experiment@.service"),
            include_str!("../../../units/usr/lib/systemd/user/brain-experiment@.service"),
        ] {
            assert!(unit.contains(&line), "a template lacks {line}");
        }
    }
}
