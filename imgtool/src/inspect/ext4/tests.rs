use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::Cursor;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use super::*;
use crate::inspect::entry::{Device, Entry, FileKind};
use testutils::oracle;

/// Where e2fsprogs are, besides what the environment says.
fn tool(program: &str) -> Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new(program);
    command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
    command
}

/// A file system by mke2fs of what `fill` puts into a directory, changed by a script for debugfs;
/// `None`, with a word about it, where there are no e2fsprogs.
fn volume(options: &[&str], fill: impl Fn(&Path), script: &str) -> Option<Vec<u8>> {
    let dir = tempfile::tempdir().unwrap();
    let (tree, image) = (dir.path().join("tree"), dir.path().join("ext4"));
    fs::create_dir(&tree).unwrap();
    fill(&tree);
    fs::File::create(&image).unwrap().set_len(4 << 20).unwrap();
    let mut mke2fs = tool("mke2fs");
    mke2fs.args(["-q", "-t", "ext4", "-E", "root_owner=0:0", "-N", "1024"]);
    let out = oracle(mke2fs.args(options).arg("-d").args([&tree, &image]))?;
    assert!(out.status.success(), "{out:?}");
    if !script.is_empty() {
        let commands = dir.path().join("commands");
        fs::write(&commands, script).unwrap();
        let mut debugfs = tool("debugfs");
        debugfs.args(["-w", "-f"]).args([&commands, &image]);
        let out = debugfs.output().unwrap();
        let said = String::from_utf8_lossy(&out.stderr);
        // After the line with its version come complaints.
        assert_eq!(said.trim().lines().count(), 1, "{said}");
    }
    if options.iter().any(|option| option.contains("dir_index")) {
        // e2fsck gives every directory an index; 1 says that it changed something.
        let out = tool("e2fsck").arg("-fyD").arg(&image).output().unwrap();
        assert!(out.status.code() <= Some(1), "{out:?}");
    }
    Some(fs::read(&image).unwrap())
}

fn open(bytes: &[u8]) -> Result<Ext4, Fault> {
    Ext4::open(Window::whole(Cursor::new(bytes.to_vec())).unwrap())
}

/// All files, or why there are no more.
fn walk(bytes: &[u8]) -> Result<Vec<Entry>, Fault> {
    let mut fs = open(bytes)?;
    let root = fs.find(b"/", false)?.unwrap();
    let mut walk = Walk::new(root);
    let mut entries = Vec::new();
    while let Some(entry) = walk.next(&mut fs)? {
        entries.push(entry);
    }
    Ok(entries)
}

fn refused(bytes: &[u8]) -> String {
    match walk(bytes) {
        Err(Fault::Bad(why)) => why,
        other => panic!("{other:?}"),
    }
}

/// Files of most kinds, and directories of many blocks.
fn odd(tree: &Path) {
    for dir in ["d", "d/e", "d/many", "empty"] {
        fs::create_dir(tree.join(dir)).unwrap();
    }
    for n in 0..300 {
        let name = format!("d/many/file with a longer name {n}");
        fs::write(tree.join(name), vec![b'x'; n]).unwrap();
    }
    fs::write(tree.join("d-e"), "between d and d/e").unwrap();
    fs::write(tree.join("größe €"), "").unwrap();
    fs::write(tree.join("tool"), [7; 70_000]).unwrap();
    fs::set_permissions(tree.join("tool"), Permissions::from_mode(0o4751)).unwrap();
    fs::set_permissions(tree.join("empty"), Permissions::from_mode(0o1777)).unwrap();
    symlink("../tool", tree.join("d/fast")).unwrap();
    symlink("x".repeat(59), tree.join("d/fast59")).unwrap();
    symlink("y".repeat(60), tree.join("d/slow60")).unwrap();
    symlink("z/".repeat(500), tree.join("d/slow")).unwrap();
    fs::hard_link(tree.join("tool"), tree.join("d/tool")).unwrap();
}

const SPECIAL: &str = "mknod null c 1 3\nmknod disk b 259 1234\nmknod fifo p\n\
    set_inode_field tool uid 70000\nset_inode_field tool gid 4000000000\n";

