//! Service tokens as a measurement holds them: a file of live ones, and unknown ones made up on the way.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use countersign_domain::entropy::Entropy;
use countersign_domain::id::ClientId;
use countersign_domain::secret::{Secret, SecretPrefix, mint_access_text, mint_service_secret};

/// A live token, borrowed from the text of its file: one a line, `id client_id secret`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Credential<'a> {
    /// The hyphenated UUID that the API names it by.
    pub(crate) id: &'a str,
    /// 32 hex digits and `.access`.
    pub(crate) client_id: &'a str,
    /// The plain secret.
    pub(crate) secret: &'a str,
}

/// The tokens of a file's text, in its order. An error names the line that is no token.
pub(crate) fn parse(text: &str) -> impl Iterator<Item = Result<Credential<'_>>> {
    text.lines().enumerate().map(|(index, line)| {
        let mut words = line.split(' ');
        let token = (words.next(), words.next(), words.next(), words.next());
        let (Some(id), Some(client_id), Some(secret), None) = token else {
            anyhow::bail!("line {} is not `id client_id secret`", index + 1);
        };
        Ok(Credential { id, client_id, secret })
    })
}

/// A live access token, borrowed from the text of its file: one a line, `organization text`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AccessCredential<'a> {
    /// The only organization in which it may be used.
    pub(crate) organization: &'a str,
    /// The plain text.
    pub(crate) text: &'a str,
}

/// The access tokens of a file's text, in its order. An error names the line that is no token.
pub(crate) fn parse_access(text: &str) -> impl Iterator<Item = Result<AccessCredential<'_>>> {
    text.lines().enumerate().map(|(index, line)| {
        let (organization, text) =
            line.split_once(' ').with_context(|| format!("line {} is not `organization text`", index + 1))?;
        Ok(AccessCredential { organization, text })
    })
}

/// With what everybody logs in.
pub(crate) const PASSWORD: &str = "Correct-Horse-7";

/// The address of the account of this number.
pub(crate) fn email_of(account: usize) -> String {
    format!("account-{account}@bench.test")
}

/// The text of a file of tokens.
pub(crate) fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read the tokens in {}", path.display()))
}

/// Writes a file of tokens, one by one.
pub(crate) struct Writer(BufWriter<File>);

impl Writer {
    /// Makes the file, or empties it.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self(BufWriter::new(file)))
    }

    /// Adds a token.
    pub(crate) fn push(&mut self, token: Credential<'_>) -> io::Result<()> {
        writeln!(self.0, "{} {} {}", token.id, token.client_id, token.secret)
    }

    /// Writes what is still in memory.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A client id and a secret that no server issued: well-formed, the checksum right, as a forger would make
/// them.
pub(crate) fn mint_unknown(entropy: &Seeded) -> (String, String) {
    let secret = mint_service_secret(&SecretPrefix::default(), entropy);
    (ClientId::mint(entropy).to_string(), secret.reveal().to_owned())
}

/// As [`mint_unknown`], the text of an access token.
pub(crate) fn mint_unknown_access(entropy: &Seeded) -> Secret {
    mint_access_text(entropy).1
}

/// Numbers that look random and are the same in every run: SplitMix64 (Steele, Lea and Flood 2014).
pub(crate) struct Seeded(AtomicU64);

impl Seeded {
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

    /// The sequence of this seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// The next number.
    pub(crate) fn next(&self) -> u64 {
        let state = self.0.fetch_add(Self::STEP, Ordering::Relaxed).wrapping_add(Self::STEP);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not 0. Its bias, `bound` / 2^64, is of no matter here.
    pub(crate) fn below(&self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// Puts `items` in another order, each order as likely (Fisher and Yates).
    pub(crate) fn shuffle<T>(&self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

impl Entropy for Seeded {
    fn fill(&self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_domain::secret::{is_access_text, parse_service_secret};

    #[test]
    fn a_file_gives_back_its_tokens() -> Result<()> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("tokens");
        let tokens = [
            Credential { id: "1", client_id: "a.access", secret: "x" },
            Credential { id: "2", client_id: "b.access", secret: "y" },
        ];
        let mut file = Writer::create(&path)?;
        tokens.iter().try_for_each(|token| file.push(*token))?;
        file.finish()?;
        let text = read(&path)?;
        assert_eq!(parse(&text).collect::<Result<Vec<_>>>()?, tokens);
        assert!(parse("1 a.access").all(|token| token.is_err()));
        assert!(parse("1 a.access x more").all(|token| token.is_err()));
        Ok(())
    }

    #[test]
    fn an_access_token_stands_behind_its_organization() -> Result<()> {
        let tokens = parse_access("o1 t1\no2 t2\n").collect::<Result<Vec<_>>>()?;
        assert_eq!(tokens[1], AccessCredential { organization: "o2", text: "t2" });
        assert!(parse_access("t1").all(|token| token.is_err()));
        Ok(())
    }

    #[test]
    fn an_unknown_token_passes_every_check_that_costs_no_look_up() {
        let entropy = Seeded::new(1);
        let (client_id, secret) = mint_unknown(&entropy);
        assert!(client_id.parse::<ClientId>().is_ok());
        assert!(parse_service_secret(&secret).is_some());
        assert_ne!(mint_unknown(&entropy), (client_id, secret));
        assert!(is_access_text(mint_unknown_access(&entropy).reveal()));
    }

    #[test]
    fn a_shuffle_loses_nothing() {
        let mut items: Vec<usize> = (0..1000).collect();
        Seeded::new(7).shuffle(&mut items);
        assert!(items.iter().enumerate().filter(|(place, item)| place == *item).count() < 20);
        items.sort_unstable();
        assert!(items.into_iter().eq(0..1000));
    }
}
