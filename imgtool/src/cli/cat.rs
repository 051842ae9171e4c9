//! `imgtool cat`

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use clap::Args;
use imgtool::inspect::FileSystem;

use super::Failure;

/// Print a file of a disk image or pack
///
///   imgtool cat web.img /etc/os-release
///   imgtool cat web.pack /app > app
///   imgtool cat web.img --partition esp EFI/BOOT/BOOTX64.EFI | sha256sum
///
/// Symbolic links are followed inside the image, as a program that runs in it would. Nothing is
/// unpacked to a file: of a pack only what is needed is read, and each block is checked.
/// `imgtool extract` copies files with all that belongs to them.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct CatArgs {
    /// The raw disk image, or the pack
    #[arg(value_name = "IMAGE|PACK")]
    image: PathBuf,
    /// The file
    path: OsString,
    /// Another partition than that of the root file system, ext4 or FAT, by number or name
    #[arg(long, value_name = "N|NAME")]
    partition: Option<String>,
}

impl CatArgs {
    /// Prints the file on `out`.
    pub(super) fn run(&self, out: &mut impl Write) -> Result<(), Failure> {
        let mut fs = FileSystem::open(&self.image, self.partition.as_deref())?;
        let entry = fs.entry(self.path.as_bytes(), true)?;
        let mut content = fs.content(&entry)?;
        let mut buf = vec![0; FileSystem::BUFFER];
        let mut printed = 0;
        while let Some((at, len)) = fs.read(&mut content, &mut buf)? {
            zeros(at - printed, out)
                .and_then(|()| out.write_all(&buf[..len]))
                .map_err(Failure::stdout)?;
            printed = at + len as u64;
        }
        zeros(entry.size - printed, out)
            .and_then(|()| out.flush())
            .map_err(Failure::stdout)
    }
}

/// Prints a hole.
fn zeros(len: u64, out: &mut impl Write) -> io::Result<()> {
    io::copy(&mut io::Read::take(io::repeat(0), len), out).map(drop)
}
