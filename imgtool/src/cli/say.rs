//! What is told on standard error. If nobody can be told, because the terminal was closed or a pipe's
//! reader has gone, the work goes on: `eprintln!` would panic.

use std::fmt::Arguments;
use std::io::Write;

/// Tells a line.
macro_rules! say {
    ($($text:tt)*) => {
        $crate::cli::say::line(format_args!($($text)*))
    };
}

/// Tells a line.
pub(crate) fn line(text: Arguments) {
    // In one piece: others write, too.
    let _ = std::io::stderr().write_all(format!("{text}\n").as_bytes());
}
