//! Where matches are marked in a text: what FTS5's `highlight` and `snippet` answer, in a time that
//! grows with the text and not with the square of its matches.
//!
//! The answers are those of SQLite's own functions, oddities included; positions are counted in
//! tokens.

/// One match of one phrase of the query.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Match {
    pub(crate) phrase: i64,
    pub(crate) column: i64,
    /// Its first token.
    pub(crate) first: i64,
    /// How many tokens it has.
    pub(crate) size: i64,
}

/// One column of the row.
pub(crate) struct Column<'r> {
    pub(crate) text: &'r [u8],
    /// Where each token begins and ends in the text.
    pub(crate) tokens: Vec<(usize, usize)>,
}

/// What is written around matches.
pub(crate) struct Delimiters<'m> {
    pub(crate) open: &'m [u8],
    pub(crate) close: &'m [u8],
}

/// Matches that touch are one: first and last token of each, in their order.
fn runs(matches: &[Match], column: i64) -> Vec<(i64, i64)> {
    let mut runs: Vec<(i64, i64)> = Vec::new();
    for it in matches.iter().filter(|it| it.column == column) {
        let last = it.first - 1 + it.size;
        match runs.last_mut() {
            Some(run) if it.first <= run.1 => run.1 = run.1.max(last),
            _ => runs.push((it.first, last)),
        }
    }
    runs
}

/// The tokens of a column that are shown, all of them where there is no range.
#[derive(Debug, Clone, Copy)]
struct Range {
    first: i64,
    last: i64,
}

/// A text with its marks, while it is written. No longer than `most`, or nothing.
struct Writer<'w> {
    text: &'w [u8],
    out: Vec<u8>,
    /// The text is written up to here.
    done: usize,
    most: usize,
}

impl Writer<'_> {
    /// As SQLite: a NUL ends what is written.
    fn write(&mut self, bytes: &[u8]) -> Option<()> {
        let end = memchr::memchr(0, bytes).unwrap_or(bytes.len());
        self.out.extend_from_slice(&bytes[..end]);
        (self.out.len() <= self.most).then_some(())
    }

    fn write_text_to(&mut self, end: usize) -> Option<()> {
        let text = self.text;
        let piece = text.get(self.done..end).unwrap_or_default();
        self.done = end.max(self.done);
        self.write(piece)
    }

    fn marked(
        &mut self,
        tokens: &[(usize, usize)],
        runs: &[(i64, i64)],
        range: Option<Range>,
        delimiters: &Delimiters<'_>,
    ) -> Option<()> {
        let (mut runs, mut is_open) = (runs.iter().copied(), false);
        let mut run = runs.next();
        for (&(start, end), at) in tokens.iter().zip(0_i64..) {
            if let Some(range) = range {
                if at < range.first || at > range.last {
                    continue;
                }
                if range.first > 0 && at == range.first {
                    self.done = start;
                }
            }
            if is_open && run.is_none_or(|run| at <= run.0) && start > self.done {
                self.write(delimiters.close)?;
                is_open = false;
            }
            if run.is_some_and(|run| at == run.0) && !is_open {
                self.write_text_to(start)?;
                self.write(delimiters.open)?;
                self.done = start;
                is_open = true;
            }
            if run.is_some_and(|run| at == run.1) {
                if !is_open {
                    self.write(delimiters.open)?;
                    is_open = true;
                }
                self.write_text_to(end)?;
                self.done = end;
                run = runs.next();
            }
            if range.is_some_and(|range| at == range.last) {
                if is_open {
                    if run.is_some_and(|run| at >= run.0) {
                        self.write_text_to(end)?;
                        self.done = end;
                    }
                    self.write(delimiters.close)?;
                    is_open = false;
                }
                self.write_text_to(end)?;
                self.done = end;
            }
        }
        if is_open {
            self.write(delimiters.close)?;
        }
        Some(())
    }
}

/// A whole column with its matches marked; `None` when that is longer than `most` bytes.
pub(crate) fn highlighted(
    column: &Column<'_>,
    index: i64,
    matches: &[Match],
    delimiters: &Delimiters<'_>,
    most: usize,
) -> Option<Vec<u8>> {
    let mut writer = Writer {
        text: column.text,
        out: Vec::with_capacity(most),
        done: 0,
        most,
    };
    writer.marked(&column.tokens, &runs(matches, index), None, delimiters)?;
    writer.write_text_to(column.text.len())?;
    Some(writer.out)
}

