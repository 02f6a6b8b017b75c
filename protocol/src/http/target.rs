//! What a request is about: its target (RFC 9112 §3.2).

use super::{authority::Authority, method::Method, refused::Refused};
use std::borrow::Cow;

/// The four ways to write a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// `/path?query`: the usual one.
    Origin,
    /// `http://host/path?query`: as it is sent to a proxy.
    Absolute,
    /// `host:port`: only with CONNECT.
    Authority,
    /// `*`: only with OPTIONS, about the server as a whole.
    Asterisk,
}

/// The target of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    form: Form,
    /// Host and port, in the forms that have them.
    authority: Option<Authority>,
    /// Path and query, as they came; `*` in asterisk form, empty in authority form.
    path_and_query: String,
    /// Where the path ends.
    path_len: usize,
}

impl Target {
    /// Reads a target; its form must fit the method.
    ///
    /// # Errors
    /// [`Refused::Target`], [`Refused::TargetForm`] or [`Refused::Host`].
    pub fn parse(method: &Method, text: &[u8]) -> Result<Self, Refused> {
        let text = str::from_utf8(text).map_err(|_| Refused::Target)?;
        if *method == Method::Connect {
            let authority = Authority::parse(text.as_bytes()).map_err(|_| Refused::TargetForm)?;
            authority.port.ok_or(Refused::TargetForm)?;
            return Ok(Self { form: Form::Authority, authority: Some(authority), ..Self::origin(String::new()) });
        }
        if text == "*" {
            let form = Form::Asterisk;
            let fits = *method == Method::Options;
            return if fits { Ok(Self { form, ..Self::origin("*".into()) }) } else { Err(Refused::TargetForm) };
        }
        if text.starts_with('/') {
            check(text)?;
            return Ok(Self::origin(text.to_owned()));
        }
        Self::parse_absolute(method, text)
    }

    fn parse_absolute(method: &Method, text: &str) -> Result<Self, Refused> {
        let (scheme, rest) = text.split_once("://").ok_or(Refused::Target)?;
        if !scheme.eq_ignore_ascii_case("http") {
            return Err(Refused::Target);
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let authority = Authority::parse(&rest.as_bytes()[..end])?;
        let path_and_query = match &rest[end..] {
            // RFC 9112 §3.2.4: an OPTIONS without a path is about the server as a whole.
            "" if *method == Method::Options => "*".to_owned(),
            rest if rest.starts_with('/') => rest.to_owned(),
            rest => format!("/{rest}"),
        };
        check(&path_and_query)?;
        Ok(Self { form: Form::Absolute, authority: Some(authority), ..Self::origin(path_and_query) })
    }

    fn origin(path_and_query: String) -> Self {
        let path_len = path_and_query.find('?').unwrap_or(path_and_query.len());
        Self { form: Form::Origin, authority: None, path_and_query, path_len }
    }

    /// How it was written.
    #[must_use]
    pub fn form(&self) -> Form {
        self.form
    }

    /// Host and port, if they stood in the target itself.
    #[must_use]
    pub fn authority(&self) -> Option<&Authority> {
        self.authority.as_ref()
    }

    /// Path and query as they came: what goes into a request to an origin server.
    #[must_use]
    pub fn path_and_query(&self) -> &str {
        &self.path_and_query
    }

    /// The path as it came, with its escapes.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path_and_query[..self.path_len]
    }

    /// The query as it came, without the question mark.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.path_and_query.get(self.path_len + 1..)
    }

    /// The segments of the path between its slashes, each with its escapes resolved *after* the path was split, so that
    /// `%2F` never becomes a separator. `None` if an escape is broken or is no UTF-8.
    #[must_use]
    pub fn segments(&self) -> Option<Vec<Cow<'_, str>>> {
        self.path().strip_prefix('/')?.split('/').map(|segment| decode(segment, false)).collect()
    }

    /// The pairs of the query (`a=1&b=2`), with their escapes resolved and `+` as a space. `None` if one is broken.
    #[must_use]
    pub fn pairs(&self) -> Option<Vec<(Cow<'_, str>, Cow<'_, str>)>> {
        let parts = self.query().unwrap_or_default().split('&').filter(|part| !part.is_empty());
        let pair = |part| {
            let (name, value) = str::split_once(part, '=').unwrap_or((part, ""));
            Some((decode(name, true)?, decode(value, true)?))
        };
        parts.map(pair).collect()
    }
}

/// Refuses what may not stand in a path or a query. What browsers send without escaping it (`|`, `{`, `^` …) is let
/// through; what one program takes for a separator and another does not (`\`, `#`, and anything but ASCII) is not.
fn check(path_and_query: &str) -> Result<(), Refused> {
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    let harmless = |b: u8| matches!(b, b'!'..=b'~') && !b"\"#<>".contains(&b);
    let fine = path.bytes().all(|b| harmless(b) && b != b'\\') && query.bytes().all(harmless);
    if fine { Ok(()) } else { Err(Refused::Target) }
}

/// Whether every `%` is followed by two hexadecimal digits.
fn escapes_are_whole(text: &str) -> bool {
    text.split('%').skip(1).all(|after| after.len() >= 2 && after.bytes().take(2).all(|b| b.is_ascii_hexdigit()))
}

/// Resolves the escapes of a text (`%C3%A4` is `ä`); `None` if one is broken, or the result is no UTF-8 or has a NUL.
#[must_use]
pub fn decode(text: &str, plus_is_space: bool) -> Option<Cow<'_, str>> {
    if !text.contains(['%', '+']) {
        return Some(Cow::Borrowed(text));
    }
    if !escapes_are_whole(text) {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => hex(rest.next()?)? << 4 | hex(rest.next()?)?,
            b'+' if plus_is_space => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains('\0')).map(Cow::Owned)
}

/// The value of a hexadecimal digit.
pub(super) fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// Escapes a text so that it can stand as one segment of a path, or as a name or value of a query.
#[must_use]
pub fn encode(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}
