//! Resources: which requests a credential may be used for, and how a path is read so that no two readers differ.

use std::borrow::Cow;
use std::fmt;

use crate::allowlist::{Allowable, Allowlist};

/// One pattern: `[METHOD ]/seg/seg…`. A segment `*` is any one segment that is not empty, a last segment `**` any rest
/// (design 2.3). Everything else is itself, case included.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Resource {
    /// As it was stated.
    text: Box<str>,
    method: Option<Box<str>>,
    segments: Box<[Segment]>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Segment {
    /// Itself, as [`ResourcePath`] spells it.
    Literal(Box<str>),
    /// `*`.
    Any,
    /// `**`; only last.
    Rest,
}

/// Why a text is no pattern, or a list no list of patterns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidResource {
    /// More than 256 bytes.
    #[error("must have at most 256 bytes")]
    TooLong,
    /// More than 64 in a list.
    #[error("must name at most 64 resources")]
    TooMany,
    /// What stands before the blank is no method.
    #[error("must begin with `/`, or with a method in capitals, a blank and `/`")]
    Method,
    /// A path that no request could have.
    #[error("must be a path without query, empty or dot segments, `;`, `\\` or encoded slashes")]
    Path,
    /// A `*` that does not stand alone, or a `**` that is not last.
    #[error("may have `*` for a whole segment, and `**` for the last one")]
    Wildcard,
}

impl Resource {
    /// Longest pattern, in bytes.
    pub const LONGEST: usize = 256;

    /// Reads one pattern.
    pub fn parse(text: &str) -> Result<Self, InvalidResource> {
        if text.len() > Self::LONGEST {
            return Err(InvalidResource::TooLong);
        }
        let (method, path) = match text.split_once(' ') {
            Some((method, path)) => (Some(method), path),
            None => (None, text),
        };
        let is_method = |method: &str| !method.is_empty() && method.bytes().all(|b| b.is_ascii_uppercase());
        if !method.is_none_or(is_method) || !path.starts_with('/') {
            return Err(InvalidResource::Method);
        }
        if path.contains('?') {
            return Err(InvalidResource::Path);
        }
        let path = ResourcePath::read(path.as_bytes()).ok_or(InvalidResource::Path)?;
        let last = path.segments().count() - 1;
        let segment = |(index, segment): (usize, &str)| match segment {
            "*" => Ok(Segment::Any),
            "**" if index == last => Ok(Segment::Rest),
            _ if segment.contains('*') => Err(InvalidResource::Wildcard),
            _ => Ok(Segment::Literal(segment.into())),
        };
        let segments = path.segments().enumerate().map(segment).collect::<Result<_, _>>()?;
        Ok(Self { text: text.into(), method: method.map(Into::into), segments })
    }

    /// The text as it was stated.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a request of this method (as the request spells it) and path is meant.
    pub fn covers(&self, method: &str, path: &ResourcePath<'_>) -> bool {
        if self.method.as_deref().is_some_and(|own| own != method) {
            return false;
        }
        let mut segments = path.segments();
        for own in &self.segments {
            match (own, segments.next()) {
                (_, None) => return false,
                (Segment::Rest, Some(_)) => return true,
                (Segment::Any, Some("")) => return false,
                (Segment::Any, Some(_)) => {}
                (Segment::Literal(literal), Some(segment)) if **literal == *segment => {}
                (Segment::Literal(_), Some(_)) => return false,
            }
        }
        segments.next().is_none()
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The path of a request, in the one spelling in which it is judged: unreserved characters stand for themselves, other
/// escapes are in capitals.
///
/// There is none for a path that another reader may take for a different one: a broken escape; an encoded slash,
/// backslash or NUL; a dot segment, however it is spelled; an empty segment but the last; `;`, `\`, `#`, a control
/// byte, a blank or a byte beyond ASCII (design 2.3).
#[derive(Debug, PartialEq, Eq)]
pub struct ResourcePath<'a>(Cow<'a, str>);

impl<'a> ResourcePath<'a> {
    /// Reads the path of a request target, up to a `?`.
    pub fn read(target: &'a [u8]) -> Option<Self> {
        let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
        let is_plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b';' | b'\\' | b'#');
        let text = std::str::from_utf8(path).ok().filter(|path| path.bytes().all(|byte| is_plain(&byte)))?;
        let spelled = if text.contains('%') { Cow::Owned(respelled(text)?) } else { Cow::Borrowed(text) };
        let mut segments = spelled.strip_prefix('/')?.split('/').rev();
        let is_whole = |segment: &str| !matches!(segment, "." | "..");
        let last_is_whole = segments.next().is_some_and(is_whole);
        let others_are = segments.all(|segment| !segment.is_empty() && is_whole(segment));
        (last_is_whole && others_are).then_some(Self(spelled))
    }

