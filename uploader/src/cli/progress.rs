//! A line about what is under way, with rate and time left: on a terminal, once it takes a second.

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::borrow::Cow;
use std::io::Write;
use std::sync::{Arc, LazyLock, Once};
use std::time::Duration;

/// All lines that are shown: whoever writes to standard error meanwhile writes above them.
static SHOWN: LazyLock<MultiProgress> =
    LazyLock::new(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(5)));

/// A line on standard error. Clones are the same line.
#[derive(Clone)]
pub(crate) struct Line(Arc<Inner>);

struct Inner {
    bar: ProgressBar,
    shown: Once,
}

impl Line {
    /// About `total` bytes that are `what` ("sent", "read").
    pub(crate) fn bytes(what: impl Into<Cow<'static, str>>, total: u64) -> Line {
        Line::new(
            what,
            total,
            "{msg} {bar:30} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left",
        )
    }

    /// About `total` things of a kind ("blocks put").
    pub(crate) fn count(what: impl Into<Cow<'static, str>>, total: u64) -> Line {
        Line::new(
            what,
            total,
            "{msg} {bar:30} {pos}/{len}, {per_sec}, {eta} left",
        )
    }

    fn new(what: impl Into<Cow<'static, str>>, total: u64, template: &str) -> Line {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(what);
        Line(Arc::new(Inner {
            bar,
            shown: Once::new(),
        }))
    }

    /// So much more is done.
    pub(crate) fn advance(&self, more: u64) {
        let Inner { bar, shown } = &*self.0;
        if bar.elapsed() >= Duration::from_secs(1) {
            shown.call_once(|| drop(SHOWN.add(bar.clone())));
        }
        bar.inc(more);
    }

    /// Takes the line away.
    pub(crate) fn finish(&self) {
        self.0.bar.finish_and_clear();
        SHOWN.remove(&self.0.bar);
    }
}

/// Standard error, above the lines that are shown.
pub(crate) struct Above;

impl Write for Above {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        // They are drawn again when they advance. `suspend` would draw them itself, and panic on a
        // terminal that was closed.
        let _ = SHOWN.clear();
        std::io::stderr().write(text)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}
