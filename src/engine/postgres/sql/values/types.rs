//! Types by their OIDs: how they are called, and how their values are written.
use crate::locks::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// Most types of a database that are remembered beside PostgreSQL's own.
const MOST_REMEMBERED: usize = 10_000;

/// How a value is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum ValueKind {
    Boolean,
    /// A whole number that every reader of JSON holds.
    Integer,
    /// A whole number of 64 bits.
    Long,
    /// Any other number, with the digits that it has.
    Number,
    Json,
    Bytes,
    Timestamp,
    Text,
    /// Its elements, and the sign between them.
    Array(Arc<ValueKind>, u8),
}

/// A type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct OwnType {
    /// As answers call it: `int4`, `text[]`.
    pub(in super::super) name: Arc<str>,
    pub(in super::super) kind: ValueKind,
}

impl OwnType {
    /// One that is not known: its values are texts.
    pub(in super::super) fn unknown() -> Self {
        Self {
            name: "unknown".into(),
            kind: ValueKind::Text,
        }
    }
}

/// The types of one database.
#[derive(Debug, Default)]
pub(in super::super) struct Types(Mutex<HashMap<u32, OwnType>>);

impl Types {
    /// A type; `None` for one that has to be asked for.
    pub(in super::super) fn find(&self, oid: u32) -> Option<OwnType> {
        if let Some((name, element)) = built_in(oid) {
            let (name, kind) = match element {
                None => (name.into(), kind_of(oid)),
                Some(element) => {
                    let kind = ValueKind::Array(Arc::new(kind_of(element)), b',');
                    (format!("{name}[]").into(), kind)
                }
            };
            return Some(OwnType { name, kind });
        }
        self.0.lock().get(&oid).cloned()
    }

    /// Remembers a type that was asked for: its name, and of an array the type of its elements and
    /// the sign between them.
    pub(in super::super) fn remember(&self, oid: u32, name: &str, element: Option<(u32, u8)>) {
        let own = match element {
            None => OwnType {
                name: name.into(),
                kind: kind_of(oid),
            },
            Some((element, between)) => OwnType {
                name: format!("{}[]", name.strip_prefix('_').unwrap_or(name)).into(),
                kind: ValueKind::Array(Arc::new(kind_of(element)), between),
            },
        };
        let mut remembered = self.0.lock();
        if remembered.len() >= MOST_REMEMBERED {
            remembered.clear();
        }
        remembered.insert(oid, own);
    }

    /// Says that a type is gone, or cannot be asked for: its values are texts.
    pub(in super::super) fn remember_unknown(&self, oid: u32) {
        self.remember(oid, "unknown", None);
    }
}

/// How the values of one of PostgreSQL's own types are written; all others are texts.
fn kind_of(oid: u32) -> ValueKind {
    match oid {
        16 => ValueKind::Boolean,
        17 => ValueKind::Bytes,
        21 | 23 | 26 => ValueKind::Integer,
        20 => ValueKind::Long,
        700 | 701 | 1700 => ValueKind::Number,
        114 | 3802 => ValueKind::Json,
        1114 | 1184 => ValueKind::Timestamp,
        _ => ValueKind::Text,
    }
}

/// The name of one of PostgreSQL's own types, which never change; of an array, that of its elements
/// and their OID.
fn built_in(oid: u32) -> Option<(&'static str, Option<u32>)> {
    Some(match oid {
        16 => ("bool", None),
        17 => ("bytea", None),
        18 => ("char", None),
        19 => ("name", None),
        20 => ("int8", None),
        21 => ("int2", None),
        23 => ("int4", None),
        25 => ("text", None),
        26 => ("oid", None),
        114 => ("json", None),
        142 => ("xml", None),
        700 => ("float4", None),
        701 => ("float8", None),
        705 => ("unknown", None),
        790 => ("money", None),
        869 => ("inet", None),
        650 => ("cidr", None),
        1042 => ("bpchar", None),
        1043 => ("varchar", None),
        1082 => ("date", None),
        1083 => ("time", None),
        1114 => ("timestamp", None),
        1184 => ("timestamptz", None),
        1186 => ("interval", None),
        1266 => ("timetz", None),
        1700 => ("numeric", None),
        2249 => ("record", None),
        2278 => ("void", None),
        2950 => ("uuid", None),
        3614 => ("tsvector", None),
        3802 => ("jsonb", None),
        199 => ("json", Some(114)),
        1000 => ("bool", Some(16)),
        1001 => ("bytea", Some(17)),
        1003 => ("name", Some(19)),
        1005 => ("int2", Some(21)),
        1007 => ("int4", Some(23)),
        1009 => ("text", Some(25)),
        1014 => ("bpchar", Some(1042)),
        1015 => ("varchar", Some(1043)),
        1016 => ("int8", Some(20)),
        1021 => ("float4", Some(700)),
        1022 => ("float8", Some(701)),
        1028 => ("oid", Some(26)),
        1115 => ("timestamp", Some(1114)),
        1182 => ("date", Some(1082)),
        1185 => ("timestamptz", Some(1184)),
        1231 => ("numeric", Some(1700)),
        2951 => ("uuid", Some(2950)),
        3807 => ("jsonb", Some(3802)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_has_its_name_and_its_form() {
        let types = Types::default();
        assert_eq!(&*types.find(23).unwrap().name, "int4");
        let array = types.find(1016).unwrap();
        assert_eq!(&*array.name, "int8[]");
        assert_eq!(
            array.kind,
            ValueKind::Array(Arc::new(ValueKind::Long), b',')
        );
        assert_eq!(types.find(16_400), None);
        types.remember(16_400, "mood", None);
        types.remember(16_401, "_mood", Some((16_400, b',')));
        assert_eq!(&*types.find(16_401).unwrap().name, "mood[]");
        assert_eq!(types.find(16_400).unwrap().kind, ValueKind::Text);
    }
}