    /// Its segments; at least one, and only the last may be empty.
    fn segments(&self) -> impl Iterator<Item = &str> {
        self.0[1..].split('/')
    }
}

/// The path with its escapes in their one spelling.
fn respelled(path: &str) -> Option<String> {
    let mut parts = path.split('%');
    let mut spelled = parts.next()?.to_owned();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        match u8::from_str_radix(digits, 16).ok()? {
            b'/' | b'\\' | 0 => return None,
            byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => spelled.push(byte.into()),
            _ => {
                spelled.push('%');
                spelled.push_str(&digits.to_ascii_uppercase());
            }
        }
        spelled.push_str(rest);
    }
    Some(spelled)
}

/// Which requests a credential may be used for: all, or those that a pattern of a list means.
pub type Resources = Allowlist<Resource>;

impl Allowable for Resource {
    const MOST: usize = 64;
    const SEPARATOR: &str = "\n";
    type Invalid = InvalidResource;
    const TOO_MANY: InvalidResource = InvalidResource::TooMany;

    fn parse(text: &str) -> Result<Self, InvalidResource> {
        Self::parse(text)
    }

    /// Exact.
    fn within(&self, other: &Self) -> bool {
        if other.method.is_some() && other.method != self.method {
            return false;
        }
        let mut segments = self.segments.iter();
        for theirs in &other.segments {
            match (theirs, segments.next()) {
                (_, None) => return false,
                (Segment::Rest, Some(_)) => return true,
                (Segment::Any, Some(Segment::Any)) => {}
                (Segment::Any, Some(Segment::Literal(literal))) if !literal.is_empty() => {}
                (Segment::Literal(literal), Some(Segment::Literal(own))) if own == literal => {}
                _ => return false,
            }
        }
        segments.next().is_none()
    }
}

