//! Where everything goes: boot code, partition table, boot partition, root.
//!
//! | from | what |
//! |---|---|
//! | LBA 0 | protective MBR with the BIOS boot code, primary GPT |
//! | LBA 40 | BIOS boot partition: the second stage (not in a UEFI-only image) |
//! | 1 MiB | boot partition, FAT32: the UKI, or kernel and initramfs for BIOS alone |
//! | next MiB | root, ext4 |
//! | last MiB | backup GPT |
//!
//! The root comes last, so that it can grow; everything before it depends on the kernel and the
//! configuration alone, so that a new version of the application does not move it.

use super::ext4::{self, Ext4Spec, Len};
use super::fat::{self, BootFile, FatSpec};
use super::{ALIGN, DiskError, Extent, ExtentMap, SECTOR, gpt};
use crate::bios;
use crate::tree::Tree;
use std::ops::Range;
use std::sync::Arc;
use uuid::{Uuid, uuid};

/// LBA of the BIOS boot partition, behind the partition table.
const BIOS_LBA: u64 = 40;

/// Every identifier in an image.
#[derive(Debug, Clone)]
pub struct Ids {
    /// GPT disk GUID.
    pub disk: Uuid,
    /// GUID of the BIOS boot partition.
    pub bios: Uuid,
    /// GUID of the boot partition.
    pub boot: Uuid,
    /// GUID of the root partition: the guest finds its root by it.
    pub root: Uuid,
    /// FAT volume serial number.
    pub fat_serial: u32,
    /// ext4 UUID.
    pub ext4: Uuid,
    /// ext4 directory hash seed.
    pub hash_seed: [u32; 4],
}

/// How large the disk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// As large as the content needs, and this many bytes more in the root.
    Fit {
        /// Bytes of room.
        extra: u64,
    },
    /// Just so many bytes; rounded down to whole MiB.
    Exact(u64),
}

/// What the firmware starts.
#[derive(Debug, Clone)]
pub enum Boot {
    /// A unified kernel image in the EFI system partition.
    Uki {
        /// The file.
        bytes: Arc<[u8]>,
        /// Where in it the kernel is.
        linux: Range<u64>,
        /// Where in it the initramfs is.
        initrd: Range<u64>,
        /// Command line for the BIOS stage, which then starts the kernel in the same file;
        /// `None` for an image that boots by UEFI alone.
        bios: Option<String>,
    },
    /// Kernel and initramfs as files, for BIOS alone.
    Bios {
        /// The kernel.
        kernel: Arc<[u8]>,
        /// The initramfs.
        initrd: Arc<[u8]>,
        /// Command line.
        cmdline: String,
    },
}

/// All that a plan is made from, besides the tree.
#[derive(Debug, Clone)]
pub struct DiskSpec {
    /// Identifiers.
    pub ids: Ids,
    /// Size of the disk.
    pub size: Size,
    /// Label of the root file system: at most 16 bytes.
    pub label: String,
    /// Every time in the image: seconds since 1970.
    pub timestamp: u32,
    /// What the firmware starts.
    pub boot: Boot,
}

/// What a partition is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// BIOS boot partition.
    BiosBoot,
    /// EFI system partition.
    Esp,
    /// Extended boot loader partition: the boot files of an image without UEFI.
    Boot,
    /// Root file system.
    Root,
}

impl Role {
    /// Partition name.
    pub fn name(self) -> &'static str {
        match self {
            Role::BiosBoot => "bios",
            Role::Esp => "esp",
            Role::Boot => "boot",
            Role::Root => "root",
        }
    }

    /// Partition type (the Discoverable Partitions Specification has all but the first).
    pub(super) fn type_guid(self) -> ::gpt::partition_types::Type {
        use ::gpt::partition_types::{OperatingSystem, Type};
        match self {
            Role::BiosBoot => ::gpt::partition_types::BIOS,
            Role::Esp => ::gpt::partition_types::EFI,
            Role::Boot => Type {
                guid: uuid!("bc13c2ff-59e6-4262-a352-b275fd6f7172"),
                os: OperatingSystem::Linux,
            },
            Role::Root => ::gpt::partition_types::LINUX_ROOT_X64,
        }
    }
}

/// A partition of a plan.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Partition {
    /// Number in the table, from 1.
    pub number: u32,
    /// What it is for.
    pub role: Role,
    /// Its GUID.
    pub guid: Uuid,
    /// Where it starts, in bytes.
    pub offset: u64,
    /// How long it is, in bytes.
    pub len: u64,
}

/// A whole disk, planned.
#[derive(Debug)]
pub struct DiskPlan {
    /// Size in bytes, a multiple of 1 MiB.
    pub len: u64,
    /// Partitions in disk order.
    pub partitions: Vec<Partition>,
    /// What lies where: ordered, without overlap or gap.
    pub extents: Vec<Extent>,
    /// Bytes of the root file system that are free.
    pub root_free: u64,
    /// Inodes of the root file system in use.
    pub root_inodes: u64,
    /// LBA and length in bytes of the kernel on the disk.
    pub kernel: (u64, u64),
    /// LBA and length in bytes of the initramfs on the disk.
    pub initrd: (u64, u64),
}

/// The boot partition and where in it kernel and initramfs are.
struct BootVolume {
    role: Role,
    plan: fat::FatPlan,
    kernel: Range<u64>,
    initrd: Range<u64>,
}

