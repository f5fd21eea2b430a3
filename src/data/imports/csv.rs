//! Fields with a separator between them (RFC 4180), telling quoted fields from others: of our own
//! exports an empty field is NULL, and `""` is an empty text.
use super::input::{Input, MAX_RECORD_BYTES, ReadError, malformed, too_long};

/// Bytes from the start of a file by which the separator is found.
const SAMPLE_BYTES: usize = 64 << 10;
/// Records of it that are looked at.
const SAMPLE_RECORDS: usize = 50;
/// What may separate fields, the likeliest first.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// One record: its fields one after another.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// The line on which it begins, from 1.
    pub(super) line: u64,
    bytes: Vec<u8>,
    fields: Vec<FieldEnd>,
    /// What is wrong with it, where the records behind it can still be read.
    pub(super) fault: Option<&'static str>,
}

#[derive(Debug, Clone, Copy)]
struct FieldEnd {
    end: usize,
    is_quoted: bool,
}

impl Record {
    pub(super) fn len(&self) -> usize {
        self.fields.len()
    }

    /// A field, and whether it was quoted.
    pub(super) fn field(&self, place: usize) -> (&[u8], bool) {
        let start = match place {
            0 => 0,
            _ => self.fields[place - 1].end,
        };
        let field = self.fields[place];
        (&self.bytes[start..field.end], field.is_quoted)
    }

    /// Whether it is a line with nothing on it.
    pub(super) fn is_blank(&self) -> bool {
        self.fields.len() == 1 && self.bytes.is_empty() && !self.fields[0].is_quoted
    }

    fn clear(&mut self, line: u64) {
        self.line = line;
        self.bytes.clear();
        self.bytes.shrink_to(1 << 20);
        self.fields.clear();
        self.fault = None;
    }

    fn end_field(&mut self, is_quoted: bool) {
        let end = self.bytes.len();
        self.fields.push(FieldEnd { end, is_quoted });
    }
}

/// Reads records.
pub(super) struct CsvReader {
    input: Input,
    delimiter: u8,
    line: u64,
}

/// What ends a field.
#[derive(PartialEq, Eq)]
enum End {
    Delimiter,
    Record,
    File,
}

impl CsvReader {
    /// With this separator, or the one that fits best.
    pub(super) fn new(mut input: Input, delimiter: Option<u8>) -> Result<Self, ReadError> {
        let delimiter = match delimiter {
            Some(delimiter) => delimiter,
            None => {
                while input.seen().len() < SAMPLE_BYTES && input.more()? {}
                let sample = input.seen();
                likeliest_delimiter(&sample[..sample.len().min(SAMPLE_BYTES)])
            }
        };
        Ok(Self {
            input,
            delimiter,
            line: 1,
        })
    }

    pub(super) fn delimiter(&self) -> u8 {
        self.delimiter
    }

    /// Reads the next record. `false` at the end.
    pub(super) fn next(&mut self, record: &mut Record) -> Result<bool, ReadError> {
        record.clear(self.line);
        if self.input.seen().is_empty() && !self.input.more()? {
            return Ok(false);
        }
        loop {
            if record.bytes.len() > MAX_RECORD_BYTES {
                return Err(too_long(record.line));
            }
            if self.input.seen().is_empty() {
                self.input.more()?;
            }
            let end = match self.input.seen().first() {
                Some(b'"') => self.quoted(record)?,
                _ => self.plain(record)?,
            };
            if end != End::Delimiter {
                return Ok(true);
            }
        }
    }

    fn plain(&mut self, record: &mut Record) -> Result<End, ReadError> {
        loop {
            let seen = self.input.seen();
            let found = memchr::memchr3(self.delimiter, b'\n', b'\r', seen);
            let length = found.unwrap_or(seen.len());
            record.bytes.extend_from_slice(&seen[..length]);
            if record.bytes.len() > MAX_RECORD_BYTES {
                return Err(too_long(record.line));
            }
            let byte = found.map(|at| seen[at]);
            self.input.take(length);
            match byte {
                Some(byte) => {
                    self.input.take(1);
                    let end = self.end_at(byte)?;
                    record.end_field(false);
                    return Ok(end);
                }
                None if self.input.more()? => {}
                None => {
                    record.end_field(false);
                    return Ok(End::File);
                }
            }
        }
    }