impl Resources {
    /// Whether a request of this method and path is meant.
    pub fn cover(&self, method: &str, path: &ResourcePath<'_>) -> bool {
        self.is_any(|resource| resource.covers(method, path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn resource(text: &str) -> Resource {
        Resource::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    fn covers(pattern: &str, method: &str, path: &str) -> bool {
        let path = ResourcePath::read(path.as_bytes()).unwrap_or_else(|| panic!("{path} is not read"));
        resource(pattern).covers(method, &path)
    }

    #[test]
    fn grammar() {
        for good in
            ["/", "/a", "/a/", "/*", "/**", "GET /a/*/b/**", "PROPFIND /%41%20", "/a.b/~c", "/a:b@c,d=e"]
        {
            assert!(Resource::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "a", "get /a", "GET  /a", " /a", "GET a", "GET", "/a b"] {
            assert_eq!(Resource::parse(bad), Err(InvalidResource::Method), "{bad}");
        }
        for bad in [
            "/a?b", "//", "/a//b", "/./a", "/a/..", "/%2e", "/a%2Fb", "/a%5cb", "/%00", "/%", "/%4g", "/a;b",
            "/ä",
        ] {
            assert_eq!(Resource::parse(bad), Err(InvalidResource::Path), "{bad}");
        }
        for bad in ["/a*", "/*a", "/**/a", "/***", "/a/**/"] {
            assert_eq!(Resource::parse(bad), Err(InvalidResource::Wildcard), "{bad}");
        }
        assert!(Resource::parse(&format!("/{}", "a".repeat(255))).is_ok());
        assert_eq!(Resource::parse(&format!("/{}", "a".repeat(256))), Err(InvalidResource::TooLong));
    }

    #[test]
    fn segments_of_the_design() {
        assert!(covers("/a/*", "GET", "/a/b?c=/d"));
        assert!(!covers("/a/*", "GET", "/a/b/c"));
        assert!(!covers("/a/*", "GET", "/a/"), "`*` is a whole segment");
        assert!(covers("/a/**", "GET", "/a/b/c/"));
        assert!(covers("/a/**", "GET", "/a/"));
        assert!(!covers("/a/**", "GET", "/a"));
        assert!(!covers("/a/**", "GET", "/ab/c"));
        assert!(covers("/**", "GET", "/"));
        assert!(!covers("/a", "GET", "/A"), "case matters");
        assert!(!covers("/a", "GET", "/a/"));
        assert!(covers("GET /a", "GET", "/a") && !covers("GET /a", "POST", "/a"));
        assert!(!covers("GET /a", "get", "/a") && !covers("GET /a", "HEAD", "/a"));
    }

    #[test]
    fn one_spelling() {
        assert!(covers("/a-b", "GET", "/%61%2Db"));
        assert!(covers("/%61", "GET", "/a"));
        assert!(covers("/a%3ab", "GET", "/a%3Ab"));
        assert!(!covers("/a:b", "GET", "/a%3Ab"), "a reserved character is not its escape");
        assert!(!covers("/a", "GET", "/%2561"), "decoded once");
    }

    #[test]
    fn what_two_readers_may_take_for_two_paths_is_none() {
        for bad in [
            "",
            "a",
            "*",
            "http://h/a",
            "?a",
            "/a/../b",
            "/a/%2e%2E/b",
            "/.%2e",
            "/a/.",
            "//a",
            "/a//",
            "/a%2fb",
            "/a%5Cb",
            "/a\\b",
            "/%00",
            "/a%",
            "/a%4",
            "/a%zz",
            "/a;b=c",
            "/a#b",
            "/a\tb",
            "/a b",
            "/\u{7f}",
            "/ä",
        ] {
            assert_eq!(ResourcePath::read(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(ResourcePath::read(b"/\xff"), None);
    }

    fn any_pattern() -> impl Strategy<Value = Resource> {
        "(GET |POST )?(/(a|b|\\*)){0,2}/(a|b|\\*|\\*\\*)?".prop_map(|text| resource(&text))
    }

    proptest! {
        /// What is within a list covers no request that the list does not.
        #[test]
        fn within_means_no_more(
            mine in proptest::option::of(proptest::collection::vec(any_pattern(), 0..4)),
            theirs in proptest::option::of(proptest::collection::vec(any_pattern(), 0..4)),
            method in "GET|POST",
            path in "(/[abc]){0,3}/?",
        ) {
            let list = |patterns: Option<Vec<_>>| patterns.map_or(Resources::ALL, |p| Resources::list(p).unwrap_or_default());
            let (mine, theirs) = (list(mine), list(theirs));
            let Some(path) = ResourcePath::read(path.as_bytes()) else { return Ok(()) };
            if mine.within(&theirs) && mine.cover(&method, &path) {
                prop_assert!(theirs.cover(&method, &path));
            }
        }

        /// For single patterns `within` is exact: what is not within another means a request that it does not.
        #[test]
        fn not_within_means_more(mine in any_pattern(), theirs in any_pattern()) {
            let all_paths = (0..=3_u32).flat_map(|length| (0..4_u32.pow(length)).map(move |mut number| {
                let mut path = String::new();
                for _ in 0..length {
                    path.push('/');
                    path.push_str(["a", "b", "c", "d"][(number % 4) as usize]);
                    number /= 4;
                }
                path
            }));
            let all_paths = all_paths.flat_map(|path| [format!("{path}/"), path]);
            let beyond = all_paths.filter(|path| !path.is_empty()).any(|path| {
                let Some(path) = ResourcePath::read(path.as_bytes()) else { return false };
                ["GET", "POST", "PUT"].iter().any(|method| mine.covers(method, &path) && !theirs.covers(method, &path))
            });
            prop_assert_eq!(mine.within(&theirs), !beyond);
        }

        #[test]
        fn any_bytes_are_read_without_harm(target in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Some(path) = ResourcePath::read(&target) {
                prop_assert!(path.segments().count() > 0);
                let again = ResourcePath::read(path.0.as_bytes());
                prop_assert_eq!(again.as_ref(), Some(&path), "spelling is idempotent");
            }
        }
    }
}
