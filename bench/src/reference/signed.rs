//! Short-lived tokens without HTTP: what the authority takes to mint one and to read one that it has not seen, and beside
//! each the bare signature and the bare check of the same bytes, by the same library.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, ParsedPublicKey, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_authority::{
    Algorithm, Asked, Authority, Decision, Directory, Exchange, Granted, KEY, Material, Policy, RootSettings,
    Seal, Sighting, SigningSettings,
};
use countersign_domain::audit::Origin;
use countersign_domain::demand::{Demand, Presented};
use countersign_domain::entropy::Entropy;
use countersign_domain::lifetime::Lifetime;
use countersign_domain::name::Name;
use countersign_domain::restrictions::StatedRestrictions;
use countersign_domain::secret::Secret;
use countersign_domain::service_token::NewServiceToken;
use countersign_domain::time::{Clock, Timestamp};
use countersign_domain::usage::Door;
use countersign_store_sqlite::{SqliteOptions, SqliteStore};
use rustix::time::{ClockId, clock_gettime};

use super::{Done, report_all};
use crate::load::{Report, Times};
use crate::wire::{ISSUER, ROOT_TOKEN};

/// Tokens that are minted, checked, read and signed in turn: so few that the core is as fast for one part as for the next,
/// and so many that each part is in the core's caches for most of its turn.
const BATCH: usize = 64;

/// What is done with each batch, in this order. What is read was minted just now: it was never seen.
pub(crate) const MINT: &str = "mint";
/// The bare check of a signature.
pub(crate) const CHECK: &str = "check";
/// A token is read that was not seen before.
pub(crate) const READ: &str = "read";
/// The bare signature.
pub(crate) const SIGN: &str = "sign";

/// Mints and reads, with its data in a new directory, for a while that does not count, and then for `measured`.
pub(crate) fn measure(data: &Path, warm_up: Duration, measured: Duration) -> Result<Report> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let issuer = runtime.block_on(Issuer::open(data))?;
    issuer.work_for(warm_up)?;
    report_all(|| issuer.work_for(measured))
}

/// An authority, one service token that it has let in, and the same library without the authority.
struct Issuer {
    authority: Arc<Authority>,
    granted: Granted,
    public: ParsedPublicKey,
    /// Any: the authority does not give its own.
    private: Ed25519KeyPair,
}

/// A token as it is checked.
struct Parts<'a> {
    signed: &'a [u8],
    signature: Vec<u8>,
}

impl Issuer {
    async fn open(data: &Path) -> Result<Self> {
        let directory = Arc::new(Directory::default());
        let store = SqliteStore::open(SqliteOptions::new(data), directory.clone())?;
        let seal = Seal::new(&[7; KEY]).context("a key of the right length")?;
        let settings = SigningSettings {
            issuer: ISSUER.into(),
            algorithm: Algorithm::EdDsa,
            lifetime: Duration::from_secs(300),
            resources: None,
            is_alone: true,
        };
        let (clock, entropy, policy) = (Arc::new(MachineClock), Arc::new(MachineEntropy), Policy::default());
        let authority = Authority::new(Arc::new(store), directory, clock, entropy, policy);
        let authority = Arc::new(authority.signing_with(settings, Arc::new(seal)));
        authority.load().await?;
        let granted = let_in(&authority).await?;
        authority.tend_keys().await?;
        let public = public_key(&authority)?;
        let private = Ed25519KeyPair::generate().context("no key is made")?;
        Ok(Self { authority, granted, public, private })
    }

    /// Batch after batch for this long.
    fn work_for(&self, span: Duration) -> Result<Vec<Done<'static>>> {
        let [mut mint, mut check, mut read, mut sign] =
            [Times::new()?, Times::new()?, Times::new()?, Times::new()?];
        let (start, mut done) = (Instant::now(), 0);
        while start.elapsed() < span {
            let mut texts = Vec::with_capacity(BATCH);
            mint.add(each(|| (0..BATCH).try_for_each(|_| self.mint().map(|text| texts.push(text))))?);
            let parts = texts.iter().map(|text| Parts::of(text)).collect::<Result<Vec<_>>>()?;
            check.add(each(|| parts.iter().try_for_each(|parts| self.check(parts)))?);
            read.add(each(|| texts.iter().try_for_each(|text| self.read(text)))?);
            sign.add(each(|| parts.iter().try_for_each(|parts| self.sign(parts.signed)))?);
            done += BATCH as u64;
        }
        let all = [(MINT, mint), (CHECK, check), (READ, read), (SIGN, sign)];
        Ok(all.into_iter().map(|(name, times)| Done { name, done, times }).collect())
    }

    fn mint(&self) -> Result<String> {
        let exchanged = self.authority.exchange(&self.granted, Exchange::default());
        Ok(exchanged.map_err(|refusal| anyhow::anyhow!("no token is minted: {refusal:?}"))?.text)
    }

    fn check(&self, parts: &Parts<'_>) -> Result<()> {
        self.public.verify_sig(parts.signed, &parts.signature).context("a signature is not good")
    }

    fn read(&self, text: &str) -> Result<()> {
        let read = self.authority.read_signed(text);
        read.map(drop).map_err(|reason| anyhow::anyhow!("a token is not read: {reason:?}"))
    }

    fn sign(&self, bytes: &[u8]) -> Result<()> {
        black_box(self.private.try_sign(bytes).context("nothing is signed")?);
        Ok(())
    }
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Result<Self> {
        let (signed, signature) = text.rsplit_once('.').context("a token without a signature")?;
        Ok(Self { signed: signed.as_bytes(), signature: URL_SAFE_NO_PAD.decode(signature)? })
    }
}

