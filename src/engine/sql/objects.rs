//! Rows inside of rows: the form in which a statement tells the function `dbforge_object` how to
//! write its values as JSON.

/// The template of an object: its keys, each with whether its value is JSON already. With
/// `in_braces` it is a whole object, else its fields. A value without a key is written alone.
#[must_use]
pub fn object_template<'k>(
    fields: impl IntoIterator<Item = (Option<&'k str>, bool)>,
    in_braces: bool,
) -> String {
    let mut template = String::from(if in_braces { "{" } else { " " });
    for (key, is_json) in fields {
        template.push('\n');
        template.push(if is_json { 'j' } else { 'v' });
        if let Some(key) = key {
            // Line ends in a key are escaped, as all control characters are.
            template.push_str(&serde_json::to_string(key).expect("text always becomes JSON"));
            template.push(':');
        }
    }
    template
}
