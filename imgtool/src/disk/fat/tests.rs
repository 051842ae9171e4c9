use super::*;
use crate::disk::Extent;
use std::io::{Read, Write};
use std::process::Command;

fn spec(kernel: Vec<u8>) -> FatSpec {
    FatSpec {
        label: *b"ESP        ",
        serial: 0x1234_5678,
        timestamp: 0,
        hidden_sectors: 2048,
        files: vec![
            BootFile {
                path: &["EFI", "BOOT", "BOOTX64.EFI"],
                bytes: kernel.into(),
            },
            BootFile {
                path: &["EFI", "BOOT", "EMPTY.TXT"],
                bytes: Vec::new().into(),
            },
            BootFile {
                path: &["NOTE.TXT"],
                bytes: b"hello".to_vec().into(),
            },
        ],
    }
}

fn bytes(plan: &FatPlan) -> Vec<u8> {
    let mut out = vec![0; plan.len as usize];
    for Extent {
        offset,
        len,
        source,
    } in plan.extents.clone().into_extents()
    {
        if let ExtentSource::Bytes { bytes, at } = source {
            let to = &mut out[offset as usize..(offset + len) as usize];
            to.copy_from_slice(&bytes[at..at + len as usize]);
        }
    }
    out
}

#[test]
fn another_reader_finds_the_files_where_the_plan_says() {
    let kernel: Vec<u8> = (0..3_000_001u32).map(|i| (i * 7) as u8).collect();
    let plan = plan(&spec(kernel.clone())).unwrap();
    let mut image = bytes(&plan);
    let at = plan.file_offsets[0] as usize;
    assert_eq!(image[at..at + kernel.len()], kernel);

    let fs = fatfs::FileSystem::new(
        std::io::Cursor::new(&mut image[..]),
        fatfs::FsOptions::new(),
    )
    .unwrap();
    let mut read = Vec::new();
    let root = fs.root_dir();
    root.open_file("EFI/BOOT/BOOTX64.EFI")
        .unwrap()
        .read_to_end(&mut read)
        .unwrap();
    assert_eq!(read, kernel);
    read.clear();
    root.open_file("NOTE.TXT")
        .unwrap()
        .read_to_end(&mut read)
        .unwrap();
    assert_eq!(read, b"hello");
    assert_eq!(fs.fat_type(), fatfs::FatType::Fat32);
}

#[test]
fn fsck_fat_finds_nothing_to_say() {
    for size in [0, 1, 512, 513, 40 << 20] {
        let plan = plan(&spec(vec![1; size])).unwrap();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&bytes(&plan)).unwrap();
        let Some(out) = testutils::oracle(Command::new("fsck.fat").arg("-nv").arg(file.path()))
        else {
            return;
        };
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(out.status.success(), "{size}: {text}");
        for complaint in [
            "differ",
            "dirty",
            "wrong",
            "invalid",
            "Free cluster summary",
        ] {
            assert!(!text.contains(complaint), "{size}: {text}");
        }
    }
}
