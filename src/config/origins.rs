//! Which origins' pages may read the API in a browser (CORS).
use std::str::FromStr;
use url::{Origin, Url};

/// The origins whose pages may read answers. None by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CorsOrigins {
    any: bool,
    exact: Vec<String>,
}

impl CorsOrigins {
    /// Whether no origin is allowed, so that answers need not say anything about it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.any && self.exact.is_empty()
    }

    /// Whether a page of this origin, as the `Origin` header has it, may read answers. `null`, which
    /// stands for local files and sandboxed frames of any site, never may.
    #[must_use]
    pub fn allow(&self, origin: &[u8]) -> bool {
        let is_listed = |it: &String| it.as_bytes() == origin;
        origin != b"null" && (self.any || self.exact.iter().any(is_listed))
    }
}

impl FromStr for CorsOrigins {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut origins = Self::default();
        for word in text.split(',').map(str::trim).filter(|it| !it.is_empty()) {
            if word == "*" {
                origins.any = true;
                continue;
            }
            match as_browsers_send_it(word) {
                Some(origin) if origin == word => origins.exact.push(origin),
                Some(origin) => return Err(format!("`{word}` is no origin: write `{origin}`")),
                None => {
                    return Err(format!(
                        "`{word}` is no origin: write `https://app.example.com` or `*`"
                    ));
                }
            }
        }
        Ok(origins)
    }
}

/// The origin of an address: its scheme, host and port in small letters, without a usual port.
fn as_browsers_send_it(address: &str) -> Option<String> {
    let url = Url::parse(address).ok()?;
    if address.contains('*') {
        return None; // an origin is exact
    }
    match url.origin() {
        origin @ Origin::Tuple(..) => Some(origin.ascii_serialization()),
        // Applications and browser extensions have schemes of their own.
        Origin::Opaque(_) => {
            let host = url.host_str().filter(|it| !it.is_empty())?;
            let port = url.port().map(|it| format!(":{it}")).unwrap_or_default();
            Some(format!("{}://{host}{port}", url.scheme()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_exact_and_null_is_none_of_them() {
        let listed: CorsOrigins = "https://a.example, http://localhost:5173,tauri://localhost"
            .parse()
            .unwrap();
        for allowed in [
            "https://a.example",
            "http://localhost:5173",
            "tauri://localhost",
        ] {
            assert!(listed.allow(allowed.as_bytes()), "{allowed}");
        }
        for other in [
            "null",
            "http://a.example",
            "https://a.example:8443",
            "https://a.example.evil",
            "https://evil-a.example",
            "https://a.example/",
            "",
        ] {
            assert!(!listed.allow(other.as_bytes()), "{other}");
        }
        let any: CorsOrigins = "*".parse().unwrap();
        assert!(any.allow(b"https://anything") && !any.allow(b"null"));
        assert!(CorsOrigins::default().is_empty() && !any.is_empty() && !listed.is_empty());
    }

    #[test]
    fn what_no_browser_sends_is_refused_with_what_to_write() {
        for (wrong, right) in [
            ("https://a.example/", "write `https://a.example`"),
            ("https://a.example/app", "write `https://a.example`"),
            ("HTTPS://A.example", "write `https://a.example`"),
            ("https://a.example:443", "write `https://a.example`"),
            ("null", "write `https://app.example.com` or `*`"),
            ("a.example", "write `https://app.example.com` or `*`"),
            ("https://*.example", "`https://*.example` is no origin"),
        ] {
            let error = CorsOrigins::from_str(wrong).unwrap_err();
            assert!(error.contains(right), "{wrong}: {error}");
        }
    }
}
