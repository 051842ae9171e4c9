//! Progress of the work under way, on a terminal only.

use std::borrow::Cow;
use std::io::{IsTerminal, Write};
use std::sync::{Arc, LazyLock, Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// All lines that are shown: whoever writes to standard error meanwhile writes above them.
static SHOWN: LazyLock<MultiProgress> =
    LazyLock::new(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(5)));

/// A line of progress on standard error, shown once the work takes a second. Clones are the same
/// line.
#[derive(Clone)]
pub struct Line(Arc<Inner>);

struct Inner {
    bar: ProgressBar,
    shown: Once,
}

impl Line {
    /// Progress over `total` bytes that are `what` ("sent", "read").
    pub fn bytes(what: impl Into<Cow<'static, str>>, total: u64) -> Line {
        Line::new(
            what,
            Some(total),
            "{msg} {bar:30} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left",
        )
    }

    /// Progress over `total` bytes of the only work of a command, which needs no name.
    pub fn unnamed_bytes(total: u64) -> Line {
        Line::new(
            "",
            Some(total),
            "{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
        )
    }

    /// Progress over bytes of the only work of a command, of which nobody knows how many there are.
    pub fn uncounted_bytes() -> Line {
        Line::new("", None, "{spinner} {bytes} {bytes_per_sec}")
    }

    /// Progress over `total` things of a kind ("blocks put").
    pub fn count(what: impl Into<Cow<'static, str>>, total: u64) -> Line {
        Line::new(
            what,
            Some(total),
            "{msg} {bar:30} {pos}/{len}, {per_sec}, {eta} left",
        )
    }

    fn new(what: impl Into<Cow<'static, str>>, total: Option<u64>, template: &str) -> Line {
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(what);
        Line(Arc::new(Inner {
            bar,
            shown: Once::new(),
        }))
    }

    /// Records that `more` of the total is done.
    pub fn advance(&self, more: u64) {
        let Inner { bar, shown } = &*self.0;
        if bar.elapsed() >= Duration::from_secs(1) {
            shown.call_once(|| drop(SHOWN.add(bar.clone())));
        }
        bar.inc(more);
    }

    /// Removes the line.
    pub fn finish(&self) {
        self.0.bar.finish_and_clear();
        SHOWN.remove(&self.0.bar);
    }
}

/// Standard error, above the lines of progress that are shown.
pub struct Stderr;

impl Write for Stderr {
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

/// What is being started, and how long each part took, on standard error, if that is a terminal.
pub struct Spinner {
    bar: ProgressBar,
    part: Mutex<Option<(String, Instant)>>,
}

impl Spinner {
    /// A spinner that is shown at once.
    pub fn starting() -> Spinner {
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

    /// Ends the part before, and shows `what` as the next one.
    pub fn step(&self, what: &str) {
        self.bar.set_message(what.to_owned());
        self.turn_to(Some((what.to_owned(), Instant::now())));
    }

    /// Removes the spinner; the parts' times stay on the terminal.
    pub fn finish(&self) {
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
