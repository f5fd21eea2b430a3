//! Writes a value as JSON with sorted keys and no spaces, in one go: every event that is appended,
//! verified or shown goes through here.
use super::json::{write_sorted, write_text};
use serde::ser::{Error as _, Impossible, SerializeMap, SerializeSeq, SerializeStruct};
use serde::ser::{SerializeStructVariant, SerializeTuple};
use serde::{Serialize, Serializer};
use serde_json::Error;
use std::fmt::{Display, Write};

/// Writes one value at the end of a text.
pub(super) struct Sorted<'o>(pub(super) &'o mut String);

impl Sorted<'_> {
    fn shown(self, value: impl Display) -> Result<(), Error> {
        write!(self.0, "{value}").map_err(Error::custom)
    }
}

fn no_float<T>() -> Result<T, Error> {
    Err(Error::custom("no event has floats"))
}

impl<'o> Serializer for Sorted<'o> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Items<'o>;
    type SerializeTuple = Items<'o>;
    type SerializeTupleStruct = Impossible<(), Error>;
    type SerializeTupleVariant = Impossible<(), Error>;
    type SerializeMap = Entries<'o>;
    type SerializeStruct = Fields<'o>;
    type SerializeStructVariant = Fields<'o>;

    fn serialize_bool(self, value: bool) -> Result<(), Error> {
        self.shown(value)
    }
    fn serialize_i8(self, value: i8) -> Result<(), Error> {
        self.shown(value)
    }
    fn serialize_i16(self, value: i16) -> Result<(), Error> {
        self.shown(value)
    }
    fn serialize_i32(self, value: i32) -> Result<(), Error> {
        self.shown(value)
    }
    fn serialize_i64(self, value: i64) -> Result<(), Error> {
        self.shown(value)
    }
    fn serialize_u8(self, value: u8) -> Result<(), Error> {
        self.shown(value)
    }
    fn serialize_u16(self, value: u16) -> Result<(), Error> {
        self.shown(value)
    }
    fn serialize_u32(self, value: u32) -> Result<(), Error> {
        self.shown(value)
    }
    fn serialize_u64(self, value: u64) -> Result<(), Error> {
        self.shown(value)
    }
    fn serialize_f32(self, _: f32) -> Result<(), Error> {
        no_float()
    }
    fn serialize_f64(self, _: f64) -> Result<(), Error> {
        no_float()
    }
    fn serialize_char(self, value: char) -> Result<(), Error> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }
    fn serialize_str(self, value: &str) -> Result<(), Error> {
        write_text(self.0, value);
        Ok(())
    }
    fn serialize_bytes(self, value: &[u8]) -> Result<(), Error> {
        self.collect_seq(value)
    }
    fn serialize_none(self) -> Result<(), Error> {
        self.serialize_unit()
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }
    fn serialize_unit(self) -> Result<(), Error> {
        self.shown("null")
    }
    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        self.serialize_unit()
    }
    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), Error> {
        self.serialize_str(variant)
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        let mut fields = Fields::begin(self.0, 1, false);
        SerializeStruct::serialize_field(&mut fields, variant, value)?;
        SerializeStruct::end(fields)
    }
    fn serialize_seq(self, _: Option<usize>) -> Result<Items<'o>, Error> {
        self.0.push('[');
        Ok(Items {
            out: self.0,
            is_first: true,
        })
    }
    fn serialize_tuple(self, length: usize) -> Result<Items<'o>, Error> {
        self.serialize_seq(Some(length))
    }
    fn serialize_tuple_struct(
        self,
        name: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleStruct, Error> {
        Err(Error::custom(format!("{name} has no names for its parts")))
    }
    fn serialize_tuple_variant(
        self,
        name: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Error> {
        Err(Error::custom(format!("{name} has no names for its parts")))
    }
    fn serialize_map(self, length: Option<usize>) -> Result<Entries<'o>, Error> {
        Ok(Entries {
            out: self.0,
            entries: serde_json::value::Serializer.serialize_map(length)?,
        })
    }
    fn serialize_struct(self, _: &'static str, length: usize) -> Result<Fields<'o>, Error> {
        Ok(Fields::begin(self.0, length, false))
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Fields<'o>, Error> {
        self.0.push('{');
        write_text(self.0, variant);
        self.0.push(':');
        Ok(Fields::begin(self.0, length, true))
    }
}

/// A list that is being written.
pub(super) struct Items<'o> {
    out: &'o mut String,
    is_first: bool,
}

impl SerializeSeq for Items<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        if !std::mem::take(&mut self.is_first) {
            self.out.push(',');
        }
        value.serialize(Sorted(self.out))
    }

    fn end(self) -> Result<(), Error> {
        self.out.push(']');
        Ok(())
    }
}

impl SerializeTuple for Items<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        SerializeSeq::serialize_element(self, value)
    }

    fn end(self) -> Result<(), Error> {
        SerializeSeq::end(self)
    }
}

/// A map, whose keys are known at its end.
pub(super) struct Entries<'o> {
    out: &'o mut String,
    entries: <serde_json::value::Serializer as Serializer>::SerializeMap,
}

impl SerializeMap for Entries<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        self.entries.serialize_key(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.entries.serialize_value(value)
    }

    fn end(self) -> Result<(), Error> {
        write_sorted(self.out, &SerializeMap::end(self.entries)?);
        Ok(())
    }
}

/// An object that is being written, field by field as they are declared.
pub(super) struct Fields<'o> {
    out: &'o mut String,
    begin: usize,
    /// Each field's name, and where it ends.
    written: Vec<(&'static str, usize)>,
    is_sorted: bool,
    /// Whether it lies in an object of its own.
    is_variant: bool,
}

impl<'o> Fields<'o> {
    fn begin(out: &'o mut String, length: usize, is_variant: bool) -> Self {
        out.push('{');
        Self {
            begin: out.len(),
            out,
            written: Vec::with_capacity(length),
            is_sorted: true,
            is_variant,
        }
    }
}

impl SerializeStruct for Fields<'_> {
    type Ok = ();
    type Error = Error;

    /// Writes `"name":value,`.
    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.is_sorted &= self.written.last().is_none_or(|(last, _)| *last < name);
        write_text(self.out, name);
        self.out.push(':');
        value.serialize(Sorted(self.out))?;
        self.out.push(',');
        self.written.push((name, self.out.len()));
        Ok(())
    }

    fn end(mut self) -> Result<(), Error> {
        if !self.is_sorted {
            let unsorted = self.out.split_off(self.begin);
            let mut from = 0;
            let mut fields: Vec<_> = (self.written.drain(..))
                .map(|(name, until)| {
                    let until = until - self.begin;
                    (name, std::mem::replace(&mut from, until)..until)
                })
                .collect();
            fields.sort_unstable_by_key(|(name, _)| *name);
            for (_, place) in fields {
                self.out.push_str(&unsorted[place]);
            }
        }
        if self.out.len() > self.begin {
            self.out.pop(); // the last comma
        }
        self.out.push_str(if self.is_variant { "}}" } else { "}" });
        Ok(())
    }
}

impl SerializeStructVariant for Fields<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        SerializeStruct::serialize_field(self, name, value)
    }

    fn end(self) -> Result<(), Error> {
        SerializeStruct::end(self)
    }
}
