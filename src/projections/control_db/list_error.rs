//! Why a list is not answered.

/// Why a question was not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// The cursor was made up, or belongs to another list or order.
    #[error("the cursor does not belong to this list and this order")]
    InvalidCursor,
    /// The file does not answer now; a later try may be answered.
    #[error("lists are temporarily unavailable: {reason}")]
    Unavailable {
        /// What was found.
        reason: String,
    },
}
