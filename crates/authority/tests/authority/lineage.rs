//! What a token was minted by, and ends with.

use countersign_authority::AccessTokenRequest;
use countersign_domain::access_token::AccessToken;
use countersign_domain::caller::Caller;
use countersign_domain::demand::Presented;
use countersign_domain::error::{Error, Field};
use countersign_domain::lifetime::Ttl;
use countersign_domain::lineage::Lineage;
use countersign_domain::secret::Secret;
use countersign_domain::verdict::Reason;

use crate::world::World;

const HOUR: u64 = 3_600;

impl World {
    /// Mints in the name of `minter`.
    async fn mint(&self, minter: &Caller, seconds: u64) -> Result<(AccessToken, Secret), Error> {
        let ttl = Ttl::from_number(i64::try_from(seconds).unwrap()).unwrap();
        let request = AccessTokenRequest { ttl, ..Default::default() };
        self.authority.issue_access_token(self.asked(minter), request).await
    }
}

#[tokio::test]
async fn an_expired_token_is_revoked_with_what_was_minted_since() {
    let world = World::new().await;
    let (leaked, text) = world.mint(&world.root_caller(), 2 * HOUR).await.unwrap();
    let (_, text) = world.mint(&world.caller(text.reveal()).unwrap(), 9 * HOUR).await.unwrap();
    let between = world.caller(text.reveal()).unwrap();
    world.advance(3 * HOUR);
    let (_, text) = world.mint(&between, 9 * HOUR).await.unwrap();
    // Without the token between, nothing but the lineage leads from the first to the last.
    let root = world.root_caller();
    world.authority.revoke_access_token(world.asked(&root), between.handle, false).await.unwrap();
    assert!(world.caller(text.reveal()).is_ok());

    world.authority.revoke_access_token(world.asked(&root), leaked.handle, true).await.unwrap();
    assert_eq!(world.caller(text.reveal()).unwrap_err(), Reason::Unknown);
}

/// The longest lineage of a token that its offspring replaces again and again.
async fn longest_when_replaced(every: u64) -> usize {
    let world = World::new().await;
    let (first, mut text) = world.mint(&world.root_caller(), every + 60).await.unwrap();
    let mut longest = 0;
    for _ in 0..100 {
        world.advance(every);
        world.authority.sweep().await.unwrap();
        let (token, next) = world.mint(&world.caller(text.reveal()).unwrap(), every + 60).await.unwrap();
        longest = longest.max(token.lineage.handles().len());
        text = next;
    }
    let root = world.root_caller();
    let gone = world.authority.revoke_access_token(world.asked(&root), first.handle, true).await;
    assert!(matches!(gone, Err(Error::NotFound)), "{gone:?}");
    longest
}

#[tokio::test]
async fn a_token_is_replaced_by_its_offspring_for_ever() {
    let hourly = longest_when_replaced(HOUR).await;
    assert!((24..Lineage::LONGEST).contains(&hourly), "{hourly}");
    assert_eq!(longest_when_replaced(HOUR / 4).await, Lineage::LONGEST);
}

#[tokio::test]
async fn there_is_an_end_to_minting_by_what_was_minted() {
    let world = World::new().await;
    let mut minters = vec![world.root_caller()];
    while minters.len() < Lineage::LONGEST {
        let (_, text) = world.mint(minters.last().unwrap(), HOUR).await.unwrap();
        minters.push(world.caller(text.reveal()).unwrap());
    }
    let (_, text) = world.mint(minters.last().unwrap(), HOUR).await.unwrap();
    let last = world.caller(text.reveal()).unwrap();
    let refused = world.mint(&last, HOUR).await.unwrap_err();
    assert!(matches!(refused, Error::Invalid { field: Field::Lineage, .. }), "{refused:?}");

    // One that is revoked makes place.
    let root = world.root_caller();
    world.authority.revoke_access_token(world.asked(&root), minters[1].handle, false).await.unwrap();
    assert_eq!(world.mint(&last, HOUR).await.unwrap().0.lineage.handles().len(), Lineage::LONGEST);
}

/// Another node has issued it, and this one has not heard so yet.
#[tokio::test]
async fn possession_ends_a_token_of_which_nothing_is_known_yet() {
    let world = World::new().await;
    let other = world.beside().await;
    let text = world.issue_access(3_600, None).await;
    assert_eq!(other.caller(text.reveal()).unwrap_err(), Reason::Unknown);

    let revoke = async || {
        let presented = Presented::access(text.reveal()).unwrap();
        other.authority.revoke_shown_access_token(&presented, &other.origin).await.unwrap()
    };
    assert!(revoke().await);
    assert_eq!(world.caller(text.reveal()).unwrap_err(), Reason::Unknown);
    assert!(!revoke().await, "there is none any more");
}
