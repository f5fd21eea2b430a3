//! The one list of engines.
use super::Engine;
use super::sqlite::Sqlite;

/// Every engine this build serves.
static ENGINES: &[&dyn Engine] = &[&Sqlite];

/// Every engine this build serves.
#[must_use]
pub fn all() -> &'static [&'static dyn Engine] {
    ENGINES
}

/// The engine that callers call `name`.
#[must_use]
pub fn find(name: &str) -> Option<&'static dyn Engine> {
    ENGINES.iter().copied().find(|it| it.name() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_is_found_by_its_name_alone() {
        for engine in all() {
            assert!(find(engine.name()).is_some(), "{}", engine.name());
        }
        assert!(find("oracle").is_none());
        assert!(find("").is_none());
    }
}
