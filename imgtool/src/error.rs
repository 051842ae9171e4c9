//! How errors are classed for the exit code.

/// Whose fault an error is, and so the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The work failed: exit code 1.
    Failed,
    /// The input is wrong: exit code 2.
    Input,
    /// The surroundings are (a missing tool, say): exit code 3.
    Surroundings,
}

impl Class {
    /// The exit code.
    pub fn exit_code(self) -> u8 {
        match self {
            Class::Failed => 1,
            Class::Input => 2,
            Class::Surroundings => 3,
        }
    }
}

/// The same error without the path of a temporary file, whose random name helps nobody.
pub(crate) fn without_temporary(error: std::io::Error) -> std::io::Error {
    let text = error.to_string();
    match text.split_once(" at path ") {
        Some((cause, _)) => std::io::Error::new(error.kind(), cause),
        None => error,
    }
}
