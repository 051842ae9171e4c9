//! Lines on standard error. If nobody can read them, because the terminal was closed or a pipe's
//! reader has gone, the work goes on: `eprintln!` would panic, in the middle of taking away what was
//! made.

use std::fmt::Arguments;
use std::io::Write;

use crate::progress::Stderr;

/// Prints a line on standard error, formatted as by `format!`.
#[macro_export]
macro_rules! say {
    ($($text:tt)*) => {
        $crate::print_line(format_args!($($text)*))
    };
}

/// Prints a line on standard error, above the progress that is shown: what [`say!`] expands to.
pub fn print_line(text: Arguments) {
    print_text(&format!("{text}\n"));
}

/// Prints text that need not be a whole line, above the progress that is shown.
pub fn print_text(text: &str) {
    // In one piece: others write, too.
    let _ = Stderr.write_all(text.as_bytes());
}
