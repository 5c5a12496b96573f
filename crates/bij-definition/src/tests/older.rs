use bij_core::Limit;

use super::*;

fn with_env(env: &str) -> Result<Parsed, DefinitionError> {
    let id = id("x");
    let file = SourceFile::new("x.toml", b"command = ['/bin/true']\nenvironment = { A = 'toml' }");
    let env = SourceFile::new("x.env", env.as_bytes());
    Definition::new(&id, file, Syntax::Toml).with_env(env).parse()
}

#[test]
fn the_older_variables_set_limits_and_reach_the_process() {
    let parsed = with_env(
        "# Resource Limits\nEXPERIMENT_RAM_LIMIT=8G\nEXPERIMENT_CPU_QUOTA=100%\n\n\
         # Jetson Orin Specific\nNVPMODEL_MODE=0  # 0 = MAXN (max performance)\nMAX_TEMP_CELSIUS=80\n\
         A=env\n",
    )
    .unwrap();
    let spec = parsed.spec;
    assert_eq!(spec.limits.memory, "8G".parse().ok());
    assert_eq!(spec.limits.cpu, "100%".parse().ok().map(Limit::At));
    assert_eq!(spec.power.mode, Some(PowerModeRef::Number(0)));
    assert_eq!(spec.thermal.max_celsius, Some(80.0));
    assert_eq!(spec.environment["NVPMODEL_MODE"], "0");
    assert_eq!(spec.environment["EXPERIMENT_RAM_LIMIT"], "8G");
    assert_eq!(spec.environment["A"], "env");
    let warnings: Vec<_> = parsed.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].starts_with("x.env:6: to systemd, a comment after a value"),
        "{warnings:?}"
    );
}

#[test]
fn an_env_file_is_parsed_as_systemd_parses_it() {
    let environment = |text: &str| with_env(text).unwrap().spec.environment;
    let value = |text: &str| environment(&format!("V={text}"))["V"].clone();
    assert_eq!(value("a b  "), "a b");
    assert_eq!(value("\"a  b  \" "), "a  b  ");
    assert_eq!(value("'a\\b'"), "a\\b");
    assert_eq!(value("\"a\\\"b\\$c\\d\""), "a\"b$c\\d");
    assert_eq!(value("a\\\nb"), "ab");
    assert_eq!(value("\"a\nb\""), "a\nb");
    assert_eq!(value("\"x\" y"), "xy");
    assert_eq!(value("a\\ "), "a ");
    assert_eq!(value("0 # no comment"), "0 # no comment");
    assert_eq!(value(""), "");
    let all = environment("  ; c\n# V=1\\\nA = b=c \r\nB=2");
    assert_eq!((all["A"].as_str(), all["B"].as_str()), ("b=c", "2"));
}

#[test]
fn lines_that_systemd_skips_give_warnings() {
    let parsed = with_env("export X=1\nnonsense\n1A=2\nB=x # y\nC=a\x07\n").unwrap();
    let warnings: Vec<_> = parsed.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(parsed.spec.environment.keys().collect::<Vec<_>>(), ["A", "B"]);
    for (line, words) in [
        (1, "`export`"),
        (2, "has no `=`"),
        (3, "not a variable name"),
        (4, "no comments"),
        (5, "U+0007"),
    ] {
        let found =
            warnings.iter().any(|w| w.starts_with(&format!("x.env:{line}: ")) && w.contains(words));
        assert!(found, "{line} {words}: {warnings:?}");
    }
}

#[test]
fn a_megabyte_of_odd_lines_gives_a_page_of_warnings() {
    let warnings = with_env(&"x\n".repeat(500_000)).unwrap().warnings;
    assert_eq!(warnings.len(), 51);
    assert!(warnings[50].message.contains("499950 more warnings"), "{}", warnings[50]);
}

#[test]
fn an_invalid_variable_is_reported_with_its_line() {
    let complaint = |env: &str| with_env(env).unwrap_err().to_string();
    assert!(
        complaint("\nEXPERIMENT_RAM_LIMIT=8")
            .starts_with("x.env:2: EXPERIMENT_RAM_LIMIT: 8 has no unit")
    );
    assert!(complaint("MAX_TEMP_CELSIUS=hot").contains("degrees Celsius"));
    assert!(complaint("EXPERIMENT_CPU_QUOTA=80").contains("did you mean \"80%\"?"));
    assert!(complaint("BIJ_RUN=5").contains("x.env:1: BIJ_RUN: systemd and bij set this"));
    assert!(complaint("A=\0").contains("is NUL"));
}

const CONFIG: &str =
    r#"{ "experiment_id": "x", "name": "Test", "mode": "amnesiac_loop", "max_cycles": 10 }"#;

fn older_config(text: &str, runner: Option<&Runner>) -> Result<Parsed, DefinitionError> {
    let id = id("x");
    let read = || Ok(runner.cloned());
    let file = SourceFile::new("/configs/x.json", text.as_bytes());
    Definition::new(&id, file, Syntax::Json).with_runner(&read).parse()
}