    /// A field whose first quote is next.
    fn quoted(&mut self, record: &mut Record) -> Result<End, ReadError> {
        let opened = self.line;
        self.input.take(1);
        loop {
            let seen = self.input.seen();
            let found = memchr::memchr(b'"', seen);
            let length = found.unwrap_or(seen.len());
            self.line += memchr::memchr_iter(b'\n', &seen[..length]).count() as u64;
            record.bytes.extend_from_slice(&seen[..length]);
            if record.bytes.len() > MAX_RECORD_BYTES {
                return Err(too_long(record.line));
            }
            self.input.take(length);
            if found.is_none() {
                if self.input.more()? {
                    continue;
                }
                return Err(malformed(opened, "a quote is opened and never closed"));
            }
            self.input.take(1);
            if self.input.seen().is_empty() {
                self.input.more()?;
            }
            match self.input.seen().first().copied() {
                Some(b'"') => {
                    record.bytes.push(b'"');
                    self.input.take(1);
                }
                None => {
                    record.end_field(true);
                    return Ok(End::File);
                }
                Some(byte) if byte == self.delimiter || byte == b'\n' || byte == b'\r' => {
                    self.input.take(1);
                    let end = self.end_at(byte)?;
                    record.end_field(true);
                    return Ok(end);
                }
                Some(_) => {
                    record.fault = Some(
                        "a quoted field goes on behind its closing quote; \
                         quotes inside of one are doubled",
                    );
                    return self.plain(record);
                }
            }
        }
    }

    /// What a byte ends that was taken.
    fn end_at(&mut self, byte: u8) -> Result<End, ReadError> {
        if byte == self.delimiter {
            return Ok(End::Delimiter);
        }
        if byte == b'\r' {
            if self.input.seen().is_empty() {
                self.input.more()?;
            }
            if self.input.seen().first() == Some(&b'\n') {
                self.input.take(1);
            }
        }
        self.line += 1;
        Ok(End::Record)
    }
}

/// The separator with which most records have as many fields as the first one, and more than one.
fn likeliest_delimiter(sample: &[u8]) -> u8 {
    let fitness = |delimiter: &u8| {
        let mut first = 0;
        let mut like_first = 0;
        for (number, fields) in counts(sample, *delimiter).enumerate() {
            if number == 0 {
                first = fields;
            }
            like_first += usize::from(fields == first);
        }
        match first {
            0 | 1 => (0, 0),
            _ => (like_first, first),
        }
    };
    let mut best = (DELIMITERS[0], (0, 0));
    for delimiter in &DELIMITERS {
        let fitness = fitness(delimiter);
        if fitness > best.1 {
            best = (*delimiter, fitness);
        }
    }
    best.0
}

