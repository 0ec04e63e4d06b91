//! The text of an address as parameters with libpq's names, whichever of its two forms it has.
//!
//! No error repeats what stood there: who forgets to escape a password writes a part of it where a name should be.

use percent_encoding::percent_decode_str;

use crate::address::AddressError;

/// How an address begins that is a URL.
const PREFIXES: [&str; 2] = ["postgres://", "postgresql://"];

/// Names and values, in the order in which they were written.
pub(crate) struct Parameters(Vec<Parameter>);

struct Parameter {
    /// Where it stands among those of the user, counted from 1.
    position: usize,
    name: String,
    value: String,
}

impl Parameters {
    pub(crate) fn of(text: &str) -> Result<Self, AddressError> {
        match PREFIXES.iter().find_map(|prefix| text.strip_prefix(prefix)) {
            Some(rest) => of_url(rest),
            None => of_pairs(text),
        }
    }

    /// The value with this name; the last one counts, and an empty one is none.
    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        let all = self.0.extract_if(.., |parameter| parameter.name == name);
        all.last().map(|parameter| parameter.value).filter(|value| !value.is_empty())
    }

    /// Everything with a meaning was taken.
    pub(crate) fn finish(self) -> Result<(), AddressError> {
        match self.0.first() {
            Some(Parameter { position, .. }) => Err(AddressError::Unknown { position: *position }),
            None => Ok(()),
        }
    }

    fn new() -> Self {
        Self(Vec::new())
    }

    fn add(&mut self, position: usize, name: impl Into<String>, value: impl Into<String>) {
        self.0.push(Parameter { position, name: name.into(), value: value.into() });
    }
}

/// `user:password@host:port,host:port/database?name=value&name=value`
fn of_url(text: &str) -> Result<Parameters, AddressError> {
    let mut parameters = Parameters::new();
    let before_path = text.find('/').unwrap_or(text.len());
    let rest = match text.split_once('@') {
        Some((credentials, rest)) if credentials.len() < before_path => {
            let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
            parameters.add(0, "user", decode(user)?);
            parameters.add(0, "password", decode(password)?);
            rest
        }
        _ => text,
    };
    // A piece of a password would be taken for a host or a parameter.
    if rest.contains('@') {
        return Err(AddressError::StrayAt);
    }
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (hosts, database) = place.split_once('/').unwrap_or((place, ""));
    add_hosts(&mut parameters, hosts)?;
    parameters.add(0, "dbname", decode(database)?);
    for (index, pair) in query.split('&').filter(|pair| !pair.is_empty()).enumerate() {
        let (name, value) = pair.split_once('=').ok_or(AddressError::Unknown { position: index + 1 })?;
        parameters.add(index + 1, decode(name)?, decode(value)?);
    }
    Ok(parameters)
}

fn add_hosts(parameters: &mut Parameters, hosts: &str) -> Result<(), AddressError> {
    if hosts.is_empty() {
        return Ok(());
    }
    let (mut names, mut ports) = (Vec::new(), Vec::new());
    for host in hosts.split(',') {
        let bracketed = host.strip_prefix('[').and_then(|host| host.split_once(']'));
        let (name, port) = match bracketed {
            Some((name, "")) => (name, ""),
            Some((name, port)) => (name, port.strip_prefix(':').ok_or(AddressError::Port)?),
            None => host.split_once(':').unwrap_or((host, "")),
        };
        names.push(decode(name)?);
        ports.push(decode(port)?);
    }
    parameters.add(0, "host", names.join(","));
    parameters.add(0, "port", ports.join(","));
    Ok(())
}

fn decode(text: &str) -> Result<String, AddressError> {
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| AddressError::NotUtf8)?;
    Ok(decoded.into_owned())
}

/// `name = value name='value with spaces'`, with `\` before a quote or itself.
fn of_pairs(text: &str) -> Result<Parameters, AddressError> {
    let mut parameters = Parameters::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=').ok_or(AddressError::Syntax)?;
        let (value, after) = take_value(after.trim_start())?;
        parameters.add(parameters.0.len() + 1, name.trim_end(), value);
        rest = after.trim_start();
    }
    Ok(parameters)
}

/// A value, and what follows it.
fn take_value(text: &str) -> Result<(String, &str), AddressError> {
    let quoted = text.strip_prefix('\'');
    let mut chars = quoted.unwrap_or(text).chars();
    let mut value = String::new();
    loop {
        match (chars.next(), quoted) {
            (Some('\\'), _) => value.extend(chars.next()),
            (Some('\''), Some(_)) => return Ok((value, chars.as_str())),
            (None, Some(_)) => return Err(AddressError::Syntax),
            (None, None) => return Ok((value, "")),
            (Some(space), None) if space.is_whitespace() => return Ok((value, chars.as_str())),
            (Some(other), _) => value.push(other),
        }
    }
}
