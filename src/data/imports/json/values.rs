//! Single values, in the forms of the API.
use crate::data::{Param, ParamRef};

/// Gives the value that a piece of JSON is: in the API's forms; what is no single value, as its
/// own JSON text.
pub(in crate::data::imports) fn with_value<T>(
    json: &str,
    give: impl FnOnce(ParamRef<'_>) -> T,
) -> Result<T, String> {
    let unreadable = |error: serde_json::Error| {
        let said = error.to_string();
        said.rsplit_once(" at line ")
            .map_or(said.clone(), |it| it.0.to_owned())
    };
    Ok(match json.as_bytes().first() {
        Some(b'n') => give(ParamRef::Null),
        Some(b't') => give(ParamRef::Integer(1)),
        Some(b'f') => give(ParamRef::Integer(0)),
        Some(b'"') => {
            let text: Key<'_> = serde_json::from_str(json).map_err(unreadable)?;
            give(ParamRef::Text(text.as_str().as_bytes()))
        }
        Some(b'{') => match serde_json::from_str::<Param>(json) {
            Ok(value) => give(value.borrowed()),
            Err(error) if json[1..].trim_ascii_start().starts_with("\"$") => {
                return Err(unreadable(error));
            }
            Err(_) => give(ParamRef::Text(json.as_bytes())),
        },
        Some(b'[') => give(ParamRef::Text(json.as_bytes())),
        _ if json.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E')) => {
            match json.parse::<f64>() {
                Ok(number) if number.is_finite() => give(ParamRef::Real(number)),
                _ => return Err(format!("{} is out of range", shortened(json))),
            }
        }
        _ => match json.parse::<i64>() {
            Ok(number) => give(ParamRef::Integer(number)),
            Err(_) => {
                return Err(format!(
                    "the integer {} is out of range ({} to {}); write it as text, or as a real \
                     such as 1e19",
                    shortened(json),
                    i64::MIN,
                    i64::MAX
                ));
            }
        },
    })
}

fn shortened(number: &str) -> &str {
    number.get(..40).unwrap_or(number)
}

/// A key, of which a copy is made only where it has escapes.
#[derive(serde::Deserialize)]
pub(super) struct Key<'k>(#[serde(borrow)] std::borrow::Cow<'k, str>);

impl Key<'_> {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}
