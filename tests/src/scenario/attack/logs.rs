//! Nobody but an experiment, its hooks and its manager speaks in its log.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::{MEMBER_HOME, Scenario, as_member, as_stranger, create_attackers};
use crate::bij::{SOON, define_script, systemctl, wait_for_line};
use crate::check::{Failure, ensure, ensure_eq};
use crate::command::{run, sh};
use crate::guest::{Guest, Next};
use crate::protocol::Lane;
use crate::steps::write;

pub(in crate::scenario) const SCENARIOS: &[Scenario] =
    &[Scenario::new("attack_forged_lines", Lane::CONTAINER, forged_lines)];

const VICTIM: &str = "forged_victim";
const EVIL: &str = "forged_evil";

/// Sends records that claim to be the victim's, its hook's and its manager's, by every way that leads to
/// journald. `$1` marks their texts; `$2` is a directory for a program whose name is `systemd`.
const FORGE: &str = r#"
fields() { cat <<END
MESSAGE=forged-$1
PRIORITY=6
SYSLOG_IDENTIFIER=$2
BIJ_KIND=experiment
BIJ_EXPERIMENT=forged_victim
UNIT=brain-experiment@forged_victim.service
USER_UNIT=brain-experiment@forged_victim.service
OBJECT_SYSTEMD_UNIT=brain-experiment@forged_victim.service
OBJECT_SYSTEMD_USER_UNIT=brain-experiment@forged_victim.service
_PID=1
_UID=0
_SYSTEMD_UNIT=brain-experiment@forged_victim.service
END
}
cp /usr/bin/logger "$2/systemd"
for name in systemd bij-hook brain-experiment-forged_victim; do
    fields "$1-logger-$name" "$name" | logger --journald
    fields "$1-named-$name" "$name" | "$2/systemd" --journald
    systemd-cat -t "$name" echo "forged-$1-cat-$name"
    logger -t "$name" "forged-$1-syslog-$name"
    fields "$1-datagram-$name" "$name" | python3 -c '
import socket, sys
sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sender.sendto(sys.stdin.buffer.read(), "/run/systemd/journal/socket")'
done
"#;

/// How many records one call of [`FORGE`] sends.
const FORGED: usize = 15;

const FORGE_PATH: &str = "/usr/local/bin/forge";

/// A `bij logs --follow` in the background, and the file that its output goes to.
struct Follower {
    child: Child,
    output: PathBuf,
}

impl Follower {
    fn start(guest: &Guest, name: &str, words: &[&str]) -> Result<Self, Failure> {
        let output = guest.state_dir()?.join(name);
        let child = Command::new("bij")
            .args(words)
            .stdin(Stdio::null())
            .stdout(File::create(&output)?)
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { child, output })
    }

    fn wait_for(&self, guest: &Guest, text: &str) -> Result<(), Failure> {
        guest.wait_for(&format!("{text:?} in {}", self.output.display()), SOON, || {
            let shown = fs::read_to_string(&self.output)?;
            if shown.contains(text) {
                return Ok(Some(()));
            }
            Err(Failure::new(format!("it shows:\n{shown}")))
        })
    }

    fn shown(&self) -> Result<String, Failure> {
        Ok(fs::read_to_string(&self.output)?)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn forged_lines(guest: &Guest) -> Result<Next, Failure> {
    create_attackers()?;
    write(Path::new(FORGE_PATH), &format!("#!/bin/sh\nset -eu\n{FORGE}"))?;
    sh(&format!("chmod 755 {FORGE_PATH}"))?.success()?;
    define_script(VICTIM, "echo honest words; exec sleep 600", "")?;
    systemctl("start", VICTIM)?.success()?;
    wait_for_line(guest, VICTIM, "honest words")?;
    let of_victim = Follower::start(guest, "text", &["logs", "-f", VICTIM])?;
    let of_victim_json = Follower::start(guest, "json", &["--json", "logs", "-f", VICTIM])?;
    let of_all = Follower::start(guest, "all", &["--json", "logs", "-f"])?;
    let followers = [&of_victim, &of_victim_json, &of_all];
    for follower in followers {
        follower.wait_for(guest, "honest words")?;
    }
    forge(guest)?;
    sh("journalctl --sync")?.success()?;
    let count = sh("journalctl -b -o cat --no-pager | grep -c '^forged-'")?.success()?;
    ensure_eq!(count.stdout().trim(), (3 * FORGED).to_string(), "forged records in the journal");
    systemctl("stop", VICTIM)?.success()?;
    for follower in followers {
        follower.wait_for(guest, "Stopped")?;
    }
    for shown in [
        of_victim.shown()?,
        of_victim_json.shown()?,
        run("bij", ["logs", VICTIM])?.success()?.stdout().to_owned(),
        run("bij", ["status", VICTIM])?.stdout().to_owned(),
    ] {
        ensure!(shown.contains("honest words"), "the victim's own words are missing:\n{shown}");
        ensure!(!shown.contains("forged-"), "forged lines are shown as the victim's:\n{shown}");
    }
    speak_for_themselves_only(&of_all.shown()?)?;
    Ok(Next::Done)
}

/// A stranger, a member and another experiment forge; a stranger's own manager runs a unit of the victim's
/// name. Root, and so an experiment that runs as root, is believed.
fn forge(guest: &Guest) -> Result<(), Failure> {
    as_stranger(&format!("{FORGE_PATH} stranger ~"))?.success()?;
    as_member(&format!("{FORGE_PATH} member {MEMBER_HOME}"))?.success()?;
    // A process that is gone when journald looks belongs to no unit; the shell itself does.
    let script =
        format!("{FORGE_PATH} $BIJ_EXPERIMENT \"$BIJ_STATE_DIR\"; echo all said; exec sleep 600");
    define_script(EVIL, &script, "")?;
    systemctl("start", EVIL)?.success()?;
    wait_for_line(guest, EVIL, "all said")?;
    sh("loginctl enable-linger stranger")?.success()?;
    let as_user = |command: &str| {
        as_stranger(&format!("export XDG_RUNTIME_DIR=/run/user/$(id -u); {command}"))
    };
    guest.wait_for("the stranger's manager", SOON, || {
        Ok(as_user("systemctl --user is-system-running --wait")?.succeeded().then_some(()))
    })?;
    as_user(&format!(
        "mkdir -p .config/brain-in-jar/experiments
         cat >.config/brain-in-jar/experiments/{VICTIM}.toml <<'END'
command = [\"/bin/sh\", \"-c\", \"echo namesake-forged-words; exec sleep 600\"]
END
         systemctl --user daemon-reload
         systemctl --user start brain-experiment@{VICTIM}
         bij --user logs {VICTIM} | grep namesake-forged-words
         systemctl --user stop brain-experiment@{VICTIM}"
    ))?
    .success()?;
    sh("loginctl disable-linger stranger")?.success().map(drop)
}

/// What an experiment forges is its own, and a name that it takes is marked as taken.
fn speak_for_themselves_only(all: &str) -> Result<(), Failure> {
    let mut own = 0;
    for line in all.lines() {
        let row: Value = serde_json::from_str(line)?;
        let text = |key: &str| row[key].as_str().unwrap_or_default();
        if !text("message").contains("forged-") {
            continue;
        }
        ensure!(text("id") == EVIL, "it is shown as another's: {row}");
        let writer = &row["writer"];
        let is_own = writer.is_null() || text("writer").starts_with("process ");
        ensure!(is_own, "it is shown as by another writer: {row}");
        own += 1;
    }
    ensure!(own > 0, "what the experiments wrote themselves is not shown:\n{all}");
    Ok(())
}
