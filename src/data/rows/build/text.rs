//! A statement that is being written, with the values of its places.
use crate::data::Param;
use std::fmt::Write as _;

/// A statement, or a part of one, with its values in the order of their places.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Sql {
    pub(crate) text: String,
    pub(crate) values: Vec<Param>,
}

impl Sql {
    pub(super) fn of(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            values: Vec::new(),
        }
    }

    /// Adds words of SQL, which are never a client's.
    pub(super) fn words(&mut self, words: &'static str) -> &mut Self {
        self.text.push_str(words);
        self
    }

    /// Adds a name, quoted.
    pub(super) fn name(&mut self, name: &str) -> &mut Self {
        self.text.push('"');
        match name.contains('"') {
            false => self.text.push_str(name),
            true => self.text.push_str(&name.replace('"', "\"\"")),
        }
        self.text.push('"');
        self
    }

    /// Adds a place and its value.
    pub(super) fn value(&mut self, value: Param) -> &mut Self {
        self.text.push('?');
        self.values.push(value);
        self
    }

    /// Adds places and their values, with commas between them.
    pub(super) fn values(&mut self, values: impl IntoIterator<Item = Param>) -> &mut Self {
        for (place, value) in values.into_iter().enumerate() {
            if place > 0 {
                self.words(", ");
            }
            self.value(value);
        }
        self
    }

    /// Adds a number.
    pub(super) fn number(&mut self, number: usize) -> &mut Self {
        write!(self.text, "{number}").expect("writing to memory does not fail");
        self
    }

    /// Adds ` GROUP BY 1, 3`.
    pub(super) fn group_by(&mut self, places: &[usize]) {
        for (index, place) in places.iter().enumerate() {
            self.words(if index == 0 { " GROUP BY " } else { ", " });
            self.number(*place);
        }
    }

    /// Adds ` LIMIT … OFFSET …`, also where there is none: that is written as `none`.
    pub(super) fn limit(&mut self, limit: Option<u64>, offset: Option<u64>, none: Param) {
        let number = |number: u64| Param::Integer(i64::try_from(number).unwrap_or(i64::MAX));
        self.words(" LIMIT ");
        self.value(limit.map_or(none, number));
        if let Some(offset) = offset {
            self.words(" OFFSET ").value(number(offset));
        }
    }

    /// Adds what was written elsewhere.
    pub(super) fn part(&mut self, part: Sql) -> &mut Self {
        self.text.push_str(&part.text);
        self.values.extend(part.values);
        self
    }
}
