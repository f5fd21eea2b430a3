//! Reads rows of parameters from JSON, straight to where they are kept.
use super::list::{ListBuilder, ListFault, ParamsList, refuse_too_many};
use super::value::{ParamRef, ParamVisitor};
use serde::de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::{HashMap, HashSet};
use std::fmt;

/// Reads a value to the end of a row.
pub(super) struct NextValue<'b>(pub(super) &'b mut ListBuilder);

impl<'de> DeserializeSeed<'de> for NextValue<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for NextValue<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ParamVisitor.expecting(f)
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.0.push(ParamRef::Null);
        Ok(())
    }

    fn visit_bool<E: de::Error>(self, it: bool) -> Result<(), E> {
        self.0.push(ParamRef::Integer(i64::from(it)));
        Ok(())
    }

    fn visit_i64<E: de::Error>(self, it: i64) -> Result<(), E> {
        self.0.push(ParamRef::Integer(it));
        Ok(())
    }

    fn visit_u64<E: de::Error>(self, it: u64) -> Result<(), E> {
        let value = ParamVisitor.visit_u64(it)?;
        self.0.push(value.borrowed());
        Ok(())
    }

    fn visit_f64<E: de::Error>(self, it: f64) -> Result<(), E> {
        self.0.push(ParamRef::Real(it));
        Ok(())
    }

    fn visit_str<E: de::Error>(self, it: &str) -> Result<(), E> {
        self.0.push(ParamRef::Text(it.as_bytes()));
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<(), A::Error> {
        let value = ParamVisitor.visit_map(object)?;
        self.0.push(value.borrowed());
        Ok(())
    }
}

impl<'de> Deserialize<'de> for ParamsList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ListVisitor)
    }
}

struct ListVisitor;

impl<'de> Visitor<'de> for ListVisitor {
    type Value = ParamsList;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a list of rows, each of them a list of values or an object of names and values",
        )
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<ParamsList, A::Error> {
        let mut builder = ListBuilder::default();
        while builder.fault().is_none() {
            if list.next_element_seed(NextRow(&mut builder))?.is_none() {
                if builder.rows() == 0 {
                    return Err(de::Error::custom(
                        "`params_list` is empty; send at least one row of values",
                    ));
                }
                return Ok(builder.finish());
            }
        }
        // The rest is read, so that the request is known to be JSON, and not kept.
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(builder.finish())
    }
}

/// Reads one row of a list.
struct NextRow<'b>(&'b mut ListBuilder);

impl<'de> DeserializeSeed<'de> for NextRow<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, row: D) -> Result<(), D::Error> {
        row.deserialize_any(self)
    }
}

impl NextRow<'_> {
    fn misfit(&mut self, message: String) {
        let index = self.0.rows();
        self.0.fail(ListFault::Misfit { index, message });
    }

    /// Says in which row a value is none.
    fn in_row<E: de::Error>(&self, error: &E) -> E {
        let index = self.0.rows();
        E::custom(format_args!("row {index} of `params_list`: {error}"))
    }
}

impl<'de> Visitor<'de> for NextRow<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row: a list of values, or an object of names and values")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut row: A) -> Result<(), A::Error> {
        loop {
            let next = row.next_element_seed(NextValue(self.0));
            if next.map_err(|error| self.in_row(&error))?.is_none() {
                break;
            }
            refuse_too_many(self.0.row_width() - 1)?;
        }
        let (given, wanted) = (self.0.row_width(), self.0.width());
        if self.0.rows() == 0 {
            self.0.set_width(given);
        } else if self.0.has_names() {
            self.misfit("the row is a list, but the first row is an object".to_owned());
            return Ok(());
        } else if given != wanted {
            self.misfit(format!(
                "the row has {given} values, but the first row has {wanted}"
            ));
            return Ok(());
        }
        self.0.end_row();
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut row: A) -> Result<(), A::Error> {
        let is_first = self.0.rows() == 0;
        let mut names = match self.0.take_names() {
            Some(names) => Names::new(names),
            None if is_first => Names::default(),
            None => {
                while row.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                self.misfit("the row is an object, but the first row is a list".to_owned());
                return Ok(());
            }
        };
        let form = read_object(self.0, &mut names, row);
        match form.map_err(|error| self.in_row(&error))? {
            RowForm::Other(keys) if is_first => names = Names::new(keys),
            RowForm::Other(keys) => self.misfit(names.difference(&keys)),
            RowForm::Same => {}
        }
        self.0.set_names(names.list);
        if self.0.fault().is_none() {
            self.0.end_row();
        }
        Ok(())
    }
}

