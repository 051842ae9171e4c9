//! The partition table, and the boot code before it.

use gpt::disk::LogicalBlockSize;

use super::error::ImageError;
use super::report::PartitionReport;
use super::window::Window;

const SECTOR: u64 = 512;

/// The UEFI specification (5.3.1) asks for room for 128 entries; nobody makes more than this.
const MAX_ENTRIES: u32 = 1024;

const BIOS_BOOT: &str = "21686148-6449-6e6f-744e-656564454649";
const ESP: &str = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b";
const XBOOTLDR: &str = "bc13c2ff-59e6-4262-a352-b275fd6f7172";
const LINUX: &str = "0fc63daf-8483-4772-8e79-3d69d8477de4";
pub(super) const ROOT_X86_64: &str = "4f68bce3-e8cd-4db1-96e7-fbcaf984b709";

impl PartitionReport {
    /// Whether its type says that it holds a FAT volume.
    pub(super) fn is_fat(&self) -> bool {
        self.is_esp() || self.type_guid == XBOOTLDR
    }

    pub(super) fn is_esp(&self) -> bool {
        self.type_guid == ESP
    }

    /// Number and name, for a message.
    pub(super) fn label(&self) -> String {
        format!("partition {} ({:?})", self.number, self.name)
    }
}

/// What the first and last sectors say.
pub(super) struct Table {
    pub(super) disk_guid: String,
    /// Whether the first sector has boot code and the boot signature.
    pub(super) boot_code: bool,
    pub(super) partitions: Vec<PartitionReport>,
    pub(super) problems: Vec<String>,
}

/// Reads the GUID partition table; its partitions lie in the disk and apart from each other.
pub(super) fn read(disk: &mut Window) -> Result<Table, ImageError> {
    if disk.len() < 3 * SECTOR {
        return Err(ImageError::NoTable);
    }
    let backup = (disk.len() - SECTOR) / SECTOR;
    check_header(disk, 1)?;
    check_header(disk, backup)?;
    let mbr = disk.array::<512>(0).map_err(ImageError::Read)?;
    let boot_code = mbr[..440].iter().any(|&b| b != 0) && mbr[510..] == [0x55, 0xaa];

    let gpt = gpt::GptConfig::new()
        .writable(false)
        .logical_block_size(LogicalBlockSize::Lb512)
        .open_from_device(disk.clone())
        .map_err(|e| match e {
            gpt::GptError::Header(gpt::header::HeaderError::InvalidGptSignature) => {
                ImageError::NoTable
            }
            gpt::GptError::Io(e) if e.raw_os_error().is_some() => ImageError::Read(e),
            e => ImageError::Table(e.to_string()),
        })?;
    let mut problems = Vec::new();
    for (which, header) in [
        ("primary", gpt.primary_header()),
        ("backup", gpt.backup_header()),
    ] {
        if let Err(e) = header {
            problems.push(format!("partition table: {which} header: {e}"));
        }
    }
    let mut partitions = Vec::new();
    for (&number, entry) in gpt.partitions() {
        if entry.is_used() {
            partitions.push(partition(number, entry, disk.len())?);
        }
    }
    check_overlap(&partitions)?;
    Ok(Table {
        disk_guid: gpt.guid().to_string(),
        boot_code,
        partitions,
        problems,
    })
}

/// Refuses a header whose numbers the gpt crate would take at their word: it allocates
/// `number × size` bytes, and panics on entries that are not 128 bytes.
fn check_header(disk: &mut Window, lba: u64) -> Result<(), ImageError> {
    let header = disk
        .array::<92>(lba.saturating_mul(SECTOR))
        .map_err(ImageError::Read)?;
    let field = |at: usize| {
        u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    let (entries, entry_size) = (field(80), field(84));
    if header.starts_with(b"EFI PART") && (entries > MAX_ENTRIES || entry_size != 128) {
        return Err(ImageError::Table(format!(
            "the header at LBA {lba} claims {entries} entries of {entry_size} bytes"
        )));
    }
    Ok(())
}

fn partition(
    number: u32,
    entry: &gpt::partition::Partition,
    disk: u64,
) -> Result<PartitionReport, ImageError> {
    let (first, last) = (entry.first_lba, entry.last_lba);
    let end = last.checked_add(1).and_then(|l| l.checked_mul(SECTOR));
    match end {
        Some(end) if first <= last && first > 0 && end <= disk => {
            // `first <= last`, and `last` in bytes is in range.
            let start = first * SECTOR;
            let type_guid = entry.part_type_guid.guid.to_string();
            Ok(PartitionReport {
                number,
                name: entry.name.clone(),
                type_name: type_name(&type_guid),
                type_guid,
                guid: entry.part_guid.to_string(),
                first_lba: first,
                last_lba: last,
                start,
                size: end - start,
                content: None,
                sha256: None,
            })
        }
        _ => Err(ImageError::Partition {
            number,
            name: entry.name.clone(),
            why: format!("LBA {first} to {last} is not a range of this disk (cut short?)"),
        }),
    }
}

fn check_overlap(partitions: &[PartitionReport]) -> Result<(), ImageError> {
    let mut order: Vec<_> = partitions.iter().collect();
    order.sort_by_key(|p| p.first_lba);
    match order
        .windows(2)
        .find(|pair| pair[0].last_lba >= pair[1].first_lba)
    {
        Some(pair) => Err(ImageError::Table(format!(
            "partitions {} and {} overlap",
            pair[0].number, pair[1].number
        ))),
        None => Ok(()),
    }
}

fn type_name(guid: &str) -> Option<&'static str> {
    match guid {
        BIOS_BOOT => Some("BIOS boot"),
        ESP => Some("EFI system partition"),
        XBOOTLDR => Some("extended boot loader"),
        LINUX => Some("Linux file system"),
        ROOT_X86_64 => Some("Linux root (x86-64)"),
        _ => None,
    }
}
