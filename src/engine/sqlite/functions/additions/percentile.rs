//! `median`, `percentile`, `percentile_cont` and `percentile_disc`.
//!
//! SQLite has them, and sorts so that rows in a certain order take the square of their number in
//! one step, which nothing interrupts. These find their place in linear time, and the numbers that
//! they keep count as the statement's memory.
use crate::engine::sqlite::sandbox::memory::Charge;
use rusqlite::functions::{Aggregate, Context, FunctionFlags, WindowAggregate};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Error, Result, ffi};

pub(crate) fn add_to(connection: &Connection) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_INNOCUOUS
        | FunctionFlags::SQLITE_SELFORDER1;
    for percentile in [
        Percentile::new("median", 1.0),
        Percentile::new("percentile", 100.0),
        Percentile::new("percentile_cont", 1.0),
        Percentile {
            is_discrete: true,
            ..Percentile::new("percentile_disc", 1.0)
        },
    ] {
        let arguments = if percentile.name == "median" { 1 } else { 2 };
        connection.create_window_function(percentile.name, arguments, flags, percentile)?;
    }
    Ok(())
}

/// One of the functions.
struct Percentile {
    name: &'static str,
    /// The fraction that stands for the largest number.
    whole: f64,
    /// Whether it takes one of the numbers, and nothing between two of them.
    is_discrete: bool,
}

/// The numbers of one group or window.
#[derive(Default)]
struct Numbers {
    fraction: Option<f64>,
    numbers: Vec<f64>,
    /// Whether they are in order, and are kept so.
    is_sorted: bool,
    charge: Charge,
}

impl Percentile {
    const fn new(name: &'static str, whole: f64) -> Self {
        Self {
            name,
            whole,
            is_discrete: false,
        }
    }

    fn fraction(&self, context: &Context<'_>) -> Result<f64> {
        if context.len() == 1 {
            return Ok(0.5);
        }
        let fraction = match context.get_raw(1) {
            ValueRef::Integer(number) => Some(number as f64),
            ValueRef::Real(number) => Some(number),
            ValueRef::Text(text) => std::str::from_utf8(text)
                .ok()
                .and_then(|text| text.trim().parse().ok()),
            ValueRef::Null | ValueRef::Blob(_) => None,
        };
        fraction
            .map(|it| it / self.whole)
            .filter(|it| (0.0..=1.0).contains(it))
            .ok_or_else(|| {
                let (name, whole) = (self.name, self.whole);
                error(format!(
                    "the fraction argument to {name}() is not between 0.0 and {whole:.1}"
                ))
            })
    }

    /// The number that a row brings, if any.
    fn number(&self, context: &Context<'_>) -> Result<Option<f64>> {
        let number = match context.get_raw(0) {
            ValueRef::Null => return Ok(None),
            ValueRef::Integer(number) => number as f64,
            ValueRef::Real(number) => number,
            ValueRef::Text(_) | ValueRef::Blob(_) => {
                return Err(error(format!("input to {}() is not numeric", self.name)));
            }
        };
        if number.is_finite() {
            Ok(Some(number))
        } else {
            Err(error(format!("Inf input to {}()", self.name)))
        }
    }

    /// What is at the fraction of numbers of which `at` gives the nth smallest.
    fn at(&self, numbers: &mut Numbers, at: impl Fn(&mut Numbers, usize) -> f64) -> Option<f64> {
        let last = numbers.numbers.len().checked_sub(1)?;
        let place = numbers.fraction? * last as f64;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a fraction of a length is between nothing and that length"
        )]
        let below = (place as usize).min(last);
        let lower = at(numbers, below);
        let rest = place - below as f64;
        if self.is_discrete || rest == 0.0 || below == last {
            return Some(lower);
        }
        let upper = at(numbers, below + 1);
        Some(lower + (upper - lower) * rest)
    }
}

impl Aggregate<Numbers, Option<f64>> for Percentile {
    fn init(&self, _context: &mut Context<'_>) -> Result<Numbers> {
        Ok(Numbers::default())
    }

    fn step(&self, context: &mut Context<'_>, numbers: &mut Numbers) -> Result<()> {
        let fraction = self.fraction(context)?;
        let first = *numbers.fraction.get_or_insert(fraction);
        if (first - fraction).abs() > SAME_FRACTION {
            let name = self.name;
            return Err(error(format!(
                "the fraction argument to {name}() is not the same for all input rows"
            )));
        }
        match self.number(context)? {
            Some(number) => numbers.add(number),
            None => Ok(()),
        }
    }

    fn finalize(
        &self,
        _context: &mut Context<'_>,
        numbers: Option<Numbers>,
    ) -> Result<Option<f64>> {
        let Some(mut numbers) = numbers else {
            return Ok(None);
        };
        if numbers.is_sorted {
            return Ok(self.at(&mut numbers, |it, place| it.numbers[place]));
        }
        Ok(self.at(&mut numbers, |it, place| {
            let (_, number, _) = it.numbers.select_nth_unstable_by(place, f64::total_cmp);
            *number
        }))
    }
}

impl WindowAggregate<Numbers, Option<f64>> for Percentile {
    fn value(&self, numbers: Option<&mut Numbers>) -> Result<Option<f64>> {
        let Some(numbers) = numbers else {
            return Ok(None);
        };
        numbers.sort();
        Ok(self.at(numbers, |it, place| it.numbers[place]))
    }

    fn inverse(&self, context: &mut Context<'_>, numbers: &mut Numbers) -> Result<()> {
        numbers.sort();
        if let Ok(Some(number)) = self.number(context)
            && let Ok(place) = numbers.place_of(number)
        {
            numbers.numbers.remove(place);
        }
        Ok(())
    }
}

impl Numbers {
    fn add(&mut self, number: f64) -> Result<()> {
        if self.numbers.len() == self.numbers.capacity() {
            let more = self.numbers.capacity().max(256);
            if !self.charge.grow(more * size_of::<f64>()) {
                return Err(no_memory());
            }
            self.numbers.reserve_exact(more);
        }
        if self.is_sorted {
            let (Ok(place) | Err(place)) = self.place_of(number);
            self.numbers.insert(place, number);
        } else {
            self.numbers.push(number);
        }
        Ok(())
    }

    fn sort(&mut self) {
        if !self.is_sorted {
            self.numbers.sort_unstable_by(f64::total_cmp);
            self.is_sorted = true;
        }
    }

    fn place_of(&self, number: f64) -> std::result::Result<usize, usize> {
        self.numbers
            .binary_search_by(|other| other.total_cmp(&number))
    }
}

/// As SQLite: fractions that differ by no more are the same.
const SAME_FRACTION: f64 = 0.001;

fn error(message: String) -> Error {
    Error::UserFunctionError(message.into())
}

fn no_memory() -> Error {
    Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_NOMEM), None)
}
