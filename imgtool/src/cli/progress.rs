//! Progress on a terminal, silence elsewhere.

use imgtool::pass::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::Duration;

/// A bar on standard error, if that is a terminal, once the work takes a second.
pub(super) struct Bar(ProgressBar);

impl Bar {
    /// For `total` bytes.
    pub(super) fn new(total: u64) -> Bar {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(5));
        let template = "{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Bar(bar)
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        self.0.finish_and_clear();
    }
}

impl Progress for Bar {
    fn advance(&self, bytes: u64) {
        if self.0.elapsed() >= Duration::from_secs(1) {
            self.0.inc(bytes);
        } else {
            // Counted, but not drawn yet.
            self.0.update(|state| state.set_pos(state.pos() + bytes));
        }
    }
}