/// How many fields each record of a sample has, the last one left out where it is cut.
fn counts(sample: &[u8], delimiter: u8) -> impl Iterator<Item = usize> {
    let mut rest = sample;
    let next = move || {
        let (mut fields, mut is_quoted) = (1, false);
        for (at, byte) in rest.iter().enumerate() {
            match *byte {
                b'"' => is_quoted = !is_quoted,
                b'\n' if !is_quoted => {
                    rest = &rest[at + 1..];
                    return Some(fields);
                }
                byte if byte == delimiter && !is_quoted => fields += 1,
                _ => {}
            }
        }
        let is_whole = !rest.is_empty() && sample.len() < SAMPLE_BYTES;
        rest = &[];
        is_whole.then_some(fields)
    };
    std::iter::from_fn(next).take(SAMPLE_RECORDS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    /// Gives its bytes a few at a time.
    struct Slowly(Vec<u8>, usize);

    impl Read for Slowly {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            let read = self.1.min(into.len()).min(self.0.len());
            into[..read].copy_from_slice(&self.0[..read]);
            self.0.drain(..read);
            Ok(read)
        }
    }

    fn records(text: &[u8], delimiter: Option<u8>) -> Result<Vec<String>, String> {
        let mut told = Vec::new();
        for step in [1, 2, 7, 1 << 20] {
            let input = Input::new(Box::new(Slowly(text.to_vec(), step)));
            let input = input.map_err(|error| error.to_string())?;
            let mut reader = CsvReader::new(input, delimiter).map_err(|error| error.to_string())?;
            let (mut record, mut all) = (Record::default(), Vec::new());
            while reader
                .next(&mut record)
                .map_err(|error| error.to_string())?
            {
                let fields = (0..record.len()).map(|place| match record.field(place) {
                    (field, true) => format!("'{}'", String::from_utf8_lossy(field)),
                    (field, false) => String::from_utf8_lossy(field).into_owned(),
                });
                let fields: Vec<_> = fields.collect();
                let fault = if record.fault.is_some() { " !" } else { "" };
                all.push(format!("{}: {}{fault}", record.line, fields.join("|")));
            }
            if step == 1 {
                told = all;
            } else {
                assert_eq!(told, all, "in pieces of {step}");
            }
        }
        Ok(told)
    }

    #[test]
    fn fields_are_told_from_quoted_ones_and_keep_their_lines() {
        let text = b"a,b\r\n1,\"x \"\"y\"\"\nz\"\n,\"\"\r\n\n\"last\"";
        assert_eq!(
            records(text, Some(b',')),
            Ok(vec![
                "1: a|b".into(),
                "2: 1|'x \"y\"\nz'".into(),
                "4: |''".into(),
                "5: ".into(),
                "6: 'last'".into(),
            ])
        );
        assert_eq!(records(b"", None), Ok(vec![]));
        assert_eq!(
            records(b"\xef\xbb\xbfa\rb", None),
            Ok(vec!["1: a".into(), "2: b".into()])
        );
        assert_eq!(
            records(b"a,\n,", Some(b',')),
            Ok(vec!["1: a|".into(), "2: |".into()])
        );
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let text = b"a\n\"x\"y\nb";
        assert_eq!(
            records(text, None),
            Ok(vec!["1: a".into(), "2: xy !".into(), "3: b".into()])
        );
        let open = records(b"a\n1\n\"x\ny", None).unwrap_err();
        assert_eq!(open, "line 3: a quote is opened and never closed");
        let wide = records(b"\xff\xfea\0", None).unwrap_err();
        assert!(wide.contains("UTF-16"), "{wide}");
    }

    #[test]
    fn a_row_without_an_end_is_cut_at_its_bound() {
        for first in [&b"a\n"[..], b"a\n\""] {
            let endless = std::io::repeat(b'x').take(1 << 30);
            let reader = Box::new(first.chain(endless));
            let mut reader = CsvReader::new(Input::new(reader).unwrap(), Some(b',')).unwrap();
            let mut record = Record::default();
            assert!(reader.next(&mut record).unwrap());
            let error = reader.next(&mut record).unwrap_err().to_string();
            assert!(
                error.starts_with("line 2: the row is longer than 67108864"),
                "{error}"
            );
        }
    }

    #[test]
    fn the_separator_is_the_one_that_fits_all_records() {
        for (text, delimiter) in [
            ("a,b\n1,2\n", b','),
            ("a;b\n1,5;2\n3,5;4\n", b';'),
            ("a\tb c, d\n1\t2\n", b'\t'),
            ("a|b|c\n1|2|3\n", b'|'),
            ("\"a,b\";c\n\"1\n2,3\";4\n", b';'),
            ("single\nvalues\n", b','),
            ("", b','),
        ] {
            assert_eq!(likeliest_delimiter(text.as_bytes()), delimiter, "{text:?}");
        }
    }
}
