//! The OpenAPI document: what holds for every route is added here.

pub(crate) mod documents;
pub(crate) mod event_data;
mod headers;
pub(crate) mod limits;
pub(crate) mod packed_documents;
pub(crate) mod schemas;
pub(crate) mod words;

use self::limits::DescribedLimits;
use crate::http::response::views::plan::PLAN;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::schema::{AdditionalProperties, ArrayItems, KnownFormat, SchemaFormat, Type};
use utoipa::openapi::{
    Components, Content, ObjectBuilder, OpenApi, Ref, RefOr, Required, Response, ResponseBuilder,
    Schema, content::ContentBuilder,
};

const JSON: &str = "application/json";

/// Adds what holds for every operation. `is_sequenced` says of a path whether its answers carry the
/// sequence that they have seen.
pub(super) fn describe(
    openapi: &mut OpenApi,
    limits: &DescribedLimits,
    is_sequenced: impl Fn(&str) -> bool,
) {
    let components = openapi.components.get_or_insert_default();
    components.schemas.extend(words::all());
    components.schemas.extend(schemas::values());
    name_choices(&mut components.schemas);
    name_items(&mut components.schemas);
    headers::register(components);
    for schema in components.schemas.values_mut() {
        limits.describe_fields(schema);
    }
    let components = components.clone();
    for (path, item) in &mut openapi.paths.paths {
        for operation in operations(item) {
            describe_problems(operation);
            describe_body(operation, &components);
            describe_dry_run(operation);
            describe_streams(operation);
            describe_answers(operation);
            headers::describe(operation, is_sequenced(path));
            limits.describe_parameters(operation);
        }
    }
}

type Schemas = std::collections::BTreeMap<String, RefOr<Schema>>;

/// Where one of several fields is to be there, it is there alone: each such object has a name, which
/// generated clients would make up otherwise.
fn name_choices(schemas: &mut Schemas) {
    let mut named = Schemas::new();
    for schema in schemas.values_mut() {
        let RefOr::T(Schema::OneOf(choice)) = schema else {
            continue;
        };
        for arm in &mut choice.items {
            let RefOr::T(Schema::Object(object)) = arm else {
                continue;
            };
            let mut fields = object.properties.keys();
            let (Some(field), None) = (fields.next(), fields.next()) else {
                continue;
            };
            let name = format!("{}Command", in_camel_case(field));
            if object.additional_properties.is_none() {
                let closed = AdditionalProperties::FreeForm(false);
                object.additional_properties = Some(Box::new(closed));
            }
            let reference = Ref::from_schema_name(&name);
            let object = std::mem::replace(arm, reference.into());
            named.insert(name, object);
        }
    }
    schemas.extend(named);
}

/// `create_database` as a type is called: `CreateDatabase`.
fn in_camel_case(words: &str) -> String {
    let words = words.split('_').filter_map(|word| {
        let first = word.chars().next()?.to_ascii_uppercase();
        Some(format!("{first}{}", &word[1..]))
    });
    words.collect()
}

/// utoipa writes out what a generic list holds; here it is named: `List_Job` holds `Job`.
fn name_items(schemas: &mut Schemas) {
    let known = schemas.clone();
    for (name, schema) in schemas {
        let Some((_, item)) = name.rsplit_once('_') else {
            continue;
        };
        let (Some(written_out), RefOr::T(Schema::Object(object))) = (known.get(item), schema)
        else {
            continue;
        };
        for property in object.properties.values_mut() {
            if let RefOr::T(Schema::Array(array)) = property
                && array.items == ArrayItems::RefOrSchema(Box::new(written_out.clone()))
            {
                let reference = RefOr::Ref(Ref::from_schema_name(item));
                array.items = ArrayItems::RefOrSchema(Box::new(reference));
            }
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let all = [
        &mut item.get,
        &mut item.put,
        &mut item.post,
        &mut item.delete,
        &mut item.patch,
    ];
    all.into_iter().flatten()
}

/// Problems are `application/problem+json`.
fn describe_problems(operation: &mut Operation) {
    let problem = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Problem")))
        .build();
    let response = ResponseBuilder::new()
        .description("An error; `GET /problems/{code}` explains its `code`")
        .content("application/problem+json", problem)
        .build();
    let responses = &mut operation.responses.responses;
    responses
        .entry("default".into())
        .or_insert_with(|| response.into());
}

/// An empty body reads as `{}`: one may be left out where no field has to be there.
fn describe_body(operation: &mut Operation, components: &Components) {
    let Some(RefOr::T(body)) = &mut operation.request_body else {
        return;
    };
    let Some(RefOr::T(Content { schema, .. })) = body.content.get(JSON) else {
        // An empty text is a text.
        body.required = Some(Required::False);
        let bytes = ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)));
        let bytes = ContentBuilder::new().schema(Some(bytes)).build();
        let content = &mut body.content;
        content.insert("application/octet-stream".to_owned(), bytes.into());
        return;
    };
    let needs_fields = match schema.as_ref().and_then(|it| resolved(it, components)) {
        Some(Schema::Object(object)) => !object.required.is_empty(),
        _ => true,
    };
    body.required = Some(if needs_fields {
        Required::True
    } else {
        Required::False
    });
}

fn resolved<'a>(schema: &'a RefOr<Schema>, components: &'a Components) -> Option<&'a Schema> {
    match schema {
        RefOr::T(schema) => Some(schema),
        RefOr::Ref(reference) => {
            let name = reference.ref_location.rsplit('/').next()?;
            match components.schemas.get(name)? {
                RefOr::T(schema) => Some(schema),
                RefOr::Ref(_) => None,
            }
        }
    }
}

/// With `?dry_run=plan` an operation answers 200 with the plan, which has its own content type.
fn describe_dry_run(operation: &mut Operation) {
    let parameters = operation.parameters.iter().flatten();
    let has_dry_run = parameters
        .filter_map(|it| match it {
            RefOr::T(parameter) => Some(parameter),
            RefOr::Ref(_) => None,
        })
        .any(|it| it.name == "dry_run");
    if !has_dry_run {
        return;
    }
    let responses = &mut operation.responses.responses;
    let done = responses.entry("200".into()).or_insert_with(|| {
        let description = "With `dry_run=plan`: the plan";
        ResponseBuilder::new()
            .description(description)
            .build()
            .into()
    });
    if let RefOr::T(Response { content, .. }) = done {
        let plan = Ref::from_schema_name("Plan");
        let plan = ContentBuilder::new().schema(Some(plan)).build();
        content.insert(PLAN.to_owned(), plan.into());
    }
}

/// A stream has no schema: OpenAPI 3.1 can only describe it as a whole, and it has no end.
fn describe_streams(operation: &mut Operation) {
    for response in operation.responses.responses.values_mut() {
        let RefOr::T(response) = response else {
            continue;
        };
        if let Some(RefOr::T(stream)) = response.content.get_mut("text/event-stream") {
            stream.schema = None;
            "Server-sent events: `id` is the sequence number of an event, `event` its kind, `data` \
             the event as JSON, as in `Event`"
                .clone_into(&mut response.description);
        }
    }
}

/// Every answer says what it is.
fn describe_answers(operation: &mut Operation) {
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else {
            continue;
        };
        if response.description.is_empty() {
            let about = match status.as_str() {
                "201" => "Created",
                "202" => "Accepted: the job goes on",
                "204" => "Done",
                "503" => "Not ready",
                _ => "OK",
            };
            about.clone_into(&mut response.description);
        }
    }
}
