//! The GPU as a unit uses it: the settings that let the unit use it and nothing beyond it, and how its device nodes are
//! made to appear.

use std::fmt;
use std::io;

use bij_core::Outcome;
use thiserror::Error;

use crate::gpu::is_tegra_gpu;
use crate::{Files, Reading};

/// The device policy of a unit that may use the GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct GpuPolicy {
    /// The kind of GPU.
    pub kind: GpuKind,
    /// The devices that the GPU's users open.
    pub allow: Vec<DeviceAllow>,
    /// The groups that own these devices, as far as they exist.
    pub groups: Vec<String>,
}

/// The kinds of GPUs, by their drivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum GpuKind {
    /// There is no GPU of a known kind.
    None,
    /// The GPU of a Tegra: nvgpu, host1x and nvmap.
    Tegra,
    /// An NVIDIA graphics card.
    Discrete,
    /// A GPU behind the kernel's own interfaces, such as those of AMD and Intel.
    Render,
}

/// A value of `DeviceAllow=` (systemd.resource-control(5)), always for reading and writing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum DeviceAllow {
    /// All devices of a driver, by its name in `/proc/devices`, because major numbers change with each boot.
    Driver(String),
    /// A single node, for a device that shares its major number with unrelated devices.
    Node(String),
}

impl fmt::Display for DeviceAllow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Driver(name) => write!(f, "char-{name} rw"),
            Self::Node(path) => write!(f, "{path} rw"),
        }
    }
}

impl GpuPolicy {
    /// Determines the device policy for this machine's GPU.
    ///
    /// # Errors
    /// [`WhyNot`](crate::WhyNot) if the kernel's list of drivers cannot be read.
    pub(crate) fn find(files: &dyn Files) -> Reading<Self> {
        let drivers = character_drivers(&files.text("proc/devices")?);
        let has = |wanted: fn(&str) -> bool| drivers.iter().any(|name| wanted(name));
        // The display driver of a Tegra has the same names as that of a card, so Tegras are recognised first.
        let kind = if has(is_tegra_gpu) || has(|name| name == "nvhost" || name == "host1x-fence") {
            GpuKind::Tegra
        } else if has(|name| name.starts_with("nvidia")) {
            GpuKind::Discrete
        } else if !render_nodes(files)?.is_empty() {
            GpuKind::Render
        } else {
            GpuKind::None
        };
        let wanted: fn(&str) -> bool = match kind {
            // Allowing the driver by name would include the nodes that control screens.
            GpuKind::None | GpuKind::Render => |_| false,
            GpuKind::Tegra => is_tegra_driver,
            // These manage a fabric of cards or partition cards, which is an administrator's task.
            GpuKind::Discrete => |name| {
                name.starts_with("nvidia") && !matches!(name, "nvidia-nvswitch" | "nvidia-caps")
            },
        };
        let mut allow: Vec<DeviceAllow> =
            drivers.iter().filter(|name| wanted(name)).cloned().map(DeviceAllow::Driver).collect();
        match kind {
            GpuKind::None => {}
            // nvmap is a misc device, whose major number is shared by unrelated devices.
            GpuKind::Tegra => allow.push(DeviceAllow::Node("/dev/nvmap".to_owned())),
            GpuKind::Discrete | GpuKind::Render => allow.extend(render_nodes(files)?),
        }
        let groups = if kind == GpuKind::None { Vec::new() } else { gpu_groups(files) };
        Ok(Self { kind, allow, groups })
    }

    /// Returns the settings for a unit as systemd directives; empty without a GPU.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        if self.kind == GpuKind::None {
            return Vec::new();
        }
        // A private /dev has none of these nodes.
        let mut settings =
            vec![("PrivateDevices", "no".to_owned()), ("DevicePolicy", "closed".to_owned())];
        settings.extend(self.allow.iter().map(|allow| ("DeviceAllow", allow.to_string())));
        if !self.groups.is_empty() {
            settings.push(("SupplementaryGroups", self.groups.join(" ")));
        }
        settings
    }
}

/// Returns `true` for the drivers that CUDA opens on a Tegra: the GPU itself, host1x and its clients, a render node,
/// and shared memory between engines.
fn is_tegra_driver(name: &str) -> bool {
    is_tegra_gpu(name)
        || name.starts_with("nvhost")
        || name.starts_with("host1x")
        || name.starts_with("nvidia")
        || name == "drm"
        || name == "nvsciipc"
}

