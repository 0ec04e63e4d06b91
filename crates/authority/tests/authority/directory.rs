//! What the doors know follows what was committed, and nothing old comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use countersign_authority::Directory;
use countersign_domain::account::{AccountFact, AccountState, Epoch};
use countersign_domain::change::FactChange;
use countersign_domain::fact::{CredentialKey, Fact};
use countersign_domain::id::{AccountId, Handle};
use countersign_domain::lineage::Lineage;
use countersign_domain::store::Version;

use crate::world::World;

fn account(number: u8, parent: Option<u8>, enabled: bool, version: u64) -> FactChange {
    let id = |number| AccountId::from_bytes([number; 16]);
    FactChange::Account(AccountFact {
        id: id(number),
        parent: parent.map(id),
        state: if enabled { AccountState::Enabled } else { AccountState::Disabled },
        epoch: Epoch::FIRST,
        version: Version::from_number(version),
    })
}

async fn fact() -> Fact {
    let world = World::new().await;
    let (token, _) = world.issue("1h").await;
    Fact { account: AccountId::from_bytes([2; 16]), ..Fact::from(&token) }
}

#[tokio::test]
async fn an_older_fact_is_ignored() {
    let directory = Directory::default();
    directory.learn(account(2, None, true, 1));
    let at = |version: u64, enabled, fact: &Fact| {
        FactChange::Credential(Fact { version: Version::from_number(version), enabled, ..fact.clone() })
    };
    let fact = fact().await;
    let is_enabled = || directory.find(&fact.key()).map(|known| known.fact.enabled);
    directory.learn(at(2, false, &fact));
    directory.learn(at(1, true, &fact));
    directory.learn(at(2, true, &fact));
    assert_eq!(is_enabled(), Some(false));
    directory.learn(at(3, true, &fact));
    assert_eq!(is_enabled(), Some(true));
    let gone =
        |version| FactChange::CredentialGone { key: fact.key(), version: Version::from_number(version) };
    directory.learn(gone(3));
    assert_eq!(is_enabled(), Some(true), "gone before this version");
    directory.learn(gone(4));
    assert_eq!(is_enabled(), None);
}

#[tokio::test]
async fn an_account_stops_everything_below_it() {
    let directory = Directory::default();
    directory.learn(account(1, None, true, 1));
    directory.learn(account(2, Some(1), true, 1));
    directory.learn(FactChange::Credential(fact().await));
    let known = directory.find(&fact().await.key()).unwrap();
    assert!(known.chain().unwrap().is_enabled());
    directory.learn(account(1, None, false, 2));
    assert!(!known.chain().unwrap().is_enabled(), "seen through a fact that was found before");
    directory.learn(account(1, None, true, 1));
    assert!(!known.chain().unwrap().is_enabled(), "an older row does not bring it back");
}

#[tokio::test]
async fn orphans_are_not_served() {
    let directory = Directory::default();
    directory.learn(FactChange::Credential(fact().await));
    assert!(directory.find(&fact().await.key()).is_none());
    directory.learn(account(2, Some(1), true, 1));
    assert!(directory.chain(AccountId::from_bytes([2; 16])).is_none());
}

/// Readers on other threads: once a removal has returned, no later look finds the credential.
#[tokio::test]
async fn gone_is_gone_for_every_thread() {
    let directory = Arc::new(Directory::default());
    directory.learn(account(2, None, true, 1));
    let fact = fact().await;
    let key: CredentialKey = fact.key();
    for version in 1..200u64 {
        let there = Fact { version: Version::from_number(version * 2), ..fact.clone() };
        directory.learn(FactChange::Credential(there));
        let gone = Arc::new(AtomicBool::new(false));
        let reader = std::thread::spawn({
            let (directory, gone) = (Arc::clone(&directory), Arc::clone(&gone));
            move || {
                loop {
                    let was_gone_before = gone.load(Ordering::SeqCst);
                    let found = directory.find(&key).is_some();
                    assert!(!(was_gone_before && found));
                    if was_gone_before {
                        return;
                    }
                }
            }
        });
        directory.learn(FactChange::CredentialGone { key, version: Version::from_number(version * 2 + 1) });
        gone.store(true, Ordering::SeqCst);
        reader.join().unwrap();
    }
}

/// As above, for what ended with a token above it: it is never found without that, though the cut is healed as soon as it
/// is gone.
#[tokio::test]
async fn what_is_cut_is_cut_until_it_is_gone() {
    let directory = Arc::new(Directory::default());
    directory.learn(account(2, None, true, 1));
    let above: Handle = "a".repeat(22).parse().unwrap();
    let fact = Fact { lineage: Lineage::of(&[above]).unwrap(), ..fact().await };
    let key = fact.key();
    // Odd while it is cut, or gone.
    let (turn, found_cut) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let reader = std::thread::spawn({
        let (directory, turn, found_cut) =
            (Arc::clone(&directory), Arc::clone(&turn), Arc::clone(&found_cut));
        move || {
            while turn.load(Ordering::SeqCst) != u64::MAX {
                let before = turn.load(Ordering::SeqCst);
                let found = directory.look_for(&key);
                let was_cut = before % 2 == 1 && turn.load(Ordering::SeqCst) == before;
                if let Some(found) = found.filter(|_| was_cut) {
                    assert!(found.is_cut);
                    found_cut.fetch_add(1, Ordering::SeqCst);
                }
            }
        }
    });
    let mut version = 0;
    while (version < 40_000 || found_cut.load(Ordering::SeqCst) < 100) && !reader.is_finished() {
        version += 2;
        let there = Fact { version: Version::from_number(version), ..fact.clone() };
        directory.learn(FactChange::Credential(there));
        directory.learn(FactChange::Cut(above));
        turn.store(version - 1, Ordering::SeqCst);
        directory.learn(FactChange::CredentialGone { key, version: Version::from_number(version + 1) });
        directory.learn(FactChange::CutHealed(above));
        turn.store(version, Ordering::SeqCst);
    }
    turn.store(u64::MAX, Ordering::SeqCst);
    reader.join().unwrap();
}
