//! Which process answers the SQL of a database: what its engine offers, and what is wanted.
use super::Engine;
use super::registry::Engines;
use crate::domain::command::refusal::Refusal;
use crate::domain::database::{Database, Isolation};

impl Engines {
    /// The isolation of a database of `engine` that is to have the `wanted` one.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] when its databases do not have that.
    pub fn isolation(
        &self,
        engine: &dyn Engine,
        wanted: Option<Isolation>,
    ) -> Result<Isolation, Refusal> {
        let offered = engine.capabilities().isolations;
        match wanted {
            None if offered.contains(&self.isolation) => Ok(self.isolation),
            None => Ok(offered.first().copied().unwrap_or_default()),
            Some(wanted) if offered.contains(&wanted) => Ok(wanted),
            Some(wanted) => Err(Refusal::Invalid(format!(
                "databases of the engine `{}` do not have the isolation `{}`; leave it out",
                engine.name(),
                wanted.as_str()
            ))),
        }
    }

    /// The isolation of a new database of this engine where its creator does not say.
    #[must_use]
    pub fn isolation_of_new(&self, engine: &str) -> Isolation {
        let engine = self.find(engine);
        let isolation = engine.and_then(|engine| self.isolation(engine.as_ref(), None).ok());
        isolation.unwrap_or_default()
    }

    /// Isolations that a database of some engine may have.
    #[must_use]
    pub fn isolations(&self) -> Vec<Isolation> {
        let offered = |isolation: &Isolation| {
            let mut all = self.all().iter();
            all.any(|engine| engine.capabilities().isolations.contains(isolation))
        };
        Isolation::ALL.iter().copied().filter(offered).collect()
    }

    /// Which process answers the SQL of a database.
    #[must_use]
    pub fn isolation_of(&self, database: &Database) -> Isolation {
        let engine = self.find(&database.engine.0);
        let offered = engine.map(|engine| engine.capabilities().isolations);
        match offered {
            Some(&[only]) => only,
            _ => database.isolation,
        }
    }
}
