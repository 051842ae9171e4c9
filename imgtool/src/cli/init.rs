//! `imgtool init`

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use error_class::{Class, Classified};
use imgtool::spec::TEMPLATE;

use super::Failure;

/// Write a commented image.toml to start from
///
/// Every field is there, commented out, with its default or an example. None is needed: an empty
/// image.toml is a valid one, and `imgtool build INPUT` needs none at all.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// The file to write
    #[arg(value_name = "FILE", default_value = "image.toml")]
    file: PathBuf,

    /// Overwrite the file if it is there
    #[arg(long)]
    force: bool,

    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
}

/// Why no image.toml was written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InitError {
    /// The file is there already.
    #[error("{}: is there already", .0.display())]
    Exists(PathBuf),
    /// It can't be written.
    #[error("{}: can't be written", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
}

impl Classified for InitError {
    fn class(&self) -> Class {
        Class::Input
    }

    fn hint(&self) -> Option<String> {
        match self {
            InitError::Exists(_) => Some("--force overwrites it".to_owned()),
            InitError::Write { .. } => None,
        }
    }
}

/// Writes the file and says so on `out`.
pub(crate) fn run(args: &InitArgs, out: &mut impl Write) -> Result<(), Failure> {
    write_template(&args.file, args.force)?;
    let shown = args.file.display().to_string();
    if args.json {
        writeln!(out, "{}", serde_json::json!({ "written": shown }))
    } else {
        writeln!(out, "{shown}")
    }
    .map_err(Failure::stdout)
}

fn write_template(path: &Path, force: bool) -> Result<(), InitError> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true);
    if force {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    let written = options
        .open(path)
        .and_then(|mut file| file.write_all(TEMPLATE.as_bytes()));
    match written {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            Err(InitError::Exists(path.to_owned()))
        }
        Err(source) => Err(InitError::Write {
            path: path.to_owned(),
            source,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(file: PathBuf, force: bool) -> InitArgs {
        InitArgs {
            file,
            force,
            json: false,
        }
    }

    #[test]
    fn init_never_overwrites_unless_forced() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("image.toml");
        let mut out = Vec::new();
        run(&args(file.clone(), false), &mut out).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), TEMPLATE);
        std::fs::write(&file, "mine").unwrap();
        let error = run(&args(file.clone(), false), &mut out).unwrap_err();
        assert_eq!(error.exit_code(), Class::Input.exit_code());
        assert_eq!(
            write_template(&file, false).unwrap_err().hint().as_deref(),
            Some("--force overwrites it")
        );
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
        run(&args(file.clone(), true), &mut out).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), TEMPLATE);
    }
}
