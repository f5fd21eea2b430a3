//! Where settings come from: the environment, and flags in front of it.
use std::collections::BTreeMap;

/// Where settings come from.
pub trait Environment {
    /// The value of a variable, where it is set and not empty.
    fn get(&self, variable: &str) -> Option<String>;

    /// The names of all variables that are set, whether they are settings or not.
    fn names(&self) -> Vec<String>;
}

/// The process's own environment.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the environment"
    )]
    fn get(&self, variable: &str) -> Option<String> {
        std::env::var(variable).ok().filter(|it| !it.is_empty())
    }

    fn names(&self) -> Vec<String> {
        let names = std::env::vars_os().map(|(name, _)| name.into_string());
        names.flatten().collect()
    }
}

impl Environment for BTreeMap<String, String> {
    fn get(&self, variable: &str) -> Option<String> {
        self.get(variable).filter(|it| !it.is_empty()).cloned()
    }

    fn names(&self) -> Vec<String> {
        self.keys().cloned().collect()
    }
}

/// Flags in front of the environment.
pub struct Overlay<'a> {
    /// What the flags say, by variable.
    pub flags: BTreeMap<String, String>,
    /// What holds where no flag says anything.
    pub below: &'a dyn Environment,
}

impl Environment for Overlay<'_> {
    fn get(&self, variable: &str) -> Option<String> {
        Environment::get(&self.flags, variable).or_else(|| self.below.get(variable))
    }

    fn names(&self) -> Vec<String> {
        let mut names = self.below.names();
        names.extend(self.flags.keys().cloned());
        names
    }
}
