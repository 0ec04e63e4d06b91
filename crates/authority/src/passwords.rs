//! Hashing passwords: slow on purpose, so it happens away from the threads that serve requests, and not too often at
//! once.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash as Phc;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use countersign_domain::entropy::Entropy;
use countersign_domain::error::Error;
use countersign_domain::password::{Password, PasswordHash};
use tokio::sync::Semaphore;

/// Bytes of a salt (RFC 9106, 3.1).
const SALT: usize = 16;
/// Most requests that wait for their turn. Each turn takes some tens of milliseconds.
const MOST_WAITING: usize = 64;

/// What is compared with where there is nothing to compare with, so that both take equally long: with the parameters of
/// the others, and of no password.
const OF_NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$BwcHBwcHBwcHBwcHBwcHBw$\
                         AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Hashes passwords and compares them, a bounded number at once: each takes 19 MB and a core for a while.
pub(crate) struct Passwords {
    /// Who is being served.
    turns: Arc<Semaphore>,
    /// Who is being served or waits.
    seats: Semaphore,
    entropy: Arc<dyn Entropy>,
}

impl Passwords {
    pub(crate) fn new(at_once: usize, entropy: Arc<dyn Entropy>) -> Self {
        let at_once = at_once.max(1);
        Self {
            turns: Arc::new(Semaphore::new(at_once)),
            seats: Semaphore::new(at_once + MOST_WAITING),
            entropy,
        }
    }

    /// What is kept of a password.
    pub(crate) async fn hash(&self, password: Password) -> Result<PasswordHash, Error> {
        let mut salt = [0; SALT];
        self.entropy.fill(&mut salt);
        self.in_turn(move || hash(&password, &salt)).await?.map_err(|error| fault(error.to_string()))
    }

    /// Whether the password is the one that was hashed. Without a hash it takes as long and is not.
    pub(crate) async fn verify(
        &self,
        password: Password,
        hash: Option<&PasswordHash>,
    ) -> Result<bool, Error> {
        let is_somebody = hash.is_some();
        let hash = hash.cloned().unwrap_or_else(|| PasswordHash::from_phc(OF_NOBODY));
        let is_right = self.in_turn(move || verify(&password, &hash)).await?;
        Ok(is_somebody && is_right)
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let _seat = self.seats.try_acquire().map_err(|_| Error::busy())?;
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| Error::busy())?;
        // The turn goes with the work: a client that leaves does not make room for another one's before it is done.
        let work = move || {
            let result = work();
            drop(turn);
            result
        };
        tokio::task::spawn_blocking(work).await.map_err(|error| fault(error.to_string()))
    }
}

fn fault(cause: String) -> Error {
    Error::Store(countersign_domain::store::StoreError::Unavailable(cause.into()))
}

/// argon2id with the parameters that OWASP recommends first: 19 MiB, 2 passes, 1 lane.
fn hasher() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT)
}

fn hash(password: &Password, salt: &[u8; SALT]) -> Result<PasswordHash, argon2::password_hash::Error> {
    let phc: Phc = hasher().hash_password_with_salt(password.reveal().as_bytes(), salt)?;
    Ok(PasswordHash::from_phc(&phc.to_string()))
}

fn verify(password: &Password, hash: &PasswordHash) -> bool {
    let phc = Phc::new(hash.as_phc());
    phc.is_ok_and(|phc| hasher().verify_password(password.reveal().as_bytes(), &phc).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Zero;

    impl Entropy for Zero {
        fn fill(&self, out: &mut [u8]) {
            out.fill(7);
        }
    }

    #[tokio::test]
    async fn only_the_right_one() {
        let passwords = Passwords::new(2, Arc::new(Zero));
        let right = Password::presented("Secret!1");
        let kept = passwords.hash(right.clone()).await.unwrap();
        assert!(kept.as_phc().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", kept.as_phc());
        assert!(passwords.verify(right.clone(), Some(&kept)).await.unwrap());
        assert!(!passwords.verify(Password::presented("secret!1"), Some(&kept)).await.unwrap());
        assert!(!passwords.verify(right, None).await.unwrap());
        assert!(!passwords.verify(Password::presented(""), None).await.unwrap());
        assert!(
            !passwords.verify(Password::presented("x"), Some(&PasswordHash::from_phc(""))).await.unwrap()
        );
        let of_nobody = Phc::new(OF_NOBODY).unwrap();
        let ours = Phc::new(kept.as_phc()).unwrap();
        assert_eq!((of_nobody.algorithm, &of_nobody.params), (ours.algorithm, &ours.params));
        assert_eq!(of_nobody.hash.map(|hash| hash.len()), ours.hash.map(|hash| hash.len()));
    }

    #[tokio::test]
    async fn who_finds_no_seat_is_told_to_come_again() {
        let passwords = Passwords::new(1, Arc::new(Zero));
        let all = passwords.seats.try_acquire_many((1 + MOST_WAITING) as u32).unwrap();
        let refused = passwords.verify(Password::presented("x"), None).await;
        assert!(matches!(refused, Err(Error::Busy { .. })), "{refused:?}");
        drop(all);
        assert!(passwords.verify(Password::presented("x"), None).await.is_ok());
    }
}
