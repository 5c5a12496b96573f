//! Tells the loop the board's power modes, and switches the board when the loop says so.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bij_coordinator::policy::{PowerOffer, PowerSeen};
use bij_coordinator::{Gone, Handle, Ports};
use bij_core::Outcome;
use bij_jetson::{JetsonClocks, Nvpmodel, PowerModes, Root, WhyNot};
use tokio::time::sleep;

use crate::{Place, chain, files};

/// How soon is looked again: somebody may have set a mode by hand.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// How soon the loop is asked again that did not agree to a switch.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How soon a switch that has failed is tried again.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(600);

/// The board's power modes.
#[derive(Clone)]
pub(super) struct PowerWatch {
    /// The tree that the board is read from.
    root: Root,
    /// Where the clocks are stored that `jetson_clocks` holds.
    clocks: PathBuf,
    /// Keeps the number of the mode that was in force before the first switch, up to the next boot.
    before: PathBuf,
    /// What the files told last, and nvpmodel said of it.
    last: Arc<Mutex<Option<Asked>>>,
}

/// What the files told, and the mode that nvpmodel said was in force then.
type Asked = (PowerModes, Option<u32>);

/// Switches that have failed, how and when.
type Failed = BTreeMap<u32, (String, Instant)>;

impl PowerWatch {
    /// The power modes of the board of a place, or of the tree that stands for it.
    pub(super) fn of(place: &Place, board: Option<&Path>) -> Self {
        Self {
            root: Root::new(board.unwrap_or(place.root())),
            clocks: place.layout().state().join("jetson-clocks"),
            before: place.layout().runtime().join("power-mode-before"),
            last: Arc::default(),
        }
    }

    /// Tells and switches, and never ends; on a board without power modes it does nothing.
    pub(super) async fn serve<P: Ports>(&self, handle: &Handle<P>) -> Infallible {
        // Once the loop has ended, nothing is left to be done, and what waits for this ends.
        let _ended: Result<(), Gone> = self.follow(handle).await;
        std::future::pending().await
    }

    async fn follow<P: Ports>(&self, handle: &Handle<P>) -> Result<(), Gone> {
        let mut wish = handle.power_wish();
        let mut failed = Failed::new();
        let mut told = None;
        loop {
            let seen = self.look(&mut failed).await;
            if seen.offered.is_empty() && seen.trouble.is_none() {
                return Ok(());
            }
            let news = told.take();
            let current = seen.current;
            handle.ask(move |loop_, now| loop_.power(seen, news, now)).await?;
            let wished = *wish.borrow_and_update();
            if let Some(to) = wished {
                if handle.ask(move |loop_, _| loop_.begin_power_switch(to)).await? {
                    told = Some(self.switch(to, current, &mut failed).await);
                } else {
                    sleep(ASK_AGAIN_AFTER).await;
                }
                continue;
            }
            // Cancel-safe: a wish that has changed is still there.
            tokio::select! {
                changed = wish.changed() => changed.map_err(|_| Gone)?,
                () = sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Looks at the modes, where it holds up nobody.
    async fn look(&self, failed: &mut Failed) -> PowerSeen {
        failed.retain(|_, (_, at)| at.elapsed() < TRY_AGAIN_AFTER);
        let watch = self.clone();
        let seen = tokio::task::spawn_blocking(move || watch.read()).await;
        let failed = failed.iter().map(|(id, (why, _))| (*id, why.clone())).collect();
        let lost = |_| PowerSeen {
            trouble: Some("they could not be read".to_owned()),
            ..PowerSeen::default()
        };
        PowerSeen { failed, ..seen.unwrap_or_else(lost) }
    }

    fn read(&self) -> PowerSeen {
        let modes = PowerModes::read(&self.root);
        let offered = match modes.offered.clone() {
            Ok(offered) => offered,
            Err(WhyNot::Absent) => return PowerSeen::default(),
            Err(why) => {
                let trouble = format!("/etc/nvpmodel.conf is {why}");
                return PowerSeen { trouble: Some(trouble), ..PowerSeen::default() };
            }
        };
        let at_next_boot = modes.current.as_ref().ok().map(|mode| mode.id);
        // What was written down is in force, unless nvpmodel knows better.
        let current = self.asked(modes).or(at_next_boot);
        let offers = offered.into_iter().map(|mode| PowerOffer {
            // A mask that cannot be read is nvpmodel's to judge.
            needs_reboot: mode.needs_reboot == Ok(true) && current != Some(mode.id),
            id: mode.id,
            name: mode.name,
        });
        let before = fs::read_to_string(&self.before).ok().and_then(|id| id.trim().parse().ok());
        PowerSeen {
            offered: offers.collect(),
            current,
            at_next_boot,
            before,
            ..PowerSeen::default()
        }
    }

    /// What nvpmodel says is in force. It takes a tenth of a second, so it is asked only if the files
    /// tell that something has changed.
    fn asked(&self, modes: PowerModes) -> Option<u32> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, said)) = last.as_ref().filter(|(before, _)| *before == modes) {
            return *said;
        }
        let said = Nvpmodel::below(self.root.clone()).query().ok().map(|mode| mode.id);
        *last = Some((modes, said));
        said
    }

