//! Cuts what a server sends into messages, within bounds.
use bytes::{Buf as _, BytesMut};
use std::ops::Range;

/// A tag and a length stand in front of each message.
pub(super) const HEAD_BYTES: usize = 5;

/// Most bytes of a message that is no row: a description of 1,600 columns is smaller.
const LARGEST_MESSAGE: usize = 1 << 20;

/// One message.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Frame<'b> {
    pub(in super::super) tag: u8,
    pub(in super::super) body: &'b [u8],
    /// A row that is longer than any that is taken: its body is left out.
    pub(in super::super) is_too_large: bool,
}

/// A column of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct ServerColumn {
    pub(in super::super) name: String,
    /// OID of its type.
    pub(in super::super) type_oid: u32,
}

/// Where the next message is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// There, behind its tag and length.
    Whole { tag: u8, body: Range<usize> },
    /// It is longer than may be; so many bytes of it have to be passed over.
    TooLarge { bytes: usize },
    /// So many bytes have to be there first.
    Missing { bytes: usize },
    /// It is no message, or one without end.
    Broken,
}

/// Finds the first message of `buffer`. A row may have `largest_row` bytes.
pub(super) fn cut(buffer: &BytesMut, largest_row: usize) -> Cut {
    let Some(head) = buffer.first_chunk::<HEAD_BYTES>() else {
        return Cut::Missing { bytes: HEAD_BYTES };
    };
    let [tag, a, b, c, d] = *head;
    let Ok(length) = usize::try_from(i32::from_be_bytes([a, b, c, d])) else {
        return Cut::Broken;
    };
    // The length counts itself.
    let whole = length + 1;
    if length < 4 {
        return Cut::Broken;
    }
    let is_row = tag == super::tag::DATA_ROW;
    if is_row && length > largest_row {
        return Cut::TooLarge { bytes: whole };
    }
    if !is_row && length > LARGEST_MESSAGE {
        return Cut::Broken;
    }
    if buffer.len() < whole {
        return Cut::Missing { bytes: whole };
    }
    Cut::Whole {
        tag,
        body: HEAD_BYTES..whole,
    }
}

/// The fields of a row, in order; `None` stands for NULL. Ends early where the row is cut short.
pub(in super::super) fn fields(mut row: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    let mut left = match row.len() {
        0 | 1 => 0,
        _ => row.get_u16(),
    };
    std::iter::from_fn(move || {
        if left == 0 || row.len() < 4 {
            return None;
        }
        left -= 1;
        match usize::try_from(row.get_i32()) {
            Err(_) => Some(None),
            Ok(length) => {
                let (field, rest) = row.split_at_checked(length)?;
                row = rest;
                Some(Some(field))
            }
        }
    })
}

/// The columns that a `RowDescription` tells; `None` where it is none.
pub(super) fn columns(mut body: &[u8]) -> Option<Vec<ServerColumn>> {
    let count = body.try_get_u16().ok()?;
    let column = |_| {
        let end = body.iter().position(|byte| *byte == 0)?;
        let name = String::from_utf8_lossy(&body[..end]).into_owned();
        body = &body[end + 1..];
        // Its table, its place there; behind its type that type's size and modifier, and the form.
        let (_, _, type_oid) = (
            body.try_get_u32().ok()?,
            body.try_get_u16().ok()?,
            body.try_get_u32().ok()?,
        );
        body = body.get(2 + 4 + 2..)?;
        Some(ServerColumn { name, type_oid })
    };
    (0..count).map(column).collect()
}

/// The types of the parameters that a `ParameterDescription` tells; `None` where it is none.
pub(super) fn parameters(mut body: &[u8]) -> Option<Vec<u32>> {
    let count = body.try_get_u16().ok()?;
    (0..count).map(|_| body.try_get_u32().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(bytes: &[u8]) -> BytesMut {
        bytes.into()
    }

    #[test]
    fn a_message_is_cut_where_its_length_says() {
        let ready = buffer(b"Z\0\0\0\x05IZ");
        let body = HEAD_BYTES..6;
        assert_eq!(cut(&ready, 100), Cut::Whole { tag: b'Z', body });
        assert_eq!(cut(&buffer(b"Z\0\0"), 100), Cut::Missing { bytes: 5 });
        assert_eq!(cut(&buffer(b"Z\0\0\0\x05"), 100), Cut::Missing { bytes: 6 });
        for broken in [b"Z\0\0\0\x03", b"Z\xff\0\0\0", b"E\x7f\0\0\0"] {
            assert_eq!(cut(&buffer(broken), 100), Cut::Broken);
        }
        assert_eq!(
            cut(&buffer(b"D\x7f\0\0\0"), 100),
            Cut::TooLarge { bytes: 0x7f00_0001 }
        );
    }

    #[test]
    fn a_row_has_its_fields_and_no_more_than_there_are() {
        let row = b"\0\x03\0\0\0\x01a\xff\xff\xff\xff\0\0\0\0";
        let found: Vec<_> = fields(row).collect();
        assert_eq!(found, [Some(b"a".as_slice()), None, Some(b"")]);
        assert_eq!(fields(b"\0\x02\0\0\0\x09a").count(), 0);
        assert_eq!(fields(b"").count(), 0);
    }
}
