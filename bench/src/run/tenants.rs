//! Directories of data with a tree of accounts, their organizations, and access tokens that are restricted to one
//! scope and one organization.
//!
//! A million access tokens through the API would take as long as everything else. So they are written into the database,
//! as the server would have: one that has a row wrong does not start, or answers wrongly, which every step notices.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use argon2::password_hash::PasswordHasher;
use argon2::{Algorithm, Argon2, Params, Version};
use countersign_domain::entropy::Entropy;
use countersign_domain::id::{AccountId, MembershipId, OrganizationId};
use countersign_domain::secret::{mint_access_text, parse_access_text};
use rusqlite::{Connection, Transaction, params};

use super::bench::Bench;
use super::seed::{self, DATABASE, Seed};
use crate::credentials::{PASSWORD, Seeded, email_of};
use crate::wire::{ROOT_ACCOUNT, ROOT_TOKEN, SCOPE};

/// Access tokens of the account whose lists are measured: the one of number 0.
pub(crate) const LISTED: usize = 1_000;

/// Accounts that can log in: the first ones.
pub(crate) const WITH_PASSWORD: usize = 50;

/// Accounts that share an organization.
const TENANTS_OF_ORGANIZATION: usize = 100;

/// Of every second token, and of the others.
const TTLS: [i64; 2] = [1_209_600, 31_556_926];

/// When everything was made, in microseconds: in the past, but not so long ago that a token has expired.
const AGE: i64 = 3_600_000_000;

/// How large a directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TenantsSize {
    /// Accounts below the root.
    pub(crate) accounts: usize,
    /// Access tokens of all of them.
    pub(crate) access_tokens: usize,
    /// Service tokens, of the root.
    pub(crate) service_tokens: usize,
}

/// A directory.
#[derive(Debug, Clone)]
pub(crate) struct Tenants {
    /// Its data and its service tokens.
    pub(crate) seed: Seed,
    /// Its live access tokens, the listed account's left out.
    pub(crate) access: PathBuf,
    /// How large it is.
    pub(crate) size: TenantsSize,
}

impl Tenants {
    /// How many live access tokens the file has.
    pub(crate) fn shown(&self) -> usize {
        self.size.access_tokens - LISTED
    }

    /// The account whose lists are measured.
    pub(crate) fn listed() -> String {
        account_id(0).to_string()
    }
}

/// The directory of an earlier run, or a new one.
pub(crate) fn open(bench: &mut Bench, dir: &Path, size: TenantsSize) -> Result<Tenants> {
    anyhow::ensure!(size.access_tokens > LISTED && size.accounts > WITH_PASSWORD, "{size:?} is too small");
    let seed = seed::open(bench, dir, size.service_tokens, false)?;
    let tenants = Tenants { access: dir.join("access-tokens"), seed, size };
    if !tenants.access.exists() {
        let part = dir.join("access-tokens.part");
        fill(&tenants, &part).with_context(|| format!("cannot make {size:?}"))?;
        fs::rename(part, &tenants.access)?;
    }
    Ok(tenants)
}

/// All rows in one transaction: what is interrupted has done nothing.
fn fill(tenants: &Tenants, file: &Path) -> Result<()> {
    let mut database = Connection::open(tenants.seed.data.join(DATABASE))?;
    database.execute_batch("PRAGMA cache_size = -400000")?;
    let transaction = database.transaction()?;
    let made_at: i64 = transaction.query_row("SELECT max(created_at) FROM accounts", [], |row| row.get(0))?;
    let fill = Fill { database: &transaction, size: tenants.size, at: made_at - AGE };
    fill.accounts()?;
    fill.organizations()?;
    fs::write(file, fill.access_tokens()?)?;
    fill.counts()?;
    transaction.commit()?;
    Ok(database.execute_batch("PRAGMA wal_checkpoint(TRUNCATE); ANALYZE")?)
}

struct Fill<'t> {
    database: &'t Transaction<'t>,
    size: TenantsSize,
    at: i64,
}

