use std::io::{Cursor, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::process::Command;

use imgtool_init::config::{Application, GuestConfig, Restart, Run};
use sha2::{Digest, Sha256};
use testutils::oracle_passes;

use super::cpio::tests::archive;
use super::kernel::tests::bz_image;
use super::*;

const MIB: u64 = 1 << 20;
const ESP_SIZE: u64 = 4 * MIB;
const ROOT_SIZE: u64 = 16 * MIB;

fn guest_config() -> GuestConfig {
    GuestConfig {
        identity: "0123".into(),
        root_partition: "9d1d7d9b-0000-8000-8000-000000000003".into(),
        hostname: "hello".into(),
        grow: true,
        run: Run::Application(Application {
            command: vec!["/app".into(), "two words".into()],
            env: vec![("PORT".into(), "8080".into())],
            working_directory: "/".into(),
            uid: 1000,
            gid: 1000,
            groups: vec![10],
            restart: Restart::OnFailure,
            wait_for_network: false,
        }),
    }
}

fn initrd() -> Vec<u8> {
    let json = serde_json::to_vec(&guest_config()).unwrap();
    archive(&[("init", b"ELF"), ("imgtool/guest.json", &json)])
}

/// A PE32+ file of these sections, by the PE format's rules and not by our own code.
fn pe(sections: &[(&str, &[u8])]) -> Vec<u8> {
    let align = |n: usize| n.next_multiple_of(512);
    let mut file = vec![0; 0x40];
    file[..2].copy_from_slice(b"MZ");
    file[0x3c..0x40].copy_from_slice(&0x40u32.to_le_bytes());
    file.extend_from_slice(b"PE\0\0");
    file.extend_from_slice(&0x8664u16.to_le_bytes());
    file.extend_from_slice(&(sections.len() as u16).to_le_bytes());
    file.extend_from_slice(&[0; 12]);
    file.extend_from_slice(&112u16.to_le_bytes());
    file.extend_from_slice(&0x22u16.to_le_bytes());
    let mut optional = vec![0; 112];
    optional[..2].copy_from_slice(&0x20bu16.to_le_bytes());
    file.extend_from_slice(&optional);
    let mut at = align(file.len() + 40 * sections.len());
    let mut data = Vec::new();
    for (index, (name, content)) in sections.iter().enumerate() {
        let mut header = vec![0; 40];
        header[..name.len()].copy_from_slice(name.as_bytes());
        let address = 0x1000 * (index + 1) as u32;
        let raw = align(content.len());
        for (field, value) in [
            (8, content.len() as u32),
            (12, address),
            (16, raw as u32),
            (20, at as u32),
        ] {
            header[field..field + 4].copy_from_slice(&value.to_le_bytes());
        }
        file.extend_from_slice(&header);
        data.push((at, *content));
        at += raw;
    }
    file.resize(at, 0);
    for (at, content) in data {
        file[at..at + content.len()].copy_from_slice(content);
    }
    file
}

fn uki() -> Vec<u8> {
    pe(&[
        (".osrel", b"ID=imgtool\n"),
        (".cmdline", b"console=ttyS0 quiet\0"),
        (".linux", &bz_image("6.1.0-56-cloud-amd64 (x) #1")),
        (".initrd", &initrd()),
    ])
}

fn fat(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Cursor::new(vec![0; ESP_SIZE as usize]);
    let options = fatfs::FormatVolumeOptions::new().volume_label(*b"ESP        ");
    fatfs::format_volume(&mut bytes, options).unwrap();
    {
        let fs = fatfs::FileSystem::new(&mut bytes, fatfs::FsOptions::new()).unwrap();
        for (path, content) in files {
            if let Some((dirs, _)) = path.rsplit_once('/') {
                let mut dir = fs.root_dir();
                for name in dirs.split('/') {
                    dir = dir.create_dir(name).unwrap();
                }
            }
            let mut file = fs.root_dir().create_file(path).unwrap();
            file.write_all(content).unwrap();
        }
    }
    bytes.into_inner()
}

/// A disk by the gpt crate: BIOS boot partition, a FAT partition, root.
fn disk(fat_type: gpt::partition_types::Type, fat: &[u8], root: &[u8]) -> Vec<u8> {
    let size = 2 * MIB + ESP_SIZE + ROOT_SIZE + 2 * MIB;
    let mut bytes = Cursor::new(vec![0; size as usize]);
    let mbr = gpt::mbr::ProtectiveMBR::with_lb_size((size / 512 - 1) as u32);
    mbr.overwrite_lba0(&mut bytes).unwrap();
    let mut gpt = gpt::GptConfig::new()
        .writable(true)
        .create_from_device(bytes, None)
        .unwrap();
    gpt.update_partitions(Default::default()).unwrap();
    for (name, size, kind) in [
        ("bios", MIB, gpt::partition_types::BIOS),
        ("esp", ESP_SIZE, fat_type),
        ("root", ROOT_SIZE, gpt::partition_types::LINUX_FS),
    ] {
        gpt.add_partition(name, size, kind, 0, Some(2048)).unwrap();
    }
    let starts: Vec<u64> = gpt.partitions().values().map(|p| p.first_lba).collect();
    let mut bytes = gpt.write().unwrap();
    for (lba, content) in [(starts[1], fat), (starts[2], root)] {
        bytes.seek(SeekFrom::Start(lba * 512)).unwrap();
        bytes.write_all(content).unwrap();
    }
    let mut bytes = bytes.into_inner();
    bytes[..4].copy_from_slice(b"boot");
    bytes
}

/// A file system by mke2fs; `None`, with a word about it, where there is no mke2fs.
fn ext4() -> Option<Vec<u8>> {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    std::fs::create_dir_all(tree.join("etc")).unwrap();
    let os = "NAME=Test\nPRETTY_NAME=\"Test System 1\"\n";
    std::fs::write(tree.join("etc/os-release"), os).unwrap();
    let image = dir.path().join("root.img");
    let file = File::create(&image).unwrap();
    file.set_len(ROOT_SIZE).unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    oracle_passes(
        Command::new("mke2fs")
            .env("PATH", format!("{path}:/usr/sbin:/sbin"))
            .args(["-q", "-t", "ext4", "-b", "4096", "-L", "root", "-N", "1024"])
            .args(["-U", "01234567-89ab-cdef-0123-456789abcdef", "-d"])
            .args([&tree, &image]),
    )?;
    Some(std::fs::read(&image).unwrap())
}

fn hybrid(root: &[u8]) -> Vec<u8> {
    let esp = fat(&[("EFI/BOOT/BOOTX64.EFI", &uki())]);
    disk(gpt::partition_types::EFI, &esp, root)
}

#[test]
fn a_hybrid_image_shows_all_it_holds() {
    let Some(root) = ext4() else { return };
    let image = hybrid(&root);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.img");
    std::fs::write(&path, &image).unwrap();
    let report = inspect_image(&path, Options { digests: true }).unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
    assert_eq!(report.size, image.len() as u64);
    assert_eq!((report.boot.bios, report.boot.uefi), (true, true));
    let kernel = KernelReport {
        file: "EFI/BOOT/BOOTX64.EFI".into(),
        version: Some("6.1.0-56-cloud-amd64".into()),
        command_line: Some("console=ttyS0 quiet".into()),
    };
    assert_eq!(report.kernel, Some(kernel));
    assert_eq!(report.guest, Some(guest_config()));
    assert_eq!(report.sha256, Some(hex::encode(Sha256::digest(&image))));

    let names: Vec<_> = report
        .partitions
        .iter()
        .map(|p| (p.number, p.name.as_str(), p.type_name, p.size))
        .collect();
    let expected = [
        (1, "bios", Some("BIOS boot"), MIB),
        (2, "esp", Some("EFI system partition"), ESP_SIZE),
        (3, "root", Some("Linux file system"), ROOT_SIZE),
    ];
    assert_eq!(names, expected);
    assert_eq!(report.partitions[0].content, None);

    let Some(Content::Fat(esp)) = &report.partitions[1].content else {
        panic!("{:?}", report.partitions[1]);
    };
    assert_eq!(esp.label, "ESP");
    let uki = esp.uki.as_ref().unwrap();
    let sections: Vec<_> = uki.sections.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(sections, [".osrel", ".cmdline", ".linux", ".initrd"]);
    assert_eq!(uki.sections[3].size, initrd().len() as u64);
    assert_eq!(
        uki.sections[3].sha256,
        hex::encode(Sha256::digest(initrd()))
    );

    let Some(Content::Ext4(ext4)) = &report.partitions[2].content else {
        panic!("{:?}", report.partitions[2]);
    };
    assert_eq!(ext4.uuid, "01234567-89ab-cdef-0123-456789abcdef");
    assert_eq!(ext4.label, "root");
    assert_eq!((ext4.block_size, ext4.blocks), (4096, ROOT_SIZE / 4096));
    assert_eq!(ext4.inodes, 1024);
    assert!(ext4.free_blocks > 0 && ext4.free_inodes > 1000);
    assert_eq!(ext4.os.as_deref(), Some("Test System 1"));
    assert_eq!(
        report.partitions[2].sha256,
        Some(hex::encode(Sha256::digest(&root)))
    );

    let text = render(&report);
    for line in [
        "boots under  BIOS and UEFI",
        "kernel       6.1.0-56-cloud-amd64 in EFI/BOOT/BOOTX64.EFI",
        "runs         /app \"two words\"",
        "  env        PORT=8080",
        "  system     Test System 1",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}\n{text}");
    }
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["partitions"][2]["content"]["file_system"], "ext4");
    assert_eq!(json["guest"]["run"]["application"]["uid"], 1000);
}

