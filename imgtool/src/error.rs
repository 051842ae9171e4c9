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