/// How much CPU time a batch takes, for each of its parts: what else runs on the core is of no matter.
fn each(work: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let start = cpu_time()?;
    work()?;
    Ok((cpu_time()? - start) / BATCH as u32)
}

/// Of this thread, so far.
fn cpu_time() -> Result<Duration> {
    Ok(Duration::try_from(clock_gettime(ClockId::ThreadCPUTime))?)
}

/// A new service token of the root account, let in.
async fn let_in(authority: &Arc<Authority>) -> Result<Granted> {
    let token = Some(Secret::from_operator(ROOT_TOKEN.into()));
    let root = authority.ensure_root(RootSettings { token, ..RootSettings::default() }).await?;
    let sighting = Sighting { door: Door::Token, address: None, user_agent: b"bench", request: None };
    let presented = Presented::access(ROOT_TOKEN).context("the root token is none")?;
    let (caller, _) = authority
        .authenticate(&presented, sighting)
        .map_err(|refused| anyhow::anyhow!("the root is refused: {refused:?}"))?;
    let new = NewServiceToken {
        name: Name::parse("bench").map_err(|_| anyhow::anyhow!("a name"))?,
        lifetime: Lifetime::parse("8760h").map_err(|_| anyhow::anyhow!("a lifetime"))?,
        enabled: true,
        restrictions: StatedRestrictions::default(),
        secret_version: 1,
    };
    let asked = Asked { caller: &caller, account: root.account, origin: &Origin::default() };
    let (view, secret) = authority.issue_service_token(asked, new).await?;
    let client_id = view.token.client_id.to_string();
    let presented = Presented::service(&client_id, secret.reveal()).context("a secret that is none")?;
    match authority.verify(&presented, &Demand::default(), sighting) {
        Decision::Granted(granted) => Ok(granted),
        Decision::Denied { reason, .. } => anyhow::bail!("the service token is refused: {reason:?}"),
    }
}

/// The one that checks what the authority signs, as it is published.
fn public_key(authority: &Authority) -> Result<ParsedPublicKey> {
    let ed25519 = |material: Material| match material {
        Material::Okp { x, .. } => Some(x),
        _ => None,
    };
    let published = authority.key_set()?.into_iter().find_map(|jwk| ed25519(jwk.material));
    let bytes = URL_SAFE_NO_PAD.decode(published.context("no key is published")?)?;
    UnparsedPublicKey::new(&ED25519, bytes).parse().context("the published key is none")
}

/// The machine's wall clock, as the server's.
struct MachineClock;

impl Clock for MachineClock {
    #[expect(clippy::disallowed_methods, reason = "what it costs to ask is part of what is measured")]
    fn now(&self) -> Timestamp {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_micros(0).after(since_1970)
    }
}

/// The machine's randomness, as the server's.
struct MachineEntropy;

impl Entropy for MachineEntropy {
    #[expect(clippy::disallowed_methods, reason = "what it costs to ask is part of what is measured")]
    fn fill(&self, out: &mut [u8]) {
        if getrandom::fill(out).is_err() {
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_timed() -> Result<()> {
        let directory = tempfile::tempdir()?;
        let report = measure(&directory.path().join("data"), Duration::ZERO, Duration::from_millis(1))?;
        let names: Vec<&str> = report.lanes.iter().map(|lane| lane.name.as_str()).collect();
        assert_eq!(names, [MINT, CHECK, READ, SIGN]);
        assert!(report.lanes.iter().all(|lane| lane.completed >= 64 && lane.latency.p50_us > 1.0));
        Ok(())
    }
}