#[test]
fn a_bios_only_image_has_kernel_and_initramfs_as_files() {
    let kernel = bz_image("6.1.0 x");
    let boot = fat(&[("VMLINUZ", &kernel), ("INITRD.IMG", &initrd())]);
    let image = disk(gpt::partition_types::FREEDESK_BOOT, &boot, &[]);
    let report = inspect(Cursor::new(image)).unwrap();
    assert_eq!((report.boot.bios, report.boot.uefi), (true, false));
    let kernel = report.kernel.unwrap();
    assert_eq!(kernel.version.as_deref(), Some("6.1.0"));
    assert_eq!(kernel.command_line, None);
    assert_eq!(report.guest, Some(guest_config()));
    assert_eq!(report.partitions[1].type_name, Some("extended boot loader"));
    assert_eq!(report.problems, Vec::<String>::new());
}

#[test]
fn a_foreign_initramfs_is_a_problem_and_not_an_error() {
    let efi = pe(&[(".linux", b"?"), (".initrd", b"\x1f\x8b")]);
    let esp = fat(&[("EFI/BOOT/BOOTX64.EFI", &efi)]);
    let image = disk(gpt::partition_types::EFI, &esp, &[]);
    let report = inspect(Cursor::new(image)).unwrap();
    assert_eq!(report.guest, None);
    assert_eq!(report.kernel.unwrap().version, None);
    assert_eq!(
        report.problems,
        ["EFI/BOOT/BOOTX64.EFI: initramfs: at byte 0: neither a cpio archive nor zstd"]
    );
}

