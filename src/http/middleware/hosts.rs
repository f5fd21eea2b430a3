//! Host names of databases: `{label}.{domain}`.
//!
//! What lies below `/v1/databases/{db}` on the domain lies at the root of the database's host. Other
//! paths are answered there as on the domain: answers point to `/v1/jobs/{id}` and `/problems/{code}`.
use crate::domain::state::BY_HOST;
use axum::http::Uri;
use axum::http::uri::PathAndQuery;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What cannot be in a label is escaped.
const NO_LABEL: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-');

/// Tells hosts of databases from others.
#[derive(Debug, Clone)]
pub(super) struct DatabaseHosts {
    /// The domain with a dot in front, in small letters.
    ending: String,
}

impl DatabaseHosts {
    pub(super) fn of(domain: &str) -> Self {
        let domain = name_of(domain.as_bytes());
        let domain = String::from_utf8_lossy(domain).to_ascii_lowercase();
        Self {
            ending: format!(".{domain}"),
        }
    }

    /// What stands before the domain in a host such as `shop.db.localhost:8080`.
    pub(super) fn label<'h>(&self, host: &'h [u8]) -> Option<&'h str> {
        let name = name_of(host);
        let (label, ending) = name.split_at_checked(name.len().checked_sub(self.ending.len())?)?;
        if !ending.eq_ignore_ascii_case(self.ending.as_bytes()) || label.is_empty() {
            return None;
        }
        str::from_utf8(label).ok()
    }
}

/// A host without its port and without the dot that may end a full name.
fn name_of(host: &[u8]) -> &[u8] {
    let name = match memchr::memrchr(b':', host) {
        Some(colon) if host[colon + 1..].iter().all(u8::is_ascii_digit) => &host[..colon],
        _ => host,
    };
    name.strip_suffix(b".").unwrap_or(name)
}

/// The address on the domain of what `uri` is on the host of a database; none where it would be too
/// long for one.
pub(super) fn on_domain(label: &str, uri: &Uri) -> Option<Uri> {
    let path = uri.path().strip_prefix('/')?;
    let slash = if path.is_empty() { "" } else { "/" };
    let label = utf8_percent_encode(label, NO_LABEL);
    let mut address = format!("/v1/databases/{BY_HOST}{label}{slash}{path}");
    if let Some(query) = uri.query() {
        address.push('?');
        address.push_str(query);
    }
    PathAndQuery::try_from(address).ok().map(Uri::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_found_before_the_domain_alone() {
        let hosts = DatabaseHosts::of("DB.localhost:8081");
        for (host, label) in [
            ("shop.db.localhost", Some("shop")),
            ("shop.db.localhost:8080", Some("shop")),
            ("Shop.DB.LocalHost.", Some("Shop")),
            ("shop.db.localhost.:80", Some("shop")),
            ("shop.db.localhost:", Some("shop")),
            ("a.b.db.localhost", Some("a.b")),
            ("db.localhost", None),
            (".db.localhost", None),
            ("shopdb.localhost", None),
            ("shop.db.localhost.evil.example", None),
            ("shop.db.localhost:80@evil.example", None),
            ("localhost", None),
            ("127.0.0.1:8080", None),
            ("[::1]:8080", None),
            ("", None),
            (":", None),
        ] {
            assert_eq!(hosts.label(host.as_bytes()), label, "{host}");
        }
        assert_eq!(hosts.label(b"\xff.db.localhost"), None);
    }

    #[test]
    fn an_address_on_a_host_is_one_below_the_database() {
        let on_domain = |uri: &str| {
            on_domain("sh.op", &uri.parse().unwrap())
                .unwrap()
                .to_string()
        };
        assert_eq!(
            on_domain("/query?format=csv"),
            "/v1/databases/host:sh%2Eop/query?format=csv"
        );
        assert_eq!(on_domain("/"), "/v1/databases/host:sh%2Eop");
        assert_eq!(on_domain("/?at=3"), "/v1/databases/host:sh%2Eop?at=3");
        assert_eq!(
            on_domain("http://x/transactions/%2E%2E/"),
            "/v1/databases/host:sh%2Eop/transactions/%2E%2E/"
        );
        assert!(super::on_domain("a", &Uri::from_static("*")).is_none());
    }
}
