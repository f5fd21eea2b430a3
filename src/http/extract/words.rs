//! The API's words for choices, and what each means below: declared once.
use crate::data::{BatchMode, Format, Int64Form, Shape, TransactionMode};
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
    /// Which way a list runs.
    Direction => Order {
        /// The oldest first.
        Asc => Ascending,
        /// The newest first.
        Desc => Descending,
    }

    /// What an answer to a statement is written in.
    FormatWord => Format {
        Json => Json,
        Ndjson => Ndjson,
        Csv => Csv,
    }

    Int64Word => Int64Form {
        Number => Number,
        String => Text,
    }

    ShapeWord => Shape {
        Rows => Rows,
        Objects => Objects,
    }

    /// What keeps the statements of a batch together.
    BatchWord => BatchMode {
        /// One transaction, which waits for its turn to write before it begins.
        Immediate => Immediate,
        /// One transaction, which waits for its turn only if it writes.
        Deferred => Deferred,
        /// Nothing: each statement is kept or not by itself; the first that fails is the last.
        None => None,
    }

    /// What a transaction holds.
    ModeWord => TransactionMode {
        /// The place of the one writer, from its start: other writes wait.
        Immediate => Immediate,
        /// Nothing until its first statement, the place of the writer from its first write on. That
        /// is refused when others have changed what it has read.
        Deferred => Deferred,
        /// What was there when it began; writers do not wait for it.
        Readonly => ReadOnly,
    }
}
