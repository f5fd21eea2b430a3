//! The variable parts of a path, decoded.
use crate::http::response::error::Problem;
use axum::http::request::Parts;
use matchit::Params;

/// The variable parts of a path, as they were sent.
#[derive(Debug, Clone)]
pub(crate) struct PathValues(Vec<String>);

impl PathValues {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The database that a request to this route names, as it was sent.
    pub(crate) fn database(&self, route: &str) -> Option<String> {
        let mut names = route.split('/').filter(|part| part.starts_with('{'));
        let place = names.position(|name| name == "{db}")?;
        self.0.get(place).cloned()
    }

    pub(crate) fn of(params: &Params<'_, '_>) -> Self {
        Self(params.iter().map(|(_, value)| value.to_owned()).collect())
    }
}

/// What the variable parts of a path are read as.
pub(crate) trait FromPath: Sized {
    /// # Errors
    /// When a part is no text.
    fn from_path(parts: &Parts) -> Result<Self, Problem>;
}

impl FromPath for String {
    fn from_path(parts: &Parts) -> Result<Self, Problem> {
        value(parts, 0)
    }
}

impl FromPath for (String, String) {
    fn from_path(parts: &Parts) -> Result<Self, Problem> {
        Ok((value(parts, 0)?, value(parts, 1)?))
    }
}

/// The rows that a path names.
#[derive(Debug, Clone)]
pub(crate) struct RowsPath {
    pub(crate) database: String,
    pub(crate) table: String,
    /// With its `%` escapes, which tell commas of values from those between values.
    pub(crate) key: Option<String>,
    /// The column of that row.
    pub(crate) column: Option<String>,
}

impl FromPath for RowsPath {
    fn from_path(parts: &Parts) -> Result<Self, Problem> {
        let values = parts.extensions.get::<PathValues>();
        let count = values.map_or(0, |values| values.0.len());
        let key = (count > 2).then(|| raw(parts, 2).map(str::to_owned));
        let column = (count > 3).then(|| value(parts, 3));
        Ok(Self {
            database: value(parts, 0)?,
            table: value(parts, 1)?,
            key: key.transpose()?,
            column: column.transpose()?,
        })
    }
}

fn raw(parts: &Parts, place: usize) -> Result<&str, Problem> {
    let values = parts.extensions.get::<PathValues>();
    let value = values.and_then(|it| it.0.get(place));
    value
        .map(String::as_str)
        .ok_or_else(|| Problem::internal("a handler asked for a part that its path does not have"))
}

impl FromPath for (String, String, String) {
    fn from_path(parts: &Parts) -> Result<Self, Problem> {
        Ok((value(parts, 0)?, value(parts, 1)?, value(parts, 2)?))
    }
}

/// One variable part, without its `%` escapes.
fn value(parts: &Parts, place: usize) -> Result<String, Problem> {
    let value = raw(parts, place)?;
    let decoded = percent_encoding::percent_decode_str(value).decode_utf8();
    decoded
        .map(Into::into)
        .map_err(|_| Problem::invalid(format!("`{value}` in the path is not valid UTF-8.")))
}
