//! What the name of a file says about what is in it.
use std::path::Path;

/// Compression of a file, by its suffix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Compression {
    Gzip,
    Zstd,
}

impl Compression {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// The last suffix in small letters, that of a compressed file left out, and the compression.
pub(super) fn suffixes(file: &Path) -> (Option<String>, Option<Compression>) {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let name = name.to_ascii_lowercase();
    let (name, compression) = match name.rsplit_once('.') {
        Some((inner, "gz" | "gzip")) => (inner, Some(Compression::Gzip)),
        Some((inner, "zst" | "zstd")) => (inner, Some(Compression::Zstd)),
        _ => (name.as_str(), None),
    };
    let suffix = name.rsplit_once('.').map(|(_, suffix)| suffix.to_owned());
    (suffix, compression)
}

/// The name without folders and suffixes.
pub(super) fn stem(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let end = name[1.min(name.len())..].find('.').map(|at| at + 1);
    name[..end.unwrap_or(name.len())].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_kind_compression_and_stem() {
        for (name, suffix, compression, own) in [
            ("users.csv", Some("csv"), None, "users"),
            (
                "a/b/users.CSV.gz",
                Some("csv"),
                Some(Compression::Gzip),
                "users",
            ),
            ("dump.sql.zst", Some("sql"), Some(Compression::Zstd), "dump"),
            ("dump.gz", None, Some(Compression::Gzip), "dump"),
            ("users", None, None, "users"),
            (".hidden", Some("hidden"), None, ".hidden"),
        ] {
            let file = Path::new(name);
            assert_eq!(
                suffixes(file),
                (suffix.map(str::to_owned), compression),
                "{name}"
            );
            assert_eq!(stem(file), own, "{name}");
        }
    }
}
