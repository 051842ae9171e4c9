//! Progress on a terminal, silence elsewhere.

use imgtool::pass::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::sync::Once;
use std::time::Duration;

/// A bar on standard error, if that is a terminal, once the work takes a second.
pub(super) struct Bar {
    bar: ProgressBar,
    shown: Once,
}

impl Bar {
    /// For `total` bytes.
    pub(super) fn new(total: u64) -> Bar {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
        let template = "{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Bar {
            bar,
            shown: Once::new(),
        }
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Progress for Bar {
    fn advance(&self, bytes: u64) {
        if self.bar.elapsed() >= Duration::from_secs(1) {
            self.shown.call_once(|| {
                self.bar
                    .set_draw_target(ProgressDrawTarget::stderr_with_hz(5))
            });
        }
        self.bar.inc(bytes);
    }
}
