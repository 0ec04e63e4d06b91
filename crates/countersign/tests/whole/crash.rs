//! Design invariant 4: `kill -9` at any moment loses nothing that was acknowledged, and leaves nothing by halves.

use std::thread::sleep;
use std::time::Duration;

use countersign_domain::audit::Action;
use serde_json::json;

use crate::ledger::Ledger;
use crate::many::until;
use crate::random::Random;
use crate::server::{ACCOUNT, Data, Launch, Server, TOKEN};

/// How many managers work at once.
const CLERKS: u64 = 6;
/// How often the server is killed.
const KILLS: u64 = 40;
/// How many times as often where it does so little between two kills that some kind of change was not among it.
const MOST_ROUNDS: u64 = 4;
/// The variable that says otherwise: `cargo xtask soak` asks for hundreds.
const KILLS_VARIABLE: &str = "COUNTERSIGN_TEST_KILLS";
/// Longest time that the server is let work, in milliseconds.
const LONGEST_LIFE: u64 = 800;
/// About how long it takes to start, in milliseconds.
const LONGEST_BIRTH: u64 = 40;
/// And to end.
const LONGEST_DEATH: u64 = 20;

#[test]
fn a_killed_server_has_done_what_it_acknowledged_and_nothing_by_halves() {
    let kills = std::env::var(KILLS_VARIABLE).map_or(KILLS, |text| text.parse().expect("a number"));
    let data = Data::new();
    let mut random = Random::seeded(kills);
    let mut ledger = Ledger::new(CLERKS);
    let mut keys = Keys::default();
    for kill in 1..=MOST_ROUNDS * kills {
        if kill > kills && missing(&ledger).is_empty() {
            break;
        }
        if kill % 4 == 1 {
            // While it starts: the first time without a database, later with a log to recover.
            let mut server = Launch::new(&data).spawn();
            sleep(Duration::from_millis(random.below(LONGEST_BIRTH)));
            server.kill().expect("it runs");
            server.wait().expect("it ends");
            continue;
        }
        let server = Launch::new(&data).without_login_limits().start();
        ledger.check(server.address());
        keys.check_and_change(&server);
        let life = Duration::from_millis(random.below(LONGEST_LIFE));
        ledger.work(server.address(), |_| {
            sleep(life);
            if kill % 8 == 0 {
                // While it ends: it was asked to, and is about to write what is pending.
                server.terminate();
                sleep(Duration::from_millis(random.below(LONGEST_DEATH)));
            }
            server.kill();
        });
    }
    let server = Server::start(&data);
    ledger.check_everything(server.address());
    let missing = missing(&ledger);
    assert!(missing.is_empty(), "no kill can have met {missing:?}: clerks and stewards do not do it");
    let (done, not_done) = (ledger.done_in_doubt, ledger.not_done);
    println!(
        "{kills} kills: {} acknowledged; of the rest {done} done, {not_done} not",
        ledger.progress.acknowledged()
    );
    assert!(ledger.progress.acknowledged() as u64 > 10 * kills, "hardly anything was put to the test");
    assert!(done + not_done > 0, "no kill came in time");
}

/// The interval in which keys take turns, which nobody else changes.
#[derive(Default)]
struct Keys {
    acknowledged: Option<u64>,
    next: u64,
}

impl Keys {
    fn check_and_change(&mut self, server: &Server) {
        let path = format!("/client/v4/accounts/{ACCOUNT}/access/keys");
        if let Some(acknowledged) = self.acknowledged {
            let (status, answer) = server.get(&path);
            let found = &answer["result"]["key_rotation_interval_days"];
            assert_eq!((status, found), (200, &json!(acknowledged)), "{answer}");
        }
        self.next = self.next % 300 + 1;
        let days = 21 + self.next;
        let set = || server.call("PUT", &path, TOKEN, Some(&json!({"key_rotation_interval_days": days}))).0;
        // At the first start they have to be made.
        until(|| set() == 200, || server.log());
        self.acknowledged = Some(days);
    }
}

/// What clerks and stewards have never done.
fn missing(ledger: &Ledger) -> Vec<Action> {
    let made = ledger.actions();
    // A restore is no work of a server; keys that are removed have signed for weeks.
    let not_here = [Action::RestoreStore, Action::ScheduleKeys, Action::RemoveKeys];
    let met = Action::ALL.into_iter().filter(|action| !not_here.contains(action));
    met.filter(|action| !made.contains(action.as_str())).collect()
}
