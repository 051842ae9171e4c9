//! What is told on standard error. If nobody can be told, because the terminal was closed or a pipe's
//! reader has gone, the work goes on: `eprintln!` would panic, in the middle of taking away what was
//! made.

use super::progress::Above;
use std::fmt::Arguments;
use std::io::Write;

/// Tells a line.
macro_rules! say {
    ($($text:tt)*) => {
        $crate::cli::say::line(format_args!($($text)*))
    };
}

/// Tells a line, above those about what is under way.
pub(crate) fn line(text: Arguments) {
    // In one piece: others write, too.
    write(&format!("{text}\n"));
}

/// Tells something that is no whole line.
pub(crate) fn write(text: &str) {
    let _ = Above.write_all(text.as_bytes());
}
