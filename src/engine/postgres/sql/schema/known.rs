//! The schema of a database as it was read last.
use crate::engine::sql::Schema;
use crate::locks::Mutex;
use std::sync::Arc;

/// What is known of one database's schema, and by what the catalogue is told from others.
#[derive(Debug, Default)]
pub(in super::super) struct KnownSchema(Mutex<Option<(String, Arc<Schema>)>>);

impl KnownSchema {
    /// The schema, if the catalogue is the one that it was read from.
    pub(super) fn find(&self, fingerprint: &str) -> Option<Arc<Schema>> {
        let known = self.0.lock();
        let (of, schema) = known.as_ref()?;
        (of == fingerprint).then(|| Arc::clone(schema))
    }

    /// Keeps what was read.
    pub(super) fn keep(&self, fingerprint: String, schema: &Arc<Schema>) {
        *self.0.lock() = Some((fingerprint, Arc::clone(schema)));
    }
}
