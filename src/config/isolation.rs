//! Which process answers the SQL of new databases, and the fence around one that is a worker.
use super::reader::Reader;

/// Isolation of databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IsolationConfig {
    /// Whether new databases whose creator does not say are answered by their workers.
    pub by_worker: bool,
    /// What happens where the kernel lacks a part of the fence.
    pub fence: FenceMode,
}

/// What happens where the kernel lacks a part of the fence around a worker that serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FenceMode {
    /// It does not serve.
    #[default]
    Strict,
    /// It serves without, and says so in its log.
    BestEffort,
}

impl FenceMode {
    /// The word of the setting.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::BestEffort => "best-effort",
        }
    }

    /// Reads that word.
    ///
    /// # Errors
    /// When it is another one.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "strict" => Ok(Self::Strict),
            "best-effort" => Ok(Self::BestEffort),
            _ => Err(format!("`{text}` is not one of strict, best-effort")),
        }
    }
}

impl IsolationConfig {
    /// `None` only with a problem noted.
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let by_worker = reader.value("DBFORGE_ISOLATION", |text| match text {
            "gateway" => Ok(false),
            "worker" => Ok(true),
            _ => Err(format!("`{text}` is not one of gateway, worker")),
        });
        let fence = reader.value("DBFORGE_ISOLATION_FENCE", FenceMode::parse);
        Some(Self {
            by_worker: by_worker?,
            fence: fence?,
        })
    }
}
