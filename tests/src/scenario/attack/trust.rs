//! Files that others than root can write, in every place from which privileged code takes settings.

use std::path::Path;

use super::{STRANGER_HOME, create_attackers};
use crate::bij::{define_script, render_all, systemctl, wait_for_line, wait_for_state};
use crate::check::{Failure, ensure, ensure_eq};
use crate::command::{run, sh};
use crate::guest::{Guest, Next};
use crate::protocol::Lane;
use crate::scenario::Scenario;
use crate::steps::{define_env, write};

pub(in crate::scenario) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "attack_a_config_directory_defines_nothing",
        Lane::CONTAINER,
        a_config_directory_defines_nothing,
    ),
    Scenario::new(
        "attack_a_config_runs_as_nobody_but_its_owner",
        Lane::CONTAINER,
        a_config_runs_as_nobody_but_its_owner,
    ),
    Scenario::new(
        "attack_what_others_can_write_settles_nothing",
        Lane::CONTAINER,
        what_others_can_write_settles_nothing,
    ),
];

const SETTINGS: &str = "/etc/brain-in-jar/coordinator.toml";

/// The file that an experiment of these scenarios writes if it runs at all.
const MARK: &str = "/run/attack-trust";

/// Takes the place of the settings for as long as it lives.
struct Settings {
    before: String,
}

impl Settings {
    fn set(text: &str) -> Result<Self, Failure> {
        let before = std::fs::read_to_string(SETTINGS)?;
        write(Path::new(SETTINGS), text)?;
        Ok(Self { before })
    }
}

impl Drop for Settings {
    fn drop(&mut self) {
        // The scenario has failed or passed already; the next one finds the package's file.
        let _ = std::fs::remove_file(SETTINGS);
        let _ = write(Path::new(SETTINGS), &self.before);
        let _ = sh("chown root:root /etc/brain-in-jar/coordinator.toml; bij reload");
    }
}

fn has_run() -> bool {
    let there = Path::new(MARK).exists();
    let _ = std::fs::remove_file(MARK);
    there
}

/// A runner whose configs lie in the stranger's home directory.
fn runner(user: &str) -> Result<Settings, Failure> {
    create_attackers()?;
    sh(&format!("mkdir -p {STRANGER_HOME}/configs; chown stranger {STRANGER_HOME}/configs"))?
        .success()?;
    Settings::set(&format!(
        "[runner]\ncommand = [\"/bin/sh\", \"-c\", \"echo config {{config}} as $(id -un)\"]\n\
         config_directory = \"{STRANGER_HOME}/configs\"\n{user}\n"
    ))
}

fn config(name: &str, text: &str, owner: &str) -> Result<(), Failure> {
    let path = format!("{STRANGER_HOME}/configs/{name}.json");
    write(Path::new(&path), text)?;
    run("chown", ["-h", owner, &path])?.success().map(drop)
}

/// A definition that a stranger puts into the directory of older configs is none: not with its
/// command, not with its user, not with its profile.
fn a_config_directory_defines_nothing(_: &Guest) -> Result<Next, Failure> {
    let _settings = runner("")?;
    let evil = format!(
        r#"{{"command": ["/bin/sh", "-c", "id -u >{MARK}"], "user": "root", "sandbox": {{"profile": "trusted"}}}}"#
    );
    for owner in ["stranger", "root"] {
        config("trust_evil", &evil, owner)?;
        render_all()?;
        systemctl("start", "trust_evil")?;
        ensure!(!has_run(), "a definition of {owner} in config_directory ran as root");
        let checked = run("bij", ["check", "trust_evil"])?;
        ensure!(!checked.succeeded(), "bij check finds nothing wrong with it");
    }
    config("trust_evil", &evil, "stranger")?;
    run("bij", ["check", "trust_evil"])?.says("config_directory")?.says("command")?;
    Ok(Next::Done)
}

/// A config that belongs to a stranger is run as the stranger, or as a dynamic user, or not at all.
fn a_config_runs_as_nobody_but_its_owner(guest: &Guest) -> Result<Next, Failure> {
    let older = r#"{"experiment_id": "trust_older", "mode": "amnesiac_loop"}"#;
    {
        let _settings = runner("user = \"root\"")?;
        config("trust_older", older, "stranger")?;
        run("bij", ["check", "trust_older"])?.code(101)?.says("chown root")?;
        let started = systemctl("start", "trust_older")?;
        ensure!(!started.succeeded(), "a stranger's config was handed to a command of root's");
    }
    {
        let _settings = runner("user = \"stranger\"")?;
        config("trust_older", older, "stranger")?;
        run("bij", ["start", "trust_older"])?;
        wait_for_line(guest, "trust_older", "as stranger")?;
        // What the stranger's link leads to is not the stranger's.
        sh(&format!(
            "cd {STRANGER_HOME}/configs; rm trust_older.json; ln -s /etc/shadow trust_older.json
             chown -h stranger trust_older.json"
        ))?
        .success()?;
        let checked = run("bij", ["check", "trust_older"])?.code(101)?;
        ensure!(!checked.stdout().contains("root:"), "bij check tells what /etc/shadow holds");
        sh(&format!("cd {STRANGER_HOME}/configs; rm trust_older.json"))?.success()?;
        config("trust_older", older, "stranger")?;
        sh(&format!("chmod 0777 {STRANGER_HOME}/configs"))?.success()?;
        run("bij", ["check", "trust_older"])?.code(101)?.says("chmod")?;
        sh(&format!("chmod 0755 {STRANGER_HOME}/configs"))?.success()?;
    }
    Ok(Next::Done)
}