/// What ext4-view sees: kind, mode, owner, size, time and target by path.
fn by_ext4_view(bytes: &[u8]) -> BTreeMap<Vec<u8>, String> {
    let fs = ext4_view::Ext4::load(Box::new(bytes.to_vec())).unwrap();
    let mut found = BTreeMap::new();
    let mut pending = vec![b"/".to_vec()];
    while let Some(path) = pending.pop() {
        let meta = fs.symlink_metadata(path.as_slice()).unwrap();
        let mut target = Vec::new();
        if meta.is_symlink() {
            let link = fs.read_link(path.as_slice()).unwrap();
            target = link.as_ref().to_vec();
        }
        if meta.is_dir() {
            for entry in fs.read_dir(path.as_slice()).unwrap() {
                let entry = entry.unwrap();
                let name = entry.file_name();
                if !matches!(name.as_ref(), b"." | b"..") {
                    let slash: &[u8] = if path == b"/" { b"" } else { b"/" };
                    pending.push([&path, slash, name.as_ref()].concat());
                }
            }
        }
        let kind = format!("{:?}", meta.file_type()).to_lowercase();
        let line = format!(
            "{kind} {:o} {}:{} {} {} {}",
            meta.mode(),
            meta.uid(),
            meta.gid(),
            meta.len(),
            meta.modified().seconds(),
            String::from_utf8_lossy(&target)
        );
        found.insert(path, line);
    }
    found
}

fn line(entry: &Entry) -> String {
    let unix = entry.unix.unwrap();
    let kind = match entry.kind {
        FileKind::File => "regular",
        FileKind::Directory => "directory",
        FileKind::Symlink => "symlink",
        FileKind::CharacterDevice => "characterdevice",
        FileKind::BlockDevice => "blockdevice",
        FileKind::Fifo => "fifo",
        FileKind::Socket => "socket",
    };
    format!(
        "{kind} {:o} {}:{} {} {} {}",
        unix.mode,
        unix.uid,
        unix.gid,
        entry.size,
        unix.mtime,
        String::from_utf8_lossy(entry.target.as_deref().unwrap_or_default())
    )
}

#[test]
fn what_e2fsprogs_write_is_read_as_another_reader_reads_it() {
    for (block, inode, features) in [
        ("1024", "256", "^metadata_csum,^64bit"),
        ("1024", "128", "^metadata_csum,64bit"),
        ("2048", "256", "metadata_csum,64bit,metadata_csum_seed"),
        ("4096", "512", "metadata_csum,^64bit,^has_journal"),
        ("1024", "256", "metadata_csum,dir_index"),
        ("1024", "256", "^metadata_csum,uninit_bg,dir_index"),
    ] {
        let options = ["-b", block, "-I", inode, "-O", features];
        let Some(bytes) = volume(&options, odd, SPECIAL) else {
            return;
        };
        let entries = walk(&bytes).unwrap();
        let found: BTreeMap<_, _> = entries.iter().map(|e| (e.path.clone(), line(e))).collect();
        assert_eq!(found, by_ext4_view(&bytes), "{options:?}");
        // Sorted by bytes, each once.
        assert!(entries.is_sorted_by(|a, b| a.path < b.path), "{options:?}");
        let at = |path: &str| entries.iter().find(|e| e.path == path.as_bytes()).unwrap();
        let numbers = |major, minor| Some(Device { major, minor });
        assert_eq!(at("/null").device, numbers(1, 3));
        assert_eq!(at("/disk").device, numbers(259, 1234));
        assert_eq!(at("/fifo").device, None);
        let (one, other) = (at("/tool").unix.unwrap(), at("/d/tool").unix.unwrap());
        assert_eq!((one.links, one), (2, other));
        assert_eq!((one.uid, one.gid, one.mode), (70000, 4_000_000_000, 0o4751));
    }
}

#[test]
fn times_are_those_of_the_next_centuries_too() {
    for (time, seconds) in [
        ("@0", 0),
        ("@2147483647", 2_147_483_647),
        ("@2147483648", 2_147_483_648),
        ("@4294967295", 4_294_967_295),
        ("@8589934592", 8_589_934_592),
    ] {
        let script = format!("set_inode_field d mtime {time}\n");
        let fill = |tree: &Path| fs::create_dir(tree.join("d")).unwrap();
        let Some(bytes) = volume(&["-b", "1024", "-I", "256"], fill, &script) else {
            return;
        };
        let entries = walk(&bytes).unwrap();
        assert_eq!(entries[1].unix.unwrap().mtime, seconds, "{time}");
    }
}

