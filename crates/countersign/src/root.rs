//! The root of a store: what the operator says about it, and what the operator is told.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, IsTerminal as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use countersign_authority::{RootError, RootSettings};
use countersign_domain::access_token::AccessToken;
use countersign_domain::account::Epoch;
use countersign_domain::email::Email;
use countersign_domain::id::AccountId;
use countersign_domain::secret::Secret;
use countersign_domain::time::Timestamp;

use crate::environment::{Lookup, find_secret, find_text};
use crate::output;

/// What the environment says about the root.
pub(crate) fn settings(lookup: Lookup<'_>) -> anyhow::Result<RootSettings> {
    let account_id = find_text(lookup, "COUNTERSIGN_ROOT_ACCOUNT_ID")?;
    let parse = |text: String| {
        text.parse::<AccountId>().map_err(|_| {
            anyhow!("COUNTERSIGN_ROOT_ACCOUNT_ID must be 32 lower-case hex digits, such as `openssl rand -hex 16` prints")
        })
    };
    let token = find_secret(lookup, "COUNTERSIGN_ROOT_TOKEN")?;
    if token.as_ref().is_some_and(|token| !is_fit(token)) {
        return Err(RootError::UnfitToken.into());
    }
    let email = find_text(lookup, "COUNTERSIGN_ROOT_EMAIL")?;
    if let Some(Err(why)) = email.as_deref().map(Email::parse) {
        bail!("COUNTERSIGN_ROOT_EMAIL {why}, such as root@localhost");
    }
    Ok(RootSettings { account_id: account_id.map(parse).transpose()?, email, token })
}

/// Whether a token can have this text. The store asks again; asked here too, nothing is written before the answer.
fn is_fit(token: &Secret) -> bool {
    let anybody = AccountId::from_bytes([0; 16]);
    AccessToken::root(token, anybody, Epoch::FIRST, Timestamp::from_micros(0)).is_some()
}

/// Whether the environment states a root token, in whichever way.
pub(crate) fn is_stated(lookup: Lookup<'_>) -> bool {
    let is_set = |name| lookup(name).is_some_and(|value| !value.is_empty());
    is_set("COUNTERSIGN_ROOT_TOKEN") || is_set("COUNTERSIGN_ROOT_TOKEN_FILE")
}

/// Keeps a root token that was made and is about to be set. Where there is no terminal, the file in which it will be
/// announced is written now: what the store knows is then always in it, whenever the process is killed. On a terminal
/// it is shown when it is set, and [`is_kept`] finds the case that nobody has seen it.
pub(crate) fn keep(token: &Secret, data: &Path) -> anyhow::Result<()> {
    if io::stdout().is_terminal() {
        return Ok(());
    }
    // It is there already where it has the store in it.
    let made = DirBuilder::new().recursive(true).mode(0o700).create(data);
    made.with_context(|| format!("no root token was set: cannot make {}", data.display()))?;
    write_token(&token_file(data), token)
}

/// Whether there is a file in which the root token was announced.
pub(crate) fn is_kept(data: &Path) -> bool {
    token_file(data).exists()
}

/// Tells the operator about a root token that was set just now, once: on the terminal, or by the name of the file that
/// [`keep`] has written. Nothing else ever shows it.
pub(crate) fn announce(
    account: AccountId,
    token: &Secret,
    (scheme, address): (&str, SocketAddr),
    data: &Path,
) -> anyhow::Result<()> {
    if io::stdout().is_terminal() {
        forget(data);
        return output::print(&welcome(account, token, &format!("{scheme}://{}", reachable(address))));
    }
    output::print(&format!("Root account {account}. Its token is in {}\n", token_file(data).display()))
}

/// Removes the file of a token that has ended, so that nobody takes it for the one that opens.
pub(crate) fn forget(data: &Path) {
    if let Err(error) = std::fs::remove_file(token_file(data))
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(%error, "the file of the root token before could not be removed");
    }
}

fn token_file(data: &Path) -> PathBuf {
    data.join("root-token")
}

