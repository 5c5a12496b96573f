//! The settings with which a unit can use the GPU of this machine, and nothing beyond it.

use std::fmt;

use crate::gpu::is_tegra_gpu;
use crate::{Files, Reading};

/// The device policy of a unit that may use the GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    pub fn find(files: &dyn Files) -> Reading<Self> {
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

#[cfg(test)]
mod tests {
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
}
