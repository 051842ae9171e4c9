//! Why an image can't be built.

use crate::Class;
use crate::boot::BootError;
use crate::disk::DiskError;
use crate::input::InputError;
use crate::lock::LockError;
use crate::pack::PackError;
use crate::pass::PassError;
use crate::spec::SpecError;
use crate::tree::TreeError;
use std::io;
use std::path::PathBuf;

/// Why an image can't be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The spec.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// An input.
    #[error(transparent)]
    Input(#[from] InputError),
    /// Kernel, modules or stub.
    #[error(transparent)]
    Boot(#[from] BootError),
    /// The layout.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Something in the input that the root file system can't hold.
    #[error("{input}: has what a root file system can't hold")]
    Unrepresentable {
        /// The input.
        input: PathBuf,
        /// What, and why.
        source: DiskError,
    },
    /// The pass.
    #[error(transparent)]
    Pass(#[from] PassError),
    /// The pack or its manifest.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// The lock.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A directory that every image needs can't be made.
    #[error("the image can't have its own /{name}")]
    MountPoint {
        /// Which.
        name: &'static str,
        /// Why.
        source: TreeError,
    },
    /// Something that PID 1 mounts on is not a directory.
    #[error("/{name}: not a directory in the image, and PID 1 could not mount anything there")]
    NotADirectory {
        /// Which.
        name: &'static str,
    },
    /// The program that is to run is not in the image, or can't be run.
    #[error("{program:?}: {why}")]
    Program {
        /// As the spec names it.
        program: String,
        /// What is wrong.
        why: String,
    },
    /// A lock names the same role twice.
    #[error("{0}: two inputs go to the same place")]
    SameRole(String),
    /// An output file.
    #[error("{path}: {what}")]
    Output {
        /// The file.
        path: PathBuf,
        /// What could not be done.
        what: &'static str,
        /// The cause.
        source: io::Error,
    },
    /// Two outputs of one name.
    #[error("{0}: two outputs can't have the same name")]
    SameOutput(PathBuf),
    /// An output that is an input.
    #[error("{0}: the input, which the output would replace")]
    OutputIsInput(PathBuf),
    /// An output inside an input.
    #[error(
        "{output}: lies inside the input {input}, and the next build would take it for content"
    )]
    OutputInInput {
        /// The output.
        output: PathBuf,
        /// The input.
        input: PathBuf,
    },
}

impl BuildError {
    /// Whose fault it is.
    pub fn class(&self) -> Class {
        match self {
            BuildError::Spec(e) => e.class(),
            BuildError::Input(e) => e.class(),
            BuildError::Boot(e) => e.class(),
            BuildError::Disk(e) | BuildError::Unrepresentable { source: e, .. } => e.class(),
            BuildError::Pass(e) => e.class(),
            BuildError::Pack(e) => e.class(),
            BuildError::Lock(e) => e.class(),
            BuildError::MountPoint { .. }
            | BuildError::NotADirectory { .. }
            | BuildError::Program { .. }
            | BuildError::SameRole(_)
            | BuildError::Output { .. }
            | BuildError::SameOutput(_)
            | BuildError::OutputIsInput(_)
            | BuildError::OutputInInput { .. } => Class::Input,
        }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            BuildError::Spec(e) => e.hint(),
            BuildError::Input(e) => e.hint(),
            BuildError::Boot(e) => e.hint(),
            BuildError::Lock(e) => e.hint(),
            BuildError::MountPoint { .. } | BuildError::NotADirectory { .. } => {
                Some("dev, etc, proc, run, sys and tmp have to be directories, or absent".into())
            }
            BuildError::Program { .. } => {
                Some("give the program's path in the image: -- /path/to/program ARGS…".into())
            }
            BuildError::Pack(e) => e.hint(),
            BuildError::SameOutput(_)
            | BuildError::OutputIsInput(_)
            | BuildError::OutputInInput { .. } => {
                Some("write it elsewhere with -o or --pack".into())
            }
            _ => None,
        }
    }
}
