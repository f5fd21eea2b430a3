//! OpenAPI schemas of values in requests: enums, patterns, limits.
//!
//! The domain checks the values; this only describes them.
use crate::data::{MAX_PARAMETER_ROWS, MAX_PARAMETERS};
use crate::domain::job::{JobKind, JobState};
use utoipa::openapi::schema::{
    AdditionalProperties, AnyOf, AnyOfBuilder, Array, ArrayBuilder, KnownFormat, ObjectBuilder,
    OneOf, SchemaFormat, SchemaType, Type,
};
use utoipa::openapi::{Ref, RefOr, Schema};

/// Integers in OpenAPI are signed 64 bits.
pub(crate) const LARGEST_SEQUENCE: u64 = i64::MAX.unsigned_abs();

// --- words --------------------------------------------------------------------------------------

/// Names of engines.
pub(crate) fn engine() -> Schema {
    or_null(named("EngineName"))
}

/// What a token may do.
pub(crate) fn scopes() -> Array {
    ArrayBuilder::new()
        .items(named("Scope"))
        .min_items(Some(1))
        .build()
}

/// The state of a database.
pub(crate) fn database_state() -> RefOr<Schema> {
    named("DatabaseState")
}

/// States of jobs, with commas between them.
pub(crate) fn job_states() -> Schema {
    with_commas(JobState::ALL.iter().map(|it| it.as_str()))
}

/// Kinds of jobs, with commas between them.
pub(crate) fn job_kinds() -> Schema {
    with_commas(JobKind::WORDS.iter().copied())
}

/// A kind of event.
pub(crate) fn event_kind() -> RefOr<Schema> {
    named("EventKind")
}

/// Kinds of events.
pub(crate) fn event_kinds() -> Schema {
    or_null(ArrayBuilder::new().items(event_kind()))
}

/// How durable writes are.
pub(crate) fn durability() -> Schema {
    or_null(named("Durability"))
}

/// Which process answers SQL.
pub(crate) fn isolation() -> Schema {
    or_null(named("Isolation"))
}

/// What happens to times that were missed.
pub(crate) fn misfire() -> Schema {
    or_null(named("Misfire"))
}

/// What happens to a time whose predecessor has not ended.
pub(crate) fn overlap() -> Schema {
    or_null(named("Overlap"))
}

// --- texts and numbers --------------------------------------------------------------------------

/// Names or patterns of databases, as a token or a webhook has them.
pub(crate) fn database_patterns() -> Array {
    ArrayBuilder::new()
        .items(pattern("^[A-Za-z0-9_.*-]{1,63}$"))
        .min_items(Some(1))
        .max_items(Some(64))
        .build()
}

/// The same where they may be left out.
pub(crate) fn optional_database_patterns() -> Schema {
    or_null(database_patterns())
}

/// The owner's marks.
pub(crate) fn labels() -> Schema {
    let labels = ObjectBuilder::new()
        .property_names(Some(Schema::from(pattern(
            r"^[^\u0000-\u001F\u007F-\u009F]{1,63}$",
        ))))
        .additional_properties(Some(text().max_length(Some(128))))
        .max_properties(Some(32));
    or_null(labels)
}

/// Headers of a webhook's messages, by name.
pub(crate) fn own_headers() -> Schema {
    ObjectBuilder::new()
        .property_names(Some(Schema::from(pattern("^[A-Za-z0-9_-]{1,64}$"))))
        .additional_properties(Some(pattern("^[ -~]{0,2048}$")))
        .max_properties(Some(16))
        .into()
}

/// A name in which `{date}` and `{time}` are filled in later.
pub(crate) fn name_for_later() -> RefOr<Schema> {
    let part = r"([A-Za-z0-9_.-]|\{date\}|\{time\})";
    Schema::from(pattern(&format!(
        "^([A-Za-z0-9]|\\{{date\\}}|\\{{time\\}}){part}{{0,40}}$"
    )))
    .into()
}

/// `key=value`.
pub(crate) fn label() -> Schema {
    pattern("^[^=]+=").into()
}

/// A duration that may be none at all: `30s`, or a number of seconds.
pub(crate) fn wait() -> Schema {
    pattern("^[0-9]{1,4}s?$").into()
}

/// How long something lives: at least a second, at most a hundred years.
pub(crate) fn lifetime() -> Schema {
    let texts = "^([1-9][0-9]{0,8}s?|[1-9][0-9]{0,6}m|[1-9][0-9]{0,4}h|[1-9][0-9]{0,3}d)$";
    or_null(
        AnyOf::builder()
            .item(pattern(texts))
            .item(integer(1, 100 * 365 * 86_400)),
    )
}

/// A place in the log.
pub(crate) fn sequence() -> ObjectBuilder {
    integer(0, LARGEST_SEQUENCE)
}

/// A sequence or a time.
pub(crate) fn moment() -> Schema {
    let time = SchemaFormat::KnownFormat(KnownFormat::DateTime);
    AnyOf::builder()
        .item(sequence())
        .item(text().format(Some(time)))
        .into()
}

// --- statements ---------------------------------------------------------------------------------

/// Values for a statement's parameters: a list, or an object by name.
pub(crate) fn parameters() -> Schema {
    or_null(named("Parameters"))
}

/// Rows of values for a statement's parameters. Each is a `Parameters`, written out: generated
/// Python would have two variables of one name beside `params`.
pub(crate) fn parameter_rows() -> Schema {
    let row = AnyOf::builder()
        .item(
            ArrayBuilder::new()
                .items(named("Parameter"))
                .max_items(Some(MAX_PARAMETERS)),
        )
        .item(named("NamedParameters"));
    or_null(
        ArrayBuilder::new()
            .items(row)
            .min_items(Some(1))
            .max_items(Some(MAX_PARAMETER_ROWS)),
    )
}

