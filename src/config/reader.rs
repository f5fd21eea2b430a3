//! Reads settings one by one, and reports every problem at once.
use super::environment::Environment;
use super::settings::{CLIENT_SETTINGS, SETTINGS};
use std::fmt;
use std::time::Duration;

/// Reads settings, and collects what is wrong with them.
pub(super) struct Reader<'a> {
    pub(super) environment: &'a dyn Environment,
    pub(super) problems: Vec<String>,
}

impl Reader<'_> {
    /// A setting that has a default.
    pub(super) fn value<T, E: fmt::Display>(
        &mut self,
        variable: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        let setting = SETTINGS
            .iter()
            .chain(CLIENT_SETTINGS)
            .find(|it| it.variable == variable)
            .expect("every setting that is read stands in the list");
        let text = self
            .environment
            .get(variable)
            .unwrap_or_else(|| setting.default.to_owned());
        self.parse(variable, &text, parse)
    }

    /// A setting that may be absent.
    pub(super) fn optional<T, E: fmt::Display>(
        &mut self,
        variable: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.environment.get(variable)?;
        self.parse(variable, &text, parse)
    }

    fn parse<T, E: fmt::Display>(
        &mut self,
        variable: &str,
        text: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        match parse(text.trim()) {
            Ok(value) => Some(value),
            Err(problem) => {
                self.problems.push(format!("{variable}: {problem}"));
                None
            }
        }
    }

    pub(super) fn count(&mut self, variable: &str) -> Option<usize> {
        self.value(variable, |text| match text.parse::<usize>() {
            Ok(count) if count > 0 => Ok(count),
            _ => Err(format!("`{text}` is not a whole number above 0")),
        })
    }

    pub(super) fn duration(&mut self, variable: &str) -> Option<Duration> {
        self.value(variable, crate::clock::timestamp::parse_duration)
    }

    /// A duration, or `off`.
    pub(super) fn duration_or_off(&mut self, variable: &str) -> Option<Option<Duration>> {
        self.value(variable, |text| match text {
            "off" => Ok(None),
            text => crate::clock::timestamp::parse_duration(text).map(Some),
        })
    }
}
