//! Where PostgreSQL's programs come from: this host, or an image.
use super::programs::{HostPrograms, PgVersion};
use crate::runtime::ImageFacts;
use std::path::PathBuf;

/// Programs of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    Host(HostPrograms),
    Image(ImagePrograms),
}

/// The programs of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ImagePrograms {
    /// The image's id: a worker of another one is replaced.
    pub(super) id: String,
    pub(super) version: PgVersion,
    /// Where its programs are looked for.
    pub(super) path: String,
}

/// Hex digits of an image's id that tell templates apart.
const SHOWN_ID: usize = 12;

impl Source {
    pub(super) fn version(&self) -> &PgVersion {
        match self {
            Self::Host(programs) => &programs.version,
            Self::Image(programs) => &programs.version,
        }
    }

    /// What a worker's command begins with.
    pub(super) fn server(&self) -> String {
        let server = PathBuf::from("postgres");
        match self {
            Self::Host(programs) => programs.bin.join(server).display().to_string(),
            Self::Image(_) => server.display().to_string(),
        }
    }

    /// Tells its clusters from those of other programs.
    pub(super) fn mark(&self) -> String {
        match self {
            Self::Host(programs) => programs.version.to_string(),
            Self::Image(programs) => {
                let id = programs.id.trim_start_matches("sha256:");
                let id: String = id.chars().take(SHOWN_ID).collect();
                format!("{}-{id}", programs.version)
            }
        }
    }
}

impl ImagePrograms {
    /// What the image called `name` says.
    pub(super) fn of(name: &str, facts: Option<&ImageFacts>) -> Result<Self, String> {
        let Some(facts) = facts else {
            return Err(format!(
                "there is no image `{name}`: build it (`make images`), or set \
                 DBFORGE_POSTGRES_IMAGE to one that is there"
            ));
        };
        let version = facts.variable("PG_VERSION").and_then(PgVersion::parse);
        let Some(version) = version else {
            return Err(format!(
                "image `{name}` does not say which PostgreSQL it has (PG_VERSION in its environment)"
            ));
        };
        match version.trouble() {
            Some(trouble) => Err(format!("{trouble} (in image `{name}`)")),
            None => Ok(Self {
                id: facts.id.clone(),
                version,
                path: facts.variable("PATH").unwrap_or("/usr/bin:/bin").to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(environment: &[(&str, &str)]) -> ImageFacts {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        ImageFacts {
            id: "sha256:0123456789abcdef".to_owned(),
            environment: environment.iter().map(owned).collect(),
        }
    }

    #[test]
    fn an_image_tells_its_version_and_an_old_or_missing_one_is_refused_by_name() {
        let found = facts(&[
            ("PATH", "/usr/local/bin"),
            ("PG_VERSION", "17.2-1.pgdg120+1"),
        ]);
        let programs = ImagePrograms::of("postgres:17", Some(&found)).unwrap();
        assert_eq!(programs.version.to_string(), "17.2");
        assert_eq!(Source::Image(programs).mark(), "17.2-0123456789ab");
        for (found, said) in [
            (None, "there is no image `x`"),
            (Some(facts(&[])), "does not say which PostgreSQL"),
            (
                Some(facts(&[("PG_VERSION", "14.9")])),
                "PostgreSQL 14.9 is too old: 15 or newer is required (in image `x`)",
            ),
        ] {
            let refused = ImagePrograms::of("x", found.as_ref()).unwrap_err();
            assert!(refused.contains(said), "{refused}");
        }
    }
}