#[test]
fn content_and_directories_in_many_pieces_are_read() {
    let fill = |tree: &Path| {
        let file = fs::File::create(tree.join("holes")).unwrap();
        for n in 0..20 {
            let block = [n as u8 + 1; 1024];
            file.write_all_at(&block, n * 3 * 1024).unwrap();
        }
        file.set_len(60_000).unwrap();
        for dir in ["one", "two"] {
            fs::create_dir(tree.join(dir)).unwrap();
        }
    };
    let mut script = "expand_dir one\nexpand_dir two\n".repeat(15) + "cd one\n";
    for n in 0..60 {
        script += &format!("mknod {}{n} p\n", "n".repeat(200));
    }
    let options = ["-b", "1024", "-O", "metadata_csum"];
    let Some(mut bytes) = volume(&options, fill, &script) else {
        return;
    };
    let mut fs = open(&bytes).unwrap();
    let holes = fs.find(b"holes", false).unwrap().unwrap().inode;
    // More extents than an inode holds: four.
    assert!(fs.runs(&holes, 59).unwrap().len() > 4);
    let mut expected = vec![0; 60_000];
    for n in 0..20 {
        expected[n * 3 * 1024..][..1024].fill(n as u8 + 1);
    }
    assert_eq!(fs.content(&holes, 1 << 20).unwrap(), expected);
    assert_eq!(fs.content(&holes, 4000).unwrap(), expected[..4000]);
    let one = fs.find(b"one", false).unwrap().unwrap().inode;
    assert!(fs.runs(&one, 16).unwrap().len() > 4);
    let in_one = |bytes: &[u8]| {
        walk(bytes).map(|all| all.iter().filter(|e| e.path.starts_with(b"/one/")).count())
    };
    assert_eq!(in_one(&bytes).unwrap(), 60);
    // The node's block is told by the inode: byte 4 of the first entry behind the header.
    let node = le32(&one.block, 12 + 4) as usize;
    bytes[node * 1024 + 20] ^= 1;
    let why = in_one(&bytes).unwrap_err().to_string();
    assert!(why.contains("the checksum of block"), "{why}");
}

#[test]
fn paths_lead_where_linux_has_them_lead() {
    let fill = |tree: &Path| {
        fs::create_dir_all(tree.join("usr/bin")).unwrap();
        fs::write(tree.join("usr/bin/sh"), "").unwrap();
        symlink("usr/bin", tree.join("bin")).unwrap();
        symlink("/usr/bin/../bin/sh", tree.join("usr/shell")).unwrap();
        symlink("../../../../usr", tree.join("usr/up")).unwrap();
        symlink("loop", tree.join("loop")).unwrap();
        symlink("nowhere", tree.join("dangling")).unwrap();
    };
    let Some(bytes) = volume(&["-b", "1024"], fill, "") else {
        return;
    };
    let mut fs = open(&bytes).unwrap();
    let mut find = |path: &str, follow| {
        let found = fs.find(path.as_bytes(), follow).unwrap();
        found.map(|found| String::from_utf8(found.path).unwrap())
    };
    use NotFound::*;
    for (path, follow, leads) in [
        ("/", false, Ok("")),
        ("", false, Ok("")),
        ("..", false, Ok("")),
        ("/usr/..", false, Ok("")),
        ("usr//bin/./sh", false, Ok("/usr/bin/sh")),
        ("/bin", false, Ok("/bin")),
        ("/bin/", false, Ok("/usr/bin")),
        ("/bin/.", false, Ok("/usr/bin")),
        ("/bin", true, Ok("/usr/bin")),
        ("/bin/..", false, Ok("/usr")),
        ("/bin/sh", false, Ok("/usr/bin/sh")),
        ("/usr/shell", false, Ok("/usr/shell")),
        ("/usr/shell", true, Ok("/usr/bin/sh")),
        ("/usr/up/up/up/bin", false, Ok("/usr/bin")),
        ("/bin/sh/", false, Err(NotADirectory)),
        ("/bin/sh/x", false, Err(NotADirectory)),
        ("/bin/sh/..", false, Err(NotADirectory)),
        ("/nowhere", false, Err(NoEntry)),
        ("/nowhere/x", false, Err(NoEntry)),
        ("/dangling", false, Ok("/dangling")),
        ("/dangling", true, Err(NoEntry)),
        ("/loop", false, Ok("/loop")),
        ("/loop/", false, Err(TooManyLinks)),
        ("/loop", true, Err(TooManyLinks)),
    ] {
        let found = find(path, follow);
        assert_eq!(
            found.as_deref(),
            leads.as_ref().map(|s| *s),
            "{path} {follow}"
        );
    }
    let long = "a".repeat(300);
    assert_eq!(find(&long, false), Err(NoEntry));
}