fn runner(lines: &str) -> Runner {
    let text = format!("[runner]\n{lines}");
    Settings::parse(SourceFile::new("coordinator.toml", text.as_bytes())).unwrap().runner.unwrap()
}

#[test]
fn an_older_config_gets_its_command_from_the_runner() {
    let runner = runner(
        "command = ['/usr/bin/python3', '-m', 'r', '--config={config}']\nuser = 'brain'\n\
         environment = { A = '1' }\nwritable = ['/logs']\ndirectory = '/opt'",
    );
    let parsed = older_config(CONFIG, Some(&runner)).unwrap();
    assert_eq!(parsed.spec.command, ["/usr/bin/python3", "-m", "r", "--config=/configs/x.json"]);
    assert_eq!(parsed.spec.config.as_deref(), Some("/configs/x.json"));
    assert_eq!(parsed.spec.description.as_deref(), Some("Test"));
    assert_eq!(parsed.spec.user.as_deref(), Some("brain"));
    assert_eq!(parsed.spec.environment["A"], "1");
    assert_eq!(parsed.runner, Some(runner));
}

#[test]
fn a_runner_without_placeholder_gets_the_config_as_last_argument() {
    let parsed = older_config(CONFIG, Some(&runner("command = ['/usr/bin/r']"))).unwrap();
    assert_eq!(parsed.spec.command, ["/usr/bin/r", "/configs/x.json"]);
}

#[test]
fn an_older_config_without_runner_is_reported_with_the_remedy() {
    let complaint = older_config(CONFIG, None).unwrap_err().to_string();
    assert!(complaint.contains("add to coordinator.toml: [runner] command = ["), "{complaint}");
}

#[test]
fn a_config_copied_to_a_new_name_runs_under_that_name() {
    let other = CONFIG.replace("\"x\"", "\"y\"");
    let parsed = older_config(&other, Some(&runner("command = ['/r']"))).unwrap();
    assert_eq!(parsed.spec.id, id("x"));
    assert_eq!(
        parsed.warnings[0].to_string(),
        "/configs/x.json:1: experiment_id is \"y\"; bij names the experiment x, after its file"
    );
}

