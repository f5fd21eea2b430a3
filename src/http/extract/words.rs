//! The API's words for choices, and what each means below: declared once.
use crate::data::{BatchMode, Format, Int64Form, Shape, TransactionMode};
use crate::engine::exporting::FileFormat;
use crate::http::middleware::compression::Encoding;
use crate::projections::control_db::Order;
use serde::Deserialize;
use utoipa::ToSchema;

/// Declares choices: the first word is the default where a request leaves the choice out.
macro_rules! words {
    ($(
        $(#[$doc:meta])*
        $name:ident => $meaning:ident {
            $(#[$first_doc:meta])* $first:ident => $first_meaning:ident,
            $($(#[$word_doc:meta])* $word:ident => $word_meaning:ident,)*
        }
    )*) => {$(
        $(#[$doc])*
        #[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
        #[serde(rename_all = "lowercase")]
        pub(crate) enum $name {
            $(#[$first_doc])*
            #[default]
            $first,
            $($(#[$word_doc])* $word,)*
        }

        impl From<$name> for $meaning {
            fn from(word: $name) -> Self {
                match word {
                    $name::$first => Self::$first_meaning,
                    $($name::$word => Self::$word_meaning,)*
                }
            }
        }
    )*};
}

words! {
    /// Sort order.
    Direction => Order {
        /// Oldest first.
        Asc => Ascending,
        /// Newest first.
        Desc => Descending,
    }

    /// Response format of SQL results.
    FormatWord => Format {
        Json => Json,
        Ndjson => Ndjson,
        Csv => Csv,
    }

    /// Response format of SQL results of the legacy API.
    OriginalFormat => Format {
        Json => Json,
        Csv => Csv,
    }

    /// Compression of an exported file.
    CompressionWord => Encoding {
        Gzip => Gzip,
        Zstd => Zstd,
    }

    /// What a whole database is exported as.
    FileFormatWord => FileFormat {
        Sql => Sql,
        Sqlite => Native,
    }

    Int64Word => Int64Form {
        Number => Number,
        String => Text,
    }

    ShapeWord => Shape {
        Rows => Rows,
        Objects => Objects,
    }

    /// How the statements of a batch are grouped into transactions.
    BatchWord => BatchMode {
        /// One transaction that takes the write lock at its start.
        Immediate => Immediate,
        /// One transaction that takes the write lock at its first write.
        Deferred => Deferred,
        /// No transaction: each statement commits by itself; execution stops at the first failure.
        None => None,
    }

    /// Transaction mode.
    ModeWord => TransactionMode {
        /// Holds the write lock from the start; other writers wait.
        Immediate => Immediate,
        /// Takes a snapshot at the first statement and the write lock at the first write. The write
        /// fails if others have changed the database since the snapshot.
        Deferred => Deferred,
        /// Reads a snapshot; does not block writers.
        Readonly => ReadOnly,
    }
}

/// What becomes of CSV texts that spreadsheets take for formulas.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FormulasWord {
    /// They are written as they are.
    #[default]
    Keep,
    /// They get a leading `'`.
    Escape,
}

impl From<FormulasWord> for bool {
    fn from(word: FormulasWord) -> Self {
        word == FormulasWord::Escape
    }
}

/// Format of exported rows.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ExportFormatWord {
    #[default]
    Csv,
    Ndjson,
    Json,
    Sql,
    #[cfg(feature = "parquet")]
    Parquet,
}

impl ExportFormatWord {
    /// What the engine writes; a Parquet file is made of NDJSON.
    pub(crate) fn format(self) -> Format {
        match self {
            Self::Csv => Format::Csv,
            Self::Ndjson => Format::Ndjson,
            #[cfg(feature = "parquet")]
            Self::Parquet => Format::Ndjson,
            Self::Json => Format::Array,
            Self::Sql => Format::Sql,
        }
    }

    /// Whether the rows become a Parquet file.
    pub(crate) fn is_parquet(self) -> bool {
        #[cfg(feature = "parquet")]
        return self == Self::Parquet;
        #[cfg(not(feature = "parquet"))]
        false
    }
}
