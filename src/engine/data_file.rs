//! How the data of a database stands in its folder.

/// How the file of a database stands in its folder. Only a file in its place is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DataFile {
    /// A plain file with one name, in a plain folder.
    InPlace,
    /// There is none, or it is empty: it was made with a header.
    Missing,
    /// It, or its folder, is a link, which is not followed.
    Link,
    /// It has a second name, under which it may be another's.
    TwoNames,
}

impl DataFile {
    /// What is seen and what helps; nothing where it is in its place.
    #[must_use]
    pub fn trouble(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::InPlace => None,
            Self::Missing => Some((
                "is missing",
                "bring it back from a backup, or purge the database",
            )),
            Self::Link => Some((
                "is a link or lies behind one, which is not followed",
                "put the folder itself in its place; a purge removes the link and nothing behind it",
            )),
            Self::TwoNames => Some((
                "has a second name (a hard link), so that two databases may be one",
                "remove the other name, or put a copy in its place",
            )),
        }
    }
}
