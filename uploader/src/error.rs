//! Classes of errors.

/// Whose fault an error is, which is the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The work failed: exit code 1.
    Failed,
    /// The input is wrong: exit code 2.
    Input,
    /// The surroundings are: no credentials, no network, no permission. Exit code 3.
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
