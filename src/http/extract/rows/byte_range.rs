//! `Range: bytes=0-99`, one range of a known number of bytes (RFC 9110, 14).
use axum::http::{HeaderMap, header};

/// Which bytes are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ByteRange {
    /// All of them.
    Whole,
    /// Some of them.
    Part { first: u64, count: u64 },
    /// Only such as are not there.
    Behind,
}

/// The range that a request wants of `size` bytes. What is no range of bytes, several ranges, and
/// one of other bytes (`If-Range`) count as none.
pub(crate) fn byte_range(headers: &HeaderMap, size: u64, etag: Option<&str>) -> ByteRange {
    let wanted = headers
        .get(header::RANGE)
        .and_then(|text| text.to_str().ok());
    let Some(wanted) = wanted.and_then(|text| text.strip_prefix("bytes=")) else {
        return ByteRange::Whole;
    };
    if let Some(known) = headers.get(header::IF_RANGE)
        && known.to_str().ok() != etag
    {
        return ByteRange::Whole;
    }
    let Some((first, last)) = wanted.trim().split_once('-') else {
        return ByteRange::Whole;
    };
    let (first, last) = match (first.trim(), last.trim()) {
        ("", last) => match last.parse::<u64>() {
            Ok(0) => return ByteRange::Behind,
            Ok(count) => (size.saturating_sub(count), size.saturating_sub(1)),
            Err(_) => return ByteRange::Whole,
        },
        (first, "") => match first.parse() {
            Ok(first) => (first, size.saturating_sub(1)),
            Err(_) => return ByteRange::Whole,
        },
        (first, last) => match (first.parse(), last.parse::<u64>()) {
            (Ok(first), Ok(last)) if first <= last => (first, last.min(size.saturating_sub(1))),
            _ => return ByteRange::Whole,
        },
    };
    if first >= size {
        return ByteRange::Behind;
    }
    ByteRange::Part {
        first,
        count: last - first + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_of_bytes_is_found() {
        for (text, size, expected) in [
            (
                "bytes=0-9",
                100,
                ByteRange::Part {
                    first: 0,
                    count: 10,
                },
            ),
            (
                "bytes=90-",
                100,
                ByteRange::Part {
                    first: 90,
                    count: 10,
                },
            ),
            (
                "bytes=-10",
                100,
                ByteRange::Part {
                    first: 90,
                    count: 10,
                },
            ),
            (
                "bytes=-500",
                100,
                ByteRange::Part {
                    first: 0,
                    count: 100,
                },
            ),
            (
                "bytes=5-500",
                100,
                ByteRange::Part {
                    first: 5,
                    count: 95,
                },
            ),
            ("bytes=100-", 100, ByteRange::Behind),
            ("bytes=0-0", 0, ByteRange::Behind),
            ("bytes=-0", 100, ByteRange::Behind),
            ("bytes=9-1", 100, ByteRange::Whole),
            ("bytes=0-1,5-6", 100, ByteRange::Whole),
            ("items=0-1", 100, ByteRange::Whole),
            ("bytes=x-y", 100, ByteRange::Whole),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, text.parse().unwrap());
            assert_eq!(byte_range(&headers, size, None), expected, "{text}");
        }
    }
}
