//! Which web pages may open a connection: exact origins, never a suffix of text.
//!
//! A browser tells the page's origin and cannot be made to lie about it by that page (RFC 6454,
//! RFC 6455 section 10.2); whoever is no browser sends none.

/// The rule of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origins {
    patterns: Vec<Pattern>,
    /// Pages of any loopback origin: while every public listener is on loopback.
    loopback: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    Exact(String),
    /// `https://*.example.com`: one or more labels before the rest.
    Subdomains {
        scheme: String,
        rest: String,
    },
}

/// An entry of `server.origins` that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no origin: scheme://host, scheme://host:port or scheme://*.host is expected, without a path"
)]
pub(crate) struct OriginError(String);

impl Origins {
    /// The given origins; if there are none the host itself, and with `loopback` those of this machine.
    ///
    /// # Errors
    /// [`OriginError`] names the entry that is none.
    pub(crate) fn new(entries: &[String], loopback: bool) -> Result<Self, OriginError> {
        let patterns = entries.iter().map(|entry| Pattern::parse(entry)).collect::<Result<_, _>>()?;
        Ok(Self { patterns, loopback })
    }

    /// Whether a page of `origin` may connect to us at `host` (the Host header).
    pub(super) fn allow(&self, origin: &str, host: &str) -> bool {
        let Some((_, authority)) = origin.split_once("://") else { return false }; // "null" too
        if self.patterns.is_empty() {
            return authority.eq_ignore_ascii_case(host) || (self.loopback && is_loopback(authority));
        }
        self.patterns.iter().any(|pattern| pattern.matches(origin))
    }
}

impl Pattern {
    fn parse(entry: &str) -> Result<Self, OriginError> {
        let error = || OriginError(entry.to_owned());
        let (scheme, authority) = entry.split_once("://").ok_or_else(error)?;
        let plain = |text: &str| !text.is_empty() && !text.contains(['/', '*', '?', '#', '@', ' ']);
        match authority.strip_prefix("*.") {
            Some(rest) if plain(rest) && !scheme.is_empty() => {
                Ok(Self::Subdomains { scheme: scheme.to_ascii_lowercase(), rest: rest.to_ascii_lowercase() })
            }
            None if plain(authority) && !scheme.is_empty() => Ok(Self::Exact(entry.to_ascii_lowercase())),
            _ => Err(error()),
        }
    }

    fn matches(&self, origin: &str) -> bool {
        let origin = origin.to_ascii_lowercase();
        match self {
            Self::Exact(exact) => origin == *exact,
            Self::Subdomains { scheme, rest } => {
                let host = origin.strip_prefix(scheme.as_str()).and_then(|o| o.strip_prefix("://"));
                let labels =
                    host.and_then(|h| h.strip_suffix(rest.as_str())).and_then(|l| l.strip_suffix('.'));
                labels.is_some_and(|labels| !labels.is_empty() && !labels.contains(['/', '@', ':']))
            }
        }
    }
}

/// Whether a host, with or without a port, is this machine.
pub(crate) fn is_loopback(authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_exact() {
        let entries = ["https://app.example.com".to_owned(), "https://*.example.org".to_owned()];
        let rule = Origins::new(&entries, false).unwrap();
        for (origin, allowed) in [
            ("https://app.example.com", true),
            ("HTTPS://APP.example.com", true),
            ("https://a.example.org", true),
            ("https://a.b.example.org", true),
            ("https://example.org", false),
            ("https://evilexample.org", false),
            ("https://app.example.com.evil.net", false),
            ("https://evil.net/.example.org", false),
            ("http://app.example.com", false),
            ("https://app.example.com:8443", false),
            ("https://gateway.example.net", false),
            ("http://localhost:3000", false),
            ("null", false),
            ("", false),
        ] {
            assert_eq!(rule.allow(origin, "gateway.example.net"), allowed, "{origin}");
        }
    }

    #[test]
    fn by_default_the_same_host_and_on_loopback_this_machine() {
        let rule = Origins::new(&[], true).unwrap();
        for origin in ["http://localhost:3000", "http://127.0.0.1:9", "http://[::1]:80", "http://a:8080"] {
            assert!(rule.allow(origin, "a:8080"), "{origin}");
        }
        assert!(!rule.allow("http://localhost.evil.net", "a:8080"));
        assert!(!Origins::new(&[], false).unwrap().allow("http://localhost:3000", "a:8080"));
    }

    #[test]
    fn as_soon_as_origins_are_listed_only_these_may() {
        let rule = Origins::new(&["https://app.example.com".to_owned()], true).unwrap();
        assert!(rule.allow("https://app.example.com", "a:8080"));
        for origin in ["http://localhost:3000", "http://127.0.0.1:9", "http://a:8080"] {
            assert!(!rule.allow(origin, "a:8080"), "{origin}");
        }
    }

    #[test]
    fn what_is_no_origin_is_named() {
        for entry in ["example.com", "https://", "https://a/b", "https://*", "*", "https://a.*.com"] {
            let error = Origins::new(&[entry.to_owned()], false).unwrap_err().to_string();
            assert!(error.contains(entry), "{error}");
        }
    }
}
