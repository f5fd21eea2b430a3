//! How the rows of a file are imported: query parameters and the content type.
use crate::domain::import::{RowsForm, TableImport, WriteMode};
use crate::http::extract::parameters::DryRun;
use crate::http::extract::words::FormulasWord;
use crate::http::response::error::{ErrorCode, Problem};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

/// Rows that may be left out where a request names no number.
const DEFAULT_MAX_ERRORS: u64 = 1_000;
/// Most rows that may be left out.
const MAX_ERRORS: u64 = 1_000_000;
/// Longest name of a table, and longest text that stands for NULL, in bytes.
const LONGEST_TEXT: usize = 1_000;
/// Most columns of a key.
const MAX_KEY_COLUMNS: usize = 32;

/// How rows are imported.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct TableImportParameters {
    /// What the file is. Without it, `Content-Type` tells.
    #[param(inline)]
    format: Option<RowsFormat>,
    /// `never`: the table must exist.
    #[param(inline)]
    create: Option<CreateWord>,
    /// What becomes of rows that are there.
    #[param(inline)]
    mode: Option<WriteWord>,
    /// With `mode=upsert`: columns of the key, separated by commas. The primary key if omitted.
    #[param(example = "email")]
    on_conflict: Option<String>,
    /// Types of the columns of a new table: `auto` declares a type where every value stays the same.
    #[param(inline)]
    types: Option<TypesWord>,
    /// CSV, TSV: the unquoted text that means NULL. The empty field if omitted.
    null: Option<String>,
    /// CSV: one ASCII character, or `tab`, `comma`, `semicolon`, `pipe`. Detected if omitted.
    #[param(example = ";")]
    delimiter: Option<String>,
    /// CSV, TSV: `false` if the first line is a row.
    header: Option<bool>,
    /// What happens at a row that does not fit.
    #[param(inline)]
    on_error: Option<ErrorWord>,
    /// With `on_error=skip`: fail after this many rows were left out.
    #[param(maximum = 1_000_000)]
    max_errors: Option<u64>,
    /// Keep all rows or none. `true` by default, `false` with `on_error=skip`.
    atomic: Option<bool>,
    /// `escape`: put a `'` in front of texts that begin with `=`, `+`, `-`, `@`, tab or CR.
    #[param(inline)]
    formulas: Option<FormulasWord>,
    /// Id of an upload to import; the body must be empty.
    #[param(format = Uuid)]
    pub(crate) upload: Option<String>,
    /// `plan`: show what would happen, without doing it.
    #[param(inline)]
    pub(crate) dry_run: Option<DryRun>,
}

/// What a file of rows is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum RowsFormat {
    Csv,
    Tsv,
    Ndjson,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum CreateWord {
    Auto,
    Never,
}

/// What becomes of rows that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum WriteWord {
    /// They stay.
    Insert,
    /// A row with the same key is changed.
    Upsert,
    /// They are deleted.
    Replace,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum TypesWord {
    Auto,
    Text,
}

/// What happens at a row that does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum ErrorWord {
    /// The import fails.
    Abort,
    /// The row is left out.
    Skip,
}

impl TableImportParameters {
    /// The import into a table of a file of this content type.
    ///
    /// # Errors
    /// When the parameters do not fit each other, or the form of the file is not known.
    pub(crate) fn import(
        &self,
        table: &str,
        content_type: Option<&str>,
    ) -> Result<TableImport, Problem> {
        if table.is_empty() || table.len() > LONGEST_TEXT || table.contains('\0') {
            return Err(Problem::invalid("This cannot be a table's name."));
        }
        let form = self.form(content_type)?;
        if !form.has_fields() {
            for (name, is_sent) in [
                ("null", self.null.is_some()),
                ("delimiter", self.delimiter.is_some()),
                ("header", self.header.is_some()),
            ] {
                if is_sent {
                    return Err(Problem::invalid(format!(
                        "`{name}` only applies to CSV and TSV."
                    )));
                }
            }
        }
        let mode = match self.mode {
            None | Some(WriteWord::Insert) => WriteMode::Insert,
            Some(WriteWord::Upsert) => WriteMode::Upsert,
            Some(WriteWord::Replace) => WriteMode::Replace,
        };
        let skips_errors = self.on_error == Some(ErrorWord::Skip);
        let is_atomic = self.atomic.unwrap_or(!skips_errors);
        if is_atomic && skips_errors {
            return Err(
                Problem::invalid("`atomic=true` and `on_error=skip` exclude each other.")
                    .hint("leave one of them out"),
            );
        }
        if mode == WriteMode::Replace && !is_atomic {
            return Err(Problem::invalid(
                "`mode=replace` keeps all rows or none; it takes neither `atomic=false` nor \
                 `on_error=skip`.",
            ));
        }
        if self
            .null
            .as_ref()
            .is_some_and(|null| null.len() > LONGEST_TEXT)
        {
            return Err(Problem::invalid(format!(
                "`null` has at most {LONGEST_TEXT} bytes."
            )));
        }
        Ok(TableImport {
            table: table.to_owned(),
            form,
            creates: self.create != Some(CreateWord::Never),
            mode,
            on_conflict: self.on_conflict(mode)?,
            finds_types: self.types != Some(TypesWord::Text),
            null: self.null.clone(),
            delimiter: self.delimiter(form)?,
            has_header: self.header.unwrap_or(true),
            skips_errors,
            max_errors: self.max_errors(skips_errors)?,
            is_atomic,
            escapes_formulas: self.formulas.unwrap_or_default().into(),
        })
    }

