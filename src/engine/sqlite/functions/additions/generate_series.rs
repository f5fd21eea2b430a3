//! `generate_series(start, stop, step)`, as SQLite's own shell has it.
#![expect(
    unsafe_code,
    reason = "rusqlite asks whoever writes a virtual table to promise how its memory is laid out"
)]
use rusqlite::types::ValueRef;
use rusqlite::vtab::{
    Context, Filters, IndexConstraintOp, IndexInfo, Module, VTab, VTabConfig, VTabConnection,
    VTabCursor, sqlite3_vtab, sqlite3_vtab_cursor,
};
use rusqlite::{Connection, Error, Result};
use std::borrow::Cow;
use std::ffi::{CStr, c_int};

pub(crate) fn add_to(connection: &Connection) -> Result<()> {
    const MODULE: &Module<'static, Series> = &Module::eponymous_only_module();
    connection.create_module(c"generate_series", MODULE, None)
}

/// The hidden columns behind `value`, which take the arguments.
const START: c_int = 1;
const STOP: c_int = 2;
const STEP: c_int = 3;

/// In a plan's number: rows are wanted in this order. The lower bits say which arguments are there.
const ASCENDING: c_int = 1 << 4;
const DESCENDING: c_int = 1 << 5;

/// Where a series ends that is told no end.
const NO_STOP: i64 = 0xffff_ffff;

#[repr(C)]
struct Series {
    base: sqlite3_vtab,
}

#[derive(Default)]
#[repr(C)]
struct Numbers {
    base: sqlite3_vtab_cursor,
    start: i64,
    stop: i64,
    step: i64,
    value: i64,
    /// What is added to come to the next value.
    stride: i64,
    /// How many values come after this one.
    left: u64,
    is_over: bool,
}

// SAFETY: `base` is the first field, and the layout is C's.
unsafe impl VTab<'_> for Series {
    type Aux = ();
    type Cursor = Numbers;

    fn connect(
        db: &mut VTabConnection,
        _aux: Option<&()>,
        _module: &[u8],
        _database: &[u8],
        _table: &[u8],
        _arguments: &[&[u8]],
    ) -> Result<(Cow<'static, CStr>, Self)> {
        db.config(VTabConfig::Innocuous)?;
        let columns = c"CREATE TABLE x(value, start hidden, stop hidden, step hidden)";
        let base = sqlite3_vtab::default();
        Ok((columns.into(), Self { base }))
    }

    fn best_index(&self, info: &mut IndexInfo) -> Result<bool> {
        let mut places = [None; 3];
        let (mut has_start, mut is_usable) = (false, true);
        for (place, constraint) in info.constraints().enumerate() {
            let argument = match constraint.column() {
                column @ START..=STEP => column - START,
                _ => continue,
            };
            if constraint.operator() != IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_EQ {
                continue;
            }
            has_start |= argument == 0;
            if constraint.is_usable() {
                places[argument as usize] = Some(place);
            } else {
                is_usable = false;
            }
        }
        if !has_start {
            let message = "first argument to \"generate_series()\" missing or unusable";
            return Err(Error::ModuleError(message.to_owned()));
        }
        if !is_usable {
            return Ok(false);
        }
        let mut plan = 0;
        let mut values = 0;
        for (argument, place) in places.into_iter().enumerate() {
            if let Some(place) = place {
                values += 1;
                plan |= 1 << argument;
                let mut usage = info.constraint_usage(place);
                usage.set_argv_index(values);
                usage.set_omit(true);
            }
        }
        let order = (info.num_of_order_by() == 1)
            .then(|| info.order_bys().next())
            .flatten()
            .filter(|order| order.column() == 0)
            .map(|order| order.is_order_by_desc());
        if let Some(is_descending) = order {
            plan |= if is_descending { DESCENDING } else { ASCENDING };
            info.set_order_by_consumed(true);
        }
        // Without an end it is long, and the planner had better begin elsewhere.
        let has_stop = places[1].is_some();
        info.set_estimated_cost(if has_stop { 2.0 } else { 2_147_483_647.0 });
        info.set_estimated_rows(if has_stop { 1_000 } else { 2_147_483_647 });
        info.set_idx_num(plan);
        Ok(true)
    }

    fn open(&mut self) -> Result<Numbers> {
        Ok(Numbers::default())
    }
}

// SAFETY: as above.
unsafe impl VTabCursor for Numbers {
    fn filter(&mut self, plan: c_int, _text: Option<&str>, values: &Filters<'_>) -> Result<()> {
        let mut arguments = [0, NO_STOP, 1];
        let mut values = values.iter();
        let mut has_null = false;
        for (place, argument) in arguments.iter_mut().enumerate() {
            if plan & (1 << place) != 0 {
                match values.next().and_then(whole_number) {
                    Some(number) => *argument = number,
                    None => has_null = true,
                }
            }
        }
        let [start, stop, step] = arguments;
        let step = if step == 0 { 1 } else { step };
        (self.start, self.stop, self.step) = (start, stop, step);
        let is_empty = if step > 0 { start > stop } else { start < stop };
        self.is_over = is_empty || has_null;
        self.left = stop.abs_diff(start) / step.unsigned_abs();
        (self.value, self.stride) = (start, step);
        let is_wanted_upwards = plan & ASCENDING != 0 && step < 0;
        let is_wanted_downwards = plan & DESCENDING != 0 && step > 0;
        if is_wanted_upwards || is_wanted_downwards {
            // The last value is between start and stop, so that wrapping is only on the way.
            self.value = start.wrapping_add(step.wrapping_mul(self.left.cast_signed()));
            self.stride = step.wrapping_neg();
        }
        Ok(())
    }

    fn next(&mut self) -> Result<()> {
        if self.left == 0 {
            self.is_over = true;
        } else {
            self.left -= 1;
            self.value = self.value.wrapping_add(self.stride);
        }
        Ok(())
    }

    fn eof(&self) -> bool {
        self.is_over
    }

    fn column(&self, context: &mut Context, column: c_int) -> Result<()> {
        context.set_result(match column {
            START => self.start,
            STOP => self.stop,
            STEP => self.step,
            _ => self.value,
        })
    }

    fn rowid(&self) -> Result<i64> {
        Ok(self.value)
    }
}

/// A value as SQLite makes it a whole number; `None` for NULL.
#[expect(
    clippy::cast_possible_truncation,
    reason = "SQLite, too, takes the nearest number that there is"
)]
fn whole_number(value: ValueRef<'_>) -> Option<i64> {
    match value {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number),
        ValueRef::Real(number) => Some(number as i64),
        ValueRef::Text(text) | ValueRef::Blob(text) => {
            let text = String::from_utf8_lossy(text);
            let text = text.trim();
            let is_sign = |at, letter| at == 0 && matches!(letter, '-' | '+');
            let length = text
                .char_indices()
                .find(|(at, letter)| !letter.is_ascii_digit() && !is_sign(*at, *letter))
                .map_or(text.len(), |(at, _)| at);
            Some(text[..length].parse().unwrap_or(0))
        }
    }
}
