//! Passwords in a file, in the format of libpq's `.pgpass`.

use std::path::Path;

use crate::address::{Host, Place};
use crate::files::{FileError, Named, Readers};

/// Where Debian and PostgreSQL itself put sockets. There, libpq takes lines of `localhost`.
const USUAL_DIRECTORIES: [&str; 3] = ["/var/run/postgresql", "/run/postgresql", "/tmp"];

/// Whose password is looked for.
pub(crate) struct Login<'a> {
    pub(crate) host: &'a Host,
    pub(crate) database: &'a str,
    pub(crate) user: &'a str,
}

/// The password of the first line that fits, if one does.
pub(crate) fn find(path: &Path, login: &Login<'_>) -> Result<Option<Vec<u8>>, FileError> {
    let content = Named { name: "passfile", path }.read(Readers::OwnerOrGroupOfRoot)?;
    let port = login.host.port.to_string();
    let wanted = [login.host_name(), &port, login.database, login.user];
    Ok(content.split(|byte| *byte == b'\n').find_map(|line| password_for(line, &wanted)))
}

impl Login<'_> {
    fn host_name(&self) -> &str {
        match &self.host.place {
            Place::Directory(path) if USUAL_DIRECTORIES.iter().any(|usual| path == Path::new(usual)) => {
                "localhost"
            }
            _ => &self.host.name,
        }
    }
}

/// The password of a line, `host:port:database:user:password`, if all that comes before it fits or is `*`.
fn password_for(line: &[u8], wanted: &[&str]) -> Option<Vec<u8>> {
    let mut rest = line.strip_suffix(b"\r").unwrap_or(line);
    if rest.starts_with(b"#") {
        return None;
    }
    for wanted in wanted {
        let (field, after) = take_field(rest);
        let fits = &rest[..rest.len() - after.len()] == b"*:" || field == wanted.as_bytes();
        if !fits {
            return None;
        }
        rest = after;
    }
    let (password, _) = unescape(rest, None);
    (!password.is_empty()).then_some(password)
}

/// What stands before the next colon, and what follows it.
fn take_field(text: &[u8]) -> (Vec<u8>, &[u8]) {
    unescape(text, Some(b':'))
}

/// The text up to `end`, where `\` takes the meaning of what follows it.
fn unescape(text: &[u8], end: Option<u8>) -> (Vec<u8>, &[u8]) {
    let mut plain = Vec::new();
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match (first, after.split_first()) {
            (byte, _) if Some(*byte) == end => break,
            (b'\\', Some((escaped, after))) => {
                plain.push(*escaped);
                rest = after;
            }
            (byte, _) => plain.push(*byte),
        }
    }
    (plain, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(line: &str) -> Option<String> {
        let found = password_for(line.as_bytes(), &["db.example.com", "5432", "tokens", "a:b"]);
        found.map(|password| String::from_utf8(password).expect("text"))
    }

    #[test]
    fn lines_of_libpq() {
        assert_eq!(password(r"db.example.com:5432:tokens:a\:b:secret").as_deref(), Some("secret"));
        assert_eq!(password(r"*:*:*:*:se:cr\\et\:").as_deref(), Some(r"se:cr\et:"));
        assert_eq!(password("*:5432:*:*:secret\r").as_deref(), Some("secret"));
        for other in [
            "#*:*:*:*:secret",
            r"db.example.com:5433:tokens:a\:b:secret",
            "*:*:*:a:secret",
            r"\*:*:*:*:secret",
            "*:*:*:*",
            "*:*:*:*:",
            "",
        ] {
            assert_eq!(password(other), None, "{other}");
        }
    }
}