/// The names of the values of a row, and where each of them stands.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) list: Vec<String>,
    /// Made when a row has them in another order.
    places: Option<HashMap<String, usize>>,
}

impl Names {
    pub(super) fn new(list: Vec<String>) -> Self {
        Self { list, places: None }
    }

    fn place(&mut self, name: &str) -> Option<usize> {
        let list = &self.list;
        let places = self.places.get_or_insert_with(|| {
            let places = list.iter().enumerate();
            places.map(|(place, name)| (name.clone(), place)).collect()
        });
        places.get(name).copied()
    }

    /// Where the value of each name stands among `keys`; `None` where these are others.
    fn order_of(&mut self, keys: &[String]) -> Option<Vec<usize>> {
        const NOWHERE: usize = usize::MAX;
        if keys.len() != self.list.len() {
            return None;
        }
        let mut order = vec![NOWHERE; keys.len()];
        for (now, key) in keys.iter().enumerate() {
            let place = self.place(key)?;
            if std::mem::replace(&mut order[place], now) != NOWHERE {
                return None;
            }
        }
        Some(order)
    }

    /// How the names of a row differ from these.
    fn difference(&mut self, keys: &[String]) -> String {
        let mut given = HashSet::with_capacity(keys.len());
        for key in keys {
            if self.place(key).is_none() {
                return format!("the first row has no `{key}`");
            }
            if !given.insert(key.as_str()) {
                return format!("the row has `{key}` twice");
            }
        }
        let missing = self.list.iter().find(|name| !given.contains(name.as_str()));
        match missing {
            Some(missing) => format!("the row has no `{missing}`, which the first row has"),
            None => "the first row has a name twice".to_owned(),
        }
    }
}

/// How the names of a row are to those of the rows before it.
pub(super) enum RowForm {
    /// The same; its values are in their order.
    Same,
    /// Others: these, in the order of its values. A name may be there twice.
    Other(Vec<String>),
}

/// Reads an object to the end of the list, as a row that has not ended yet.
pub(super) fn read_object<'de, A: MapAccess<'de>>(
    builder: &mut ListBuilder,
    names: &mut Names,
    mut row: A,
) -> Result<RowForm, A::Error> {
    let mut same = 0;
    let mut keys: Option<Vec<String>> = None;
    while let Some(key) = row.next_key_seed(Key(names.list.get(same)))? {
        match (key, &mut keys) {
            (None, None) => same += 1,
            (None, Some(_)) => unreachable!("no name is likely any more"),
            (Some(key), Some(keys)) => keys.push(key),
            (Some(key), None) => {
                let mut so_far = names.list[..same].to_vec();
                so_far.push(key);
                keys = Some(so_far);
                same = usize::MAX;
            }
        }
        row.next_value_seed(NextValue(builder))?;
        refuse_too_many(builder.row_width() - 1)?;
    }
    Ok(match keys {
        None if same == names.list.len() => RowForm::Same,
        None => RowForm::Other(names.list[..same].to_vec()),
        Some(keys) => match names.order_of(&keys) {
            Some(order) => {
                builder.arrange(&order);
                RowForm::Same
            }
            None => RowForm::Other(keys),
        },
    })
}