/// Returns the names of the drivers of character devices, sorted and without duplicates.
fn character_drivers(devices: &str) -> Vec<String> {
    let lines = devices.lines().map(str::trim).take_while(|line| *line != "Block devices:");
    let mut names: Vec<String> = lines
        .filter_map(|line| line.split_once(' '))
        .filter(|(major, _)| major.bytes().all(|byte| byte.is_ascii_digit()))
        .map(|(_, name)| name.trim().to_owned())
        .collect();
    names.sort();
    names.dedup();
    names
}

/// Returns the render nodes, which give no control of a screen, and AMD's compute node (`amdkfd`) if there is one.
/// CUDA does not need them, but rendering without a display does.
fn render_nodes(files: &dyn Files) -> Reading<Vec<DeviceAllow>> {
    let names = files.names("dev/dri")?.into_iter();
    let render = names.filter(|name| name.starts_with("renderD"));
    let mut nodes: Vec<_> =
        render.map(|name| DeviceAllow::Node(format!("/dev/dri/{name}"))).collect();
    let computes = !nodes.is_empty() && files.names("dev")?.iter().any(|name| name == "kfd");
    nodes.extend(computes.then(|| DeviceAllow::Node("/dev/kfd".to_owned())));
    Ok(nodes)
}

/// Returns the existing groups that own GPU nodes. A unit with a group that does not exist would not start.
fn gpu_groups(files: &dyn Files) -> Vec<String> {
    let table = files.text("etc/group").unwrap_or_default();
    let known = |group: &&str| table.lines().any(|line| line.split(':').next() == Some(group));
    ["video", "render"].into_iter().filter(known).map(ToOwned::to_owned).collect()
}

const DIRECTORY: &str = "dev/nvgpu";

/// Why the GPU could not be switched on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PowerOnError {
    /// The driver refused; only root may switch the GPU on.
    #[error("cannot switch the GPU on by {node}")]
    Refused {
        /// Path of the node that was written to.
        node: String,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The driver accepted, but the other nodes did not appear.
    #[error("the GPU was switched on by {node}, but its other nodes did not appear beside it")]
    NoNodes {
        /// Path of the node that was written to.
        node: String,
    },
}

/// Returns `true` if there is a GPU that was not used since boot.
pub(crate) fn never_powered_on(files: &dyn Files) -> bool {
    !unpowered_nodes(files).is_empty()
}

/// Returns the nodes that switch on the GPUs that were not used since boot.
fn unpowered_nodes(files: &dyn Files) -> Vec<String> {
    let gpus = files.names(DIRECTORY).unwrap_or_default();
    let unpowered_nodes = gpus.into_iter().filter(|gpu| {
        let nodes = files.names(&format!("{DIRECTORY}/{gpu}")).unwrap_or_default();
        nodes.iter().any(|node| node == "power") && !nodes.iter().any(|node| node == "as")
    });
    unpowered_nodes.map(|gpu| format!("{DIRECTORY}/{gpu}/power")).collect()
}

