//! The machines of `docs/operating.md`, each a directory of this one, and what is pasted there.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use countersign_postgres_cluster::{PROGRAMS, as_other_user};
use rustix::process::{Signal, getuid};

use crate::handbook::{Block, Handbook, Machine, Purpose};
use crate::proxy::free_address;
use crate::unit::{Service, Surroundings, Unit};

/// What is below the directory of the machine instead. Other paths are those of the machine that tests.
const OWN_PATHS: [&str; 4] = ["/etc/", "/run/", "/usr/local/bin/", "/var/lib/"];
/// Stands for the directory of all machines, while paths are replaced.
const SITE: char = '\u{1}';

/// Some machines, and the page by which they are set up.
pub(crate) struct Site {
    directory: tempfile::TempDir,
    pub(crate) handbook: Handbook,
    addresses: BTreeMap<Machine, SocketAddr>,
    services: BTreeMap<(Machine, String), Service>,
    /// The sections that were followed.
    followed: Vec<&'static str>,
}

impl Site {
    /// Bare machines, on which PostgreSQL is installed, and Countersign on nodes.
    pub(crate) fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("operating-").tempdir().expect("a directory");
        // The user who runs PostgreSQL is somebody else.
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).expect("it is ours");
        let addresses = Machine::ALL.map(|machine| (machine, free_address())).into();
        let (services, followed) = (BTreeMap::new(), Vec::new());
        let site = Self { directory, handbook: Handbook::read(), addresses, services, followed };
        for machine in Machine::ALL {
            for path in OWN_PATHS.map(|path| path.trim_start_matches('/')).into_iter().chain(["root"]) {
                fs::create_dir_all(site.root(machine).join(path)).expect("a directory");
            }
        }
        for node in [Machine::Node1, Machine::Node2] {
            for place in ["usr/local/bin/countersign", "root/countersign"] {
                let place = site.root(node).join(place);
                fs::copy(env!("CARGO_BIN_EXE_countersign"), place).expect("room on the disk");
            }
        }
        site
    }

    /// Where a machine is reached: a node, or a database.
    pub(crate) fn address(&self, machine: Machine) -> SocketAddr {
        self.addresses[&machine]
    }

    /// What stands for `/`.
    pub(crate) fn root(&self, machine: Machine) -> PathBuf {
        self.directory.path().join(directory_of(machine))
    }

    fn surroundings(&self, machine: Machine) -> Surroundings {
        let root = self.root(machine);
        Surroundings { log: root.join("log"), root }
    }

    /// What the services of a machine have written.
    pub(crate) fn log(&self, machine: Machine) -> String {
        self.surroundings(machine).said()
    }

    /// Pastes all blocks below a heading, one after the other; gives what they print.
    pub(crate) fn follow(&mut self, section: &'static str) -> String {
        self.followed.push(section);
        let blocks = self.handbook.blocks.iter().filter(|block| block.section == section);
        let blocks: Vec<Block> = blocks.cloned().collect();
        assert!(!blocks.is_empty(), "there is nothing to paste below `{section}`");
        let mut printed = String::new();
        for block in blocks {
            for machine in block.machines {
                match &block.purpose {
                    Purpose::Write(path) => self.write(machine, path, &block.text),
                    Purpose::Run => printed += &self.run(machine, &block.text),
                }
            }
        }
        printed
    }

    /// Writes the units of the page, and nothing else; gives where they are.
    pub(crate) fn write_units(&self) -> Vec<PathBuf> {
        let mut units = Vec::new();
        for block in &self.handbook.blocks {
            if let Purpose::Write(path) = &block.purpose
                && path.ends_with(".service")
            {
                self.write(block.machines[0], path, &block.text);
                units.push(self.root(block.machines[0]).join(path.trim_start_matches('/')));
            }
        }
        units
    }

    /// The sections with something to paste that was not pasted.
    pub(crate) fn left_out(&self) -> Vec<&str> {
        let sections = self.handbook.blocks.iter().map(|block| &*block.section);
        sections.filter(|section| !self.followed.contains(section)).collect()
    }

    /// The text as it is for these machines: paths are below their directories, names lead to ports of this one.
    fn adapt(&self, machine: Machine, text: &str) -> String {
        let [db1, db2] = [Machine::Db1, Machine::Db2].map(|server| self.address(server).port());
        let own_port = self.address(machine).port();
        let mut pairs = vec![
            ("scp ".to_owned(), "cp ".to_owned()),
            ("host=db1 ".to_owned(), format!("host=db1 hostaddr=127.0.0.1 port={db1} ")),
            ("host=db2 ".to_owned(), format!("host=db2 hostaddr=127.0.0.1 port={db2} ")),
            (
                "@db1,db2/countersign?".to_owned(),
                format!("@db1:{db1},db2:{db2}/countersign?hostaddr=127.0.0.1,127.0.0.1&"),
            ),
            ("listen_addresses = '*'".to_owned(), "listen_addresses = '127.0.0.1'".to_owned()),
            ("port = 5432".to_owned(), format!("port = {own_port}")),
            ("10.0.0.0/24".to_owned(), "127.0.0.1/32".to_owned()),
            ("0.0.0.0:8787".to_owned(), format!("127.0.0.1:{own_port}")),
            ("http://127.0.0.1:8787".to_owned(), format!("http://127.0.0.1:{own_port}")),
        ];
        if !getuid().is_root() {
            // Then this user is everybody.
            for words in ["runuser -u postgres -- ", "-o postgres -g postgres ", "chown postgres:postgres "] {
                let instead = if words.starts_with("chown") { "true " } else { "" };
                pairs.push((words.to_owned(), instead.to_owned()));
            }
        }
        let here = format!("{SITE}{}", directory_of(machine));
        pairs.extend(OWN_PATHS.map(|path| (path.to_owned(), format!("{here}{path}"))));
        for other in Machine::ALL {
            pairs.push((format!("root@{}:{here}", other.name()), format!("{SITE}{}", directory_of(other))));
        }
        pairs.push((SITE.to_string(), format!("{}/", self.directory.path().display())));
        pairs.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
    }

    fn write(&self, machine: Machine, path: &str, text: &str) {
        let path = self.root(machine).join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        fs::write(&path, self.adapt(machine, text)).expect("room on the disk");
    }

    /// Runs commands; what is said to systemd is done by [`Site::systemctl`].
    fn run(&mut self, machine: Machine, text: &str) -> String {
        let (mut printed, mut commands) = (String::new(), String::new());
        for line in text.lines() {
            match line.strip_prefix("systemctl ") {
                Some(words) => {
                    printed += &self.shell(machine, &std::mem::take(&mut commands));
                    self.systemctl(machine, words);
                }
                None => commands.extend([line, "\n"]),
            }
        }
        printed + &self.shell(machine, &commands)
    }

    fn shell(&self, machine: Machine, commands: &str) -> String {
        let commands = self.adapt(machine, commands);
        let mut shell = Command::new("sh");
        shell.args(["-eu", "-c", &commands]).env_clear().current_dir(self.root(machine).join("root"));
        shell.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        shell.env("PGPORT", self.address(machine).port().to_string());
        let output = shell.stdin(Stdio::null()).output().expect("a shell");
        let [said, errors] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
        assert!(
            output.status.success(),
            "on {}:\n{commands}\n{said}{errors}\n{}",
            machine.name(),
            self.log(machine)
        );
        said.into_owned()
    }

    fn systemctl(&mut self, machine: Machine, words: &str) {
        match words.split(' ').collect::<Vec<_>>()[..] {
            ["daemon-reload"] => {}
            ["enable", "--now", unit] | ["start", unit] => self.start(machine, unit),
            ["stop", unit] => self.stop(machine, unit),
            ["restart", unit] => {
                self.stop(machine, unit);
                self.start(machine, unit);
            }
            _ => panic!("on {}: systemctl {words}", machine.name()),
        }
    }

    /// As `systemctl start`, which does nothing for a service that runs.
    pub(crate) fn start(&mut self, machine: Machine, unit: &str) {
        let path = self.root(machine).join(format!("etc/systemd/system/{unit}.service"));
        let surroundings = self.surroundings(machine);
        let key = (machine, unit.to_owned());
        self.services.entry(key).or_insert_with(|| Unit::read(unit, &path).start(&surroundings));
    }

    fn stop(&mut self, machine: Machine, unit: &str) {
        if let Some(service) = self.services.remove(&(machine, unit.to_owned())) {
            service.stop();
        }
    }

    /// Ends the database of a machine as by a crash.
    pub(crate) fn crash_database(&mut self, machine: Machine) {
        let service = self.services.remove(&(machine, "countersign-postgresql".to_owned()));
        service.expect("it runs").end_by(Signal::QUIT);
    }

    /// What the database of a machine answers.
    pub(crate) fn psql(&self, machine: Machine, statement: &str) -> String {
        let mut command = as_other_user(&Path::new(PROGRAMS).join("psql")).expect("a user");
        command.args([
            "--no-psqlrc",
            "--tuples-only",
            "--no-align",
            "--dbname=postgres",
            "--command",
            statement,
        ]);
        command.arg("--host").arg(self.root(machine).join("run/countersign-postgresql"));
        command.arg("--port").arg(self.address(machine).port().to_string());
        let output = command.env_remove("PGHOST").stdin(Stdio::null()).output().expect("psql");
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }
}

fn directory_of(machine: Machine) -> String {
    machine.name().replace(' ', "-")
}
