//! The keys over time: read from the store, made in turn, removed when nobody needs them; and what is published of them.

use std::sync::Arc;
use std::time::Duration;

use countersign_domain::audit::{Action, Subject};
use countersign_domain::caller::Permission;
use countersign_domain::change::Mutation;
use countersign_domain::error::{Denial, Error, Field};
use countersign_domain::id::AccountId;
use countersign_domain::signing_key::{
    DEFAULT_INTERVAL_DAYS, INTERVAL_DAYS, KeyGeneration, PUBLISHED_AHEAD_OUT_OF_TURN, Turn,
};
use countersign_domain::store::StoreError;
use countersign_domain::time::Timestamp;
use tokio::task::spawn_blocking;

use super::key::{Algorithm, Jwk};
use super::{Signing, ring};
use crate::Authority;
use crate::change::{Asked, Deed, stated};

/// How often [`Authority::tend_keys`] wants to be called: each node hears of new keys long before they sign.
pub const TEND_KEYS_EVERY: Duration = Duration::from_secs(10);

/// When keys take turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeySchedule {
    /// How many days keys sign.
    pub interval_days: u16,
    /// How many days until the next ones do.
    pub days_until_next: u16,
    /// When those that sign began to.
    pub last_rotated_at: Timestamp,
}

/// A certificate of a key for RS256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The key's.
    pub kid: String,
    /// In PEM (RFC 7468).
    pub pem: String,
}

/// As every tool of TLS writes them on Unix.
const LINES: pem::EncodeConfig = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
/// Most generations that are made out of turn before the first of them is removed.
const MOST_GENERATIONS: usize = 32;
const DAY: Duration = Duration::from_secs(24 * 3600);

impl Authority {
    pub(crate) fn signing(&self) -> Result<&Signing, Error> {
        let missing = || StoreError::Unavailable("signed tokens are not set up".into());
        self.signing.as_deref().ok_or_else(missing).map_err(Error::Store)
    }

    /// Learns the keys, makes the next ones when it is time, and removes those that nobody needs any more. Nodes do not wait
    /// for each other: of two that make the same generation one is refused, and reads the other's.
    pub async fn tend_keys(&self) -> Result<(), StoreError> {
        let Some(signing) = &self.signing else { return Ok(()) };
        self.read_keys(signing).await?;
        let now = self.clock.now();
        let timetable = signing.ring.load().timetable.clone();
        let next = if signing.is_locked_out(now) { Some(now) } else { timetable.next_signs_from(now) };
        if let Some(signs_from) = next {
            self.add_keys(signing, signs_from).await?;
        }
        for number in timetable.outlived(now) {
            self.remove_keys(signing, number).await?;
        }
        Ok(())
    }

    /// Learns the keys. Call it before anything is verified. Gives whether this node can sign with them; where there are none
    /// yet, it can.
    pub async fn load_keys(&self) -> Result<bool, StoreError> {
        let Some(signing) = &self.signing else { return Ok(true) };
        self.read_keys(signing).await?;
        let ring = signing.ring.load();
        Ok(signing.settings.is_alone || ring.generations.iter().all(|generation| generation.is_open()))
    }

    /// Removes the keys that this node cannot sign with, because what they were kept under is lost; the next that are made sign at
    /// once. What they signed is refused from then on. Gives how many generations.
    pub async fn remove_sealed_keys(&self) -> Result<usize, StoreError> {
        let Some(signing) = &self.signing else { return Ok(0) };
        self.read_keys(signing).await?;
        let ring = signing.ring.load_full();
        let sealed: Vec<_> = ring.generations.iter().filter(|generation| !generation.is_open()).collect();
        for generation in &sealed {
            self.remove_keys(signing, generation.turn.number).await?;
        }
        Ok(sealed.len())
    }

    /// The keys that are published for verifiers of access tokens (RFC 7517, 5).
    pub fn key_set(&self) -> Result<Vec<Jwk>, Error> {
        Ok(self.signing()?.ring.load().jwks(&Algorithm::ALL))
    }