    fn form(&self, content_type: Option<&str>) -> Result<RowsForm, Problem> {
        let named = self.format.map(|format| match format {
            RowsFormat::Csv => RowsForm::Csv,
            RowsFormat::Tsv => RowsForm::Tsv,
            RowsFormat::Ndjson => RowsForm::Ndjson,
            RowsFormat::Json => RowsForm::Json,
        });
        let by_type = || {
            Some(match content_type? {
                "text/csv" | "application/csv" => RowsForm::Csv,
                "text/tab-separated-values" => RowsForm::Tsv,
                "application/x-ndjson"
                | "application/ndjson"
                | "application/jsonl"
                | "application/x-jsonlines" => RowsForm::Ndjson,
                "application/json" => RowsForm::Json,
                _ => return None,
            })
        };
        named.or_else(by_type).ok_or_else(|| {
            let sent = content_type.map_or("none".to_owned(), |it| format!("`{it}`"));
            Problem::new(
                ErrorCode::UnsupportedMediaType,
                format!("The content type does not tell what the file is: {sent}."),
            )
            .hint(
                "send `Content-Type: text/csv`, text/tab-separated-values, application/x-ndjson \
                 or application/json, or ?format=csv|tsv|ndjson|json",
            )
        })
    }

    fn delimiter(&self, form: RowsForm) -> Result<Option<u8>, Problem> {
        let Some(named) = self.delimiter.as_deref() else {
            return Ok(None);
        };
        let delimiter = match named {
            "tab" | "\\t" => b'\t',
            "comma" => b',',
            "semicolon" => b';',
            "pipe" => b'|',
            other => match other.as_bytes() {
                [one] if one.is_ascii() && !matches!(one, b'"' | b'\n' | b'\r' | 0) => *one,
                _ => {
                    return Err(Problem::invalid(format!(
                        "`delimiter` must be one ASCII character other than a quote, or tab, \
                         comma, semicolon or pipe, not `{}`.",
                        other.chars().take(20).collect::<String>()
                    )));
                }
            },
        };
        if form == RowsForm::Tsv && delimiter != b'\t' {
            return Err(Problem::invalid("The delimiter of TSV is a tab.").hint("use format=csv"));
        }
        Ok(Some(delimiter))
    }

    fn on_conflict(&self, mode: WriteMode) -> Result<Vec<String>, Problem> {
        let Some(named) = &self.on_conflict else {
            return Ok(Vec::new());
        };
        if mode != WriteMode::Upsert {
            return Err(Problem::invalid(
                "`on_conflict` only applies to mode=upsert.",
            ));
        }
        let columns: Vec<String> = named
            .split(',')
            .map(|name| name.trim().to_owned())
            .collect();
        let fits = |name: &String| !name.is_empty() && name.len() <= LONGEST_TEXT;
        if columns.len() > MAX_KEY_COLUMNS || !columns.iter().all(fits) {
            return Err(Problem::invalid(format!(
                "`on_conflict` names 1 to {MAX_KEY_COLUMNS} columns, separated by commas."
            )));
        }
        Ok(columns)
    }

    fn max_errors(&self, skips_errors: bool) -> Result<u64, Problem> {
        match self.max_errors {
            Some(_) if !skips_errors => Err(Problem::invalid(
                "`max_errors` only applies to on_error=skip.",
            )),
            Some(most) if most > MAX_ERRORS => Err(Problem::invalid(format!(
                "`max_errors` is at most {MAX_ERRORS}."
            ))),
            Some(most) => Ok(most),
            None => Ok(DEFAULT_MAX_ERRORS),
        }
    }
}
