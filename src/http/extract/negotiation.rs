//! Content negotiation: `Accept`, `Accept-Encoding` and their q-values.
use axum::http::{HeaderMap, HeaderName};

/// One word of a list with weights (RFC 9110, 12.4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wish<'h> {
    /// The word without its parameters.
    pub(crate) word: &'h str,
    /// From 0, not at all, to 1000.
    pub(crate) weight: u16,
}

/// The wishes in every header of a name, in order.
pub(crate) fn wishes(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = Wish<'_>> {
    let texts = headers.get_all(name).into_iter();
    texts
        .filter_map(|it| it.to_str().ok())
        .flat_map(|it| it.split(','))
        .filter_map(wish)
}

fn wish(text: &str) -> Option<Wish<'_>> {
    let mut parts = text.split(';').map(str::trim);
    let word = parts.next().filter(|it| !it.is_empty())?;
    let weight = parts.find_map(|it| it.strip_prefix("q=").or_else(|| it.strip_prefix("Q=")));
    Some(Wish {
        word,
        weight: weight.map_or(1000, permille),
    })
}

/// An invalid q-value counts as 1.
fn permille(text: &str) -> u16 {
    match text.trim().parse::<f32>() {
        Ok(it) if (0.0..=1.0).contains(&it) => (it * 1000.0) as u16,
        _ => 1000,
    }
}

/// The preference for a media type; larger is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Liking {
    weight: u16,
    plainness: u8,
    /// The first named is the largest.
    place: u16,
}

/// The preference for a media type, by its most specific match. `None` when it is not acceptable.
pub(crate) fn liking<'h>(
    wishes: impl Iterator<Item = Wish<'h>>,
    media_type: &str,
) -> Option<Liking> {
    let kind = media_type.split('/').next().unwrap_or_default();
    let plainness = |word: &str| {
        if word.eq_ignore_ascii_case(media_type) {
            Some(2)
        } else if word == "*/*" || word == "*" {
            Some(0)
        } else {
            let (named, all) = word.split_once('/')?;
            (named.eq_ignore_ascii_case(kind) && all == "*").then_some(1)
        }
    };
    let places = wishes.zip((0..=u16::MAX).rev());
    places
        .filter_map(|(wish, place)| Some((plainness(wish.word)?, place, wish.weight)))
        .max()
        .filter(|(_, _, weight)| *weight > 0)
        .map(|(plainness, place, weight)| Liking {
            weight,
            plainness,
            place,
        })
}

#[cfg(test)]
mod tests {
    use crate::http::extract::negotiation::*;
    use axum::http::{HeaderValue, header};

    fn headers(text: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_str(text).unwrap());
        headers
    }

    #[test]
    fn words_come_with_their_weights() {
        for (text, read) in [
            ("text/csv", vec![("text/csv", 1000)]),
            (
                "a;q=0.5, b;level=1;Q=0.25 ,c;q=0",
                vec![("a", 500), ("b", 250), ("c", 0)],
            ),
            ("*;q=.2,,;q=1", vec![("*", 200)]),
            ("a;q=nonsense, b;q=2", vec![("a", 1000), ("b", 1000)]),
        ] {
            let headers = headers(text);
            let wishes = wishes(&headers, header::ACCEPT);
            let wishes: Vec<_> = wishes.map(|it| (it.word, it.weight)).collect();
            assert_eq!(wishes, read, "{text}");
        }
    }

    #[test]
    fn the_plainest_wish_for_a_type_counts() {
        let liked = |text: &str, media_type: &str| {
            let headers = headers(text);
            liking(wishes(&headers, header::ACCEPT), media_type).is_some()
        };
        assert!(liked("text/*", "text/csv"));
        assert!(!liked("text/*", "application/json"));
        assert!(!liked("text/csv;q=0, */*", "text/csv"));
        assert!(liked("text/csv;q=0.1, */*;q=0", "TEXT/CSV"));
        assert!(!liked("csv", "text/csv"));
    }
}