/// Writes the token to a file that is always made anew, never opened: it must not have been there with wider
/// permissions, or be a link to somewhere else. One that is left over belongs to a token that has ended or was never
/// set.
fn write_token(path: &Path, token: &Secret) -> anyhow::Result<()> {
    let write = || -> io::Result<()> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        writeln!(file, "{}", token.reveal())?;
        file.sync_all()?;
        // Its name too: after a power cut nothing else would have the token.
        path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
    };
    write().with_context(|| format!("no root token was set: it cannot be written to {}", path.display()))
}

fn welcome(account: AccountId, token: &Secret, url: &str) -> String {
    let token = token.reveal();
    format!(
        "\n\
         Countersign is new here and has made its root account.\n\
         \n\
         \x20 account  {account}\n\
         \x20 token    {token}\n\
         \n\
         The token is shown this once; whoever has it may do everything. To issue the first service token:\n\
         \n\
         curl -sS {url}/client/v4/accounts/{account}/access/service_tokens \\\n\
         \x20 -H 'Authorization: Bearer {token}' \\\n\
         \x20 -H 'Content-Type: application/json' \\\n\
         \x20 -d '{{\"name\":\"first\"}}'\n\
         \n"
    )
}

/// An address that listens on every interface is no address to connect to.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::environment::tests::of;

    #[test]
    fn the_token_file_is_made_anew_and_closed_to_others() -> anyhow::Result<()> {
        let directory = tempfile::tempdir()?;
        let elsewhere = directory.path().join("elsewhere");
        std::fs::write(&elsewhere, "precious")?;
        std::os::unix::fs::symlink(&elsewhere, directory.path().join("root-token"))?;

        let path = token_file(directory.path());
        write_token(&path, &Secret::from_operator("the-token".to_owned()))?;

        assert_eq!(std::fs::read_to_string(&path)?, "the-token\n");
        assert_eq!(std::fs::metadata(&path)?.permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_to_string(&elsewhere)?, "precious");
        Ok(())
    }

    #[test]
    fn the_first_command_goes_to_an_address_that_answers() -> anyhow::Result<()> {
        let account: AccountId = "0192f3c4a5b67c8d9e0f1a2b3c4d5e6f".parse()?;
        let url = format!("http://{}", reachable("0.0.0.0:8787".parse()?));
        let text = welcome(account, &Secret::from_operator("T0ken".to_owned()), &url);
        let url =
            "http://127.0.0.1:8787/client/v4/accounts/0192f3c4a5b67c8d9e0f1a2b3c4d5e6f/access/service_tokens";
        assert!(text.contains(&format!("curl -sS {url} \\\n")), "{text}");
        assert!(text.contains("-H 'Authorization: Bearer T0ken' \\\n"), "{text}");
        assert!(text.contains(r#"-d '{"name":"first"}'"#), "{text}");
        Ok(())
    }

    #[test]
    fn the_environment_says_who_the_root_is() -> anyhow::Result<()> {
        let id = "0192f3c4a5b67c8d9e0f1a2b3c4d5e6f";
        let stated =
            settings(&of(&[("COUNTERSIGN_ROOT_ACCOUNT_ID", id), ("COUNTERSIGN_ROOT_EMAIL", "a@b")]))?;
        assert_eq!(stated.account_id.map(|id| id.to_string()).as_deref(), Some(id));
        assert_eq!(stated.email.as_deref(), Some("a@b"));
        assert!(stated.token.is_none());
        assert!(settings(&of(&[("COUNTERSIGN_ROOT_ACCOUNT_ID", "root")])).is_err());
        let long = format!("a@{}", "b".repeat(Email::LONGEST - 1));
        for email in ["root", "root @example.com", "a@b\n", &long] {
            let wrong = settings(&of(&[("COUNTERSIGN_ROOT_EMAIL", email)])).map(|_| ());
            assert!(wrong.is_err_and(|error| error.to_string().starts_with("COUNTERSIGN_ROOT_EMAIL must")));
        }
        assert!(settings(&of(&[("COUNTERSIGN_ROOT_EMAIL", &long[..Email::LONGEST])])).is_ok());
        let unfit =
            settings(&of(&[("COUNTERSIGN_ROOT_TOKEN", "tooShort")])).map(|_| ()).map_err(|e| e.to_string());
        assert!(
            unfit
                .is_err_and(|error| error.starts_with("COUNTERSIGN_ROOT_TOKEN must be 32 to 128 characters"))
        );
        Ok(())
    }
}
