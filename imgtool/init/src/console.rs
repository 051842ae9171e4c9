//! The lines that PID 1 writes to the console and `imgtool run` reads.

/// What every line of PID 1 begins with.
pub const PREFIX: &str = "imgtool: ";

/// Written when the application was started; followed by its process id.
pub const STARTED: &str = "application started, pid ";

/// Written when the application ended for good; followed by `status N` or `signal N`.
pub const EXITED: &str = "application exited with ";

/// Written before PID 1 gives up; followed by the reason.
pub const FAILED: &str = "FAILED: ";
