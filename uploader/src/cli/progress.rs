//! A line about what is under way, with rate and time left: on a terminal, once it takes a second.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::sync::{Arc, Once};
use std::time::Duration;

/// A line on standard error. Clones are the same line.
#[derive(Clone)]
pub(crate) struct Line(Arc<Inner>);

struct Inner {
    bar: ProgressBar,
    shown: Once,
}

impl Line {
    /// About `total` bytes that are `what` ("sent", "read").
    pub(crate) fn bytes(what: &'static str, total: u64) -> Line {
        Line::new(
            what,
            total,
            "{msg} {bar:30} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left",
        )
    }

    /// About `total` things of a kind ("blocks put").
    pub(crate) fn count(what: &'static str, total: u64) -> Line {
        Line::new(
            what,
            total,
            "{msg} {bar:30} {pos}/{len}, {per_sec}, {eta} left",
        )
    }

    fn new(what: &'static str, total: u64, template: &str) -> Line {
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
            shown.call_once(|| bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(5)));
        }
        bar.inc(more);
    }

    /// Takes the line away.
    pub(crate) fn finish(&self) {
        self.0.bar.finish_and_clear();
    }
}
