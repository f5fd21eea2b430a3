//! OpenAPI schemas of values in requests: enums, patterns, limits.
//!
//! The domain checks the values; this only describes them.
use crate::data::MAX_PARAMETERS;
use crate::domain::database::DatabaseState;
use crate::domain::event::EventKind;
use crate::domain::job::{JobKind, JobState};
use crate::domain::token::Scope;
use crate::engine::registry::Engines;
use utoipa::openapi::schema::{
    AdditionalProperties, AnyOf, AnyOfBuilder, Array, ArrayBuilder, KnownFormat, ObjectBuilder,
    OneOf, SchemaFormat, SchemaType, Type,
};
use utoipa::openapi::{RefOr, Schema};

/// Integers in OpenAPI are signed 64 bits.
pub(crate) const LARGEST_SEQUENCE: u64 = i64::MAX.unsigned_abs();

// --- words --------------------------------------------------------------------------------------

/// Names of engines.
pub(crate) fn engine() -> Schema {
    or_null(word(
        Engines::standard().all().iter().map(|engine| engine.name()),
    ))
}

/// What a token may do.
pub(crate) fn scopes() -> Array {
    let words = Scope::ALL.iter().map(|it| it.as_str());
    ArrayBuilder::new()
        .items(word(words))
        .min_items(Some(1))
        .build()
}

/// The state of a database.
pub(crate) fn database_state() -> Schema {
    word(DatabaseState::ALL.iter().map(|it| it.as_str())).into()
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
pub(crate) fn event_kind() -> Schema {
    event_word().into()
}

fn event_word() -> ObjectBuilder {
    word(EventKind::ALL.iter().map(|it| it.as_str()))
}

/// Kinds of events.
pub(crate) fn event_kinds() -> Schema {
    or_null(ArrayBuilder::new().items(event_word()))
}

/// How durable writes are.
pub(crate) fn durability() -> Schema {
    or_null(word(["full", "relaxed"]))
}

/// What happens to times that were missed.
pub(crate) fn misfire() -> Schema {
    or_null(word(["skip", "latest", "all"]))
}

/// What happens to a time whose predecessor has not ended.
pub(crate) fn overlap() -> Schema {
    or_null(word(["skip", "queue"]))
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
    let list = ArrayBuilder::new()
        .items(parameter())
        .max_items(Some(MAX_PARAMETERS));
    let named = ObjectBuilder::new()
        .additional_properties(Some(Schema::from(parameter())))
        .max_properties(Some(MAX_PARAMETERS));
    or_null(AnyOf::builder().item(list).item(named))
}

/// Rows to be inserted, each from column to value.
pub(crate) fn rows_by_column() -> Array {
    let row = ObjectBuilder::new().additional_properties(Some(Schema::from(parameter())));
    ArrayBuilder::new().items(row).build()
}

/// One value; what JSON has no form for is an object of one field.
pub(crate) fn parameter() -> AnyOfBuilder {
    let plain = [Type::Null, Type::Boolean, Type::String];
    let real = word(["Infinity", "-Infinity", "NaN"]);
    let base64 = || pattern("^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$");
    let whole = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(i64::MIN))
        .maximum(Some(i64::MAX));
    // The largest double on either side: what is beyond is no number of SQLite's.
    let broken = ObjectBuilder::new()
        .schema_type(Type::Number)
        .minimum(Some(f64::MIN))
        .maximum(Some(f64::MAX));
    AnyOf::builder()
        .item(ObjectBuilder::new().schema_type(SchemaType::from_iter(plain)))
        .item(whole)
        .item(broken)
        .item(special("$base64", base64()))
        .item(special("$text_base64", base64()))
        .item(special("$real", real))
}

/// The rows of an answer: lists in the order of the columns, or objects by column.
pub(crate) fn rows() -> Array {
    let list = ArrayBuilder::new().items(value());
    let object = ObjectBuilder::new().additional_properties(Some(Schema::from(value())));
    ArrayBuilder::new()
        .items(AnyOf::builder().item(list).item(object))
        .build()
}

fn value() -> AnyOfBuilder {
    let plain = [Type::Null, Type::Number, Type::String];
    AnyOf::builder()
        .item(ObjectBuilder::new().schema_type(SchemaType::from_iter(plain)))
        .item(special("$base64", text()))
        .item(special("$text_base64", text()))
        .item(special("$real", word(["Infinity", "-Infinity"])))
}

fn special(name: &str, form: ObjectBuilder) -> ObjectBuilder {
    ObjectBuilder::new()
        .property(name, form)
        .required(name)
        .additional_properties(Some(AdditionalProperties::FreeForm(false)))
}

// --- pieces -------------------------------------------------------------------------------------

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn pattern(pattern: &str) -> ObjectBuilder {
    text().pattern(Some(pattern))
}

fn word(words: impl IntoIterator<Item = &'static str>) -> ObjectBuilder {
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

fn or_null(schema: impl Into<RefOr<Schema>>) -> Schema {
    let null = ObjectBuilder::new().schema_type(Type::Null);
    OneOf::builder().item(null).item(schema).into()
}
