//! Pages of lists, and the cursors between them.
use crate::domain::ids::Sequence;
use crate::projections::control_db::list_error::ListError;
use std::fmt;

/// Most rows of one page; more is asked for in several.
pub const MAX_PAGE: usize = 1000;

/// Which way a list runs along the sequences at which its rows began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// The oldest first.
    #[default]
    Ascending,
    /// The newest first.
    Descending,
}

/// Which part of a list is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// Most rows; at least 1 and at most [`MAX_PAGE`] are given.
    pub limit: usize,
    /// The `next_cursor` of the page before, none for the first.
    pub cursor: Option<String>,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows, in the list's order.
    pub items: Vec<T>,
    /// Asks for the next part; none behind the last.
    pub next_cursor: Option<String>,
    /// The sequence at which the first page was read: its pages together hold the rows that had
    /// begun by then, whatever begins in the meantime. A row is shown as it is when its page is
    /// read.
    pub as_of: Sequence,
}

/// Which list a cursor is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum List {
    Events,
    Jobs,
    Databases,
    Tokens,
}

/// A page request that was understood.
#[derive(Debug, Clone)]
pub(crate) struct Window {
    pub(crate) list: List,
    pub(crate) order: Order,
    pub(crate) limit: usize,
    /// The last row of the page before, and what the list was read at.
    pub(crate) behind: Option<(Sequence, Sequence)>,
}

impl PageRequest {
    /// Reads the cursor.
    ///
    /// # Errors
    /// When it comes from another list or another order, or from nowhere.
    pub(crate) fn window(&self, list: List, order: Order) -> Result<Window, ListError> {
        let behind = match &self.cursor {
            None => None,
            Some(text) => {
                let cursor = Cursor::parse(text).ok_or(ListError::InvalidCursor)?;
                if cursor.mark != mark(list, order) {
                    return Err(ListError::InvalidCursor);
                }
                Some((cursor.last, cursor.as_of))
            }
        };
        Ok(Window {
            list,
            order,
            limit: self.limit.clamp(1, MAX_PAGE),
            behind,
        })
    }
}

impl Window {
    /// The cursor behind a row of this list.
    pub(crate) fn cursor(&self, last: Sequence, as_of: Sequence) -> String {
        let mark = mark(self.list, self.order);
        Cursor { mark, last, as_of }.to_string()
    }
}

/// A position in a list: 17 bytes as hex digits, opaque to clients.
#[derive(Debug, PartialEq, Eq)]
struct Cursor {
    mark: u8,
    last: Sequence,
    as_of: Sequence,
}

impl Cursor {
    fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 17];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        let (mark, numbers) = bytes.split_first()?;
        let (last, as_of) = numbers.split_first_chunk()?;
        Some(Self {
            mark: *mark,
            last: Sequence(u64::from_be_bytes(*last)),
            as_of: Sequence(u64::from_be_bytes(as_of.try_into().ok()?)),
        })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mark, last, as_of } = self;
        write!(f, "{mark:02x}{:016x}{:016x}", last.0, as_of.0)
    }
}

/// Tells the cursors of different lists and orders apart.
fn mark(list: List, order: Order) -> u8 {
    let list = match list {
        List::Events => 0x10,
        List::Jobs => 0x20,
        List::Databases => 0x30,
        List::Tokens => 0x40,
    };
    match order {
        Order::Ascending => list,
        Order::Descending => list + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(cursor: &str) -> PageRequest {
        PageRequest {
            limit: 10,
            cursor: Some(cursor.to_owned()),
        }
    }

    #[test]
    fn a_cursor_leads_back_to_its_place() {
        let first = PageRequest {
            limit: 10,
            cursor: None,
        };
        let window = first.window(List::Jobs, Order::Descending).unwrap();
        let cursor = window.cursor(Sequence(7), Sequence(u64::MAX));
        let next = at(&cursor).window(List::Jobs, Order::Descending).unwrap();
        assert_eq!(next.behind, Some((Sequence(7), Sequence(u64::MAX))));
    }

    #[test]
    fn a_cursor_of_another_list_or_order_or_from_nowhere_is_refused() {
        let window = Window {
            list: List::Jobs,
            order: Order::Ascending,
            limit: 10,
            behind: None,
        };
        let cursor = window.cursor(Sequence(7), Sequence(9));
        for (text, list, order) in [
            (cursor.as_str(), List::Events, Order::Ascending),
            (&cursor, List::Jobs, Order::Descending),
            (&cursor[2..], List::Jobs, Order::Ascending),
            ("", List::Jobs, Order::Ascending),
            ("50", List::Jobs, Order::Ascending),
            ("🦀", List::Jobs, Order::Ascending),
        ] {
            let refused = at(text).window(list, order).unwrap_err();
            assert_eq!(refused, ListError::InvalidCursor, "{text}");
        }
    }
}