/// Rows to be inserted, each from column to value.
pub(crate) fn rows_by_column() -> Array {
    ArrayBuilder::new().items(named("NamedParameters")).build()
}

/// One value.
pub(crate) fn parameter() -> RefOr<Schema> {
    named("Parameter")
}

/// The rows of an answer.
pub(crate) fn rows() -> Array {
    ArrayBuilder::new().items(named("Row")).build()
}

/// Rows as objects.
pub(crate) fn row_objects() -> Array {
    ArrayBuilder::new().items(named("RowObject")).build()
}

/// A row as an object.
pub(crate) fn row_object() -> RefOr<Schema> {
    named("RowObject")
}

/// A row to be written, or several.
pub(crate) fn new_rows() -> Schema {
    let rows = ArrayBuilder::new().items(named("NamedParameters"));
    OneOf::builder()
        .item(named("NamedParameters"))
        .item(rows)
        .into()
}

/// New values by column.
pub(crate) fn row_changes() -> RefOr<Schema> {
    named("NamedParameters")
}

/// The rows of an answer of the legacy API.
pub(crate) fn original_rows() -> Schema {
    or_null(ArrayBuilder::new().items(named("OriginalRow")))
}

/// Values that go in and come out, each with its name.
pub(super) fn values() -> impl Iterator<Item = (String, RefOr<Schema>)> {
    let base64 = || pattern("^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$");
    let plain = |types: &[Type]| {
        ObjectBuilder::new().schema_type(SchemaType::from_iter(types.iter().cloned()))
    };
    let whole = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(i64::MIN))
        .maximum(Some(i64::MAX));
    // The largest double on either side: what is beyond is no number of SQLite's.
    let broken = ObjectBuilder::new()
        .schema_type(Type::Number)
        .minimum(Some(f64::MIN))
        .maximum(Some(f64::MAX));
    let object_of = |name: &str| ObjectBuilder::new().additional_properties(Some(named(name)));
    let special_ones = |values: AnyOfBuilder| {
        values
            .item(named("Blob"))
            .item(named("RawText"))
            .item(named("SpecialReal"))
    };
    let parameter = AnyOf::builder()
        .item(plain(&[Type::Null, Type::Boolean, Type::String]))
        .item(whole)
        .item(broken);
    let value = AnyOf::builder().item(plain(&[Type::Null, Type::Number, Type::String]));
    let parameters = AnyOf::builder()
        .item(
            ArrayBuilder::new()
                .items(named("Parameter"))
                .max_items(Some(MAX_PARAMETERS)),
        )
        .item(named("NamedParameters"));
    let row = AnyOf::builder()
        .item(ArrayBuilder::new().items(named("Value")))
        .item(named("RowObject"));
    let schemas: [(&str, Schema); 11] = [
        (
            "Blob",
            special("$base64", base64(), "Bytes, in base64").into(),
        ),
        (
            "RawText",
            special(
                "$text_base64",
                base64(),
                "Text that is not UTF-8, in base64",
            )
            .into(),
        ),
        (
            "SpecialReal",
            special(
                "$real",
                word(["Infinity", "-Infinity", "NaN"]),
                "A real number that JSON has no form for; NaN is stored as NULL",
            )
            .into(),
        ),
        (
            "Parameter",
            special_ones(parameter)
                .description(Some("Value of a statement's parameter"))
                .into(),
        ),
        (
            "NamedParameters",
            object_of("Parameter")
                .description(Some("Values by name"))
                .max_properties(Some(MAX_PARAMETERS))
                .into(),
        ),
        (
            "Parameters",
            parameters
                .description(Some("Values in order, or by name"))
                .into(),
        ),
        (
            "Value",
            special_ones(value)
                .description(Some("Value of a result's column"))
                .into(),
        ),
        (
            "RowObject",
            object_of("Value")
                .description(Some("A row by column"))
                .into(),
        ),
        (
            "Row",
            row.description(Some(
                "A row: values in column order, or an object by column",
            ))
            .into(),
        ),
        (
            "OriginalValue",
            plain(&[Type::Null, Type::Number, Type::String])
                .description(Some("Value of a column; bytes are base64 text"))
                .into(),
        ),
        (
            "OriginalRow",
            object_of("OriginalValue")
                .description(Some("A row by column"))
                .into(),
        ),
    ];
    schemas
        .into_iter()
        .map(|(name, schema)| (name.to_owned(), schema.into()))
}

fn special(name: &str, form: ObjectBuilder, about: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .description(Some(about))
        .property(name, form)
        .required(name)
        .additional_properties(Some(AdditionalProperties::FreeForm(false)))
}

// --- pieces -------------------------------------------------------------------------------------

/// A schema of the document, by its name.
pub(super) fn named(name: &str) -> RefOr<Schema> {
    Ref::from_schema_name(name).into()
}

pub(super) fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn pattern(pattern: &str) -> ObjectBuilder {
    text().pattern(Some(pattern))
}

pub(crate) fn word(words: impl IntoIterator<Item = &'static str>) -> ObjectBuilder {
    text().enum_values(Some(words))
}

fn with_commas(words: impl Iterator<Item = &'static str>) -> Schema {
    let word = words.collect::<Vec<_>>().join("|");
    pattern(&format!("^({word})(,({word}))*$")).into()
}

fn integer(least: u64, most: u64) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .minimum(Some(least))
        .maximum(Some(most))
}

pub(super) fn or_null(schema: impl Into<RefOr<Schema>>) -> Schema {
    let null = ObjectBuilder::new().schema_type(Type::Null);
    OneOf::builder().item(null).item(schema).into()
}
