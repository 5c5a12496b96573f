//! Values of variables are seen by root and the experiment's user; others see names at most.

use super::{WRITES_ITS_ENVIRONMENT, environment_of};
use crate::bij::{SOON, define_script, systemctl, wait_for_state};
use crate::check::{Failure, ensure, ensure_eq};
use crate::command::{run, sh};
use crate::guest::{Guest, Next};
use crate::scenario::attack::{as_member, as_stranger, create_attackers};
use crate::steps::define_env;

/// Three secrets, by the three ways in which they come.
const SECRETS: [&str; 3] = ["secret-of-env-file", "secret-of-definition", "secret-of-option"];

/// Everything that an ordinary user can look at, as one long text.
const LOOKS: &str = "
    unit=brain-experiment@attack_secret.service
    systemctl show $unit
    systemctl cat $unit
    systemctl status $unit
    busctl get-property org.freedesktop.systemd1 \
        /org/freedesktop/systemd1/unit/brain_2dexperiment_40attack_5fsecret_2eservice \
        org.freedesktop.systemd1.Service Environment
    bij show attack_secret
    bij --json show attack_secret
    bij status attack_secret
    bij --json status attack_secret
    bij queue
    bij --json queue
    bij why attack_secret
    bij --json why attack_secret
    bij history attack_secret
    bij events
    grep -rs secret-of- /run /var/lib/brain-in-jar /var/log/brain-in-jar /etc/brain-in-jar
    strings -a /var/lib/brain-in-jar/state.db* | grep secret-of-
    cat /proc/[0-9]*/environ
";

pub(super) fn are_seen_by_their_user_alone(guest: &Guest) -> Result<Next, Failure> {
    create_attackers()?;
    let id = "attack_secret";
    let [by_env, by_definition, by_option] = SECRETS;
    let settings = format!("[environment]\nTOKEN_2 = \"{by_definition}\"");
    define_script(id, WRITES_ITS_ENVIRONMENT, &settings)?;
    define_env(id, &format!("TOKEN_1={by_env}\n"))?;
    sh("chmod 0600 /etc/brain-in-jar/experiments/attack_secret.*")?.success()?;
    run("bij", ["submit", id, "-E", &format!("TOKEN_3={by_option}")])?.success()?;
    wait_for_state(guest, id, "active")?;
    guest.wait_for("the experiment's environment", SOON, || environment_of(id).map(Some))?;
    for run_as in [as_stranger, as_member] {
        let seen = run_as(&format!("set +e\n{LOOKS}\ntrue"))?.success()?;
        ensure!(seen.stdout().contains("BIJ_STAMP"), "the looks are none: {}", seen.stdout());
        for secret in SECRETS {
            let leak = seen.stdout().lines().find(|line| line.contains(secret));
            ensure!(leak.is_none(), "{secret} is seen in {leak:?}");
        }
    }
    let reached = environment_of(id)?;
    for (name, secret) in ["TOKEN_1", "TOKEN_2", "TOKEN_3"].into_iter().zip(SECRETS) {
        ensure_eq!(reached.get(name).map(String::as_str), Some(secret), "the value of {name}");
    }
    let shown = run("bij", ["--json", "show", id])?.success()?;
    for secret in SECRETS {
        ensure!(shown.stdout().contains(secret), "root does not see {secret}");
    }
    systemctl("stop", id)?.success()?;
    let left = sh("grep -rls secret-of- /run || true")?.success()?;
    ensure_eq!(left.stdout(), "", "files below /run that still have a secret");
    Ok(Next::Done)
}
