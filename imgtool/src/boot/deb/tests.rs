use proptest::prelude::*;
use testutils::Packed::{self, Gz, Plain, Xz, Zst};
use testutils::{ar, control, deb, file, pack, tar as archive};

use super::*;

const VMLINUZ: &str = "boot/vmlinuz-9.9";

fn read(bytes: &[u8]) -> Result<Deb, BootError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    read_deb(file.path(), &mut |p| p == VMLINUZ)
}

/// The error with its sources, as the command line prints it.
fn refusal(bytes: &[u8]) -> String {
    let err = read(bytes).unwrap_err();
    assert_eq!(err.class(), crate::Class::Input);
    let mut text = err.to_string();
    let mut source = std::error::Error::source(&err);
    while let Some(s) = source {
        text = format!("{text}: {s}");
        source = s.source();
    }
    text
}

fn sample(packed: Packed) -> Vec<u8> {
    let files: [(&str, &[u8]); 3] = [
        ("usr/share/doc/copyright", b"free"),
        (VMLINUZ, b"the kernel"),
        ("usr/share/doc/more", &[7; 700]),
    ];
    deb(&control("linux-image-9.9"), &files, packed)
}

#[test]
fn every_compression_reads_back() {
    for packed in [Plain, Gz, Xz, Zst] {
        let deb = read(&sample(packed)).unwrap();
        assert_eq!(deb.info.package, "linux-image-9.9");
        assert_eq!(deb.info.version, "1.0-1");
        assert_eq!(deb.files.len(), 1, "{packed:?}");
        assert_eq!(deb.files[VMLINUZ], b"the kernel", "{packed:?}");
    }
}

#[test]
fn a_package_cut_anywhere_is_an_error() {
    for packed in [Plain, Gz, Xz, Zst] {
        let whole = sample(packed);
        // The last byte may be ar's padding, which may be absent.
        let end = whole.len() - usize::from(whole.ends_with(b"\n"));
        for cut in 0..end {
            assert!(read(&whole[..cut]).is_err(), "{packed:?} cut at {cut}");
        }
    }
}

#[test]
fn another_architecture_is_refused_by_its_name() {
    let control = "Package: linux-image-9.9-arm64\nVersion: 1\nArchitecture: arm64\n";
    let text = refusal(&deb(control, &[], Xz));
    assert!(text.contains("linux-image-9.9-arm64 is for the architecture arm64"));
    read(&deb(&control.replace(": arm64", ": all"), &[], Xz)).unwrap();
}

#[test]
fn what_is_no_package_is_refused_with_the_reason() {
    let version: (&str, &[u8]) = ("debian-binary", b"2.0\n");
    let text = b"Package: a\nVersion: 1\nArchitecture: all\n";
    let control = archive(&[file("./control", text)]);
    let control: (&str, &[u8]) = ("control.tar", &control);
    let mut bad_size = ar(&[version]);
    bad_size[8 + 48..8 + 58].copy_from_slice(b"-1        ");
    let mut huge = ar(&[version, control]);
    let at = huge.windows(11).position(|w| w == b"control.tar").unwrap();
    huge[at + 48..at + 58].copy_from_slice(b"9999999999");
    let mut corrupt = sample(Xz);
    let near_end = corrupt.len() - 40;
    corrupt[near_end] ^= 1;
    for (bytes, part) in [
        (b"".to_vec(), "not a Debian package"),
        (b"PK\x03\x04 a zip file".to_vec(), "not a Debian package"),
        (
            ar(&[("a.o", b"x")]),
            "an ar archive that begins with \"a.o\"",
        ),
        (ar(&[("debian-binary", b"3.0\n")]), "of format \"3.0\""),
        (ar(&[version]), "in the ar archive"),
        (
            ar(&[version, ("data.tar", b"")]),
            "where control.tar should be",
        ),
        (ar(&[version, control]), "in the ar archive"),
        (
            ar(&[version, control, ("data.tar.lzma", b"")]),
            "\"data.tar.lzma\" where data.tar should be",
        ),
        (
            ar(&[version, control, ("data.tar.xz", b"not xz at all")]),
            "in data.tar.xz",
        ),
        (
            ar(&[version, ("control.tar", &archive(&[file("./x", b"")]))]),
            "no Package",
        ),
        (bad_size, "size is not a number"),
        (huge, "too early"),
        (corrupt, "in data.tar.xz"),
    ] {
        let text = refusal(&bytes);
        assert!(text.contains(part), "{text:?} without {part:?}");
    }
}