/// One thing that opens a place to others than root, and how it is closed again.
struct Opening {
    open: &'static str,
    close: &'static str,
    /// What `bij check` says of it.
    says: &'static [&'static str],
}

const OPENINGS: &[Opening] = &[
    Opening {
        open: "chown stranger /etc/brain-in-jar/experiments/trust_x.toml",
        close: "chown root /etc/brain-in-jar/experiments/trust_x.toml",
        says: &["trust_x.toml", "uid ", "chown root"],
    },
    Opening {
        open: "chgrp bij /etc/brain-in-jar/experiments/trust_x.toml
               chmod 0664 /etc/brain-in-jar/experiments/trust_x.toml",
        close: "chmod 0644 /etc/brain-in-jar/experiments/trust_x.toml",
        says: &["trust_x.toml", "0664", "chmod g-w"],
    },
    Opening {
        open: "chmod 0646 /etc/brain-in-jar/experiments/trust_x.toml",
        close: "chmod 0644 /etc/brain-in-jar/experiments/trust_x.toml",
        says: &["trust_x.toml", "0646", "chmod o-w"],
    },
    Opening {
        open: "chmod 1777 /etc/brain-in-jar/experiments",
        close: "chmod 0755 /etc/brain-in-jar/experiments",
        says: &["/etc/brain-in-jar/experiments", "1777", "chmod"],
    },
    Opening {
        open: "chown stranger /etc/brain-in-jar",
        close: "chown root /etc/brain-in-jar",
        says: &["/etc/brain-in-jar", "chown root"],
    },
    Opening {
        open: "chown stranger /etc/brain-in-jar/experiments/trust_x.env",
        close: "chown root /etc/brain-in-jar/experiments/trust_x.env",
        says: &["trust_x.env", "chown root"],
    },
    Opening {
        open: "cp /etc/brain-in-jar/experiments/trust_x.toml /home/stranger/x.toml
               ln -sf /home/stranger/x.toml /etc/brain-in-jar/experiments/trust_x.toml",
        close: "cp --remove-destination /home/stranger/x.toml /etc/brain-in-jar/experiments/trust_x.toml",
        says: &["/home/stranger", "chown root"],
    },
    Opening {
        open: "mkdir -p /var/lib/brain-in-jar/extras
               echo 'config = \"x\"' >/var/lib/brain-in-jar/extras/trust_x.toml
               chown stranger /var/lib/brain-in-jar/extras/trust_x.toml",
        close: "rm /var/lib/brain-in-jar/extras/trust_x.toml",
        says: &["extras/trust_x.toml", "chown root"],
    },
    Opening {
        open: "mv /etc/brain-in-jar/experiments/trust_x.toml /var/lib/brain-in-jar/definitions/
               chmod 0777 /var/lib/brain-in-jar/definitions",
        close: "chmod 0755 /var/lib/brain-in-jar/definitions
                mv /var/lib/brain-in-jar/definitions/trust_x.toml /etc/brain-in-jar/experiments/",
        says: &["/var/lib/brain-in-jar/definitions", "0777", "chmod"],
    },
];

fn what_others_can_write_settles_nothing(guest: &Guest) -> Result<Next, Failure> {
    create_attackers()?;
    define_script(
        "trust_x",
        &format!("date >{MARK}; exec sleep 600"),
        "writable = [\"/run\"]\nuser = \"root\"",
    )?;
    define_env("trust_x", "LR=1\n")?;
    has_run();
    for Opening { open, close, says } in OPENINGS {
        sh(open)?.success()?;
        let result = (|| {
            let mut checked = run("bij", ["check", "trust_x"])?.code(101)?;
            for text in *says {
                checked = checked.says(text)?;
            }
            render_all()?;
            let started = systemctl("start", "trust_x")?;
            ensure!(!started.succeeded(), "it was started after `{open}`");
            ensure!(!has_run(), "it ran after `{open}`");
            // What is too open is also found where no experiment is named.
            let all = run("bij", ["check"])?;
            ensure!(!all.succeeded(), "bij check of everything is content after `{open}`");
            Ok(())
        })();
        sh(close)?.success()?;
        systemctl("reset-failed", "trust_x")?;
        result?;
    }
    // The settings themselves: a stranger's file is refused, and the old ones stay in force.
    {
        let _settings = Settings::set("[coordinator]\nmax_concurrent = 1\n")?;
        run("chown", ["stranger", SETTINGS])?.success()?;
        run("bij", ["reload"])?.code(2)?.says("chown root")?;
        run("bij", ["check"])?.code(101)?.says(SETTINGS)?;
    }
    run("bij", ["check", "trust_x"])?.success()?;
    render_all()?;
    run("bij", ["start", "trust_x"])?.success()?;
    wait_for_state(guest, "trust_x", "active")?;
    guest.wait_for("the experiment", crate::bij::SOON, || Ok(has_run().then_some(())))?;
    ensure_eq!(systemctl("stop", "trust_x")?.exit_code(), Some(0), "stopping it");
    Ok(Next::Done)
}