    /// Switches the board, and returns what is to be told of that.
    async fn switch(&self, to: u32, from: Option<u32>, failed: &mut Failed) -> (String, String) {
        let watch = self.clone();
        let switched = tokio::task::spawn_blocking(move || {
            let clocks = JetsonClocks::below(&watch.root, &watch.clocks);
            let switched = Nvpmodel::below(watch.root.clone()).switch(to, &clocks);
            switched.map_err(|error| chain(&error))
        });
        let text = match switched.await.unwrap_or_else(|lost| Err(lost.to_string())) {
            Ok(Outcome::Changed | Outcome::Unchanged) => {
                self.remember(to, from);
                format!("the board is in power mode {to}")
            }
            Err(why) => {
                log::warn!("the board cannot be switched to power mode {to}: {why}");
                failed.insert(to, (why.clone(), Instant::now()));
                format!("the board cannot be switched to power mode {to}: {why}")
            }
        };
        (to.to_string(), text)
    }

    /// Remembers the mode that was in force before bij switched it, until the board is back in it.
    fn remember(&self, to: u32, from: Option<u32>) {
        let before = fs::read_to_string(&self.before).ok();
        let done = match (before, from) {
            (Some(before), _) if before.trim() == to.to_string() => files::remove(&self.before),
            (None, Some(from)) if from != to => fs::write(&self.before, format!("{from}\n")),
            (Some(_) | None, _) => Ok(()),
        };
        if let Err(error) = done {
            log::warn!("which power mode was in force before is forgotten: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const CONF: &str = "< POWER_MODEL ID=0 NAME=MAXN >\n< POWER_MODEL ID=2 NAME=MODE_30W >\n\
                        < PM_CONFIG DEFAULT=2 >\n";
    /// A tool that sets every mode but 7.
    const NVPMODEL: &str = "#!/bin/sh\nstatus=\"$(dirname \"$0\")/../../var/lib/nvpmodel/status\"\n\
         case $1 in\n\
         -q) echo 'NV Power Mode: X'; sed 's/pmode:0*\\([0-9]\\)/\\1/' \"$status\" ;;\n\
         -m) echo \"pmode:000$2\" >\"$status\" ;;\n\
         esac\n";

    fn board() -> (tempfile::TempDir, PowerWatch) {
        let tree = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = tree.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            path
        };
        put("etc/nvpmodel.conf", CONF);
        put("var/lib/nvpmodel/status", "pmode:0002\n");
        let tool = put("usr/sbin/nvpmodel", NVPMODEL);
        fs::set_permissions(tool, fs::Permissions::from_mode(0o755)).unwrap();
        let watch = PowerWatch {
            root: Root::new(tree.path()),
            clocks: tree.path().join("clocks"),
            before: tree.path().join("before"),
            last: Arc::default(),
        };
        (tree, watch)
    }

    #[tokio::test]
    async fn a_switch_is_told_and_the_mode_of_before_remembered_until_it_is_back() {
        let (_tree, watch) = board();
        let mut failed = Failed::new();
        let seen = watch.look(&mut failed).await;
        assert_eq!((seen.current, seen.before, seen.offered.len()), (Some(2), None, 2));
        let (mode, text) = watch.switch(0, seen.current, &mut failed).await;
        assert_eq!((mode.as_str(), text.as_str()), ("0", "the board is in power mode 0"));
        let seen = watch.look(&mut failed).await;
        assert_eq!((seen.current, seen.before), (Some(0), Some(2)));
        watch.switch(2, seen.current, &mut failed).await;
        let seen = watch.look(&mut failed).await;
        assert_eq!((seen.current, seen.before, failed.len()), (Some(2), None, 0));
    }

    #[tokio::test]
    async fn a_switch_that_fails_is_told_with_its_reason() {
        let (_tree, watch) = board();
        let mut failed = Failed::new();
        let (_, text) = watch.switch(9, Some(2), &mut failed).await;
        assert!(text.contains("there is no power mode 9; there are 0 MAXN, 2 MODE_30W"), "{text}");
        let seen = watch.look(&mut failed).await;
        assert_eq!(seen.failed.keys().collect::<Vec<_>>(), [&9]);
        assert_eq!((seen.current, seen.before), (Some(2), None));
    }

    #[tokio::test]
    async fn a_machine_without_power_modes_has_none_and_a_wrong_file_is_trouble() {
        let (tree, watch) = board();
        fs::remove_file(tree.path().join("etc/nvpmodel.conf")).unwrap();
        assert_eq!(watch.look(&mut Failed::new()).await, PowerSeen::default());
        fs::write(tree.path().join("etc/nvpmodel.conf"), "< POWER_MODEL >\n").unwrap();
        let trouble = watch.look(&mut Failed::new()).await.trouble.unwrap();
        assert!(trouble.starts_with("/etc/nvpmodel.conf is unparsable"), "{trouble}");
    }
}