    /// The keys and certificates for verifiers of a door's assertions, the one that signs first.
    pub fn assertion_keys(&self) -> Result<(Vec<Jwk>, Vec<Certificate>), Error> {
        let ring = self.signing()?.ring.load();
        let signing = ring.timetable.signing(self.clock.now()).map(|turn| turn.number);
        let mut generations: Vec<_> = ring.generations.iter().collect();
        generations.sort_by_key(|generation| Some(generation.turn.number) != signing);
        let certificate = |generation: &&Arc<ring::Generation>| Certificate {
            kid: generation.key(Algorithm::Rs256).public.jwk.kid.clone(),
            pem: pem::encode_config(&pem::Pem::new("CERTIFICATE", &*generation.certificate), LINES),
        };
        let certificates = generations.iter().map(certificate).collect();
        Ok((ring.jwks(&[Algorithm::Rs256]), certificates))
    }

    /// When keys take turns. The keys are everybody's; what is said of them is no secret.
    pub fn load_key_schedule(&self, asked: Asked<'_>) -> Result<KeySchedule, Error> {
        self.admit(asked.caller, asked.account, Permission::ReadKeys)?;
        self.key_schedule()
    }

    /// Sets how many days keys sign, from those on that were made last. Only in the root account: they sign for everybody.
    pub async fn set_key_interval(&self, asked: Asked<'_>, days: u16) -> Result<KeySchedule, Error> {
        self.admit_to_keys(asked)?;
        if !INTERVAL_DAYS.contains(&days) {
            let (fewest, most) = INTERVAL_DAYS.into_inner();
            return Err(Error::invalid(Field::KeyInterval, format!("must be {fewest} to {most} days")));
        }
        let signing = self.signing()?;
        self.read_keys(signing).await?;
        let ring = signing.ring.load_full();
        let newest =
            ring.timetable.newest().and_then(|turn| ring.generation(turn.number)).ok_or_else(Error::busy)?;
        let (number, expected) = (newest.turn.number, newest.version);
        let deed = Deed {
            action: Action::ScheduleKeys,
            subject: Subject::Account(asked.account),
            changes: vec![stated("key_rotation_interval_days", days.to_string())],
        };
        let mutation = Mutation::ReplaceKeyInterval { number, expected, days };
        self.apply(asked, mutation, deed, self.clock.now()).await?;
        self.read_keys(signing).await?;
        self.key_schedule()
    }

    /// Makes the next keys out of turn, unless some that were wait to sign. They sign as soon as everybody can know
    /// them; those of before stay good for what they signed. Errors: [`Error::Busy`] where so many are published that whoever reads
    /// them all has enough to do.
    pub async fn rotate_keys(&self, asked: Asked<'_>) -> Result<KeySchedule, Error> {
        self.admit_to_keys(asked)?;
        let signing = self.signing()?;
        self.read_keys(signing).await?;
        let now = self.clock.now();
        let signs_from = now.after(PUBLISHED_AHEAD_OUT_OF_TURN);
        let timetable = signing.ring.load().timetable.clone();
        if timetable.has_one_out_of_turn(now) {
            return self.key_schedule();
        }
        if timetable.len() >= MOST_GENERATIONS {
            let retry_after = timetable.first_outlived_at().map_or(DAY, |time| time.since(now));
            return Err(Error::Busy { retry_after });
        }
        let made = self.make_keys(signing, signs_from).await?;
        let deed = rotation(asked.account, made.number, made.signs_from);
        match self.apply(asked, Mutation::AddKeyGeneration(Box::new(made)), deed, now).await {
            Err(Error::Store(StoreError::Duplicate)) => Err(Error::busy()),
            done => done,
        }?;
        self.read_keys(signing).await?;
        self.key_schedule()
    }

    fn admit_to_keys(&self, asked: Asked<'_>) -> Result<(), Error> {
        self.admit(asked.caller, asked.account, Permission::WriteKeys)?;
        let is_root = self.directory.chain(asked.account).is_some_and(|chain| chain.is_root());
        if is_root { Ok(()) } else { Err(Error::Denied(Denial::ForeignAccount)) }
    }

