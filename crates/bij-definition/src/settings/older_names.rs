//! The settings of the older tool's coordinator.

use bij_core::port::{DefinitionError, Warning};
use bij_core::{CoordinatorSettings, Limit, MemoryLimit};

use crate::document::{Value, ValueNode};
use crate::env_file::Assignment;
use crate::fault::{ParseFault, ParseFaults};
use crate::names::nearest;
use crate::older::variables;
use crate::source::SourceFile;
use crate::value;

struct KnownSetting {
    name: &'static str,
    example: &'static str,
    set: fn(&ValueNode, &mut CoordinatorSettings) -> Result<(), ParseFault>,
}

const KNOWN: [KnownSetting; 6] = [
    KnownSetting {
        name: "MAX_CONCURRENT_EXPERIMENTS",
        example: "4",
        set: |node, settings| value::count(node).map(|count| settings.max_concurrent = Some(count)),
    },
    KnownSetting {
        name: "TOTAL_RAM_LIMIT_GB",
        example: "48",
        set: |node, settings| {
            let budget = |bytes| MemoryLimit::Absolute(Limit::At(bytes));
            value::gibibytes(node).map(|bytes| settings.total_memory = Some(budget(bytes)))
        },
    },
    KnownSetting {
        name: "HEALTH_CHECK_INTERVAL_SECONDS",
        example: "30",
        set: |node, settings| {
            value::span(node).map(|span| settings.health_check_interval = Some(span))
        },
    },
    KnownSetting {
        name: "TEMPERATURE_CHECK_INTERVAL_SECONDS",
        example: "10",
        set: |node, settings| {
            value::span(node).map(|span| settings.temperature_check_interval = Some(span))
        },
    },
    KnownSetting {
        name: "THROTTLE_TEMP_CELSIUS",
        example: "75",
        set: |node, settings| {
            value::celsius(node).map(|celsius| settings.throttle_celsius = Some(celsius))
        },
    },
    KnownSetting {
        name: "CRITICAL_TEMP_CELSIUS",
        example: "85",
        set: |node, settings| {
            value::celsius(node).map(|celsius| settings.critical_celsius = Some(celsius))
        },
    },
];

pub(super) fn lay_over(
    env: SourceFile<'_>,
    settings: &mut CoordinatorSettings,
) -> Result<Vec<Warning>, DefinitionError> {
    let text = env.text().map_err(DefinitionError::one)?;
    let known = |name: &str| KNOWN.iter().find(|known| known.name == name);
    let mut warnings = Vec::new();
    let mut faults = ParseFaults::default();
    let mut last = 0;
    for Assignment { at, name, value, oddities: _ } in
        variables(&text, |name| known(name).is_some(), &mut warnings)
    {
        last = at;
        if let Some(known) = known(&name) {
            let number = ValueNode { at, value: Value::Number(value.trim().to_owned()) };
            if let Err(fault) = (known.set)(&number, settings) {
                let hint = || Some(format!("for example: {}={}", known.name, known.example));
                faults.push(fault.within(&name).or_hint(hint));
            }
        } else if let Some(near) = nearest(&name, KNOWN.iter().map(|known| known.name)) {
            let fault = ParseFault::new(at, "unknown setting").within(&name);
            faults.push(fault.hint(format!("did you mean `{near}`?")));
        } else {
            let message = format!("{name} is not a setting of bij and has no effect");
            warnings.push(Warning { location: text.location(at), message });
        }
    }
    if let Some(message) = settings.check_thresholds() {
        let fault = ParseFault::new(last, message).within("CRITICAL_TEMP_CELSIUS");
        faults.push(
            fault.hint("use a higher value than THROTTLE_TEMP_CELSIUS, for example 75 and 85"),
        );
    }
    DefinitionError::from_problems(faults.into_problems(&text))?;
    Ok(warnings)
}
