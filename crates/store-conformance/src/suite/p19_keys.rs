//! Promise 19: keys that sign are as they were added, in their order, and gone when they are removed.

use countersign_domain::access_token::Sealed;
use countersign_domain::change::Mutation;
use countersign_domain::signing_key::{KeyGeneration, SealedKey};
use countersign_domain::store::{StoreError, Version};

use crate::world::{Make, World, assert_refused, must};

/// A generation of keys that are none.
pub(crate) fn key_generation(number: u32, world: &World) -> KeyGeneration {
    let key = |name: u8| SealedKey {
        public: vec![name, 0, 255, number as u8].into(),
        private: Sealed::from_bytes(&[255, name, 0, number as u8]),
    };
    let created_at = world.tick();
    KeyGeneration {
        number,
        ed25519: key(1),
        p256: key(2),
        rsa: key(3),
        rsa_certificate: vec![48, number as u8, 0].into(),
        created_at,
        signs_from: world.tick(),
        interval_days: 42,
        version: Version::FIRST,
    }
}

/// Promise 19.
pub async fn promise_19(make: Make<'_>) {
    let world = World::new(make).await;
    let load = || world.store.load_key_generations();
    assert_eq!(must(load().await), []);
    let (first, second) = (key_generation(1, &world), key_generation(2, &world));
    let add =
        |generation: &KeyGeneration| world.apply(Mutation::AddKeyGeneration(Box::new(generation.clone())));
    must(add(&second).await);
    must(add(&first).await);
    world.sink.take();
    assert_eq!(must(load().await), [first.clone(), second.clone()]);
    assert_refused!(add(&key_generation(2, &world)).await, StoreError::Duplicate);

    let schedule =
        |number, expected, days| world.apply(Mutation::ReplaceKeyInterval { number, expected, days });
    must(schedule(2, second.version, 365).await);
    assert_refused!(schedule(2, second.version, 21).await, StoreError::Stale);
    assert_refused!(schedule(3, Version::FIRST, 21).await, StoreError::NotFound);
    let second = KeyGeneration { interval_days: 365, version: second.version.next(), ..second };
    assert_eq!(must(load().await), [first.clone(), second.clone()]);

    let remove = |number, expected| world.apply(Mutation::RemoveKeyGeneration { number, expected });
    assert_refused!(remove(1, first.version.next()).await, StoreError::Stale);
    must(remove(1, first.version).await);
    assert_refused!(remove(1, first.version).await, StoreError::NotFound);
    assert_eq!(must(load().await), [second]);
}
