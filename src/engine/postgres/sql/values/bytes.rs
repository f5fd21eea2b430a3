//! Bytes as PostgreSQL writes them: in hexadecimal, or with escapes.

/// The bytes of a `bytea`'s text; `None` where it is neither form.
pub(super) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    if let Some(hexadecimal) = text.strip_prefix(b"\\x") {
        return hex::decode(hexadecimal).ok();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, behind)) = rest.split_first() {
        rest = match (first, behind) {
            (b'\\', [b'\\', behind @ ..]) => {
                bytes.push(b'\\');
                behind
            }
            (
                b'\\',
                [
                    a @ b'0'..=b'3',
                    b @ b'0'..=b'7',
                    c @ b'0'..=b'7',
                    behind @ ..,
                ],
            ) => {
                bytes.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
                behind
            }
            (b'\\', _) => return None,
            (other, behind) => {
                bytes.push(other);
                behind
            }
        };
    }
    Some(bytes)
}

/// Bytes as the text of a `bytea`.
pub(super) fn encode(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(b"\\x");
    let start = out.len();
    out.resize(start + 2 * bytes.len(), 0);
    hex::encode_to_slice(bytes, &mut out[start..]).expect("each byte has two digits");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_bytes_are_read() {
        assert_eq!(decode(b"\\x00ff10").unwrap(), [0, 255, 16]);
        assert_eq!(decode(b"a\\\\b\\001\\377").unwrap(), b"a\\b\x01\xff");
        assert_eq!(decode(b"\\x0"), None);
        assert_eq!(decode(b"\\9"), None);
        let mut text = Vec::new();
        encode(&mut text, &[0, 255]);
        assert_eq!(text, b"\\x00ff");
    }
}