#[test]
fn members_with_an_underscore_are_passed_over() {
    let control = archive(&[file(
        "./control",
        b"Package: a\nVersion: 1\nArchitecture: all\n",
    )]);
    let data = pack(&archive(&[file(VMLINUZ, b"k")]), Gz);
    let bytes = ar(&[
        ("debian-binary", b"2.0\n"),
        ("control.tar", &control),
        ("_gpgorigin", b"sig"),
        ("data.tar.gz", &data),
    ]);
    assert_eq!(read(&bytes).unwrap().files[VMLINUZ], b"k");
}

/// A tar entry with just these fields.
fn entry(path: &[u8], kind: tar::EntryType, size: u64, content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.as_mut_bytes()[..path.len()].copy_from_slice(path);
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn unpack(tar: &[u8]) -> io::Result<BTreeMap<String, Vec<u8>>> {
    data(Box::new(tar), 1 << 20, &mut |p| p == VMLINUZ)
}

#[test]
fn only_regular_files_below_the_root_are_taken() {
    use tar::EntryType;
    for path in [
        "../boot/vmlinuz-9.9",
        "boot/../boot/vmlinuz-9.9",
        "boot//vmlinuz-9.9",
    ] {
        let tar = entry(path.as_bytes(), EntryType::Regular, 1, b"x");
        assert!(unpack(&tar).unwrap().is_empty(), "{path}");
    }
    for path in [VMLINUZ, "/boot/vmlinuz-9.9", "./boot/vmlinuz-9.9"] {
        let tar = entry(path.as_bytes(), EntryType::Regular, 1, b"x");
        assert_eq!(unpack(&tar).unwrap().len(), 1, "{path}");
        let tar = entry(path.as_bytes(), EntryType::Symlink, 0, b"");
        assert!(unpack(&tar).unwrap().is_empty(), "{path}");
    }
}

#[test]
fn extension_headers_name_the_next_entry_only() {
    use tar::EntryType;
    let name = format!("{VMLINUZ}\0");
    let pax = format!("{} path={VMLINUZ}\n", VMLINUZ.len() + 9);
    for (kind, body) in [
        (EntryType::GNULongName, name.as_bytes()),
        (EntryType::XHeader, pax.as_bytes()),
    ] {
        let mut tar = entry(b"x", kind, body.len() as u64, body);
        tar.extend(entry(b"short", EntryType::Regular, 1, b"1"));
        tar.extend(entry(b"short", EntryType::Regular, 1, b"2"));
        assert_eq!(unpack(&tar).unwrap()[VMLINUZ], b"1", "{kind:?}");
    }
}

#[test]
fn sizes_in_headers_are_not_believed() {
    use tar::EntryType;
    let long = format!("5011 path={}\n", "a".repeat(5000));
    let regular = |size| entry(VMLINUZ.as_bytes(), EntryType::Regular, size, b"x");
    for (tar, part) in [
        (regular(1 << 40), "larger than 1 MiB"),
        (regular(600), "within a file"),
        (entry(b"other", EntryType::Regular, 1 << 40, b"x"), "EOF"),
        (
            entry(b"x", EntryType::GNULongName, 1 << 40, &[b'a'; 9000]),
            "a path is larger",
        ),
        ([regular(1), regular(1)].concat(), "the same file twice"),
        (
            entry(b"x", EntryType::XHeader, 5011, long.as_bytes()),
            "longer than 4096",
        ),
        (
            entry(b"x", EntryType::XHeader, 9, b"9 size=1\n"),
            "a size in an extended",
        ),
    ] {
        let text = unpack(&tar).unwrap_err().to_string();
        assert!(text.contains(part), "{text:?} without {part:?}");
    }
}

#[test]
fn what_a_bomb_unpacks_to_is_bounded() {
    let mut bomb = Limited {
        inner: io::repeat(0),
        left: 1 << 20,
        limit: 1 << 20,
    };
    let mut out = Vec::new();
    let text = bomb.read_to_end(&mut out).unwrap_err().to_string();
    assert!(text.contains("larger than 1 MiB"));
    assert!(out.len() <= 1 << 20);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn flipped_bits_never_panic(
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8u8), 1..6),
        packed in prop::sample::select(vec![Plain, Gz, Xz, Zst]),
    ) {
        let mut bytes = sample(packed);
        for (at, bit) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        // Some flips change nothing that matters; what is read is then the right thing.
        if let Ok(deb) = read(&bytes) && packed == Xz {
            prop_assert!(deb.files.values().all(|f| f == b"the kernel"));
        }
    }
}