#[test]
fn a_json_definition_without_a_command_is_not_an_older_config() {
    let complaint = older_config(r#"{"limits": {"memory": "8G"}}"#, None).unwrap_err().to_string();
    assert!(complaint.contains("there is no command"), "{complaint}");
    let runner = runner("command = ['/r']");
    for text in [
        r#"{"comand": ["/bin/true"], "limits": {"memory": "8G"}}"#,
        r#"{"command": ["/bin/true"], "experiment_id": "x"}"#,
    ] {
        let complaint = older_config(text, Some(&runner)).unwrap_err().to_string();
        assert!(complaint.contains("unknown key"), "{complaint}");
    }
    let config = r#"{"name": "without an id", "mode": "amnesiac_loop"}"#;
    assert!(older_config(config, Some(&runner)).is_ok());
}

#[test]
fn settings_are_checked_like_definitions() {
    let complaint = |text: &str| {
        let file = SourceFile::new("coordinator.toml", text.as_bytes());
        Settings::parse(file).unwrap_err().to_string()
    };
    assert!(complaint("[runner]\ncomand = ['x']").contains("did you mean `command`?"));
    assert!(complaint("[runner]\nuser = 'x'").contains("a runner needs a command"));
    assert!(complaint("[runer]\nuser = 'x'").contains("did you mean `runner`?"));
    assert_eq!(Settings::parse(SourceFile::new("c", b"")).unwrap(), Settings::default());
}

fn coordinator_env(text: &str) -> Result<(CoordinatorSettings, Vec<Warning>), DefinitionError> {
    let mut settings = Settings::default();
    let warnings = settings.lay_over(SourceFile::new("coordinator.env", text.as_bytes()))?;
    Ok((settings.coordinator, warnings))
}

#[test]
fn the_settings_of_the_older_coordinator_are_parsed() {
    let (settings, warnings) = coordinator_env(
        "# Resource Management\nMAX_CONCURRENT_EXPERIMENTS=4\nTOTAL_RAM_LIMIT_GB=48 # of 64\n\n\
         HEALTH_CHECK_INTERVAL_SECONDS=30\nTEMPERATURE_CHECK_INTERVAL_SECONDS=10\n\n\
         THROTTLE_TEMP_CELSIUS=75\nCRITICAL_TEMP_CELSIUS=85\nPYTHONPATH=/opt\n",
    )
    .unwrap();
    assert_eq!(settings.max_concurrent, Some(4));
    assert_eq!(settings.total_memory, "48G".parse().ok());
    assert_eq!(settings.health_check_interval, "30s".parse().ok());
    assert_eq!(settings.temperature_check_interval, "10s".parse().ok());
    assert_eq!(settings.throttle_celsius, Some(75.0));
    assert_eq!(settings.critical_celsius, Some(85.0));
    let warnings: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert_eq!(
        warnings[1],
        "coordinator.env:10: PYTHONPATH is not a setting of bij and has no effect"
    );
}

#[test]
fn invalid_settings_of_the_older_coordinator_are_reported() {
    let complaint = |text: &str| coordinator_env(text).unwrap_err().to_string();
    assert!(complaint("MAX_CONCURENT_EXPERIMENTS=4").contains("did you mean `MAX_CONCURRENT_EXP"));
    assert!(complaint("MAX_CONCURRENT_EXPERIMENTS=0").contains("a whole number from 1"));
    assert!(complaint("TOTAL_RAM_LIMIT_GB=48G").contains("without a unit, such as 48"));
    assert!(
        complaint("\nHEALTH_CHECK_INTERVAL_SECONDS=soon").starts_with("coordinator.env:2: HEALTH")
    );
    assert!(
        complaint("THROTTLE_TEMP_CELSIUS=90\nCRITICAL_TEMP_CELSIUS=85")
            .contains("85.0 °C is not above the throttling temperature of 90.0 °C")
    );
    // A single threshold is compared with the default of the other.
    assert!(complaint("CRITICAL_TEMP_CELSIUS=70").contains("temperature of 75.0 °C"));
}

#[test]
fn an_older_config_may_contain_whatever_python_accepts() {
    let runner = runner("command = ['/r']");
    let config = "{\"experiment_id\": \"x\", \"clip\": [Infinity, -Infinity],\n \"lr\": NaN, \"lr\": 2,\n \
                  \"name\": \"first\", \"name\": \"second\"}";
    let parsed = older_config(config, Some(&runner)).unwrap();
    assert_eq!(parsed.spec.description.as_deref(), Some("second"), "Python takes the last");
    let warnings: Vec<_> = parsed.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "/configs/x.json:1: Infinity, in column 33, is not a JSON number",
            "/configs/x.json:1: -Infinity, in column 43, is not a JSON number",
            "/configs/x.json:2: NaN, in column 8, is not a JSON number",
            "/configs/x.json:2: duplicate key \"lr\" in column 13",
            "/configs/x.json:3: duplicate key \"name\" in column 19",
        ]
    );
    let halves =
        r#"{"experiment_id": "x", "a": "\ud800 \uD83D\uDE00 \\ud800 \udc00\ud801", "\udfff": 1}"#;
    let warnings = older_config(halves, Some(&runner)).unwrap().warnings;
    let messages: Vec<_> = warnings.iter().map(|warning| warning.message.clone()).collect();
    assert_eq!(
        messages,
        [
            r"\ud800, in column 30, is a lone surrogate",
            r"\udc00, in column 58, is a lone surrogate",
            r"\ud801, in column 64, is a lone surrogate",
            r"\udfff, in column 74, is a lone surrogate",
        ]
    );
    for text in [
        "{\"experiment_id\": \"x\", \"a\": -NaN}",
        "{\"experiment_id\": \"x\", \"a\": Nan}",
        "{\"experiment_id\": \"x\", \"a\": +Infinity}",
        "{\"experiment_id\": \"x\", // why\n \"a\": 1}",
        "{\"experiment_id\": \"x\", \"a\": 1,}",
    ] {
        assert!(older_config(text, Some(&runner)).is_err(), "{text}");
    }
}

#[test]
fn lines_that_other_dotenv_parsers_interpret_differently_give_warnings() {
    let remarks = |env: &str| {
        let parsed = with_env(env).unwrap();
        parsed.warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    for (line, words) in [
        ("A=\"value\"  # why", "has no comments after a value"),
        ("A='value'# why", "has no comments after a value"),
        ("A=value # why", "has no comments after a value"),
        ("A= # why", "has no comments after a value"),
        ("A=$HOME/data", "the program gets \"$HOME\" literally"),
        ("A=\"${HOME}/data\"", "the program gets \"$HOME\" literally"),
        ("A=pa$word", "the program gets a `$` before a name literally"),
        ("A=$(date)", "a command in `$(…)`"),
        ("A=\"`date`\"", "a command in backquotes"),
        ("A=~/data", "the program gets `~` literally"),
        ("A=\"one\\ntwo\"", "is a backslash and the letter n"),
        ("A=C:\\new", "removes a backslash"),
        ("A=\"open\nB=2", "this quote is not closed"),
        ("export\tA=1", "`export` is shell syntax"),
    ] {
        let remark = remarks(&format!("FIRST=1\n{line}"));
        assert!(remark.starts_with("x.env:2: ") && remark.contains(words), "{line:?}: {remark}");
        assert_eq!(remark.lines().count(), 1, "{line:?}: {remark}");
    }
    for line in [
        "A=#fff",
        "A=a#b",
        "A='$HOME # ~'",
        "A=\"\\$HOME\"",
        "A=\"a # b\"",
        "A=5$",
        "A=a~b",
        "A=it's",
        "A=$1",
    ] {
        assert_eq!(remarks(line), "", "{line:?}");
    }
    let secret = remarks("A=\"hunter2\" # $secret");
    assert!(!secret.contains("hunter2") && !secret.contains("secret"), "{secret}");
    let many = remarks(&format!("A={}", "$A $B $C $D $E $F ".repeat(5_000)));
    assert_eq!(many.lines().count(), 5);
}
