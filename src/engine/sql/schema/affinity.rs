//! The affinity of a column: what its declared type makes of values.
use serde::{Deserialize, Serialize};

/// What a column prefers to store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Affinity {
    /// Whole numbers.
    Integer,
    /// Floating-point numbers.
    Real,
    /// Numbers of either kind, and what is not a number as it is.
    Numeric,
    /// Text.
    Text,
    /// Whatever is given.
    Blob,
}

impl Affinity {
    /// The affinity that SQLite gives to a declared type, by the five rules of its documentation.
    /// In a STRICT table `ANY` keeps every value as it is.
    #[must_use]
    pub fn of(declared_type: &str, is_strict: bool) -> Self {
        let declared = declared_type.to_ascii_uppercase();
        let has = |part: &str| declared.contains(part);
        if is_strict && declared == "ANY" {
            Self::Blob
        } else if has("INT") {
            Self::Integer
        } else if has("CHAR") || has("CLOB") || has("TEXT") {
            Self::Text
        } else if has("BLOB") || declared.is_empty() {
            Self::Blob
        } else if has("REAL") || has("FLOA") || has("DOUB") {
            Self::Real
        } else {
            Self::Numeric
        }
    }

    /// Its name.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Real => "real",
            Self::Numeric => "numeric",
            Self::Text => "text",
            Self::Blob => "blob",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declared_type_has_the_affinity_that_sqlite_gives_it() {
        for (declared, affinity) in [
            ("INTEGER", Affinity::Integer),
            ("UNSIGNED BIG INT", Affinity::Integer),
            ("CHARINT", Affinity::Integer),
            ("FLOATING POINT", Affinity::Integer),
            ("varchar(20)", Affinity::Text),
            ("NCLOB", Affinity::Text),
            ("", Affinity::Blob),
            ("blob", Affinity::Blob),
            ("DOUBLE PRECISION", Affinity::Real),
            ("STRING", Affinity::Numeric),
            ("DECIMAL(10,5)", Affinity::Numeric),
            ("ANY", Affinity::Numeric),
        ] {
            assert_eq!(Affinity::of(declared, false), affinity, "{declared}");
        }
        assert_eq!(Affinity::of("ANY", true), Affinity::Blob);
    }
}
