//! What is done once in an image, apart from workers: a folder is filled by the programs of the
//! image.
use std::path::PathBuf;
use std::time::Duration;

/// What an image says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFacts {
    /// Its id: another content is another id, whatever its name is.
    pub id: String,
    /// The environment of its programs: names and values.
    pub environment: Vec<(String, String)>,
}

impl ImageFacts {
    /// A variable of its environment.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&str> {
        let mut found = self.environment.iter().filter(|(key, _)| key == name);
        found.next().map(|(_, value)| value.as_str())
    }
}

/// One run of this very program in an image, with nothing but a folder and its bounds.
#[derive(Debug, Clone)]
pub struct Errand {
    /// The image's id.
    pub image: String,
    /// The arguments of `dbforge`.
    pub arguments: Vec<String>,
    /// The folder that it works on, in the data folder: in the container it is
    /// [`super::WORKER_FOLDER`].
    pub folder: PathBuf,
    /// Files of the data folder that it sees, and where.
    pub files: Vec<(PathBuf, &'static str)>,
    /// How long it may take; removed then.
    pub longest: Duration,
}