/// The part of a row that is shown as its snippet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Best {
    pub(crate) column: i64,
    start: i64,
    score: i64,
}

impl Best {
    pub(crate) fn none(column: i64) -> Self {
        Self {
            column,
            start: 0,
            score: 0,
        }
    }
}

/// Looks for a better part in one column. `None` when the query has so many phrases that it would
/// take long.
pub(crate) fn look_for_better(
    best: &mut Best,
    column: &Column<'_>,
    index: i64,
    matches: &[Match],
    tokens: i64,
    work: &mut usize,
) -> Option<()> {
    let begins = matches.partition_point(|found| found.column < index);
    let ends = matches.partition_point(|found| found.column <= index);
    let matches = &matches[begins..ends];
    let size = i64::try_from(column.tokens.len()).unwrap_or(i64::MAX);
    let sentences = sentences(column);
    let mut keep = |score, start| {
        if score > best.score {
            *best = Best {
                column: index,
                start,
                score,
            };
        }
    };
    for it in matches {
        let (score, adjusted) = score(matches, it.first, tokens, size, work)?;
        keep(score, adjusted);
        if sentences.is_empty() || size <= tokens {
            continue;
        }
        let sentence = sentences[sentences[1..].partition_point(|start| *start <= it.first)];
        if sentence < it.first {
            let (score, _) = self::score(matches, sentence, tokens, size, work)?;
            keep(score + if sentence == 0 { 120 } else { 100 }, sentence);
        }
    }
    Some(())
}

/// The first tokens of the sentences of a column.
fn sentences(column: &Column<'_>) -> Vec<i64> {
    let mut sentences = Vec::new();
    // Tokens may overlap, and each byte is looked at once.
    let mut rest = column.text.iter().enumerate().peekable();
    let (mut last, mut is_behind_blanks) = (None, false);
    for (&(start, _), at) in column.tokens.iter().zip(0_i64..) {
        while let Some((_, byte)) = rest.next_if(|(place, _)| *place < start) {
            is_behind_blanks = matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
            if !is_behind_blanks {
                last = Some(byte);
            }
        }
        let begins = is_behind_blanks && matches!(last, Some(b'.' | b':'));
        if at == 0 || begins {
            sentences.push(at);
        }
    }
    sentences
}

/// What the matches in a window are worth, and where the window would stand with them in the
/// middle: a phrase counts 1,000 once, and 1 each time after.
fn score(
    matches: &[Match],
    start: i64,
    tokens: i64,
    size: i64,
    work: &mut usize,
) -> Option<(i64, i64)> {
    let begins = matches.partition_point(|found| found.first < start);
    let in_window = matches[begins..]
        .iter()
        .take_while(|it| it.first < start + tokens);
    let mut seen = std::collections::HashSet::new();
    let (mut score, mut first, mut last) = (0, -1, 0);
    for it in in_window {
        *work = work.checked_sub(1)?;
        score += if seen.insert(it.phrase) { 1_000 } else { 1 };
        if first < 0 {
            first = it.first;
        }
        last = it.first + it.size;
    }
    let adjusted = first - (tokens - (last - first)) / 2;
    let adjusted = if adjusted + tokens > size {
        size - tokens
    } else {
        adjusted
    };
    Some((score, adjusted.max(0)))
}

/// The best part, with its matches marked and `ellipsis` where text is left out.
pub(crate) fn snippet(
    best: &Best,
    column: &Column<'_>,
    matches: &[Match],
    delimiters: &Delimiters<'_>,
    ellipsis: &[u8],
    tokens: i64,
    most: usize,
) -> Option<Vec<u8>> {
    let mut writer = Writer {
        text: column.text,
        out: Vec::new(),
        done: 0,
        most,
    };
    let range = Range {
        first: best.start,
        last: best.start + tokens - 1,
    };
    if best.start > 0 {
        writer.write(ellipsis)?;
    }
    let mut runs = runs(matches, best.column);
    runs.retain(|run| run.0 >= best.start);
    // As SQLite: a range that ends before the first token is none.
    let shown = (range.last >= 0).then_some(range);
    writer.marked(&column.tokens, &runs, shown, delimiters)?;
    let size = i64::try_from(column.tokens.len()).unwrap_or(i64::MAX);
    if range.last >= size - 1 {
        writer.write_text_to(column.text.len())?;
    } else {
        writer.write(ellipsis)?;
    }
    Some(writer.out)
}