/// What debugfs changes has right checksums.
#[test]
fn lies_under_right_checksums_are_named() {
    let fill = |tree: &Path| {
        fs::create_dir_all(tree.join("a/b/c")).unwrap();
        fs::create_dir(tree.join("d")).unwrap();
        fs::write(tree.join("f"), "x").unwrap();
        symlink("f", tree.join("l")).unwrap();
    };
    let refused = |script: &str| {
        let options = ["-b", "1024", "-O", "metadata_csum"];
        volume(&options, fill, script).map(|bytes| match walk(&bytes) {
            Err(Fault::Bad(why)) => why,
            other => format!("{other:?}"),
        })
    };
    let mut wrong = String::new();
    for (script, names) in [
        (
            "ln / a/b/root\n",
            &["/a/b: ", "\"root\" is the root directory"][..],
        ),
        ("ln a a/b/again\n", &["/a/b/again: ", "two parents"]),
        ("ln a d/again\n", &["/d/again: ", "a loop, or two parents"]),
        ("ln a again\n", &["/: ", "two names of one directory"]),
        ("set_inode_field f mode 040755\n", &["/f: ", "another kind"]),
        (
            "set_inode_field d mode 0100644\n",
            &["/d: ", "another kind"],
        ),
        ("set_inode_field f mode 0\n", &["/f: ", "mode 0o0 is none"]),
        ("set_inode_field l size 0\n", &["/l: ", "target of 0 bytes"]),
        (
            "set_inode_field l size 0xffffffff\n",
            &["/l: ", "4294967295 bytes"],
        ),
        ("set_inode_field l size 4095\n", &["/l: ", "not in extents"]),
        ("set_inode_field d size 0\n", &["/d: ", "a size of 0 bytes"]),
        (
            "set_inode_field d size 1500\n",
            &["/d: ", "a size of 1500 bytes"],
        ),
        ("set_inode_field d size 2048\n", &["/d: ", "a hole"]),
        (
            "set_inode_field d size 0x3000000\n",
            &["/d: ", "more blocks than are read"],
        ),
        (
            "set_inode_field d size 0xfffff000\n",
            &["/d: ", "more than 134217728 bytes"],
        ),
        (
            "set_inode_field d flags 0x10000000\n",
            &["/d: ", "not in extents"],
        ),
        ("set_inode_field d flags 0x80800\n", &["/d: ", "encrypted"]),
        // With an index, what is there would be its root.
        (
            "set_inode_field d flags 0x81000\n",
            &["/d: ", "checksum of a block"],
        ),
        (
            "set_inode_field d block[0] 0\n",
            &["/d: ", "tree of extents"],
        ),
        // A header: magic and entries, room and depth.
        (
            "set_inode_field d block[0] 0xfff30a\n",
            &["/d: ", "tree of extents"],
        ),
        (
            "set_inode_field d block[1] 0x60004\n",
            &["/d: ", "tree of extents"],
        ),
        (
            "set_inode_field d block[1] 0x10004\n",
            &["/d: ", "not in the file system"],
        ),
        // An extent: its place in the file, length, and place on the disk.
        ("set_inode_field d block[3] 1\n", &["/d: ", "a hole"]),
        (
            "set_inode_field d block[4] 0\n",
            &["/d: ", "tree of extents"],
        ),
        ("set_inode_field d block[4] 0x8001\n", &["/d: ", "a hole"]),
        (
            "set_inode_field d block[5] 0\n",
            &["/d: ", "tree of extents"],
        ),
        (
            "set_inode_field d block[5] 0xffffffff\n",
            &["/d: ", "not in the file system"],
        ),
        (
            "set_inode_field <2> block[5] 1\n",
            &["/: ", "checksum of a block"],
        ),
        (
            "set_inode_field <2> mode 0100644\n",
            &["ext4: the root is not a directory"],
        ),
        ("set_super_value inodes_count 4294967295\n", &["contradict"]),
        ("set_super_value inodes_per_group 0\n", &["contradict"]),
        ("set_super_value blocks_per_group 0\n", &["contradict"]),
        ("set_super_value inode_size 100\n", &["contradict"]),
        ("set_super_value inode_size 32768\n", &["contradict"]),
        ("set_super_value desc_size 48\n", &["contradict"]),
        ("set_super_value first_data_block 77\n", &["contradict"]),
        ("set_super_value rev_level 0\n", &["contradict"]),
        (
            "set_super_value log_block_size 40\n",
            &["block size of 2^(10 + 40)"],
        ),
        (
            "set_super_value blocks_count 4294967295\n",
            &["don't fit the partition"],
        ),
        ("feature needs_recovery\n", &["journal has to be replayed"]),
        ("feature inline_data\n", &["features 0x", "not read here"]),
        (
            "set_block_group 0 inode_table 0\nset_block_group 0 checksum calc\n",
            &["inode 2 is not in the file system"],
        ),
        (
            "set_block_group 0 inode_table 4294967295\nset_block_group 0 checksum calc\n",
            &["inode 2 is not in the file system"],
        ),
    ] {
        let Some(why) = refused(script) else { return };
        if !names.iter().all(|name| why.contains(name)) {
            wrong += &format!("{script}{why}\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn names_that_no_directory_has_are_refused() {
    let fill = |tree: &Path| {
        fs::write(tree.join("name-1"), "").unwrap();
        fs::write(tree.join("name-2"), "").unwrap();
    };
    let options = ["-b", "1024", "-O", "^metadata_csum"];
    let Some(good) = volume(&options, fill, "") else {
        return;
    };
    let at = good.windows(6).position(|w| w == b"name-2").unwrap();
    for (name, why) in [
        (b"name-1", "the name \"name-1\" twice"),
        (b"name/2", "the name \"name/2\""),
        (b"name\x002", "the name \"name\\u{0}2\""),
    ] {
        let mut bytes = good.clone();
        bytes[at..at + 6].copy_from_slice(name);
        let said = refused(&bytes);
        assert!(said.ends_with(why), "{said}");
    }
    // The name's length is before it, the entry's before that.
    for (before, value, why) in [
        (1, 9, "of no known kind"),
        (2, 0, "the name \"\""),
        (4, 7, "an entry of"),
        (4, 4, "an entry of"),
        (3, 0xff, "an entry of 65"),
    ] {
        let mut bytes = good.clone();
        bytes[at - before] = value;
        let said = refused(&bytes);
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn damage_is_told_by_checksums() {
    let options = ["-b", "1024", "-O", "metadata_csum"];
    let Some(good) = volume(&options, odd, "") else {
        return;
    };
    let at = |what: &[u8]| good.windows(what.len()).position(|w| w == what).unwrap();
    let mut fs = open(&good).unwrap();
    let table = fs.inode_table(0).unwrap() as usize * 1024;
    for (at, what) in [
        (1024 + 0x78, "superblock's checksum"),
        // Flags of the first group.
        (2048 + 0x12, "checksum of group 0"),
        (
            table + usize::from(fs.inode_size) + 4,
            "checksum of inode 2",
        ),
        (
            at("größe €".as_bytes()),
            "/: ext4: directory, inode 2: the checksum of a block",
        ),
    ] {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        let why = refused(&bytes);
        assert!(why.contains(what), "{at}: {why}");
    }
}

#[test]
fn what_is_cut_short_is_an_error() {
    let Some(good) = volume(&["-b", "1024"], odd, SPECIAL) else {
        return;
    };
    for len in [0, 1024, 2047, 2048, 4096, good.len() - 1] {
        assert!(walk(&good[..len]).is_err(), "{len}");
    }
}

/// Inodes of 128 bytes have room for half a checksum.
#[test]
fn small_inodes_with_checksums_are_read() {
    let options = ["-b", "1024", "-I", "128", "-O", "metadata_csum"];
    let Some(bytes) = volume(&options, odd, "") else {
        return;
    };
    assert_eq!(walk(&bytes).unwrap().len(), 314);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(300))]
    #[test]
    fn no_damage_makes_it_panic_or_hang(
        // Where metadata lies: superblock and groups, inodes and directories.
        damage in proptest::collection::vec((0usize..400_000, 0u8..=255), 1..200),
        superblock in proptest::collection::vec((1024usize..1400, 0u8..=255), 0..3),
    ) {
        use std::sync::LazyLock;
        static GOOD: LazyLock<Vec<u8>> = LazyLock::new(|| {
            let options = ["-b", "1024", "-O", "^metadata_csum,^has_journal"];
            volume(&options, odd, SPECIAL).unwrap_or_default()
        });
        let mut bytes = GOOD.clone();
        for (at, value) in damage.into_iter().chain(superblock) {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        if let Ok(entries) = walk(&bytes) {
            proptest::prop_assert!(entries.is_sorted_by(|a, b| a.path < b.path));
        }
        if let Ok(mut fs) = open(&bytes) {
            let _ = fs.find(b"/d/fast/x", true);
            let _ = fs.find(b"/d/many/../e/", true);
        }
    }
}
