//! `imgtool ls`

use std::ffi::OsString;
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use clap::Args;
use imgtool::Class;
use imgtool::inspect::{InspectError, Listing, Query, list_image};
use serde_json::json;

/// List the files in a disk image or pack
///
///   imgtool ls web.img                    all of the root file system
///   imgtool ls web.pack /etc              a directory and what is below it
///   imgtool ls web.img --partition esp    what the firmware reads
///
/// A line for each file, sorted by path: mode, owner/group, bytes (or a device's numbers), path, and
/// where a symbolic link leads. Control characters and backslashes are escaped.
///
/// Reads raw disk images with a GUID partition table and packs with their manifest (PACK.json)
/// beside them; needs neither root nor a loop device, and unpacks nothing. Of a pack only what is
/// needed is read, and each block is checked.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct LsArgs {
    /// The raw disk image, or the pack
    #[arg(value_name = "IMAGE|PACK")]
    image: PathBuf,
    /// What to list. A symbolic link is shown as one, unless a slash is behind it
    #[arg(default_value = "/")]
    path: OsString,
    /// Another partition than that of the root file system, ext4 or FAT, by number or name
    #[arg(long, value_name = "N|NAME")]
    partition: Option<String>,
    /// Print the list as JSON
    #[arg(long)]
    json: bool,
}

/// Why a list is not there, or not whole.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LsError {
    /// The image can't be read.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// The list can't be printed.
    #[error("standard output can't be written")]
    Print(#[from] io::Error),
}

impl LsError {
    /// Whose fault it is.
    pub(crate) fn class(&self) -> Class {
        match self {
            LsError::Inspect(e) => e.class(),
            LsError::Print(_) => Class::Failed,
        }
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            LsError::Inspect(e) => e.hint(),
            LsError::Print(_) => None,
        }
    }
}

impl LsArgs {
    /// Lists the files on `out`. What was found before an error is printed.
    pub(super) fn run(&self, out: &mut impl Write) -> Result<(), LsError> {
        let query = Query {
            partition: self.partition.clone(),
            path: self.path.clone().into_vec(),
        };
        let listing = list_image(&self.image, &query)?;
        let mut out = BufWriter::new(out);
        if self.json {
            print_json(listing, &mut out)?;
        } else {
            for entry in listing {
                writeln!(out, "{}", entry?)?;
            }
        }
        Ok(out.flush()?)
    }
}

/// One object, a file on each line, so that not all of them have to be held.
fn print_json(listing: Listing, out: &mut impl Write) -> Result<(), LsError> {
    let (partition, file_system) = (listing.in_partition(), listing.file_system());
    let partition = json!({
        "number": partition.number,
        "name": partition.name,
        "file_system": file_system,
    });
    write!(out, "{{\"partition\":{partition},\"files\":[")?;
    let mut separator = "\n";
    for entry in listing {
        out.write_all(separator.as_bytes())?;
        serde_json::to_writer(&mut *out, &entry?).map_err(io::Error::from)?;
        separator = ",\n";
    }
    writeln!(out, "\n]}}")?;
    Ok(())
}