/// Reads a name. `None` for the one that is likely, of which no copy is made.
struct Key<'n>(Option<&'n String>);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, name: D) -> Result<Self::Value, D::Error> {
        name.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Self::Value, E> {
        let is_likely = self.0.is_some_and(|likely| likely == name);
        Ok((!is_likely).then(|| name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::sql::params::list::{MAX_LIST_VALUES, MAX_PARAMETER_ROWS, MAX_PARAMETERS};

    fn read(json: &str) -> Result<ParamsList, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    fn rows(list: &ParamsList) -> Vec<Vec<ParamRef<'_>>> {
        (0..list.rows())
            .map(|row| list.row(row).collect())
            .collect()
    }

    fn misfit(json: &str) -> (usize, String) {
        match read(json).unwrap().fault() {
            Some(ListFault::Misfit { index, message }) => (*index, message.clone()),
            other => panic!("{json} is {other:?}"),
        }
    }

    #[test]
    fn rows_keep_every_form_of_a_value() {
        let list = read(
            r#"[[null,true,-1],[1.5,"é",{"$base64":"AP8="}],
                [{"$real":"Infinity"},{"$text_base64":"gGE="},""]]"#,
        )
        .unwrap();
        assert_eq!((list.rows(), list.width(), list.names()), (3, 3, None));
        assert_eq!(
            rows(&list),
            [
                vec![ParamRef::Null, ParamRef::Integer(1), ParamRef::Integer(-1)],
                vec![
                    ParamRef::Real(1.5),
                    ParamRef::Text("é".as_bytes()),
                    ParamRef::Blob(&[0, 255])
                ],
                vec![
                    ParamRef::Real(f64::INFINITY),
                    ParamRef::Text(&[0x80, b'a']),
                    ParamRef::Text(b"")
                ],
            ]
        );
    }

    #[test]
    fn named_rows_may_have_their_names_in_any_order() {
        let list = read(r#"[{"a":1,"b":"x"},{"b":"y","a":2}]"#).unwrap();
        assert_eq!(list.names().unwrap(), ["a", "b"]);
        assert_eq!(
            rows(&list),
            [
                [ParamRef::Integer(1), ParamRef::Text(b"x")],
                [ParamRef::Integer(2), ParamRef::Text(b"y")]
            ]
        );
    }

    #[test]
    fn a_row_of_another_form_is_told_by_its_place() {
        for (json, index, says) in [
            (
                "[[1],[2,3],[4]]",
                1,
                "has 2 values, but the first row has 1",
            ),
            (
                "[[1,2],[1,2],{}]",
                2,
                "is an object, but the first row is a list",
            ),
            (
                r#"[{"a":1},[1]]"#,
                1,
                "is a list, but the first row is an object",
            ),
            (r#"[{"a":1},{"b":1}]"#, 1, "the first row has no `b`"),
            (r#"[{"a":1,"b":2},{"b":1}]"#, 1, "has no `a`"),
            (r#"[{"a":1,"b":2},{"a":1,"a":2}]"#, 1, "has `a` twice"),
            (r#"[{"a":1},{}]"#, 1, "has no `a`"),
        ] {
            let (found, message) = misfit(json);
            assert_eq!(found, index, "{json}");
            assert!(message.contains(says), "{json}: {message}");
        }
    }

    #[test]
    fn what_is_no_list_of_rows_is_refused() {
        for (wrong, says) in [
            ("[]", "`params_list` is empty"),
            ("[1]", "a row: a list of values"),
            ("{}", "a list of rows"),
            ("[[1],[[2]]]", "row 1 of `params_list`"),
            (r#"[{"a":{"b":1}}]"#, "row 0 of `params_list`"),
        ] {
            let said = read(wrong).unwrap_err();
            assert!(said.contains(says), "{wrong}: {said}");
        }
        let wide = format!("[[{}0]]", "0,".repeat(MAX_PARAMETERS));
        assert!(read(&wide).unwrap_err().contains("at most 32766"));
    }

    #[test]
    fn more_rows_and_values_than_may_be_are_told_and_not_kept() {
        let rows = format!("[{}[]]", "[],".repeat(MAX_PARAMETER_ROWS));
        assert_eq!(read(&rows).unwrap().fault(), Some(&ListFault::TooManyRows));
        let row = format!("[{}0],", "0,".repeat(999));
        let values = format!("[{}[]]", row.repeat(MAX_LIST_VALUES / 1000 + 1));
        let values = read(&values).unwrap();
        assert_eq!(values.fault(), Some(&ListFault::TooManyValues));
    }
}
