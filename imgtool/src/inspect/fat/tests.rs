use std::io::{Cursor, Write};
use std::process::Command;

use testutils::oracle_passes;

use super::*;

fn open(bytes: Vec<u8>) -> Result<Fat, Fault> {
    Fat::open(Window::whole(Cursor::new(bytes)).unwrap())
}

/// A volume written by the fatfs crate.
fn volume(size: usize, fat_type: fatfs::FatType) -> Vec<u8> {
    let mut bytes = Cursor::new(vec![0; size]);
    let options = fatfs::FormatVolumeOptions::new()
        .fat_type(fat_type)
        .bytes_per_cluster(512)
        .volume_id(0x1234_abcd)
        .volume_label(*b"BOOT       ");
    fatfs::format_volume(&mut bytes, options).unwrap();
    {
        let fs = fatfs::FileSystem::new(&mut bytes, fatfs::FsOptions::new()).unwrap();
        let root = fs.root_dir();
        root.create_dir("EFI").unwrap().create_dir("BOOT").unwrap();
        let mut file = root.create_file("EFI/BOOT/BOOTX64.EFI").unwrap();
        file.write_all(&content(5000)).unwrap();
        drop(file);
        let name = "a rather long name, längér than 13.txt";
        root.create_file(name).unwrap().write_all(b"hi").unwrap();
        root.create_file("EMPTY").unwrap();
    }
    bytes.into_inner()
}

fn content(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8).collect()
}

#[test]
fn what_fatfs_writes_is_read_in_all_variants() {
    for (size, fat_type, variant) in [
        (1 << 20, fatfs::FatType::Fat12, "FAT12"),
        (4 << 20, fatfs::FatType::Fat16, "FAT16"),
        (36 << 20, fatfs::FatType::Fat32, "FAT32"),
    ] {
        let mut fat = open(volume(size, fat_type)).unwrap();
        let report = fat.report().unwrap();
        assert_eq!(report.variant, variant);
        assert_eq!(report.serial, "1234-ABCD");
        assert_eq!(report.label, "BOOT");
        let files: Vec<_> = report
            .files
            .iter()
            .map(|f| (f.path.as_str(), f.size))
            .collect();
        let expected = [
            ("EFI/", 0),
            ("EFI/BOOT/", 0),
            ("EFI/BOOT/BOOTX64.EFI", 5000),
            ("a rather long name, längér than 13.txt", 2),
            ("EMPTY", 0),
        ];
        assert_eq!(files, expected, "{variant}");
        let entry = fat.find("efi/boot/bootx64.efi").unwrap().unwrap();
        assert_eq!(fat.read(&entry, 5000).unwrap(), content(5000), "{variant}");
        assert!(fat.read(&entry, 4999).is_err());
        let empty = fat.find("EMPTY").unwrap().unwrap();
        assert!(fat.read(&empty, 0).unwrap().is_empty());
        assert!(fat.find("NONE").unwrap().is_none());
    }
}

#[test]
fn what_dosfstools_and_mtools_write_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("fat.img");
    let file = dir.path().join("Mixed Case.Name");
    std::fs::write(&file, content(100_000)).unwrap();
    std::fs::write(&image, vec![0; 64 << 20]).unwrap();
    let mut format = Command::new("mkfs.vfat");
    format.args(["-F", "32", "-n", "ESP", "-i", "CAFEF00D"]);
    let mut copy = Command::new("mcopy");
    copy.arg("-i").args([&image, &file]).arg("::/");
    if oracle_passes(format.arg(&image)).is_none() || oracle_passes(&mut copy).is_none() {
        return;
    }
    let mut fat = open(std::fs::read(&image).unwrap()).unwrap();
    let report = fat.report().unwrap();
    assert_eq!(
        (report.serial.as_str(), report.label.as_str()),
        ("CAFE-F00D", "ESP")
    );
    let entry = fat.find("Mixed Case.Name").unwrap().unwrap();
    assert_eq!(fat.read(&entry, 1 << 20).unwrap(), content(100_000));
}

#[test]
fn a_chain_that_runs_in_circles_ends() {
    let mut bytes = volume(4 << 20, fatfs::FatType::Fat16);
    // The FAT starts after the reserved sectors; every cluster is made its own successor.
    let start = 512 * usize::from(u16::from_le_bytes([bytes[14], bytes[15]]));
    for cluster in 2u16..100 {
        let at = start + 2 * usize::from(cluster);
        bytes[at..at + 2].copy_from_slice(&cluster.to_le_bytes());
    }
    let mut fat = open(bytes).unwrap();
    assert!(matches!(fat.walk(), Err(Fault::Bad(_))));
}

#[test]
fn a_directory_that_contains_itself_ends() {
    let mut bytes = volume(1 << 20, fatfs::FatType::Fat12);
    // Where EFI's entry says its content is, BOOT's says too.
    let find = |name: &[u8; 12]| bytes.windows(12).position(|w| w == name).unwrap();
    let (efi, boot) = (find(b"EFI        \x10"), find(b"BOOT       \x10"));
    bytes.copy_within(efi + 26..efi + 28, boot + 26);
    let mut fat = open(bytes).unwrap();
    match fat.walk() {
        Err(Fault::Bad(why)) => assert!(why.contains("too deep"), "{why}"),
        other => panic!("{other:?}"),
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(200))]
    #[test]
    fn no_damage_makes_it_panic_or_hang(
        damage in proptest::collection::vec((0usize..40_000, 0u8..=255), 1..40),
        boot in proptest::collection::vec((0usize..62, 0u8..=255), 0..3),
    ) {
        let mut bytes = volume(1 << 20, fatfs::FatType::Fat12);
        for (at, value) in damage.into_iter().chain(boot) {
            bytes[at] = value;
        }
        if let Ok(mut fat) = open(bytes) {
            let _ = fat.report();
            if let Ok(Some(entry)) = fat.find("EFI/BOOT/BOOTX64.EFI") {
                let _ = fat.read(&entry, 1 << 20);
            }
        }
    }
}
