//! A progress bar on a terminal; nothing elsewhere.
use crate::cli::terminal::output;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, Read};
use std::time::Duration;

const REDRAW: Duration = Duration::from_millis(200);

/// A bar of bytes. Gone when it is dropped.
#[derive(Debug)]
pub(super) struct Bar(ProgressBar);

impl Bar {
    /// A bar for `what`, of so many bytes where that is known.
    pub(super) fn bytes(what: &str, total: Option<u64>) -> Self {
        let target = if output::is_watched() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(total, target);
        bar.set_prefix(what.to_owned());
        bar.enable_steady_tick(REDRAW);
        let bar = Self(bar);
        bar.style(total.is_some());
        bar
    }

    fn style(&self, has_total: bool) {
        let form = if has_total {
            "{prefix} [{bar:30}] {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left {msg}"
        } else {
            "{prefix} {spinner} {bytes}, {bytes_per_sec} {msg}"
        };
        if let Ok(style) = ProgressStyle::with_template(form) {
            self.0.set_style(style.progress_chars("=> "));
        }
    }

    pub(super) fn set(&self, done: u64, total: u64) {
        if self.0.length() != Some(total) && total > 0 {
            self.0.set_length(total);
            self.style(true);
        }
        self.0.set_position(done);
    }

    pub(super) fn message(&self, text: String) {
        self.0.set_message(text);
    }

    /// Writes a remark above the bar.
    pub(super) fn note(&self, text: impl std::fmt::Display) {
        self.0.suspend(|| output::note(text));
    }

    /// A reader whose bytes are shown.
    pub(super) fn reading<R: Read>(&self, inner: R) -> Shown<'_, R> {
        Shown {
            bar: &self.0,
            inner,
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A stream whose bytes a bar shows.
#[derive(Debug)]
pub(super) struct Shown<'b, S> {
    bar: &'b ProgressBar,
    inner: S,
}

impl<R: Read> Read for Shown<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.bar.inc(read as u64);
        Ok(read)
    }
}
