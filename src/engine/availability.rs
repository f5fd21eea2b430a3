//! Whether an engine works in this gateway, and in which version.

/// Whether databases of an engine can be made and started here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Availability {
    /// The version that serves them: `15.18`; `None` where it is not known.
    pub version: Option<String>,
    /// Why they cannot; `None` when they can.
    pub trouble: Option<String>,
}

impl Availability {
    /// They can.
    #[must_use]
    pub fn of_version(version: String) -> Self {
        Self {
            version: Some(version),
            trouble: None,
        }
    }

    /// They cannot.
    #[must_use]
    pub fn none(trouble: String) -> Self {
        Self {
            version: None,
            trouble: Some(trouble),
        }
    }
}
