//! `imgtool ls`

use std::ffi::OsString;
use std::io::{BufWriter, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use clap::Args;
use imgtool::inspect::{Listing, Query, list_image};
use serde_json::json;

use super::Failure;

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

impl LsArgs {
    /// Lists the files on `out`. What was found before an error is printed.
    pub(super) fn run(&self, out: &mut impl Write) -> Result<(), Failure> {
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
                writeln!(out, "{}", entry?).map_err(Failure::stdout)?;
            }
        }
        out.flush().map_err(Failure::stdout)
    }
}

/// One object, a file on each line, so that not all of them have to be held.
fn print_json(listing: Listing, out: &mut impl Write) -> Result<(), Failure> {
    let (partition, file_system) = (listing.in_partition(), listing.file_system());
    let partition = json!({
        "number": partition.number,
        "name": partition.name,
        "file_system": file_system,
    });
    write!(out, "{{\"partition\":{partition},\"files\":[").map_err(Failure::stdout)?;
    let mut separator = "\n";
    for entry in listing {
        let entry =
            serde_json::to_string(&entry?).map_err(|error| Failure::stdout(error.into()))?;
        write!(out, "{separator}{entry}").map_err(Failure::stdout)?;
        separator = ",\n";
    }
    writeln!(out, "\n]}}").map_err(Failure::stdout)
}
