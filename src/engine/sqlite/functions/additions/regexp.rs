//! `text REGEXP pattern`, in a time that grows with the text's length alone.
//!
//! The text is read byte by byte, with a look at the deadline in between: patterns whose automata
//! are large take long for each byte.
use crate::engine::sqlite::sandbox::execution_limits::InterruptHandle;
use crate::engine::sqlite::sandbox::memory::Charge;
use crate::locks::Mutex;
use regex_automata::hybrid::BuildError;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson::{self, WhichCaptures, pikevm};
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input};
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Error, Result, ffi};
use std::sync::Arc;

pub(crate) fn add_to(connection: &Connection, interrupts: &Arc<InterruptHandle>) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_INNOCUOUS;
    let interrupts = Arc::clone(interrupts);
    connection.create_scalar_function("regexp", 2, flags, move |context| {
        regexp(context, &interrupts)
    })
}

/// Most bytes of a pattern: more than people write, and compiled in a few milliseconds.
const LONGEST_PATTERN: usize = 1_000;

/// Most bytes of a compiled pattern.
const LARGEST_PROGRAM: usize = 1 << 20;

/// Bytes in which a pattern keeps what it has worked out of its automaton.
const AUTOMATON_CACHE: usize = 256 << 10;

/// How deep groups may be nested.
const DEEPEST_NEST: u32 = 100;

/// Bytes of the text that are read between two looks at the deadline.
const BYTES_BETWEEN_LOOKS: usize = 16;

/// Most steps of the slower search, which nothing interrupts: some tenths of a second.
const MOST_SLOW_STEPS: usize = 1 << 24;

/// As SQLite calls it for `text REGEXP pattern`: the pattern comes first.
fn regexp(context: &Context<'_>, interrupts: &InterruptHandle) -> Result<Option<bool>> {
    let (pattern, text) = (context.get_raw(0), context.get_raw(1));
    if pattern == ValueRef::Null {
        return Ok(None);
    }
    let Some(text) = crate::engine::sqlite::functions::as_text(text)? else {
        return Ok(None);
    };
    // A statement keeps what a pattern is compiled to, as long as the pattern is the same.
    let pattern = match context.get_aux::<Pattern>(0)? {
        Some(pattern) => pattern,
        None => {
            let pattern = crate::engine::sqlite::functions::as_text(pattern)?.unwrap_or_default();
            context.set_aux(0, Pattern::new(&pattern)?)?
        }
    };
    pattern.is_in(&text, interrupts).map(Some)
}

/// A pattern, compiled.
struct Pattern {
    automaton: DFA,
    worked_out: Mutex<WorkedOut>,
}

struct WorkedOut {
    cache: Cache,
    /// What the pattern and its cache take of the statement's memory.
    charge: Charge,
    charged: usize,
}

impl Pattern {
    fn new(pattern: &[u8]) -> Result<Self> {
        let not = |message: &str| error(format!("regexp(): {message}"));
        if pattern.len() > LONGEST_PATTERN {
            return Err(not(&format!(
                "the pattern is longer than {LONGEST_PATTERN} bytes"
            )));
        }
        let pattern =
            std::str::from_utf8(pattern).map_err(|_| not("the pattern is no UTF-8 text"))?;
        let automaton = DFA::builder()
            .syntax(syntax::Config::new().utf8(false).nest_limit(DEEPEST_NEST))
            .thompson(
                thompson::Config::new()
                    .utf8(false)
                    .which_captures(WhichCaptures::None)
                    .nfa_size_limit(Some(LARGEST_PROGRAM)),
            )
            .configure(
                DFA::config()
                    .unicode_word_boundary(true)
                    .cache_capacity(AUTOMATON_CACHE)
                    .skip_cache_capacity_check(true),
            )
            .build(pattern)
            .map_err(|error| not(&because(&error)))?;
        let cache = automaton.create_cache();
        let pattern = Self {
            automaton,
            worked_out: Mutex::new(WorkedOut {
                cache,
                charge: Charge::default(),
                charged: 0,
            }),
        };
        pattern.pay()?;
        Ok(pattern)
    }

    /// Counts what it takes by now.
    fn pay(&self) -> Result<()> {
        let mut worked_out = self.worked_out.lock();
        let bytes = self.automaton.memory_usage()
            + self.automaton.get_nfa().memory_usage()
            + worked_out.cache.memory_usage();
        let more = bytes.saturating_sub(worked_out.charged);
        if !worked_out.charge.grow(more) {
            return Err(sqlite_error(ffi::SQLITE_NOMEM));
        }
        worked_out.charged += more;
        Ok(())
    }

    fn is_in(&self, text: &[u8], interrupts: &InterruptHandle) -> Result<bool> {
        let found = self.search(text, interrupts)?;
        self.pay()?;
        found.map_or_else(|| self.search_slowly(text), Ok)
    }

    /// `None` where it meets letters beyond ASCII beside a `\b`, which the automaton cannot judge.
    fn search(&self, text: &[u8], interrupts: &InterruptHandle) -> Result<Option<bool>> {
        let mut worked_out = self.worked_out.lock();
        let cache = &mut worked_out.cache;
        let input = Input::new(text).anchored(Anchored::No);
        let Ok(mut state) = self.automaton.start_state_forward(cache, &input) else {
            return Ok(None);
        };
        for (place, byte) in text.iter().enumerate() {
            if place % BYTES_BETWEEN_LOOKS == 0 && interrupts.poll().is_some() {
                return Err(sqlite_error(ffi::SQLITE_INTERRUPT));
            }
            state = match self.automaton.next_state(cache, state, *byte) {
                Ok(next) if next.is_match() => return Ok(Some(true)),
                Ok(next) if next.is_dead() => return Ok(Some(false)),
                Ok(next) if !next.is_quit() => next,
                _ => return Ok(None),
            };
        }
        let end = self.automaton.next_eoi_state(cache, state);
        Ok(end.ok().map(|state| state.is_match()))
    }

    fn search_slowly(&self, text: &[u8]) -> Result<bool> {
        let nfa = self.automaton.get_nfa();
        if nfa.states().len().saturating_mul(text.len()) > MOST_SLOW_STEPS {
            return Err(error(
                "regexp(): the text is too long for \\b beside letters beyond ASCII; (?-u:\\b) \
                 takes any length"
                    .to_owned(),
            ));
        }
        let search = pikevm::Builder::new()
            .build_from_nfa(nfa.clone())
            .map_err(|it| error(format!("regexp(): {it}")))?;
        let mut cache = search.create_cache();
        Ok(search.is_match(&mut cache, text))
    }
}

/// What is wrong with a pattern, in one line.
fn because(error: &BuildError) -> String {
    let mut causes = Vec::new();
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        let program = error.downcast_ref::<thompson::BuildError>();
        if program.is_some_and(|program| program.size_limit().is_some()) {
            return format!("the pattern takes more than {LARGEST_PROGRAM} bytes");
        }
        causes.push(error.to_string());
        cause = error.source();
    }
    let last = causes.pop().unwrap_or_default();
    // A mistake in a pattern is drawn over several lines, of which the last one says it.
    let line = last.lines().last().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

fn error(message: String) -> Error {
    Error::UserFunctionError(message.into())
}

fn sqlite_error(code: i32) -> Error {
    Error::SqliteFailure(ffi::Error::new(code), None)
}
