//! The captured trees, in memory and on disk.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bij_jetson::{CapturedTree, Files, Hardware, HardwareReading, JetsonClocks, Nvpmodel};
use tempfile::TempDir;

pub(crate) const JETPACK_5: &str = "agx-orin-jp5";
pub(crate) const JETPACK_6: &str = "agx-orin-jp6";
pub(crate) const PC: &str = "generic-pc";
pub(crate) const IGX_THOR: &str = "igx-thor";
pub(crate) const XAVIER_NX: &str = "xavier-nx";
pub(crate) const AGX_THOR: &str = "agx-thor";
pub(crate) const JETSON_NANO: &str = "jetson-nano";
pub(crate) const JETSON_TX2: &str = "jetson-tx2";
pub(crate) const ALL: [&str; 8] =
    [JETPACK_5, JETPACK_6, PC, IGX_THOR, XAVIER_NX, AGX_THOR, JETSON_NANO, JETSON_TX2];

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(path)
}

pub(crate) fn captured(name: &str) -> CapturedTree {
    CapturedTree::load(here("trees").join(name)).unwrap()
}

pub(crate) fn sample(tree: impl Files + 'static) -> HardwareReading {
    Hardware::new(Arc::new(tree)).sample()
}

/// A board on disk, with the stand-ins of NVIDIA's tools.
pub(crate) struct Board {
    directory: TempDir,
}

impl Board {
    pub(crate) fn unpack(tree: &CapturedTree) -> Self {
        let directory = TempDir::new().unwrap();
        tree.unpack(directory.path()).unwrap();
        let board = Self { directory };
        for (tool, at) in [("nvpmodel", "usr/sbin"), ("jetson_clocks", "usr/bin")] {
            std::fs::create_dir_all(board.path(at)).unwrap();
            symlink(here("stand-ins").join(tool), board.path(at).join(tool)).unwrap();
        }
        board
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    pub(crate) fn machine(&self) -> Hardware {
        Hardware::open(&self.directory).unwrap()
    }

    pub(crate) fn faults(&self, faults: &str) {
        std::fs::write(self.path("faults"), format!("{faults}\n")).unwrap();
    }

    pub(crate) fn text(&self, path: &str) -> String {
        std::fs::read_to_string(self.path(path)).unwrap()
    }

    pub(crate) fn nvpmodel(&self) -> Nvpmodel {
        Nvpmodel::below(&self.directory)
    }

    pub(crate) fn clocks(&self) -> JetsonClocks {
        JetsonClocks::below(&self.directory, self.path("stored-clocks"))
    }
}
