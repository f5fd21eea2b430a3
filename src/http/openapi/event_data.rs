//! The fields of events, which the domain declares.
use super::schemas::{named, or_null, text};
use crate::domain::event::EventKind;
use std::borrow::Cow;
use std::collections::BTreeMap;
use utoipa::openapi::schema::{
    AdditionalProperties, AnyOf, ArrayBuilder, KnownFormat, ObjectBuilder, SchemaFormat,
    SchemaType, Type,
};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// Every field that some kind of event has; which ones an event has depends on its kind.
#[derive(Debug)]
pub(crate) enum EventData {}

impl PartialSchema for EventData {
    fn schema() -> RefOr<Schema> {
        let mut fields: BTreeMap<&str, Vec<RefOr<Schema>>> = BTreeMap::new();
        for (name, type_name) in EventKind::FIELDS {
            let schemas = fields.entry(name).or_default();
            let schema = schema_of(type_name);
            if !schemas.contains(&schema) {
                schemas.push(schema);
            }
        }
        let about = "Fields of an event. Which ones it has depends on its `kind`.";
        let mut object = ObjectBuilder::new()
            .description(Some(about))
            .additional_properties(Some(AdditionalProperties::FreeForm(true)));
        for (name, mut schemas) in fields {
            let schema = match schemas.len() {
                1 => schemas.remove(0),
                // The same name means different things in different kinds.
                _ => {
                    let mut any = AnyOf::new();
                    any.items = schemas;
                    Schema::AnyOf(any).into()
                }
            };
            object = object.property(name, schema);
        }
        object.into()
    }
}

impl ToSchema for EventData {
    fn name() -> Cow<'static, str> {
        "EventData".into()
    }
}

/// The schema of a type as the domain calls it.
fn schema_of(type_name: &str) -> RefOr<Schema> {
    let inner = |outer: &str| {
        let rest = type_name.strip_prefix(outer)?;
        rest.trim()
            .strip_prefix('<')?
            .strip_suffix('>')
            .map(str::trim)
    };
    if let Some(inner) = inner("Option") {
        return or_null(schema_of(inner)).into();
    }
    if let Some(inner) = inner("Vec") {
        return ArrayBuilder::new().items(schema_of(inner)).into();
    }
    let format = |format| text().format(Some(SchemaFormat::KnownFormat(format)));
    match type_name {
        "String" | "DatabaseName" | "StepName" => text().into(),
        "bool" => ObjectBuilder::new().schema_type(Type::Boolean).into(),
        "u32" => ObjectBuilder::new().schema_type(Type::Integer).into(),
        "Timestamp" => format(KnownFormat::DateTime).into(),
        "Labels" => ObjectBuilder::new()
            .additional_properties(Some(Schema::from(text())))
            .into(),
        "Limits" | "Durability" | "EngineName" | "Isolation" | "Scope" => named(type_name),
        it if it.ends_with("Id") => format(KnownFormat::Uuid).into(),
        // What has parts of its own is written as the log keeps it.
        _ => ObjectBuilder::new()
            .schema_type(SchemaType::AnyValue)
            .into(),
    }
}
