//! Reading the value of an `Authorization` header, the same for every wire and door.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// The value, taken apart. Nothing is known yet of the text's own form.
#[derive(PartialEq, Eq)]
pub(crate) enum Authorization<'a> {
    /// `Bearer T`, the scheme in any case.
    Bearer(&'a str),
    /// `T` without a scheme.
    Bare(&'a str),
    /// `Basic …`, decoded.
    Basic(UserPass),
    /// `{…}`: both halves of a service token in one JSON object (cloudflare-access.md 5.2).
    Json(&'a str),
}

/// What `Basic` held.
#[derive(PartialEq, Eq)]
pub(crate) struct UserPass {
    pub(crate) username: Zeroizing<String>,
    pub(crate) password: Zeroizing<String>,
}

/// Says which scheme it is and nothing else.
impl fmt::Debug for Authorization<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bearer(_) => "Bearer(…)",
            Self::Bare(_) => "Bare(…)",
            Self::Basic(_) => "Basic(…)",
            Self::Json(_) => "Json(…)",
        })
    }
}

impl UserPass {
    /// The access token among the two: LoopBack takes the longer half (TOKEN, TOKEN:, :TOKEN, any:TOKEN).
    pub(crate) fn longer(&self) -> &str {
        if self.username.len() > self.password.len() { &self.username } else { &self.password }
    }
}

impl<'a> Authorization<'a> {
    /// Takes a value apart; `None` when it is empty, not UTF-8, or of another scheme.
    pub(crate) fn parse(value: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?.trim();
        if text.starts_with('{') {
            return Some(Self::Json(text));
        }
        match text.split_once(' ') {
            None if text.is_empty() => None,
            None if is_scheme(text) => None,
            None => Some(Self::Bare(text)),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("bearer") => {
                Some(rest.trim()).filter(|rest| !rest.is_empty() && !rest.contains(' ')).map(Self::Bearer)
            }
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("basic") => {
                parse_basic(rest.trim()).map(Self::Basic)
            }
            Some(_) => None,
        }
    }
}

fn is_scheme(text: &str) -> bool {
    text.eq_ignore_ascii_case("bearer") || text.eq_ignore_ascii_case("basic")
}

/// RFC 7617; a value without a colon is a username alone.
fn parse_basic(encoded: &str) -> Option<UserPass> {
    let decoded = Zeroizing::new(STANDARD.decode(encoded).ok()?);
    let text = std::str::from_utf8(&decoded).ok()?;
    let (username, password) = text.split_once(':').unwrap_or((text, ""));
    Some(UserPass { username: Zeroizing::new(username.into()), password: Zeroizing::new(password.into()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes() {
        use Authorization::*;
        assert_eq!(Authorization::parse(b"Bearer abc"), Some(Bearer("abc")));
        assert_eq!(Authorization::parse(b"bEARER  abc "), Some(Bearer("abc")));
        assert_eq!(Authorization::parse(b"abc"), Some(Bare("abc")));
        assert_eq!(Authorization::parse(b" {\"a\":1} "), Some(Json("{\"a\":1}")));
        for bad in
            ["", " ", "Bearer", "Bearer ", "basic", "Digest abc", "Token abc", "Bearer a b", "Basic %%%"]
        {
            assert_eq!(Authorization::parse(bad.as_bytes()), None, "{bad:?}");
        }
        assert_eq!(Authorization::parse(b"abc\xff"), None);
    }

    #[test]
    fn basic() {
        let longer = |plain: &str| match Authorization::parse(
            format!("Basic {}", STANDARD.encode(plain)).as_bytes(),
        ) {
            Some(Authorization::Basic(pair)) => Some(pair.longer().to_owned()),
            _ => None,
        };
        for plain in ["TOKEN", "TOKEN:", ":TOKEN", "any:TOKEN"] {
            assert_eq!(longer(plain).as_deref(), Some("TOKEN"), "{plain}");
        }
    }
}
