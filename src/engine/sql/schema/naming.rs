//! Names: how SQL quotes them, and which one was meant.

/// A name as SQL quotes it, whatever is in it.
#[must_use]
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The name that was meant by `wrong`, if one is near enough.
pub fn nearest<'n>(names: impl IntoIterator<Item = &'n str>, wrong: &str) -> Option<&'n str> {
    if wrong.len() > LONGEST_NAME {
        return None;
    }
    let wrong = wrong.to_lowercase();
    // A name of one or two letters is as near to any other.
    let farthest = (wrong.chars().count() / 3).min(3);
    let names = names.into_iter().take(MOST_NAMES);
    names
        .filter(|name| name.len() <= LONGEST_NAME)
        .map(|name| (strsim::osa_distance(&name.to_lowercase(), &wrong), name))
        .min()
        .filter(|(distance, _)| *distance <= farthest)
        .map(|(_, name)| name)
}

/// Longer names are not compared: the work grows with the square.
const LONGEST_NAME: usize = 64;

/// At most this many names are compared: a hint is not worth more.
const MOST_NAMES: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_quoted_whatever_is_in_it() {
        assert_eq!(quoted("select"), r#""select""#);
        assert_eq!(quoted("a\"b\n"), "\"a\"\"b\n\"");
    }

    #[test]
    fn the_nearest_name_is_the_one_that_was_meant() {
        let names = ["users", "orders", "id"];
        assert_eq!(nearest(names, "usres"), Some("users"));
        assert_eq!(nearest(names, "ORDER"), Some("orders"));
        assert_eq!(nearest(names, "di"), None);
        assert_eq!(nearest(names, "invoices"), None);
    }
}
