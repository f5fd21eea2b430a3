//! Rows as a Parquet file, for tools that read tables by columns.
//!
//! A column has one type, which SQLite's have not: the first rows tell it. A later value that does
//! not fit ends the export.
use crate::engine::sql::QueryError;
use crate::engine::sql::schema::Affinity;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use parquet::basic::{Compression, LogicalType, Repetition, Type as PhysicalType, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;
use serde::Deserialize;
use serde_json::Value;
use std::io::{self, Write};
use std::sync::Arc;

/// Rows that are written together.
const GROUP_ROWS: usize = 65_536;
/// Bytes of rows that are written together, as they are in JSON: all of them are in memory.
const GROUP_BYTES: usize = 8 << 20;

/// Makes a Parquet file of rows in NDJSON, as the engine writes them, piece by piece.
pub(super) struct ParquetRows<W: Write + Send> {
    /// Taken until the types are known.
    out: Option<W>,
    writer: Option<SerializedFileWriter<W>>,
    /// A line that is not whole yet.
    line: Vec<u8>,
    columns: Vec<Named>,
    kinds: Vec<Kind>,
    rows: Vec<Vec<Value>>,
    bytes: usize,
}

#[derive(Deserialize)]
struct Head {
    columns: Vec<Named>,
}

/// A column of the result, as the engine names it.
#[derive(Deserialize)]
struct Named {
    name: String,
    r#type: Option<String>,
}

/// What the values of a column are in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Integer,
    Real,
    Text,
    Bytes,
}

impl<W: Write + Send> ParquetRows<W> {
    pub(super) fn new(out: W) -> Self {
        Self {
            out: Some(out),
            writer: None,
            line: Vec::new(),
            columns: Vec::new(),
            kinds: Vec::new(),
            rows: Vec::new(),
            bytes: 0,
        }
    }

    /// Takes a piece.
    ///
    /// # Errors
    /// When a value does not fit its column, or the file takes no more.
    pub(super) fn put(&mut self, piece: &Bytes) -> Result<(), QueryError> {
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                self.take_line(&line)?;
            }
        }
        Ok(())
    }

    fn take_line(&mut self, line: &[u8]) -> Result<(), QueryError> {
        if line.first() == Some(&b'[') {
            self.bytes += line.len();
            self.rows
                .push(serde_json::from_slice(line).map_err(broken)?);
            if self.rows.len() >= GROUP_ROWS || self.bytes >= GROUP_BYTES {
                self.write_group()?;
            }
        } else if self.columns.is_empty() && line.starts_with(br#"{"columns""#) {
            let head: Head = serde_json::from_slice(line).map_err(broken)?;
            self.columns = head.columns;
        }
        Ok(())
    }

    /// Writes the rest.
    ///
    /// # Errors
    /// As [`Self::put`].
    pub(super) fn finish(mut self) -> Result<(), QueryError> {
        self.write_group()?;
        match self.writer.take() {
            Some(writer) => writer.close().map(drop).map_err(broken),
            None => Ok(()),
        }
    }

    fn write_group(&mut self) -> Result<(), QueryError> {
        if self.writer.is_none() {
            let columns = self.columns.iter().enumerate();
            let kinds = columns.map(|(place, column)| kind_of(column, place, &self.rows));
            self.kinds = kinds.collect::<Result<_, _>>()?;
            let fields = self.columns.iter().zip(&self.kinds);
            let fields = fields.map(|(column, kind)| field(&column.name, *kind).map(Arc::new));
            let schema = Type::group_type_builder("rows")
                .with_fields(fields.collect::<Result<_, _>>().map_err(broken)?)
                .build()
                .map_err(broken)?;
            let level = ZstdLevel::try_new(1).map_err(broken)?;
            let properties = WriterProperties::builder()
                .set_compression(Compression::ZSTD(level))
                .build();
            let Some(out) = self.out.take() else {
                return Ok(());
            };
            let writer = SerializedFileWriter::new(out, Arc::new(schema), Arc::new(properties));
            self.writer = Some(writer.map_err(broken)?);
        }
        let Some(writer) = &mut self.writer else {
            return Ok(());
        };
        if self.rows.is_empty() {
            return Ok(());
        }
        let mut group = writer.next_row_group().map_err(broken)?;
        for (place, (column, kind)) in self.columns.iter().zip(&self.kinds).enumerate() {
            let Some(mut chunk) = group.next_column().map_err(broken)? else {
                break;
            };
            let values = self.rows.iter().map(|row| &row[place]);
            let levels: Vec<i16> = values.clone().map(|it| i16::from(!it.is_null())).collect();
            let values = values.filter(|value| !value.is_null());
            let levels = Some(levels.as_slice());
            let misfit = || misfit(&column.name, *kind);
            let written = match kind {
                Kind::Integer => {
                    let values = values.map(|value| value.as_i64().ok_or_else(misfit));
                    let values = values.collect::<Result<Vec<_>, _>>()?;
                    (chunk.typed::<Int64Type>()).write_batch(&values, levels, None)
                }
                Kind::Real => {
                    let values = values.map(|value| real(value).ok_or_else(misfit));
                    let values = values.collect::<Result<Vec<_>, _>>()?;
                    (chunk.typed::<DoubleType>()).write_batch(&values, levels, None)
                }
                Kind::Text | Kind::Bytes => {
                    let is_text = *kind == Kind::Text;
                    let values = values.map(|value| bytes(value, is_text).ok_or_else(misfit));
                    let values = values.collect::<Result<Vec<_>, _>>()?;
                    (chunk.typed::<ByteArrayType>()).write_batch(&values, levels, None)
                }
            };
            written.map_err(broken)?;
            chunk.close().map_err(broken)?;
        }
        group.close().map_err(broken)?;
        self.rows.clear();
        self.bytes = 0;
        Ok(())
    }
}

