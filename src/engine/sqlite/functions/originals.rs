//! What SQLite's own functions may be given, where ALTER TABLE alone calls them.
use crate::engine::sqlite::connection::SqliteConnection;

/// Functions of SQLite's own that are replaced here, as they are written: their time grows with the
/// product of two lengths.
const QUADRATIC: &[&str] = &["instr", "replace", "trim", "unhex", "patch"];

/// Theirs grows with the length of the text, fifty times as fast as reading it.
const FIFTYFOLD: &[&str] = &["like", "glob"];

impl SqliteConnection {
    /// Most bytes of a value while ALTER TABLE adds a constraint. It compares the rows that are
    /// there by SQLite's own functions, also in columns that are generated: nothing interrupts
    /// these, so all of them together get what they do in about a tenth of a second.
    pub(crate) fn most_bytes_for_originals(&self, sql: &str) -> Option<i32> {
        let table = self.recorder.lock().altered.clone()?;
        let made = self.as_internal(|internal| {
            let question = "SELECT sql FROM sqlite_schema WHERE name = ?1 COLLATE NOCASE";
            internal.query_row(question, [table], |row| row.get::<_, String>(0))
        });
        let text = format!("{sql} {}", made.unwrap_or_default()).to_lowercase();
        let count = |names: &[&str]| -> u32 {
            let found: usize = names.iter().map(|name| text.matches(name).count()).sum();
            u32::try_from(found).unwrap_or(u32::MAX)
        };
        let of_products = LARGEST_PRODUCT_OF_ORIGINALS.checked_div(count(QUADRATIC));
        let of_lengths = LARGEST_LENGTH_OF_ORIGINALS.checked_div(count(FIFTYFOLD));
        let most = [of_products.map(|product| 2 * product.isqrt()), of_lengths];
        let most = most.into_iter().flatten().min()?;
        i32::try_from(most).ok()
    }
}

/// Comparisons of two bytes that SQLite's own quadratic functions do in a tenth of a second.
const LARGEST_PRODUCT_OF_ORIGINALS: u32 = 1 << 27;

/// Bytes of a text that SQLite's own LIKE compares with a pattern of 50 bytes in a tenth of a
/// second.
const LARGEST_LENGTH_OF_ORIGINALS: u32 = 2 << 20;