#[test]
fn what_is_damaged_is_named() {
    let good = hybrid(&[]);
    let message = |image: Vec<u8>| inspect(Cursor::new(image)).unwrap_err().to_string();
    assert_eq!(message(Vec::new()), "no GUID partition table");
    assert_eq!(message(vec![0; 1 << 20]), "no GUID partition table");
    let with = |at: usize, bytes: &[u8]| {
        let mut image = good.clone();
        image[at..at + bytes.len()].copy_from_slice(bytes);
        image
    };
    let esp = 2 * MIB as usize;
    assert_eq!(&good[esp + 510..esp + 512], [0x55, 0xaa]);
    for (image, expected) in [
        (
            with(512 + 80, &[255; 4]),
            "partition table: the header at LBA 1 claims",
        ),
        (
            with(512 + 84, &[0; 4]),
            "partition table: the header at LBA 1 claims",
        ),
        (with(1024 + 32, &[1]), "partition table: "),
        (
            with(esp + 510, &[0]),
            "partition 2 (\"esp\"): FAT: not a boot sector",
        ),
        (
            with(esp + 19, &[255; 2]),
            "partition 2 (\"esp\"): FAT: the boot sector's sizes",
        ),
        (
            good[..8 * MIB as usize].to_vec(),
            "partition 3 (\"root\"): LBA",
        ),
    ] {
        let shown = message(image);
        assert!(shown.starts_with(expected), "{shown}\n{expected}");
    }
    let report = inspect(Cursor::new(with(good.len() - 512, &[0; 8]))).unwrap();
    assert!(report.problems[0].starts_with("partition table: backup header"));
}

