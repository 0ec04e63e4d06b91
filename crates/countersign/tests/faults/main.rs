//! Temporary driver.
#[path = "../whole/connection.rs"]
mod connection;
#[path = "../whole/crash.rs"]
mod crash;
#[path = "../whole/disk.rs"]
mod disk;
#[path = "../whole/ledger.rs"]
mod ledger;
#[path = "../whole/manager.rs"]
mod manager;
#[path = "../whole/power_loss.rs"]
mod power_loss;
#[path = "../whole/random.rs"]
mod random;
mod server;
