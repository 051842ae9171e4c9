//! What is being started, on a terminal.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What is being started, and how long each part took, on standard error, if that is a terminal.
pub(super) struct Spinner {
    bar: ProgressBar,
    part: Mutex<Option<(String, Instant)>>,
}

impl Spinner {
    pub(super) fn new() -> Spinner {
        let bar = if std::io::stderr().is_terminal() {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} starting {msg} {elapsed}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        } else {
            ProgressBar::hidden()
        };
        let part = Mutex::new(None);
        Spinner { bar, part }
    }

    pub(super) fn step(&self, what: &str) {
        self.bar.set_message(what.to_owned());
        self.turn_to(Some((what.to_owned(), Instant::now())));
    }

    pub(super) fn finish(&self) {
        self.turn_to(None);
        self.bar.finish_and_clear();
    }

    fn turn_to(&self, next: Option<(String, Instant)>) {
        let mut part = self.part.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((what, since)) = std::mem::replace(&mut *part, next) {
            self.bar
                .println(format!("{what}: {:.1} s", since.elapsed().as_secs_f64()));
        }
    }
}