#[test]
fn partitions_that_overlap_or_leave_the_disk_are_refused_under_a_valid_checksum() {
    let good = hybrid(&[]);
    let with_root_at = |first: u64, last: u64| {
        let mut image = good.clone();
        let entry = 1024 + 2 * 128;
        image[entry + 32..entry + 40].copy_from_slice(&first.to_le_bytes());
        image[entry + 40..entry + 48].copy_from_slice(&last.to_le_bytes());
        let parts = crc32fast::hash(&image[1024..1024 + 128 * 128]);
        image[512 + 88..512 + 92].copy_from_slice(&parts.to_le_bytes());
        image[512 + 16..512 + 20].fill(0);
        let header = crc32fast::hash(&image[512..512 + 92]);
        image[512 + 16..512 + 20].copy_from_slice(&header.to_le_bytes());
        inspect(Cursor::new(image))
    };
    let esp = 2 * MIB / 512;
    assert!(with_root_at(20480, 20490).is_ok());
    for (first, last, why) in [
        (esp + 10, esp + 20, "partitions 2 and 3 overlap"),
        (20490, 20480, "not a range"),
        (0, 20480, "not a range"),
        (20480, u64::MAX, "not a range"),
        (u64::MAX, u64::MAX, "not a range"),
        (20480, good.len() as u64 / 512, "not a range"),
    ] {
        let error = with_root_at(first, last).unwrap_err().to_string();
        assert!(error.contains(why), "{first} to {last}: {error}");
    }
}

