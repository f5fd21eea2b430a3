//! Which database has a name and a host label: the database that was asked for last, as soon as the one before
//! it has left them.
use super::State;
use crate::domain::database::Database;
use crate::domain::event::recorded::RecordedEvent;
use crate::domain::ids::DatabaseId;
use crate::domain::name::{DatabaseName, free_dns_label};
use std::sync::Arc;

impl State {
    /// The host label that a database of this name would get: that of one which has the very name
    /// is not taken, since the two are never there together.
    pub(in crate::domain) fn free_dns_label(&self, name: &DatabaseName) -> String {
        let holder = self.names.get(&name.key());
        free_dns_label(&name.dns_label(), |label| {
            self.dns_labels
                .get(label)
                .is_some_and(|id| Some(id) != holder)
        })
    }

    /// Another database that has this one's name or host label by now.
    pub(in crate::domain) fn other_holder(&self, database: &Database) -> Option<&Arc<Database>> {
        let by_name = self.names.get(&database.name.key());
        let by_label = self.dns_labels.get(&database.dns_label);
        let mut holders = by_name.into_iter().chain(by_label);
        let other = holders.find(|id| **id != database.id)?;
        self.databases.get(other)
    }

    /// The living database that has the name and has to be gone before another takes it: not one
    /// whose time is over.
    pub(super) fn holder_to_wait_for(
        &self,
        name: &DatabaseName,
        recorded: &RecordedEvent,
    ) -> Option<DatabaseId> {
        let holder = self.databases.get(self.names.get(&name.key())?)?;
        let waits = holder.is_leaving() && !holder.has_expired(recorded.commit.wall_time());
        waits.then_some(holder.id)
    }

    /// A database that comes back to a name which another is about to leave waits for that.
    pub(super) fn wait_for_name(&mut self, id: DatabaseId, recorded: &RecordedEvent) {
        let name = self
            .databases
            .get(&id)
            .map(|database| database.name.clone());
        let holder = name.and_then(|name| self.holder_to_wait_for(&name, recorded));
        if let Some(database) = self.databases.get_mut(&id)
            && holder != Some(id)
        {
            Arc::make_mut(database).behind = holder;
        }
    }

    /// Lets a database be found by a name that is not its own any more.
    pub(super) fn keep_findable(
        &mut self,
        id: DatabaseId,
        add: impl FnOnce(&mut Vec<DatabaseId>, DatabaseId),
    ) {
        if let Some(database) = self.databases.get(&id) {
            let ids = self.trash.entry(database.name.key()).or_default();
            ids.retain(|it| *it != id);
            add(ids, id);
        }
    }

    /// Gives an active database its name again if it is free: it had expired, and
    /// does not any more.
    pub(super) fn return_free_name(&mut self, id: DatabaseId) {
        let Some(database) = self.databases.get(&id).filter(|it| it.is_living()).cloned() else {
            return;
        };
        let owner = *self.names.entry(database.name.key()).or_insert(id);
        if owner == id {
            self.remove_from_trash(id);
            self.dns_labels
                .entry(database.dns_label.clone())
                .or_insert(id);
        }
    }

    /// Releases a database's name and host label. A database that waits for them gets them, or waits for
    /// the one before it; if they are free then, an active one before it gets them back.
    pub(super) fn release_names(&mut self, id: DatabaseId) {
        let Some(database) = self.databases.get(&id).cloned() else {
            return;
        };
        if let Some(follower) = self.follower(id).map(|it| it.id)
            && let Some(follower) = self.databases.get_mut(&follower)
        {
            Arc::make_mut(follower).behind = database.behind;
        }
        let in_front = database
            .behind
            .and_then(|it| self.databases.get(&it))
            .cloned();
        let key = database.name.key();
        // In the trash the same name may by now be another's.
        if self.names.get(&key) == Some(&id) {
            self.names.remove(&key);
            if let Some(in_front) = &in_front {
                self.names.insert(key, in_front.id);
            }
        }
        if self.dns_labels.get(&database.dns_label) == Some(&id) {
            self.dns_labels.remove(&database.dns_label);
            if let Some(in_front) = in_front {
                self.dns_labels
                    .insert(in_front.dns_label.clone(), in_front.id);
            }
        }
    }

    pub(super) fn remove_from_trash(&mut self, id: DatabaseId) {
        let Some(key) = self.databases.get(&id).map(|database| database.name.key()) else {
            return;
        };
        if let Some(ids) = self.trash.get_mut(&key) {
            ids.retain(|it| *it != id);
            if ids.is_empty() {
                self.trash.remove(&key);
            }
        }
    }
}