/// The kind that all values of a column fit; where there is none, what it was declared as.
fn kind_of(column: &Named, place: usize, rows: &[Vec<Value>]) -> Result<Kind, QueryError> {
    let mut found: Option<Kind> = None;
    for value in rows
        .iter()
        .map(|row| &row[place])
        .filter(|it| !it.is_null())
    {
        let is = match value {
            Value::Number(number) if number.is_f64() => Kind::Real,
            Value::Number(_) => Kind::Integer,
            Value::String(_) => Kind::Text,
            Value::Object(special) if special.contains_key("$real") => Kind::Real,
            _ => Kind::Bytes,
        };
        found = Some(match (found, is) {
            (None, is) => is,
            (Some(was), is) if was == is => is,
            (Some(Kind::Integer | Kind::Real), Kind::Integer | Kind::Real) => Kind::Real,
            (Some(Kind::Text | Kind::Bytes), Kind::Text | Kind::Bytes) => Kind::Bytes,
            (Some(was), _) => return Err(misfit(&column.name, was)),
        });
    }
    let declared = || match Affinity::of(column.r#type.as_deref().unwrap_or("text"), false) {
        Affinity::Integer => Kind::Integer,
        Affinity::Real | Affinity::Numeric => Kind::Real,
        Affinity::Text => Kind::Text,
        Affinity::Blob => Kind::Bytes,
    };
    Ok(found.unwrap_or_else(declared))
}

fn field(name: &str, kind: Kind) -> Result<Type, ParquetError> {
    let (physical, logical) = match kind {
        Kind::Integer => (PhysicalType::INT64, None),
        Kind::Real => (PhysicalType::DOUBLE, None),
        Kind::Text => (PhysicalType::BYTE_ARRAY, Some(LogicalType::String)),
        Kind::Bytes => (PhysicalType::BYTE_ARRAY, None),
    };
    Type::primitive_type_builder(name, physical)
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(logical)
        .build()
}

fn real(value: &Value) -> Option<f64> {
    match value {
        Value::Object(special) => match special.get("$real")?.as_str()? {
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        other => other.as_f64(),
    }
}

fn bytes(value: &Value, is_text: bool) -> Option<ByteArray> {
    match value {
        Value::String(text) => Some(ByteArray::from(text.as_str())),
        Value::Object(special) if !is_text => {
            let packed = special.get("$base64").or(special.get("$text_base64"))?;
            let bytes = STANDARD.decode(packed.as_str()?).ok()?;
            Some(ByteArray::from(bytes))
        }
        _ => None,
    }
}

fn misfit(column: &str, kind: Kind) -> QueryError {
    let are = match kind {
        Kind::Integer => "whole numbers",
        Kind::Real => "numbers",
        Kind::Text => "texts",
        Kind::Bytes => "BLOBs",
    };
    QueryError::NoForm {
        reason: format!(
            "column `{column}` has values of several types, which Parquet does not take: most are \
             {are}; export a query that makes them one with CAST"
        ),
    }
}

fn broken(error: impl std::fmt::Display) -> QueryError {
    QueryError::Broken {
        reason: format!("the Parquet file could not be written: {error}"),
    }
}

/// Gives what is written to a function, which may refuse it.
pub(super) struct Pieces<F>(pub(super) F);

impl<F: FnMut(Bytes) -> bool> Write for Pieces<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if (self.0)(Bytes::copy_from_slice(bytes)) {
            return Ok(bytes.len());
        }
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parquet::file::reader::{FileReader as _, SerializedFileReader};

    const HEAD: &str = r#"{"columns":[{"name":"i","type":"INT"},{"name":"r","type":null},{"name":"t","type":"TEXT"},{"name":"b","type":"BLOB"},{"name":"none","type":"REAL"}]}"#;

    fn written(lines: &str) -> Result<Vec<u8>, QueryError> {
        let mut file = Vec::new();
        let mut rows = ParquetRows::new(Pieces(|piece: Bytes| {
            file.extend_from_slice(&piece);
            true
        }));
        // In pieces that end in the middle of lines.
        for piece in format!("{HEAD}\n{lines}{{\"row_count\":1}}\n")
            .as_bytes()
            .chunks(7)
        {
            rows.put(&Bytes::copy_from_slice(piece))?;
        }
        rows.finish()?;
        Ok(file)
    }

    #[test]
    fn every_type_comes_back_from_the_file() {
        let lines = "[9007199254740993,1,\"ä\",{\"$base64\":\"AP8=\"},null]\n\
                     [null,0.5,\"\",{\"$base64\":\"\"},null]\n\
                     [-1,{\"$real\":\"Infinity\"},null,null,null]\n";
        let reader = SerializedFileReader::new(Bytes::from(written(lines).unwrap())).unwrap();
        let rows = reader.get_row_iter(None).unwrap();
        let rows: Vec<String> = rows.map(|row| row.unwrap().to_string()).collect();
        assert_eq!(rows.len(), 3);
        assert!(
            rows[0].contains("9007199254740993") && rows[0].contains("\"ä\""),
            "{rows:?}"
        );
        assert!(rows[1].starts_with("{i: null, r: 0.5"), "{rows:?}");
        assert!(rows[2].contains("inf"), "{rows:?}");
        let empty = SerializedFileReader::new(Bytes::from(written("").unwrap())).unwrap();
        assert_eq!(empty.metadata().file_metadata().num_rows(), 0);
    }

    #[test]
    fn a_column_of_several_types_is_refused_by_name() {
        let refused = written("[1,1,\"a\",null,null]\n[\"x\",1,\"a\",null,null]\n").unwrap_err();
        assert!(refused.to_string().contains("`i`"), "{refused}");
    }
}
