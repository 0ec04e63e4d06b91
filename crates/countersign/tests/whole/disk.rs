//! A disk that can lose power and fail: a directory behind `tests/shim/disk.c`, which says what the rules are.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::server::{ACCOUNT, Launch, TOKEN};

/// Where the C sources are.
const SHIM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/shim");

/// What can go wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// There is no space.
    Full,
    /// It was mounted again, for reading only.
    ReadOnly,
    /// Nothing can be made durable.
    Sync,
    /// Once, something cannot be made durable.
    SyncOnce,
}

impl Fault {
    fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::ReadOnly => "readonly",
            Self::Sync => "sync",
            Self::SyncOnce => "sync-once",
        }
    }
}

/// A disk, with one process at a time.
pub(crate) struct Disk {
    directory: TempDir,
}

impl Disk {
    /// An empty one.
    pub(crate) fn new() -> Self {
        let disk =
            Self { directory: tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory") };
        fs::create_dir(disk.live()).expect("a directory");
        fs::create_dir(disk.path("durable")).expect("a directory");
        compile_shim("disk.c", &disk.library());
        disk
    }

    /// What processes see.
    pub(crate) fn live(&self) -> PathBuf {
        self.path("live")
    }

    /// A server whose data directory is on it.
    pub(crate) fn launch(&self) -> Launch {
        let launch = self.bare_launch().env("COUNTERSIGN_ROOT_ACCOUNT_ID", ACCOUNT);
        launch.env("COUNTERSIGN_ROOT_TOKEN", TOKEN).without_login_limits()
    }

    /// As [`Disk::launch`], with nothing said about the root.
    pub(crate) fn bare_launch(&self) -> Launch {
        let launch = Launch::at(&self.live());
        self.environment().into_iter().fold(launch, |launch, (name, path)| launch.env(name, path))
    }

    /// What makes a process use it.
    fn environment(&self) -> [(&'static str, PathBuf); 4] {
        [
            ("LD_PRELOAD", self.library()),
            ("TEST_DISK_LIVE", self.live()),
            ("TEST_DISK_DURABLE", self.path("durable")),
            ("TEST_DISK_FAULT", self.path("fault")),
        ]
    }

    /// From now on this goes wrong.
    pub(crate) fn fail(&self, fault: Fault) {
        // Renamed, so that nobody reads half a word.
        fs::write(self.path("fault.next"), fault.word()).expect("a file");
        fs::rename(self.path("fault.next"), self.path("fault")).expect("a file");
    }

    /// From now on all is well again.
    pub(crate) fn heal(&self) {
        fs::remove_file(self.path("fault")).expect("a fault");
    }

    /// Whether something still goes wrong, or will.
    pub(crate) fn is_failing(&self) -> bool {
        self.path("fault").exists()
    }

    /// What a power cut leaves of it. The process that used it has ended.
    pub(crate) fn cut(self) -> Self {
        let after = Self::new();
        let durable = self.path("durable").join("names");
        // A process that did not even come to life has left everything as it was.
        let left = if durable.exists() { durable } else { self.live() };
        for entry in fs::read_dir(left).expect("what is durable") {
            let entry = entry.expect("a file");
            fs::copy(entry.path(), after.live().join(entry.file_name())).expect("a copy");
        }
        after
    }

    /// The library that makes a process use it.
    pub(crate) fn library(&self) -> PathBuf {
        self.path("disk.so")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

fn compile(options: &[&str], source: &str, output: &Path) {
    let mut compiler = Command::new("cc");
    compiler.args(["-O1", "-Wall", "-Wextra", "-Werror"]).args(options);
    compiler.arg(Path::new(SHIM).join(source)).arg("-o").arg(output);
    assert!(
        compiler.status().expect("a C compiler, which the embedded store needs too").success(),
        "{source}"
    );
}

/// A library to be preloaded.
pub(crate) fn compile_shim(source: &str, output: &Path) {
    compile(&["-shared", "-fPIC", "-pthread"], source, output);
}

/// A disk that kept everything, or nothing, would prove nothing.
#[test]
fn a_power_cut_leaves_what_was_synced_and_nothing_else() {
    let disk = Disk::new();
    fs::write(disk.live().join("there-before"), "kept").expect("a file");
    let probe = disk.path("probe");
    compile(&[], "disk_probe.c", &probe);
    let status = Command::new(&probe).arg(disk.live()).envs(disk.environment()).status().expect("the probe");
    assert!(status.success());

    let left = disk.cut();
    let mut found: Vec<(String, String)> = fs::read_dir(left.live())
        .expect("a directory")
        .map(|entry| entry.expect("a file"))
        .map(|entry| {
            let content = fs::read_to_string(entry.path()).expect("text");
            (entry.file_name().to_string_lossy().into_owned(), content)
        })
        .collect();
    found.sort();
    let wanted = [
        ("cut", "whole"),
        ("cut-and-grown", "w\0\0!"),
        ("emptied", "x"),
        ("new-name", "renamed"),
        ("not-synced", ""),
        ("overwritten", "old"),
        ("overwritten-synced", "nld"),
        ("synced", "kept"),
        ("there-before", "kept"),
    ];
    assert_eq!(found, wanted.map(|(name, content)| (name.to_owned(), content.to_owned())));
}

/// The faults too must be real ones.
#[test]
fn a_disk_fails_as_it_is_told() {
    let written = |fault: Option<Fault>| {
        let disk = Disk::new();
        if let Some(fault) = fault {
            disk.fail(fault);
        }
        let mut writer = Command::new("dd");
        writer.args(["if=/dev/zero", "bs=1", "count=1", "conv=fsync", "status=none"]);
        writer.arg(format!("of={}", disk.live().join("file").display()));
        let output = writer.env("LC_ALL", "C").envs(disk.environment()).output().expect("dd");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(written(None), (true, String::new()));
    for (fault, message) in [
        (Fault::Full, "No space left on device"),
        (Fault::ReadOnly, "Read-only file system"),
        (Fault::Sync, "Input/output error"),
        (Fault::SyncOnce, "Input/output error"),
    ] {
        let (well, said) = written(Some(fault));
        assert!(!well && said.contains(message), "{fault:?}: {said}");
    }
}
