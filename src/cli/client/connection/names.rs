//! Names of databases, for those that the gateway tells by id.
use super::client::Client;
use super::request::Request;
use serde_json::Value;
use std::cell::RefCell;
use std::collections::HashMap;

/// The names that were looked up so far.
pub(crate) struct Names<'c> {
    client: &'c Client,
    known: RefCell<HashMap<String, String>>,
}

impl<'c> Names<'c> {
    pub(crate) fn of(client: &'c Client) -> Self {
        Self {
            client,
            known: RefCell::default(),
        }
    }

    /// Puts the name in place of the id in an event's field `database`. A database that is gone, or
    /// that the token may not see, keeps its id.
    pub(crate) fn put_into(&self, event: &mut Value) {
        if event["kind"] == "database_requested"
            && let (Some(id), Some(name)) =
                (event["database"].as_str(), event["data"]["name"].as_str())
        {
            let mut known = self.known.borrow_mut();
            known.insert(id.to_owned(), name.to_owned());
        }
        let Some(id) = event["database"].as_str() else {
            return;
        };
        let known = self.known.borrow().get(id).cloned();
        let name = known.unwrap_or_else(|| self.look_up(id));
        event["database"] = name.into();
    }

    fn look_up(&self, id: &str) -> String {
        let found = self.client.send(Request::get(&["databases", id])).ok();
        let found: Option<Value> = found.and_then(|answer| answer.read().ok());
        let name = found.and_then(|it| it["name"].as_str().map(str::to_owned));
        let name = name.unwrap_or_else(|| id.to_owned());
        let mut known = self.known.borrow_mut();
        known.insert(id.to_owned(), name.clone());
        name
    }
}
