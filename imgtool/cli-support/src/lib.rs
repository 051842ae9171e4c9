//! What the command lines of `imgtool`, `uploader` and `emulator` share, so that they report failures,
//! show progress and read times alike.
//!
//! For programs only: it writes to standard error. Libraries have their errors' classes in
//! [`error_class`].

mod duration;
mod failure;
mod progress;
mod stderr;

pub use duration::seconds;
pub use failure::Failure;
pub use progress::{Line, Spinner, Stderr};
pub use stderr::{print_line, print_text};
