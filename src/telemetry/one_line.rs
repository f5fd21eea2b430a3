//! One line for each event.
use std::io::{self, Write};

/// Writes each event as one line, whatever texts are in it: a line break within is escaped, and so
/// are other control characters but the escapes of colours.
pub(super) struct OneLine<W>(pub(super) W);

impl<W: Write> Write for OneLine<W> {
    /// Takes a whole event, which is how the formatter hands them over.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        const ESCAPE: u8 = 0x1b; // the formatter itself escapes it in texts
        let (text, end) = match event.split_last() {
            Some((b'\n', text)) => (text, "\n"),
            _ => (event, ""),
        };
        if text
            .iter()
            .all(|byte| !byte.is_ascii_control() || *byte == ESCAPE)
        {
            self.0.write_all(event)?;
            return Ok(event.len());
        }
        let mut line = Vec::with_capacity(event.len() + 16);
        for byte in text {
            if byte.is_ascii_control() && *byte != ESCAPE {
                line.extend(byte.escape_ascii());
            } else {
                line.push(*byte);
            }
        }
        line.extend_from_slice(end.as_bytes());
        self.0.write_all(&line)?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_with_line_breaks_stays_in_its_line() {
        let mut written = OneLine(Vec::new());
        written
            .write_all(b"INFO no table `a\nINFO all is well\t`\n")
            .unwrap();
        written.write_all(b"\x1b[2mINFO\x1b[0m next\n").unwrap();
        let shown = String::from_utf8(written.0).unwrap();
        let first = "INFO no table `a\\nINFO all is well\\t`\n";
        assert_eq!(shown, format!("{first}\u{1b}[2mINFO\u{1b}[0m next\n"));
    }
}
