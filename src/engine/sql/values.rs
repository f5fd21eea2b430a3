//! Single values that are read and written as bytes, however long they are.

/// Where a value is that was looked for: it is read and written there only if it still has that
/// size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValuePlace {
    /// The table.
    pub table: String,
    /// The column.
    pub column: String,
    /// The row's own number.
    pub row: i64,
    /// Bytes of the value.
    pub size: u64,
}

/// Bytes of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValuePart {
    /// Of which value.
    pub place: ValuePlace,
    /// The first byte, from 0.
    pub first: u64,
    /// How many.
    pub count: u64,
}