/// Switches the GPU on if necessary; see [`Hardware::power_on_gpu`](crate::Hardware::power_on_gpu).
pub(crate) fn power_on(
    files: &dyn Files,
    mut retry: impl FnMut() -> bool,
) -> Result<Outcome, PowerOnError> {
    let powered_on = unpowered_nodes(files);
    for node in &powered_on {
        files
            .write(node, "1")
            .map_err(|source| PowerOnError::Refused { node: format!("/{node}"), source })?;
    }
    loop {
        match unpowered_nodes(files).first() {
            None if powered_on.is_empty() => return Ok(Outcome::Unchanged),
            None => return Ok(Outcome::Changed),
            Some(node) if !retry() => {
                return Err(PowerOnError::NoNodes { node: format!("/{node}") });
            }
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::CapturedTree;

    #[test]
    fn a_machine_without_a_gpu_gets_no_settings() {
        let mut tree = CapturedTree::default();
        tree.set(
            "proc/devices",
            "Character devices:\n  1 mem\n226 drm\n\nBlock devices:\n259 nvidia\n",
        );
        tree.set("etc/group", "video:x:44:\n");
        let policy = GpuPolicy::find(&tree).unwrap();
        assert_eq!((policy.kind, policy.settings()), (GpuKind::None, Vec::new()));
    }

    fn lines(tree: &CapturedTree) -> Vec<String> {
        let settings = GpuPolicy::find(tree).unwrap().settings();
        settings.iter().map(|(name, value)| format!("{name}={value}")).collect()
    }

    #[test]
    fn cards_of_other_makers_get_their_render_nodes_and_no_screen() {
        let mut intel = CapturedTree::default();
        intel.set("proc/devices", "Character devices:\n  1 mem\n226 drm\n");
        for node in ["card0", "renderD128", "by-path/pci-0000:00:02.0-render"] {
            intel.set(&format!("dev/dri/{node}"), "");
        }
        let closed = ["PrivateDevices=no", "DevicePolicy=closed"];
        let first = "DeviceAllow=/dev/dri/renderD128 rw";
        assert_eq!(lines(&intel), [closed[0], closed[1], first], "and it has no groups");
        let mut amd = intel;
        amd.set("dev/dri/renderD129", "");
        amd.set("dev/kfd", "");
        amd.set("etc/group", "render:x:104:\n");
        let second = "DeviceAllow=/dev/dri/renderD129 rw";
        let [kfd, group] = ["DeviceAllow=/dev/kfd rw", "SupplementaryGroups=render"];
        assert_eq!(lines(&amd), [closed[0], closed[1], first, second, kfd, group]);
    }

    #[test]
    fn a_screen_without_a_render_node_is_no_gpu() {
        let mut tree = CapturedTree::default();
        tree.set("proc/devices", "Character devices:\n226 drm\n");
        tree.set("dev/dri/card0", "");
        tree.set("dev/kfd", "");
        assert_eq!(GpuPolicy::find(&tree).unwrap().kind, GpuKind::None);
    }

    #[test]
    fn only_existing_groups_are_named() {
        let mut tree = CapturedTree::default();
        tree.set("proc/devices", "Character devices:\n503 17000000.gpu\n504 17000000.gpu\n");
        assert_eq!(GpuPolicy::find(&tree).unwrap().settings().len(), 4);
        tree.set("etc/group", "root:x:0:\nrenderer:x:1:\nvideo:x:44:me\n");
        let settings = GpuPolicy::find(&tree).unwrap().settings();
        assert_eq!(settings.last().unwrap(), &("SupplementaryGroups", "video".to_owned()));
        assert_eq!(settings[2], ("DeviceAllow", "char-17000000.gpu rw".to_owned()));
    }

    /// A driver whose nodes appear some checks after the power node is written.
    struct Driver {
        tree: Mutex<CapturedTree>,
        written: Mutex<Vec<(String, String)>>,
    }

    impl Driver {
        fn new(nodes: &[&str]) -> Self {
            let mut tree = CapturedTree::default();
            for node in nodes {
                tree.set(&format!("dev/nvgpu/igpu0/{node}"), "");
            }
            Self { tree: Mutex::new(tree), written: Mutex::default() }
        }
    }

    impl Files for Driver {
        fn read(&self, path: &str) -> io::Result<Vec<u8>> {
            self.tree.lock().unwrap().read(path)
        }
        fn list(&self, directory: &str) -> io::Result<Vec<String>> {
            self.tree.lock().unwrap().list(directory)
        }
        fn write(&self, path: &str, text: &str) -> io::Result<()> {
            self.written.lock().unwrap().push((path.to_owned(), text.to_owned()));
            Ok(())
        }
    }

    #[test]
    fn an_unused_gpu_is_switched_on_and_waited_for() {
        let driver = Driver::new(&["power"]);
        assert!(never_powered_on(&driver));
        let mut checks = 0;
        let outcome = power_on(&driver, || {
            checks += 1;
            if checks == 3 {
                driver.tree.lock().unwrap().set("dev/nvgpu/igpu0/as", "");
            }
            true
        });
        assert_eq!((outcome.unwrap(), checks), (Outcome::Changed, 3));
        let written = driver.written.into_inner().unwrap();
        assert_eq!(written, [("dev/nvgpu/igpu0/power".to_owned(), "1".to_owned())]);
    }

    #[test]
    fn a_gpu_that_is_on_or_missing_is_left_alone() {
        for nodes in [&["power", "as"][..], &[], &["as"]] {
            let driver = Driver::new(nodes);
            assert_eq!(power_on(&driver, || false).unwrap(), Outcome::Unchanged);
            assert!(driver.written.into_inner().unwrap().is_empty());
        }
    }

    #[test]
    fn missing_nodes_and_a_refusal_are_errors() {
        let error = power_on(&Driver::new(&["power"]), || false).unwrap_err();
        assert!(matches!(error, PowerOnError::NoNodes { .. }), "{error}");
        let mut captured = CapturedTree::default();
        captured.set("dev/nvgpu/igpu0/power", "");
        let error = power_on(&captured, || false).unwrap_err();
        assert_eq!(error.to_string(), "cannot switch the GPU on by /dev/nvgpu/igpu0/power");
    }
}
