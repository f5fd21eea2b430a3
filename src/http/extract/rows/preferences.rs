//! `Prefer`, as the rows dialect has it.
use crate::data::Keep;
use crate::data::rows::Conflict;
use crate::http::Gateway;
use crate::http::response::error::Problem;
use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use std::sync::Arc;

/// What a request prefers.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Preferences {
    /// What is answered of a write.
    pub(crate) answer: Option<AnswerWord>,
    /// What becomes of rows that are there already.
    pub(crate) resolution: Option<Conflict>,
    /// Whether a column that a row does not name is NULL.
    pub(crate) missing_is_null: Option<bool>,
    /// Whether rows are counted.
    pub(crate) counts: bool,
    /// Most rows that may be changed.
    pub(crate) most_affected: Option<u64>,
    /// Whether nothing is kept.
    pub(crate) rolls_back: bool,
    /// Those that were honoured, as `Preference-Applied` tells them.
    pub(crate) applied: Vec<String>,
}

/// `return=…`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AnswerWord {
    Minimal,
    HeadersOnly,
    Representation,
}

impl Preferences {
    /// What becomes of changes.
    pub(crate) fn keep(&self) -> Keep {
        Keep {
            is_kept: !self.rolls_back,
            most_affected: self.most_affected,
        }
    }

    /// Reads `Prefer`. What is not known is ignored, unless `handling=strict` is there.
    ///
    /// # Errors
    /// When a value is none, or what is not known must be heeded.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let mut read = Self::default();
        let (mut is_strict, mut unknown) = (false, None);
        let texts = headers.get_all("prefer").into_iter();
        let words = texts
            .filter_map(|text| text.to_str().ok())
            .flat_map(|text| text.split([',', ';']))
            .map(str::trim)
            .filter(|word| !word.is_empty());
        for word in words {
            let word = word.to_ascii_lowercase();
            let applied = match word.as_str() {
                "return=minimal" => read.answers(AnswerWord::Minimal),
                "return=headers-only" => read.answers(AnswerWord::HeadersOnly),
                "return=representation" => read.answers(AnswerWord::Representation),
                "resolution=merge-duplicates" => read.resolves(Conflict::Merge),
                "resolution=ignore-duplicates" => read.resolves(Conflict::Ignore),
                "missing=default" => read.misses(false),
                "missing=null" => read.misses(true),
                // An estimate is no faster to have here.
                "count=exact" | "count=planned" | "count=estimated" => {
                    read.counts = true;
                    read.applied.push("count=exact".to_owned());
                    continue;
                }
                "tx=rollback" => {
                    read.rolls_back = true;
                    true
                }
                "tx=commit" | "handling=lenient" => true,
                "handling=strict" => {
                    is_strict = true;
                    true
                }
                other => match other.split_once('=') {
                    Some(("max-affected", most)) => {
                        read.most_affected = Some(most.parse().map_err(|_| {
                            Problem::invalid(format!(
                                "`max-affected` must be a whole number, not `{most}`."
                            ))
                        })?);
                        true
                    }
                    Some(("wait", _)) => false,
                    _ => {
                        unknown.get_or_insert(word.clone());
                        false
                    }
                },
            };
            if applied && !word.starts_with("handling=") {
                read.applied.push(word);
            }
        }
        match unknown {
            Some(word) if is_strict => Err(Problem::invalid(format!(
                "`Prefer: {word}` is not known, and `handling=strict` was sent."
            ))
            .hint(
                "known: return, resolution, missing, count, max-affected, tx; or leave \
                 `handling=strict` out",
            )),
            _ => Ok(read),
        }
    }

    fn answers(&mut self, word: AnswerWord) -> bool {
        self.answer = Some(word);
        true
    }

    fn resolves(&mut self, conflict: Conflict) -> bool {
        self.resolution = Some(conflict);
        true
    }

    fn misses(&mut self, is_null: bool) -> bool {
        self.missing_is_null = Some(is_null);
        true
    }
}

impl FromRequestParts<Arc<Gateway>> for Preferences {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Gateway>) -> Result<Self, Problem> {
        Self::of(&parts.headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(texts: &[&'static str]) -> Result<Preferences, Problem> {
        let mut headers = HeaderMap::new();
        for text in texts {
            headers.append("prefer", text.parse().unwrap());
        }
        Preferences::of(&headers)
    }

    #[test]
    fn preferences_come_in_one_header_or_in_several() {
        let read = read(&[
            "return=representation, count=planned",
            "tx=rollback;max-affected=3,missing=default,wait=5",
        ]);
        let read = read.unwrap();
        assert_eq!(read.answer, Some(AnswerWord::Representation));
        assert!(read.counts && read.rolls_back);
        assert_eq!(read.most_affected, Some(3));
        assert_eq!(read.missing_is_null, Some(false));
        assert_eq!(
            read.applied.join(", "),
            "return=representation, count=exact, tx=rollback, max-affected=3, missing=default"
        );
    }

    #[test]
    fn what_is_not_known_is_refused_where_that_is_asked() {
        assert!(read(&["timezone=UTC"]).unwrap().applied.is_empty());
        assert!(read(&["handling=strict,timezone=UTC"]).is_err());
        assert!(read(&["handling=strict,max-affected=1"]).is_ok());
        assert!(read(&["max-affected=many"]).is_err());
    }
}