#[test]
fn a_broken_superblock_or_uki_is_named_with_its_partition() {
    let mut root = vec![0; 4096];
    root[1024 + 0x38..1024 + 0x3a].copy_from_slice(&[0x53, 0xef]);
    root[1024 + 0x18] = 200;
    let error = inspect(Cursor::new(hybrid(&root))).unwrap_err().to_string();
    assert_eq!(
        error,
        "partition 3 (\"root\"): ext4: a block size of 2^(10 + 200)"
    );
    root[1024 + 0x18] = 2;
    root[1024 + 4..1024 + 8].copy_from_slice(&[255; 4]);
    let error = inspect(Cursor::new(hybrid(&root))).unwrap_err().to_string();
    assert!(error.contains("don't fit the partition"), "{error}");
    for (efi, why) in [
        (b"not PE".to_vec(), "not a 64-bit PE file"),
        (uki()[..2048].to_vec(), "lies beyond the file's end"),
    ] {
        let esp = fat(&[("EFI/BOOT/BOOTX64.EFI", &efi)]);
        let image = disk(gpt::partition_types::EFI, &esp, &[]);
        let error = inspect(Cursor::new(image)).unwrap_err().to_string();
        assert!(
            error.starts_with("partition 2 (\"esp\"): EFI/BOOT/BOOTX64.EFI: "),
            "{error}"
        );
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn what_is_no_image_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let text = dir.path().join("text");
    std::fs::write(&text, "hello").unwrap();
    for path in [dir.path().join("none"), dir.path().to_owned(), text] {
        let error = inspect_image(&path, Options::default()).unwrap_err();
        assert_eq!(error.class(), crate::Class::Input, "{error}");
        assert!(error.to_string().starts_with(path.to_str().unwrap()));
    }
    let error = InspectError::NotAFile(PathBuf::from("x"));
    assert_eq!(error.hint(), None);
}

#[test]
fn control_characters_of_an_image_do_not_reach_the_terminal() {
    let efi = pe(&[(".linux", b"?"), (".cmdline", b"a\x1b[2Jb")]);
    let esp = fat(&[("EFI/BOOT/BOOTX64.EFI", &efi)]);
    let image = disk(gpt::partition_types::EFI, &esp, &[]);
    let text = render(&inspect(Cursor::new(image)).unwrap());
    assert!(text.contains("cmdline      a\\u{1b}[2Jb"), "{text}");
    assert!(!text.contains('\x1b'));
}

/// The paths of a list, or the message without the image's name.
fn paths(image: &[u8], partition: Option<&str>, path: &str) -> Result<Vec<String>, String> {
    let query = Query {
        partition: partition.map(str::to_owned),
        path: path.as_bytes().to_vec(),
    };
    let message = |error: InspectError| {
        assert_eq!(error.class(), crate::Class::Input, "{error}");
        let source = std::error::Error::source(&error).unwrap();
        source.to_string()
    };
    let listing = list(Cursor::new(image.to_vec()), Path::new("a.img"), &query);
    let entries: Result<Vec<_>, _> = listing.map_err(message)?.collect();
    let text = |entry: Entry| String::from_utf8(entry.path).unwrap();
    Ok(entries.map_err(message)?.into_iter().map(text).collect())
}

#[test]
fn files_of_a_fat_volume_are_listed_by_path() {
    let boot = fat(&[
        ("EFI/BOOT/BOOTX64.EFI", b"x"),
        ("EFI-other.txt", b"yy"),
        ("efi0", b"z"),
    ]);
    let image = disk(gpt::partition_types::FREEDESK_BOOT, &boot, &[]);
    let list = |path| paths(&image, Some("esp"), path);
    let efi = ["/EFI", "/EFI/BOOT", "/EFI/BOOT/BOOTX64.EFI"];
    let root = [&["/", "/EFI", "/EFI-other.txt"], &efi[1..], &["/efi0"]].concat();
    for path in ["", "/", "/..", "/EFI/.."] {
        assert_eq!(list(path).unwrap(), root, "{path}");
    }
    for path in ["/EFI", "efi/", "//EFI/./"] {
        assert_eq!(list(path).unwrap(), efi, "{path}");
    }
    assert_eq!(list("efi/boot/bootx64.efi").unwrap(), efi[2..]);
    let why = |path| list(path).unwrap_err();
    let place = "in partition 2 (\"esp\")";
    assert_eq!(
        why("/EF"),
        format!("/EF: no such file or directory {place}")
    );
    assert_eq!(why("/efi0/"), format!("/efi0/: not a directory {place}"));
    assert_eq!(
        why("/efi0/x"),
        format!("/efi0/x: no such file or directory {place}")
    );
    assert_eq!(paths(&image, Some("2"), "").unwrap(), root);
}

#[test]
fn the_root_file_system_is_found_by_what_is_in_it_and_by_its_type() {
    let Some(root) = ext4() else { return };
    let image = hybrid(&root);
    let etc = ["/etc", "/etc/os-release"];
    let all = [&["/"], &etc[..], &["/lost+found"]].concat();
    assert_eq!(paths(&image, None, "").unwrap(), all);
    assert_eq!(paths(&image, None, "etc").unwrap(), etc);
    assert_eq!(paths(&image, Some("root"), "/").unwrap(), all);
    assert_eq!(paths(&image, Some("3"), "/").unwrap(), all);
    for (partition, path, why) in [
        (
            None,
            "/etc/x\x1b",
            "/etc/x\\u{1b}: no such file or directory in partition 3 (\"root\")",
        ),
        (Some("4"), "", "no partition \"4\""),
        (Some("ROOT"), "", "no partition \"ROOT\""),
        (
            Some("bios"),
            "",
            "partition 1 (\"bios\"): neither ext4 nor FAT",
        ),
    ] {
        assert_eq!(paths(&image, partition, path).unwrap_err(), why);
    }
    let none = hybrid(&[]);
    let why = paths(&none, None, "").unwrap_err();
    assert_eq!(why, "no root file system: no partition has ext4");
    // Two of them, and then one has the type of a root file system.
    let esp = &root[..ESP_SIZE as usize];
    let two = |kind| disk(kind, esp, &root);
    let why = paths(&two(gpt::partition_types::LINUX_FS), None, "").unwrap_err();
    assert_eq!(why, "which root file system? Partitions 2, 3 have ext4");
    // That one is cut off at 4 MiB, and says that it is longer.
    let why = paths(&two(gpt::partition_types::LINUX_ROOT_X64), None, "").unwrap_err();
    assert!(why.starts_with("partition 2 (\"esp\"): ext4: "), "{why}");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
    #[test]
    fn no_damage_makes_inspection_panic(
        damage in proptest::collection::vec((0usize..60_000, 0u8..=255), 1..60),
        place in 0usize..3,
    ) {
        use std::sync::LazyLock;
        static GOOD: LazyLock<Vec<u8>> = LazyLock::new(|| hybrid(&ext4().unwrap_or_default()));
        // The table, the ESP, the root.
        let start = [0, 2 * MIB as usize, (2 * MIB + ESP_SIZE) as usize][place];
        let mut image = GOOD.clone();
        for (at, value) in damage {
            image[start + at] = value;
        }
        if let Ok(report) = inspect(Cursor::new(image)) {
            render(&report);
        }
    }
}
