//! A distribution as a tree (for containers) and as a disk with kernel and initrd (for emulated
//! machines), built once by mmdebstrap and cached under the hash of its recipe.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow};

use super::suite::{Suite, cache_directory};
use crate::shell;

/// What every suite gets. Python is there for stand-ins of experiments and for sqlite3.
const PACKAGES: &[&str] = &[
    "systemd",
    "systemd-sysv",
    "dbus",
    "dbus-user-session",
    "udev",
    "kmod",
    "linux-image-cloud-amd64",
    "libpam-systemd",
    "procps",
    "python3",
];

/// Takes the place of /sbin/init: lays the payload from the second disk over the root before systemd
/// and its generators start, so that a first boot is like any other.
const INIT: &str = "#!/bin/sh
if [ ! -e /var/lib/bij-lab/unpacked ]; then
    tar --extract --file=/dev/vdb --directory=/
    mkdir -p /var/lib/bij-lab
    : >/var/lib/bij-lab/unpacked
    sync
fi
exec /lib/systemd/systemd \"$@\"
";

/// Makes /lib a link to /usr/lib, as installers have done since Debian 10 and Ubuntu 19.04 but
/// debootstraps only since Debian 12: systemd before 248 finds generators in one of them only.
const MERGED_USR: &str = "/usr/share/mmdebstrap/hooks/merged-usr/setup00.sh";

/// Where [`INIT`] lies in an image.
pub(super) const INIT_PATH: &str = "/usr/lib/bij-lab/init";

/// The disk is sparse; this bounds what a scenario may fill.
const DISK_SIZE: u64 = 2 << 30;

/// A built image.
#[derive(Clone, Debug)]
pub(crate) struct Image(PathBuf);

impl Image {
    /// The root as a directory. Never write to it.
    pub(super) fn tree(&self) -> PathBuf {
        self.0.join("tree")
    }

    /// The root as an ext4 file system. Never write to it.
    pub(super) fn disk(&self) -> PathBuf {
        self.0.join("disk.img")
    }

    pub(super) fn kernel(&self) -> PathBuf {
        self.0.join("vmlinuz")
    }

    pub(super) fn initrd(&self) -> PathBuf {
        self.0.join("initrd.img")
    }
}

/// Finds the image in the cache, or builds it.
pub(super) fn provide(suite: &Suite) -> Result<Image> {
    let packages = [PACKAGES, suite.packages].concat().join(",");
    let mirror = std::env::var("BIJ_LAB_MIRROR")
        .unwrap_or_else(|_| "http://deb.debian.org/debian".to_owned());
    let mut hasher = DefaultHasher::new();
    (suite.name, &packages, INIT, DISK_SIZE).hash(&mut hasher);
    if suite.name == "bullseye" {
        MERGED_USR.hash(&mut hasher);
    }
    let cache = cache_directory()?;
    fs::create_dir_all(&cache).with_context(|| format!("cannot make {}", cache.display()))?;
    let place = cache.join(format!("{}-{:016x}", suite.name, hasher.finish()));
    if place.exists() {
        return Ok(Image(place));
    }
    // Another run may be building the same image: wait for it rather than building twice.
    let lock = File::create(cache.join("lock"))?;
    lock.lock().context("cannot lock the image cache")?;
    if place.exists() {
        return Ok(Image(place));
    }
    println!("building the {} image, once: about a minute", suite.name);
    let started = Instant::now();
    let half_built = cache.join(format!(".{}-building", suite.name));
    if half_built.exists() {
        fs::remove_dir_all(&half_built)?;
    }
    fs::create_dir_all(&half_built)?;
    build(suite, &packages, &mirror, &half_built)
        .with_context(|| format!("cannot build the {} image", suite.name))?;
    fs::rename(&half_built, &place)?;
    println!("built in {} s: {}", started.elapsed().as_secs(), place.display());
    Ok(Image(place))
}

fn build(suite: &Suite, packages: &str, mirror: &str, directory: &Path) -> Result<()> {
    let tree = directory.join("tree");
    shell::run_quietly(
        Command::new("mmdebstrap")
            .arg("--quiet")
            .arg("--variant=minbase")
            .args((suite.name == "bullseye").then(|| format!("--setup-hook={MERGED_USR}")))
            .arg(format!("--include={packages}"))
            .arg("--aptopt=Acquire::Retries \"3\"")
            .arg(suite.name)
            .arg(&tree)
            .arg(mirror),
    )?;
    let init = tree.join(INIT_PATH.trim_start_matches('/'));
    fs::create_dir_all(init.parent().expect("the path has a directory"))?;
    fs::write(&init, INIT)?;
    fs::set_permissions(&init, fs::Permissions::from_mode(0o755))?;
    fs::write(tree.join("etc/hostname"), "jar\n")?;
    // A journal on disk, so that a scenario can read what was logged before a reboot.
    fs::create_dir_all(tree.join("var/log/journal"))?;
    take_boot_file(&tree, "vmlinuz-", &directory.join("vmlinuz"))?;
    take_boot_file(&tree, "initrd.img-", &directory.join("initrd.img"))?;
    let disk = directory.join("disk.img");
    File::create(&disk)?.set_len(DISK_SIZE)?;
    let mke2fs = shell::find_program("mke2fs").ok_or_else(|| anyhow!("mke2fs is missing"))?;
    shell::run_quietly(
        Command::new(mke2fs).args(["-q", "-F", "-t", "ext4", "-d"]).arg(&tree).arg(&disk),
    )
}

/// Moves the one file of /boot whose name begins so to where QEMU will read it.
fn take_boot_file(tree: &Path, prefix: &str, to: &Path) -> Result<()> {
    let boot = tree.join("boot");
    let found = fs::read_dir(&boot)?
        .filter_map(Result::ok)
        .find(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .ok_or_else(|| anyhow!("the tree has no /boot/{prefix}…"))?;
    fs::copy(found.path(), to)?;
    fs::remove_file(found.path())?;
    Ok(())
}
