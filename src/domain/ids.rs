//! Identifiers: UUIDs of version 7, each kind a type of its own.
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

id!(
    /// One forge: a data folder and everything that runs for it.
    InstanceId
);
id!(
    /// One machine that runs databases of a forge.
    NodeId
);
id!(
    /// A database's permanent id; its folder is named after it.
    DatabaseId
);
id!(
    /// One job.
    JobId
);
id!(
    /// Events that were decided and stored together.
    CommitId
);
id!(
    /// One HTTP request, from the socket to the event, the job and the worker's label.
    RequestId
);
id!(
    /// One token; not its secret.
    TokenId
);
id!(
    /// One schedule.
    ScheduleId
);
id!(
    /// One webhook; not its secret.
    WebhookId
);

id!(
    /// One stored plan.
    PlanId
);
id!(
    /// One file that was uploaded to be imported.
    UploadId
);

impl NodeId {
    /// The node on which a forge was founded. It needs no event of its own: its id follows from the
    /// forge's, so that logs from before there were nodes have it too.
    #[must_use]
    pub fn founding(instance: InstanceId) -> Self {
        Self(instance.0)
    }
}

impl DatabaseId {
    /// The last twelve hex digits: the random part of a version 7 UUID, short enough for a
    /// worker's name.
    #[must_use]
    pub fn short(&self) -> String {
        self.0.simple().to_string()[20..].to_owned()
    }
}

/// An event's place in the whole log: the first is 1, and none is left out.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Sequence(pub u64);

impl Sequence {
    /// The place behind this one; behind the last number there is, that number.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The cause of a command: `root`, `token/<name>`, `schedule/<name>`, `reconciler`, `runner`,
/// `retention`, `forge`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Actor(pub String);

impl Actor {
    /// An actor of the forge's own.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self(name.to_owned())
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