    fn key_schedule(&self) -> Result<KeySchedule, Error> {
        let (now, ring) = (self.clock.now(), self.signing()?.ring.load());
        let table = &ring.timetable;
        let (signing, newest) = table.signing(now).zip(table.newest()).ok_or_else(Error::busy)?;
        let next = if newest.signs_from > now { newest.signs_from } else { newest.is_over_at() };
        let days = next.since(now).as_secs().div_ceil(DAY.as_secs());
        Ok(KeySchedule {
            interval_days: newest.interval_days,
            days_until_next: u16::try_from(days).unwrap_or(u16::MAX),
            last_rotated_at: signing.signs_from,
        })
    }

    async fn read_keys(&self, signing: &Signing) -> Result<(), StoreError> {
        let rows = self.store.load_key_generations().await?;
        let ring = signing.ring.load();
        let next = ring.read(&rows, &signing.seal)?;
        for generation in &next.generations {
            if !generation.is_open() && ring.generation(generation.turn.number).is_none() {
                tracing::error!(
                    generation = generation.turn.number,
                    "signing keys are sealed under another key than this node's (COUNTERSIGN_KEY_FILE)"
                );
            }
        }
        signing.ring.store(Arc::new(next));
        Ok(())
    }

    /// Makes keys for the turn after the last.
    async fn make_keys(&self, signing: &Signing, signs_from: Timestamp) -> Result<KeyGeneration, Error> {
        let newest = signing.ring.load().timetable.newest().copied();
        let turn = Turn {
            number: newest.map_or(1, |newest| newest.number + 1),
            signs_from,
            interval_days: newest.map_or(DEFAULT_INTERVAL_DAYS, |newest| newest.interval_days),
        };
        let (seal, entropy) = (Arc::clone(&signing.seal), Arc::clone(&self.entropy));
        let now = self.clock.now();
        let made = spawn_blocking(move || ring::make(turn, &seal, entropy.as_ref(), now)).await;
        made.map_err(|panic| Error::Store(StoreError::Unavailable(panic.into())))?
    }

    async fn add_keys(&self, signing: &Signing, signs_from: Timestamp) -> Result<(), StoreError> {
        let Some(root) = self.store.find_root_account().await? else { return Ok(()) };
        let made = self.make_keys(signing, signs_from).await.map_err(store_error)?;
        let deed = rotation(root.id, made.number, made.signs_from);
        match self.apply_own(root.id, Mutation::AddKeyGeneration(Box::new(made)), deed).await {
            // Another node was faster.
            Ok(()) | Err(StoreError::Duplicate) => self.read_keys(signing).await,
            Err(error) => Err(error),
        }
    }

    async fn remove_keys(&self, signing: &Signing, number: u32) -> Result<(), StoreError> {
        let ring = signing.ring.load_full();
        let Some(generation) = ring.generation(number) else { return Ok(()) };
        let Some(root) = self.store.find_root_account().await? else { return Ok(()) };
        let deed = Deed {
            action: Action::RemoveKeys,
            subject: Subject::Account(root.id),
            changes: vec![stated("generation", number.to_string())],
        };
        let mutation = Mutation::RemoveKeyGeneration { number, expected: generation.version };
        match self.apply_own(root.id, mutation, deed).await {
            // Another node was faster.
            Ok(()) | Err(StoreError::NotFound | StoreError::Stale) => self.read_keys(signing).await,
            Err(error) => Err(error),
        }
    }
}

impl Signing {
    /// Whether the key is lost under which the keys were kept that sign.
    fn is_locked_out(&self, now: Timestamp) -> bool {
        let ring = self.ring.load();
        let signs = ring.timetable.signing(now).and_then(|turn| ring.generation(turn.number));
        self.settings.is_alone && signs.is_some_and(|generation| !generation.is_open())
    }
}

fn rotation(account: AccountId, number: u32, signs_from: Timestamp) -> Deed {
    let changes = vec![
        stated("generation", number.to_string()),
        stated("signs_from", crate::change::time_text(signs_from)),
    ];
    Deed { action: Action::RotateKeys, subject: Subject::Account(account), changes }
}

fn store_error(error: Error) -> StoreError {
    match error {
        Error::Store(error) => error,
        other => StoreError::Unavailable(other.into()),
    }
}
