//! What a request says about rows, read and not yet compared with a schema.

/// The query parameters of a request about rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RowsQuery {
    /// What is read, and of which rows.
    pub level: Level,
    /// Where the last page ended; empty for the first page.
    pub cursor: Option<String>,
    /// The columns that are written, whatever the body has.
    pub columns: Option<Vec<String>>,
    /// The columns whose values decide whether a row is there already.
    pub on_conflict: Option<Vec<String>>,
    /// Whether a change of every row is meant.
    pub all: bool,
}

/// What is read of one table, and of which rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Level {
    /// What is read; empty for every column.
    pub select: Vec<SelectItem>,
    /// What must hold for a row.
    pub conditions: Vec<RowCondition>,
    /// What rows are sorted by.
    pub order: Vec<OrderTerm>,
    /// Most rows.
    pub limit: Option<u64>,
    /// Rows to leave out first.
    pub offset: Option<u64>,
}

/// One part of `select`.
#[derive(Debug, Clone, PartialEq)]
pub enum SelectItem {
    /// `*`: every column.
    All,
    /// `alias:column->>path::type`, or an aggregate of it.
    Column(SelectedColumn),
    /// `alias:count()`.
    Count {
        /// Its name in the answer.
        alias: Option<String>,
        /// What it is made.
        cast: Option<Cast>,
    },
    /// `alias:table!hint(…)`.
    Embed(Embed),
}

/// A column of the answer.
#[derive(Debug, Clone, PartialEq)]
pub struct SelectedColumn {
    /// What is read.
    pub field: Field,
    /// Its name in the answer.
    pub alias: Option<String>,
    /// What it is made.
    pub cast: Option<Cast>,
    /// What is computed from the values of a group, and what that is made.
    pub aggregate: Option<(Aggregate, Option<Cast>)>,
}

/// Rows of another table inside of each row.
#[derive(Debug, Clone, PartialEq)]
pub struct Embed {
    /// The table, or the column that refers to it.
    pub target: String,
    /// Its name in the answer.
    pub alias: Option<String>,
    /// The foreign key, by its name, its column or the table between.
    pub hint: Option<String>,
    /// Whether rows without any are left out.
    pub is_inner: bool,
    /// Whether its columns become columns of the row around.
    pub is_spread: bool,
    /// What is read of it.
    pub level: Level,
}

impl Embed {
    /// Its name in the answer and in parameters.
    pub(crate) fn name(&self) -> &str {
        self.alias.as_deref().unwrap_or(&self.target)
    }
}

/// A column, or a value inside of its JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The column.
    pub column: String,
    /// The way into its JSON.
    pub path: Vec<JsonStep>,
}

/// One arrow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonStep {
    /// The member, or the place.
    pub to: JsonPlace,
    /// Whether the value becomes text (`->>`).
    pub as_text: bool,
}

/// Where an arrow leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JsonPlace {
    /// A member of an object.
    Member(String),
    /// A place in an array; from its end where negative.
    Place(i64),
}

/// A type that a value is made, by the names of the dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cast {
    /// Text.
    Text,
    /// A whole number.
    Integer,
    /// A floating-point number.
    Real,
    /// A number of either kind.
    Numeric,
    /// JSON, which becomes a part of the answer.
    Json,
}

/// What is computed from the values of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aggregate {
    /// How many there are.
    Count,
    /// Their sum.
    Sum,
    /// Their mean.
    Avg,
    /// The least.
    Min,
    /// The greatest.
    Max,
}

/// What must hold for a row.
#[derive(Debug, Clone, PartialEq)]
pub enum RowCondition {
    /// All of them.
    All(Vec<RowCondition>),
    /// One of them.
    Any(Vec<RowCondition>),
    /// Not this.
    Not(Box<RowCondition>),
    /// A comparison.
    Compare {
        /// What is compared.
        field: Field,
        /// With what, and how.
        test: Test,
    },
}

/// How a value is compared, and with what.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// With one value.
    One(Operator, String),
    /// With one of several values (`any`), or with all of them.
    Several {
        /// How.
        operator: Operator,
        /// With what.
        values: Vec<String>,
        /// Whether all must hold.
        all: bool,
    },
    /// `in.(…)`.
    In(Vec<String>),
    /// `is.…`.
    Is(IsWord),
}

/// How a value is compared with another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// Equal.
    Eq,
    /// Not equal.
    Neq,
    /// Greater.
    Gt,
    /// Greater or equal.
    Gte,
    /// Less.
    Lt,
    /// Less or equal.
    Lte,
    /// Like a pattern.
    Like,
    /// Like a pattern, without regard to case.
    Ilike,
    /// A regular expression.
    Match,
    /// A regular expression, without regard to case.
    Imatch,
    /// Not equal, where NULL is a value.
    IsDistinct,
}

/// What `is` asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IsWord {
    /// NULL.
    Null,
    /// Anything but NULL.
    NotNull,
    /// True.
    True,
    /// False.
    False,
}

/// What rows are sorted by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderTerm {
    /// The embedded table that has the field.
    pub embed: Option<String>,
    /// What is compared.
    pub field: Field,
    /// Whether the greatest come first.
    pub descending: bool,
    /// Whether NULL comes first; `None` for what the direction says.
    pub nulls_first: Option<bool>,
}

impl OrderTerm {
    /// Whether NULL comes first: behind what ascends and before what descends, where nothing is
    /// said.
    pub(crate) fn puts_nulls_first(&self) -> bool {
        self.nulls_first.unwrap_or(self.descending)
    }
}
