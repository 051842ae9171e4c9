//! Why a spec is refused.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::Class;

/// Why a spec is refused. `Display` never repeats its source.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// The file can't be read.
    #[error("{}: can't be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// The file is larger than any spec.
    #[error("{}: larger than {limit} bytes, so not a spec", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
    /// The file says something that is not known or not valid.
    #[error("{}:{line}: {}{why}", file.display(), field.as_ref().map(|f| format!("{f}: ")).unwrap_or_default())]
    Invalid {
        /// The file.
        file: PathBuf,
        /// Line, counted from 1.
        line: usize,
        /// The field, as a dotted path, where the place has one.
        field: Option<String>,
        /// What is wrong.
        why: String,
        /// What may have been meant.
        hint: Option<String>,
    },
    /// No input was named.
    #[error("no input: neither an argument nor `input` in a spec names one")]
    NoInput,
    /// No kernel was named.
    #[error("no kernel: an image needs a Linux kernel to boot")]
    NoKernel,
    /// No UEFI stub was named.
    #[error("no UEFI stub: an image for firmware {firmware:?} needs one")]
    NoStub {
        /// The firmware asked for: `hybrid` or `uefi`.
        firmware: &'static str,
    },
    /// Nothing says what is to run.
    #[error("nothing says what the image is to run")]
    NoCommand,
    /// The command line has no program.
    #[error("the command's program is an empty string")]
    EmptyProgram,
    /// A NUL byte, which no argument can hold.
    #[error("{field}: a NUL byte in {value:?}")]
    Nul {
        /// `entrypoint`, `command`, …
        field: &'static str,
        /// The argument.
        value: String,
    },
    /// Two things that exclude each other were both said.
    #[error(
        "`init` hands the machine over to the image's own init, so {field} can't be given with it"
    )]
    InitAndApplication {
        /// The other field.
        field: &'static str,
    },
    /// `SOURCE_DATE_EPOCH` is no time.
    #[error(
        "SOURCE_DATE_EPOCH={text:?}: not a number of seconds from 0 to {}",
        u32::MAX
    )]
    Epoch {
        /// What it says.
        text: OsString,
    },
    /// The container image's configuration has an invalid value.
    #[error("the container image's configuration: {field}")]
    Container {
        /// The field, named as in the OCI image configuration.
        field: &'static str,
        /// What is wrong.
        source: super::ValueError,
    },
}

impl SpecError {
    /// Whose fault it is: always the input's, for a person named the file.
    pub fn class(&self) -> Class {
        Class::Input
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            SpecError::Invalid { hint, .. } => return hint.clone(),
            SpecError::NoInput => {
                "imgtool build INPUT, where INPUT is a program, a directory, an archive or a \
                 container image; or set `input` in image.toml (`imgtool init` writes one)"
            }
            SpecError::NoKernel => {
                "`apt-get download linux-image-cloud-amd64` and the versioned package it depends \
                 on, then --kernel FILE.deb, or `kernel = \"FILE.deb\"` in image.toml or in the \
                 host's configuration"
            }
            SpecError::NoStub { .. } => {
                "`apt-get download systemd-boot-efi`, then --stub FILE.deb, or \
                 `stub = \"FILE.deb\"` in image.toml or in the host's configuration; or \
                 --firmware bios"
            }
            SpecError::NoCommand => {
                "end the command line with `-- COMMAND ARGS…`, or set `command` in image.toml; \
                 `init = \"/sbin/init\"` boots the image's own init instead"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
