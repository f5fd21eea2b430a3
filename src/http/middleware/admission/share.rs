//! A caller's share in the headers `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers).
use crate::shares::{Account, Kind, Rooms};
use axum::http::{HeaderMap, HeaderName, HeaderValue};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// How much of one kind a caller may have at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    /// What it is a share of, in the plural.
    of: &'static str,
    unit: &'static str,
    quota: usize,
    left: usize,
}

impl Share {
    /// What an account may have of a kind at this moment, and how much more than it has.
    pub(crate) fn of(kind: Kind, rooms: &Rooms, account: &Account) -> Self {
        let (of, unit) = match kind {
            Kind::Working => ("requests", "concurrent-requests"),
            Kind::Waiting => ("waiting-requests", "concurrent-requests"),
            Kind::Forwarded => ("forwarded-requests", "concurrent-requests"),
            Kind::Streams => ("event-streams", "concurrent-requests"),
            Kind::Bytes => ("buffered-bytes", "content-bytes"),
        };
        let quota = rooms.share(kind, account);
        Self {
            of,
            unit,
            quota,
            left: quota.saturating_sub(account.has(kind)),
        }
    }

    /// The share of transactions of a caller that has `open`, and may begin no other.
    pub(crate) fn of_transactions(open: usize) -> Self {
        Self {
            of: "transactions",
            unit: "concurrent-transactions",
            quota: open,
            left: 0,
        }
    }

    /// Says so in the headers of an answer.
    pub(crate) fn note(&self, headers: &mut HeaderMap) {
        let Self {
            of,
            unit,
            quota,
            left,
        } = self;
        for (name, value) in [
            (
                RATE_LIMIT_POLICY,
                format!("\"{of}\";q={quota};qu=\"{unit}\""),
            ),
            (RATE_LIMIT, format!("\"{of}\";r={left}")),
        ] {
            let value = HeaderValue::try_from(value).expect("words and numbers are visible ASCII");
            headers.insert(name, value);
        }
    }
}
