//! What an inspection found. Field names are those of `--json`.

use crate::pack::{InputRecord, Manifest, PackRecord, SnapshotRecord};
use imgtool_init::config::GuestConfig;
use serde::Serialize;

/// What a disk image holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageReport {
    /// Bytes.
    pub size: u64,
    /// What the manifest says, if the image is a pack.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pack: Option<PackReport>,
    /// Disk GUID.
    pub disk_guid: String,
    /// Under what firmware it can boot, as far as the disk tells.
    pub boot: Boot,
    /// The kernel, if one was found.
    pub kernel: Option<KernelReport>,
    /// What imgtool's init is to do, if the initramfs has its configuration.
    pub guest: Option<GuestConfig>,
    /// The partitions by number.
    pub partitions: Vec<PartitionReport>,
    /// SHA-256 of all bytes, if asked for.
    pub sha256: Option<String>,
    /// What is odd, and what could not be shown and why.
    pub problems: Vec<String>,
}

/// What a pack's manifest says of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PackReport {
    /// Name of the image.
    pub name: String,
    /// The digest that every identifier in the image is derived from.
    pub identity: String,
    /// How the image boots.
    pub boot_modes: Vec<String>,
    /// What the image was made from.
    pub inputs: Vec<InputRecord>,
    /// What a snapshot of the image is to have.
    pub snapshot: SnapshotRecord,
    /// The packs that hold its blocks.
    pub packs: Vec<PackRecord>,
    /// Blocks of 512 KiB with data.
    pub data_blocks: u64,
    /// Blocks of zeros that are content.
    pub zero_blocks: u64,
    /// Blocks that no reader may look at.
    pub free_blocks: u64,
}

impl PackReport {
    /// What `manifest` says.
    pub(super) fn new(manifest: &Manifest) -> PackReport {
        let count = |runs: &[(u64, u64)]| runs.iter().map(|&(_, count)| count).sum();
        PackReport {
            name: manifest.name.clone(),
            identity: manifest.identity.clone(),
            boot_modes: manifest.boot_modes.clone(),
            inputs: manifest.inputs.clone(),
            snapshot: manifest.snapshot.clone(),
            packs: manifest.packs.clone(),
            data_blocks: manifest.blocks.data.len() as u64,
            zero_blocks: count(&manifest.blocks.zero),
            free_blocks: count(&manifest.blocks.free),
        }
    }
}

/// Under what firmware a disk can boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Boot {
    /// The first sector has boot code and the boot signature.
    pub bios: bool,
    /// The ESP has `\EFI\BOOT\BOOTX64.EFI`.
    pub uefi: bool,
}

/// The kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KernelReport {
    /// The file it was found in.
    pub file: String,
    /// Its version (`uname -r`).
    pub version: Option<String>,
    /// Its command line, where a file has it.
    pub command_line: Option<String>,
}

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionReport {
    /// Number, from 1.
    pub number: u32,
    /// Name in the partition table.
    pub name: String,
    /// Type GUID.
    pub type_guid: String,
    /// What the type GUID stands for, if it is one that imgtool uses.
    pub type_name: Option<&'static str>,
    /// Partition GUID.
    pub guid: String,
    /// First LBA.
    pub first_lba: u64,
    /// Last LBA, which still belongs to it.
    pub last_lba: u64,
    /// First byte.
    pub start: u64,
    /// Bytes.
    pub size: u64,
    /// What it holds, if it is known.
    pub content: Option<Content>,
    /// SHA-256 of all its bytes, if asked for.
    pub sha256: Option<String>,
}

/// What a partition holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "file_system", rename_all = "kebab-case")]
pub enum Content {
    /// A FAT volume.
    Fat(FatReport),
    /// An ext4 file system.
    Ext4(Ext4Report),
}

/// A FAT volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FatReport {
    /// `FAT12`, `FAT16` or `FAT32`.
    pub variant: &'static str,
    /// Serial number, as two groups of four hexadecimal digits.
    pub serial: String,
    /// Volume label.
    pub label: String,
    /// Bytes per cluster.
    pub cluster_size: u32,
    /// The files, directories before what is in them.
    pub files: Vec<FileReport>,
    /// The UKI at `\EFI\BOOT\BOOTX64.EFI`.
    pub uki: Option<UkiReport>,
}

/// A file on a FAT volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileReport {
    /// Path from the volume's root, with `/` between names; directories end in `/`.
    pub path: String,
    /// Bytes; 0 for a directory.
    pub size: u64,
}

/// A unified kernel image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UkiReport {
    /// Its path on the ESP.
    pub path: String,
    /// Its PE sections in order.
    pub sections: Vec<SectionReport>,
}

/// A PE section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SectionReport {
    /// Name.
    pub name: String,
    /// Offset in the UKI's file.
    pub offset: u64,
    /// Bytes of content, without padding.
    pub size: u64,
    /// SHA-256 of the content.
    pub sha256: String,
}

/// An ext4 file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ext4Report {
    /// UUID.
    pub uuid: String,
    /// Volume label.
    pub label: String,
    /// Bytes per block.
    pub block_size: u32,
    /// Blocks.
    pub blocks: u64,
    /// Free blocks.
    pub free_blocks: u64,
    /// Inodes.
    pub inodes: u32,
    /// Free inodes.
    pub free_inodes: u32,
    /// `PRETTY_NAME` of `/etc/os-release`.
    pub os: Option<String>,
}
