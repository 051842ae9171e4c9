//! Looking into a disk image: partitions, file systems and their files, what boots, and what it
//! runs.
//!
//! Works on any reader, trusts nothing in it, and allocates by limits, not by what a field says.
//! What makes the rest meaningless (a broken partition table, say) is an error; what only keeps
//! one fact from being shown is listed in the report's `problems`.

mod cpio;
mod digest;
mod entry;
mod error;
mod escape;
mod ext4;
mod fat;
mod file_system;
mod kernel;
mod list;
mod report;
mod select;
mod table;
mod text;
mod uki;
mod window;

pub use cpio::{CpioError, find as find_in_initrd};
pub use entry::{Attribute, Attributes, Device, Entry, FileKind, Unix};
pub use error::{ImageError, InspectError};
pub(crate) use escape::Escaped;
pub use ext4::NotFound;
pub use file_system::{FileContent, FileSystem, Files};
pub use kernel::kernel_version;
pub use list::{Listing, Query, list, list_image};
pub use report::{
    Boot, Content, Ext4Report, FatReport, FileReport, ImageReport, KernelReport, PackReport,
    PartitionReport, SectionReport, UkiReport,
};
pub use select::Missing;
pub use text::render;
pub use window::ReadSeek;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::pack::{self, PackDisk, manifest_path};
use error::Fault;
use fat::Fat;
use imgtool_init::config;
use window::Window;

/// The largest UKI, kernel or initramfs that is read, in bytes.
const MAX_BOOT_FILE: u64 = 512 << 20;

/// What to look at, besides what is cheap.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// SHA-256 of the whole image and of each partition: reads all of it.
    pub digests: bool,
}

/// An image file.
enum Image {
    /// A raw disk.
    Raw(File),
    /// A pack, with its manifest beside it.
    Pack(Box<PackDisk>),
}

impl Image {
    /// Opens the file at `path`, whatever it is called.
    fn open(path: &Path) -> Result<Image, InspectError> {
        let open = |source| InspectError::Open {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(open)?;
        if !file.metadata().map_err(open)?.is_file() {
            return Err(InspectError::NotAFile(path.to_owned()));
        }
        if starts_as_pack(&file).map_err(open)? {
            let manifest = pack::read_manifest(&manifest_path(path))?;
            return Ok(Image::Pack(Box::new(PackDisk::open(manifest, path)?)));
        }
        Ok(Image::Raw(file))
    }
}

/// Looks into the image file at `path`: a raw disk, or a pack with its manifest beside it.
pub fn inspect_image(path: &Path, options: Options) -> Result<ImageReport, InspectError> {
    let failed = |source| InspectError::of(path, source);
    let unread = |source| failed(ImageError::Read(source));
    match Image::open(path)? {
        Image::Raw(file) => {
            let mut report = inspect(file.try_clone().map_err(unread)?).map_err(failed)?;
            if options.digests {
                digest::add(&mut digest::Sparse(&file), &mut report).map_err(unread)?;
            }
            Ok(report)
        }
        Image::Pack(disk) => {
            let manifest = disk.manifest().clone();
            let mut report = inspect(*disk).map_err(failed)?;
            report.pack = Some(PackReport::new(&manifest));
            if options.digests {
                let mut disk = PackDisk::open(manifest, path)?;
                digest::add(&mut disk, &mut report).map_err(unread)?;
            }
            Ok(report)
        }
    }
}

/// Whether the file begins with a zstd frame (RFC 8878, 3.1.1), as no partitioned disk does.
fn starts_as_pack(file: &File) -> io::Result<bool> {
    let mut magic = [0; 4];
    match file.read_exact_at(&mut magic, 0) {
        Ok(()) => Ok(magic == [0x28, 0xb5, 0x2f, 0xfd]),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(e) => Err(e),
    }
}

/// Looks into an image behind any reader, without digests.
pub fn inspect(image: impl ReadSeek) -> Result<ImageReport, ImageError> {
    let mut disk = Window::whole(image).map_err(ImageError::Read)?;
    let table = table::read(&mut disk)?;
    let mut report = ImageReport {
        size: disk.len(),
        pack: None,
        disk_guid: table.disk_guid,
        boot: Boot {
            bios: table.boot_code,
            uefi: false,
        },
        kernel: None,
        guest: None,
        partitions: table.partitions,
        sha256: None,
        problems: table.problems,
    };
    let mut partitions = std::mem::take(&mut report.partitions);
    for partition in &mut partitions {
        let window = disk
            .part(partition.start, partition.size)
            .map_err(ImageError::Read)?;
        partition.content = look(window, partition, &mut report)
            .map_err(|fault| fault.in_partition(partition.number, &partition.name))?;
    }
    report.partitions = partitions;
    Ok(report)
}

/// What a partition holds; what it says about the image as a whole goes to `report`.
fn look(
    mut window: Window,
    partition: &PartitionReport,
    report: &mut ImageReport,
) -> Result<Option<Content>, Fault> {
    if partition.is_fat() {
        let mut fat = Fat::open(window)?;
        let mut content = fat.report()?;
        if partition.is_esp()
            && let Some(entry) = fat.find("EFI/BOOT/BOOTX64.EFI")?
        {
            report.boot.uefi = true;
            let data = fat.read(&entry, MAX_BOOT_FILE)?;
            content.uki = uki::look(&data, &entry.path, report)?;
        } else {
            boot_files(&mut fat, report)?;
        }
        return Ok(Some(Content::Fat(content)));
    }
    if ext4::is_ext4(&mut window)? {
        let content = ext4::look(window, &partition.label(), &mut report.problems)?;
        return Ok(Some(Content::Ext4(content)));
    }
    Ok(None)
}

/// Kernel and initramfs as plain files, as a BIOS-only image has them. Its command line is in the
/// BIOS stage only.
fn boot_files(fat: &mut Fat, report: &mut ImageReport) -> Result<(), Fault> {
    if let Some(entry) = fat.find("VMLINUZ")? {
        let data = fat.read(&entry, MAX_BOOT_FILE)?;
        report.kernel = Some(KernelReport {
            file: entry.path,
            version: kernel_version(&data),
            command_line: None,
        });
    }
    if let Some(entry) = fat.find("INITRD.IMG")? {
        let data = fat.read(&entry, MAX_BOOT_FILE)?;
        guest(&data, &entry.path, report);
    }
    Ok(())
}

/// What the initramfs tells PID 1 to run.
fn guest(initrd: &[u8], file: &str, report: &mut ImageReport) {
    match find_in_initrd(initrd, config::PATH) {
        Ok(None) => {}
        Ok(Some(json)) => match serde_json::from_slice(&json) {
            Ok(config) => report.guest = Some(config),
            Err(e) => report
                .problems
                .push(format!("{file}: {}: {e}", config::PATH)),
        },
        Err(e) => report.problems.push(format!("{file}: {e}")),
    }
}

#[cfg(test)]
mod tests;