impl Fill<'_> {
    fn accounts(&self) -> Result<()> {
        let sql = "INSERT INTO accounts (id, parent, email, password, profile, enabled, created_at, updated_at, version) \
                   VALUES (?1, ?2, ?3, ?4, ?5, 1, ?6, ?6, 1)";
        let mut insert = self.database.prepare(sql)?;
        let password = hash()?;
        let root: AccountId = ROOT_ACCOUNT.parse().map_err(|_| anyhow::anyhow!("the root has no id"))?;
        for number in 0..self.size.accounts {
            let parent = parent_of(number).map_or(root, account_id);
            let password = (number < WITH_PASSWORD).then_some(&password);
            let profile = format!(r#"{{"firstname":"Number","lastname":"{number}","locale":"en"}}"#);
            let (id, email) = (account_id(number), email_of(number));
            insert.execute(params![id.as_bytes(), parent.as_bytes(), email, password, profile, self.at])?;
        }
        Ok(())
    }

    /// Each account belongs to one, which belongs to the first of its accounts.
    fn organizations(&self) -> Result<()> {
        let organization = "INSERT INTO organizations (id, owner, profile, active, created_at, updated_at, version) \
                            VALUES (?1, ?2, '{}', 1, ?3, ?3, 1)";
        let membership = "INSERT INTO memberships \
            (id, organization, account, role, consent, disabled, created_at, updated_at, version) \
            VALUES (?1, ?2, ?3, 'default', 'given', 0, ?4, ?4, 1)";
        let mut organizations = self.database.prepare(organization)?;
        let mut memberships = self.database.prepare(membership)?;
        for number in 0..self.size.accounts {
            let (account, organization) = (account_id(number), organization_of(number));
            if number % TENANTS_OF_ORGANIZATION == 0 {
                organizations.execute(params![organization.as_bytes(), account.as_bytes(), self.at])?;
            }
            let id = MembershipId::from_bytes(numbered(3, number));
            let values = params![id.as_bytes(), organization.as_bytes(), account.as_bytes(), self.at];
            memberships.execute(values)?;
        }
        Ok(())
    }

    /// Gives the text of the file.
    fn access_tokens(&self) -> Result<String> {
        let token = "INSERT INTO access_tokens \
            (handle, digest, account, ttl, scopes, organizations, created_at, expires_at, lineage, version) \
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 1)";
        let used = "INSERT INTO uses (token, secret_version, count, first_at, last_at, user_agent, door) \
                    VALUES (?1, 1, 1, ?2, ?2, 'bench', 'authz')";
        let (mut insert, mut note) = (self.database.prepare(token)?, self.database.prepare(used)?);
        let (minter, _) = parse_access_text(ROOT_TOKEN).context("the root token is none")?;
        let (entropy, scopes, mut file) = (Seeded::new(4), format!("{SCOPE} clients:*"), String::new());
        for number in 0..self.size.access_tokens {
            let account = self.account_of_token(number);
            let (handle, text) = mint_access_text(&entropy);
            let organization = organization_of(account).to_string();
            let ttl = TTLS[number % TTLS.len()];
            let created_at = self.at + number as i64;
            let handle = handle.as_str().as_bytes();
            insert.execute(params![
                handle,
                text.digest().as_bytes(),
                account_id(account).as_bytes(),
                ttl,
                scopes,
                organization,
                created_at,
                created_at + ttl * 1_000_000,
                minter.as_str().as_bytes(),
            ])?;
            note.execute(params![handle, created_at])?;
            if account > 0 {
                file.push_str(&format!("{organization} {}\n", text.reveal()));
            }
        }
        Ok(file)
    }

    /// The last thousand are the listed account's, the others spread over all others.
    fn account_of_token(&self, number: usize) -> usize {
        if number + LISTED >= self.size.access_tokens { 0 } else { 1 + number % (self.size.accounts - 1) }
    }

    /// What the store keeps beside the rows.
    fn counts(&self) -> Result<()> {
        Ok(self.database.execute_batch(
            "UPDATE accounts SET
                access_tokens = (SELECT count(*) FROM access_tokens WHERE account = accounts.id),
                children = (SELECT count(*) FROM accounts AS below WHERE below.parent = accounts.id),
                memberships = (SELECT count(*) FROM memberships WHERE account = accounts.id);
             UPDATE organizations SET
                memberships = (SELECT count(*) FROM memberships WHERE organization = organizations.id);",
        )?)
    }
}

/// A tree of four levels below the root: the first ten accounts, the next hundred, the next thousand, all others.
fn parent_of(account: usize) -> Option<usize> {
    match account {
        0..10 => None,
        10..110 => Some(account % 10),
        110..1_110 => Some(10 + account % 100),
        _ => Some(110 + account % 1_000),
    }
}

fn account_id(number: usize) -> AccountId {
    AccountId::from_bytes(numbered(1, number))
}

fn organization_of(account: usize) -> OrganizationId {
    OrganizationId::from_bytes(numbered(2, account / TENANTS_OF_ORGANIZATION))
}

/// The bytes of an id: the same in every run, in the order of their numbers.
fn numbered(kind: u8, number: usize) -> [u8; 16] {
    let mut bytes = [0; 16];
    Seeded::new((number as u64) << 8 | u64::from(kind)).fill(&mut bytes);
    bytes[..2].copy_from_slice(&[1, 0x9a]);
    bytes[2..6].copy_from_slice(&(number as u32).to_be_bytes());
    bytes
}

/// What is kept of the password, by the server's own parameters.
fn hash() -> Result<String> {
    let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT);
    let hashed = hasher.hash_password_with_salt(PASSWORD.as_bytes(), &[7; 16]);
    Ok(hashed.map_err(|error| anyhow::anyhow!("argon2id: {error}"))?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn parents_come_before_their_children_and_the_tree_is_four_levels_deep() {
        let depth = |account| std::iter::successors(Some(account), |above| parent_of(*above)).count();
        assert!((0..20_000).all(|account| parent_of(account).is_none_or(|parent| parent < account)));
        assert_eq!((depth(0), depth(10), depth(110), depth(1_110), depth(99_999)), (1, 2, 3, 4, 4));
    }

    #[test]
    fn ids_are_different_and_ascend() {
        let ids: Vec<_> = (0..2_000).map(account_id).collect();
        assert!(ids.is_sorted() && ids.iter().collect::<BTreeSet<_>>().len() == ids.len());
        assert_ne!(numbered(1, 5), numbered(2, 5));
    }
}
