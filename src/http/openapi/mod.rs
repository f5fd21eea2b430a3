//! The OpenAPI document: what holds for every route is added here.

pub(crate) mod documents;
pub(crate) mod packed_documents;
pub(crate) mod schemas;

use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::schema::{AdditionalProperties, AnyOf, ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{
    Components, Content, OpenApi, Ref, RefOr, Required, Response, ResponseBuilder, Schema,
    content::ContentBuilder,
};

const JSON: &str = "application/json";

/// Adds what holds for every operation.
pub(super) fn describe(openapi: &mut OpenApi) {
    let components = openapi.components.get_or_insert_default();
    for schema in components.schemas.values_mut() {
        close_choice(schema);
    }
    let components = components.clone();
    for item in openapi.paths.paths.values_mut() {
        for operation in operations(item) {
            describe_problems(operation);
            describe_body(operation, &components);
            describe_dry_run(operation);
            describe_streams(operation);
        }
    }
}

/// Where one of several fields is to be there, it is there alone.
fn close_choice(schema: &mut RefOr<Schema>) {
    let RefOr::T(Schema::OneOf(choice)) = schema else {
        return;
    };
    for arm in &mut choice.items {
        if let RefOr::T(Schema::Object(object)) = arm
            && object.properties.len() == 1
            && object.additional_properties.is_none()
        {
            object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
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

/// With `?dry_run=plan` an operation answers 200 with the plan.
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
    let plan = RefOr::Ref(Ref::from_schema_name("Plan"));
    let responses = &mut operation.responses.responses;
    let done = responses.entry("200".into()).or_insert_with(|| {
        let description = "With `dry_run=plan`: the plan";
        ResponseBuilder::new()
            .description(description)
            .build()
            .into()
    });
    let RefOr::T(Response { content, .. }) = done else {
        return;
    };
    let content = content
        .entry(JSON.into())
        .or_insert_with(|| ContentBuilder::new().build().into());
    let RefOr::T(Content { schema, .. }) = content else {
        return;
    };
    *schema = Some(match schema.take() {
        None => plan,
        Some(done) => {
            let mut either = AnyOf::new();
            either.items.extend([done, plan]);
            Schema::AnyOf(either).into()
        }
    });
}

/// A stream is described by its events, not as one text.
fn describe_streams(operation: &mut Operation) {
    for response in operation.responses.responses.values_mut() {
        let RefOr::T(Response { content, .. }) = response else {
            continue;
        };
        if let Some(RefOr::T(stream)) = content.get_mut("text/event-stream") {
            stream.schema = None;
            stream.item_schema = Some(server_sent_event().into());
        }
    }
}

fn server_sent_event() -> Schema {
    let text = |description: &str| {
        ObjectBuilder::new()
            .schema_type(SchemaType::new(Type::String))
            .description(Some(description))
    };
    ObjectBuilder::new()
        .property("id", text("Sequence number of the event"))
        .property("event", text("Kind of event"))
        .property("data", text("The event as JSON"))
        .required("id")
        .required("event")
        .required("data")
        .into()
}
