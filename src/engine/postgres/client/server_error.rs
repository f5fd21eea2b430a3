//! What a server says of something that failed.

/// An error of the server, in its own words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) struct ServerError {
    /// Five characters that say which error it is: `23505`.
    pub(in super::super) sqlstate: String,
    pub(in super::super) message: String,
    pub(in super::super) detail: Option<String>,
    pub(in super::super) hint: Option<String>,
    /// The character of the statement's text, from 1.
    pub(in super::super) position: Option<usize>,
    /// Whether the server ends the connection with it.
    pub(in super::super) is_fatal: bool,
}

impl ServerError {
    /// Reads the body of an `ErrorResponse`.
    pub(super) fn read(body: &[u8]) -> Self {
        let mut error = Self::default();
        let mut rest = body;
        while let Some((&field, value)) = rest.split_first() {
            if field == 0 {
                break;
            }
            let end = value.iter().position(|byte| *byte == 0);
            let end = end.unwrap_or(value.len());
            let text = String::from_utf8_lossy(&value[..end]).into_owned();
            rest = value.get(end + 1..).unwrap_or_default();
            match field {
                // The severity, never in another language.
                b'V' => error.is_fatal = text != "ERROR",
                b'C' => error.sqlstate = text,
                b'M' => error.message = text,
                b'D' => error.detail = Some(text),
                b'H' => error.hint = Some(text),
                b'P' => error.position = text.parse().ok(),
                _ => {}
            }
        }
        error
    }

    /// Whether it is of this class of errors: the first two characters.
    pub(in super::super) fn is_of_class(&self, class: &str) -> bool {
        self.sqlstate.starts_with(class)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_is_read_by_its_fields() {
        let body = b"SERROR\0VERROR\0C42703\0Mcolumn \"x\" does not exist\0P8\0Fparse.c\0\0";
        let error = ServerError::read(body);
        assert_eq!(error.sqlstate, "42703");
        assert_eq!(error.message, "column \"x\" does not exist");
        assert_eq!((error.position, error.is_fatal), (Some(8), false));
        assert!(error.is_of_class("42"));
        assert!(ServerError::read(b"VFATAL\0C57P01").is_fatal);
        assert_eq!(ServerError::read(b""), ServerError::default());
    }
}
