//! Temporary.
use std::fs::File;
use std::io::Read as _;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::connection::Connection;
use crate::ledger::Office;

pub(crate) const ACCOUNT: &str = "0192f3c4a5b67c8d9e0f1a2b3c4d5e6f";
pub(crate) const TOKEN: &str = "root-token-of-the-tests-0123456789-abcdefg";

pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    log: PathBuf,
}

impl Server {
    pub(crate) fn spawn(data: &Path, environment: &[(&str, PathBuf)], log: &Path) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let file = File::create(log).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_countersign"))
            .args(["serve", "--listen", &address.to_string(), "--data"])
            .arg(data)
            .env("COUNTERSIGN_ROOT_ACCOUNT_ID", ACCOUNT)
            .env("COUNTERSIGN_ROOT_TOKEN", TOKEN)
            .envs(environment.iter().cloned())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        Self { child, address, log: log.to_owned() }
    }

    pub(crate) fn start(data: &Path, environment: &[(&str, PathBuf)], log: &Path) -> Self {
        let mut server = Self::spawn(data, environment, log);
        let since = Instant::now();
        loop {
            let answer = Connection::open(server.address).and_then(|mut c| c.ask("GET", "/readyz", &[], b""));
            if answer.is_ok_and(|a| a.status == 200) {
                return server;
            }
            let ended = server.child.try_wait().unwrap();
            assert!(
                ended.is_none() && since.elapsed() < Duration::from_secs(30),
                "{ended:?} {}",
                server.log()
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub(crate) fn log(&self) -> String {
        let mut text = String::new();
        File::open(&self.log).unwrap().read_to_string(&mut text).unwrap();
        text
    }

    pub(crate) fn office(&self) -> Office<'static> {
        Office { address: self.address, account: ACCOUNT, token: TOKEN }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
