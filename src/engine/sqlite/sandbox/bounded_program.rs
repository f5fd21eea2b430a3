//! Whether the program of a statement is bounded, so that it may run where others wait.
//!
//! Such a statement is cut when its slice is over, whatever its parameters are and whatever the
//! tables hold. That takes a look often enough: between two looks a thread works for as many steps
//! as lie between them, or as the program has, and a step for as long as the longest value in it.
//! So a program is bounded when it consists of steps that are known to be short, or to look
//! themselves (`watch/`), and when values are no longer than what makes the product one
//! millisecond.
use crate::engine::sqlite::statement::first_word::without_end;
use rusqlite::Connection;

/// The bounds within which a program's time between two looks is short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    value_bytes: i32,
    sorts: bool,
}

/// Steps that SQLite's machine takes between two looks, where a statement runs within bounds.
pub(crate) const STEPS_BETWEEN_LOOKS: i32 = 200;

/// Bytes that steps may handle between two looks. At most one of two steps has a value. Each of its
/// bytes takes a tenth of a nanosecond to copy or compare, half of one to count, and one to read it
/// as a number.
const BYTES_BETWEEN_LOOKS: i32 = 4 << 20;

/// Longest program: straight on, SQLite looks once at its end.
const MOST_STEPS: i32 = 1_000;

/// How many times as much it costs to compare without regard to case.
const COST_OF_COLLATIONS: i32 = 16;

impl Bounds {
    /// Most bytes of a value.
    pub(crate) fn value_bytes(self) -> i32 {
        self.value_bytes
    }

    /// Whether it sorts what it found in one step, which takes up to three times as long as finding
    /// it did.
    #[must_use]
    pub fn sorts(self) -> bool {
        self.sorts
    }

    /// The bounds of a statement's program, as SQLite explains it.
    pub(crate) fn of_program(sqlite: &Connection, sql: &str) -> Option<Self> {
        let mut explained = sqlite
            .prepare(&format!("EXPLAIN {}", without_end(sql)))
            .ok()?;
        let mut program = explained.raw_query();
        let (mut steps, mut cost, mut sorts) = (0, 1, false);
        while let Some(step) = program.next().ok()? {
            let code = step.get_ref(1).ok()?.as_str().ok()?;
            let detail = step.get_ref(5).ok()?.as_str_or_null().ok()?.unwrap_or("");
            let has_collation = detail.contains("NOCASE") || detail.contains("RTRIM");
            match code {
                "SorterOpen" if has_collation => return None,
                "SorterOpen" | "RowSetAdd" | "RowSetRead" | "RowSetTest" => sorts = true,
                _ if FUNCTION_STEPS.contains(&code) => {
                    let name = detail.split('(').next()?;
                    if !SHORT_FUNCTIONS.contains(&name) {
                        return None;
                    }
                }
                _ if SHORT_STEPS.contains(&code) => {}
                _ => return None,
            }
            if has_collation {
                cost = COST_OF_COLLATIONS;
            }
            steps += 1;
            if steps > MOST_STEPS {
                return None;
            }
        }
        Some(Self {
            value_bytes: BYTES_BETWEEN_LOOKS / (steps + STEPS_BETWEEN_LOOKS) / cost,
            sorts,
        })
    }
}

/// Steps that call a function.
const FUNCTION_STEPS: &[&str] = &[
    "AggFinal",
    "AggInverse",
    "AggStep",
    "AggValue",
    "Function",
    "PureFunc",
];

/// Functions whose one call takes no longer than reading its values does.
#[rustfmt::skip]
const SHORT_FUNCTIONS: &[&str] = &[
    "abs", "avg", "coalesce", "count", "cume_dist", "current_date", "current_time",
    "current_timestamp", "date", "datetime", "dbforge_object", "dense_rank", "first_value", "ifnull", "iif",
    "julianday", "lag", "last_value", "lead", "length", "likely", "max", "min", "nth_value",
    "ntile", "nullif", "octet_length", "percent_rank", "random", "rank", "round", "row_number",
    "sign", "sum", "time", "total", "typeof", "unixepoch", "unlikely",
];

/// Steps that handle a few values, go to the next row or search a tree. `Count` walks through a
/// whole one, but asks for its pages.
#[rustfmt::skip]
const SHORT_STEPS: &[&str] = &[
    "Add", "AddImm", "Affinity", "And", "BeginSubrtn", "BitAnd", "BitNot", "BitOr", "Blob", "Cast",
    "Close", "CollSeq", "Column", "ColumnsUsed", "Compare", "Concat", "Copy", "Count",
    "CursorHint", "DecrJumpZero", "DeferredSeek", "Delete", "Divide", "ElseEq", "EndCoroutine",
    "Eq", "Explain", "Filter", "FilterAdd", "FinishSeek", "Found", "Ge", "Gosub", "Goto", "Gt",
    "Halt", "HaltIfNull", "IdxGE", "IdxGT", "IdxInsert", "IdxLE", "IdxLT", "IdxRowid", "If",
    "IfEmpty", "IfNoHope", "IfNot", "IfNotZero", "IfNullRow", "IfPos", "Init", "InitCoroutine",
    "Insert", "IntCopy", "Int64", "Integer", "IsNull", "IsTrue", "IsType", "Jump", "Last", "Le",
    "Lt", "MakeRecord", "MemMax", "Move", "Multiply", "MustBeInt", "Ne", "NewRowid", "Next",
    "NoConflict", "Noop", "Not", "NotExists", "NotFound", "NotNull", "Null", "NullRow", "Offset",
    "OffsetLimit", "Once", "OpenAutoindex", "OpenDup", "OpenEphemeral", "OpenPseudo", "OpenRead",
    "Or", "Permutation", "Prev", "Real", "RealAffinity", "ReleaseReg", "Remainder", "ReopenIdx",
    "ResetSorter", "ResultRow", "Return", "Rewind", "Rowid", "RowData", "SCopy", "SeekEnd",
    "SeekGE", "SeekGT", "SeekHit", "SeekLE", "SeekLT", "SeekRowid", "SeekScan", "Sequence",
    "SequenceTest", "ShiftLeft", "ShiftRight", "SoftNull", "Sort", "SorterCompare", "SorterData",
    "SorterInsert", "SorterNext", "SorterSort", "String", "String8", "Subtract", "TableLock",
    "Transaction", "Variable", "Yield", "ZeroOrNull",
];