/// Plans a disk.
pub fn plan(tree: &Tree, spec: &DiskSpec) -> Result<DiskPlan, DiskError> {
    let boot = boot_volume(spec)?;
    let root_offset = ALIGN + boot.plan.len;
    let overhead = root_offset + ALIGN;
    let len = match spec.size {
        Size::Fit { extra } => Len::Fit { extra },
        Size::Exact(len) => Len::Exact(len.saturating_sub(overhead)),
    };
    let root = ext4::plan(
        tree,
        &Ext4Spec {
            uuid: *spec.ids.ext4.as_bytes(),
            hash_seed: spec.ids.hash_seed,
            timestamp: spec.timestamp,
            label: spec.label.clone(),
            len,
        },
    )
    .map_err(|e| match (e, spec.size) {
        (DiskError::TooSmall { needed, .. }, Size::Exact(allowed)) => DiskError::TooSmall {
            needed: needed + overhead,
            allowed,
        },
        (e, _) => e,
    })?;
    let disk_len = root_offset + root.len + ALIGN;

    let sector_range =
        |range: &Range<u64>| ((ALIGN + range.start) / SECTOR, range.end - range.start);
    let (kernel, initrd) = (sector_range(&boot.kernel), sector_range(&boot.initrd));
    let stage = boot_stage(spec, kernel, initrd)?;

    let mut partitions = Vec::new();
    let mut add = |role, guid, offset, len| {
        let number = partitions.len() as u32 + 1;
        partitions.push(Partition {
            number,
            role,
            guid,
            offset,
            len,
        });
    };
    if stage.is_some() {
        add(
            Role::BiosBoot,
            spec.ids.bios,
            BIOS_LBA * SECTOR,
            ALIGN - BIOS_LBA * SECTOR,
        );
    }
    add(boot.role, spec.ids.boot, ALIGN, boot.plan.len);
    add(Role::Root, spec.ids.root, root_offset, root.len);
    let mbr = stage.as_ref().map(|s| &s.mbr);
    let table = gpt::table(disk_len, spec.ids.disk, &partitions, mbr)?;

    let mut map = ExtentMap::default();
    let head = table.head.len() as u64;
    map.push_bytes(0, table.head, head)?;
    if let Some(stage) = stage {
        let n = stage.stage2.len() as u64;
        map.push_bytes(BIOS_LBA * SECTOR, stage.stage2, n)?;
    }
    map.append_map(ALIGN, boot.plan.extents)?;
    map.append_map(root_offset, root.extents)?;
    let tail = table.tail.len() as u64;
    map.push_bytes(disk_len - tail, table.tail, tail)?;
    Ok(DiskPlan {
        len: disk_len,
        partitions,
        extents: map.into_extents(),
        root_free: root.free,
        root_inodes: root.inodes,
        kernel,
        initrd,
    })
}

fn boot_volume(spec: &DiskSpec) -> Result<BootVolume, DiskError> {
    let fat = |label: &[u8; 11], files| {
        fat::plan(&FatSpec {
            label: *label,
            serial: spec.ids.fat_serial,
            timestamp: spec.timestamp,
            hidden_sectors: (ALIGN / SECTOR) as u32,
            files,
        })
    };
    let shift = |range: &Range<u64>, by: u64| range.start + by..range.end + by;
    match &spec.boot {
        Boot::Uki {
            bytes,
            linux,
            initrd,
            ..
        } => {
            let path = &["EFI", "BOOT", "BOOTX64.EFI"];
            let plan = fat(
                b"ESP        ",
                vec![BootFile {
                    path,
                    bytes: bytes.clone(),
                }],
            )?;
            let at = plan.file_offsets[0];
            let (kernel, initrd) = (shift(linux, at), shift(initrd, at));
            Ok(BootVolume {
                role: Role::Esp,
                plan,
                kernel,
                initrd,
            })
        }
        Boot::Bios { kernel, initrd, .. } => {
            let files = vec![
                BootFile {
                    path: &["VMLINUZ"],
                    bytes: kernel.clone(),
                },
                BootFile {
                    path: &["INITRD.IMG"],
                    bytes: initrd.clone(),
                },
            ];
            let plan = fat(b"BOOT       ", files)?;
            let kernel = shift(&(0..kernel.len() as u64), plan.file_offsets[0]);
            let initrd = shift(&(0..initrd.len() as u64), plan.file_offsets[1]);
            Ok(BootVolume {
                role: Role::Boot,
                plan,
                kernel,
                initrd,
            })
        }
    }
}

fn boot_stage(
    spec: &DiskSpec,
    kernel: (u64, u64),
    initrd: (u64, u64),
) -> Result<Option<bios::BootCode>, DiskError> {
    let cmdline = match &spec.boot {
        Boot::Uki {
            bios: Some(cmdline),
            ..
        }
        | Boot::Bios { cmdline, .. } => cmdline,
        Boot::Uki { bios: None, .. } => return Ok(None),
    };
    let targets = bios::BootTargets {
        stage2_lba: BIOS_LBA,
        kernel_lba: kernel.0,
        kernel_len: kernel.1,
        initrd_lba: initrd.0,
        initrd_len: initrd.1,
        cmdline: cmdline.as_bytes(),
    };
    let code = bios::boot_code(&targets).map_err(|e| DiskError::Bios(e.to_string()))?;
    Ok(Some(code))
}

#[cfg(test)]
mod tests;
