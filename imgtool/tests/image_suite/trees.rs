//! Trees to build images from: one with all that is odd, and random ones.

use crate::support::*;
use std::io::Write;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Makes something at a path.
type Maker = Box<dyn Fn(&Path)>;

/// What a user may make: names, links, holes, modes, attributes. `shuffle` makes it in another
/// order, which the directories' own order on the host's file system follows.
pub(crate) fn odd(root: &Path, shuffle: bool) {
    std::fs::create_dir(root).unwrap();
    let mut makers: Vec<(&str, Maker)> = Vec::new();
    let mut make = |path, maker: Maker| makers.push((path, maker));
    for path in [
        "usr",
        "usr/bin",
        "empty",
        "empty/in",
        "größe",
        "usr/share",
        "var",
    ] {
        make(
            path,
            Box::new(|path| std::fs::create_dir_all(path).unwrap()),
        );
    }
    make(
        "größe/日本語 €",
        Box::new(|p| put(p, "non-ASCII\n".as_bytes(), 0o644)),
    );
    make("usr/bin/tool", Box::new(|p| put(p, &[7; 70_001], 0o4755)));
    make("usr/bin/private", Box::new(|p| put(p, b"", 0o600)));
    make("short", Box::new(|p| symlink("usr/bin/tool", p).unwrap()));
    make("long", Box::new(|p| symlink("x".repeat(200), p).unwrap()));
    make(
        "usr/sparse",
        Box::new(|p| {
            let file = std::fs::File::create(p).unwrap();
            file.write_all_at(b"far out", 40 << 20).unwrap();
            std::fs::set_permissions(p, PermissionsExt::from_mode(0o644)).unwrap();
        }),
    );
    make(
        "var/fifo",
        Box::new(|p| {
            ok(Command::new("mkfifo").args(["-m", "640"]).arg(p));
        }),
    );
    for n in 0..300 {
        let path: &str = Box::leak(format!("usr/share/file{n}").into_boxed_str());
        make(
            path,
            Box::new(move |p| put(p, &vec![n as u8; n * 97], 0o644)),
        );
    }
    if shuffle {
        makers.reverse();
        makers.rotate_left(100);
    }
    for (path, maker) in &makers {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        maker(&path);
    }
    let mut links = ["usr/one", "usr/two", "z"];
    if shuffle {
        links.reverse();
    }
    for link in links {
        std::fs::hard_link(root.join("usr/bin/tool"), root.join(link)).unwrap();
    }
    for (name, value) in [
        ("user.small", "1".repeat(5)),
        ("user.large", "v".repeat(3000)),
    ] {
        let path = root.join("usr/bin/private");
        let set = rustix::fs::setxattr(
            &path,
            name,
            value.as_bytes(),
            rustix::fs::XattrFlags::empty(),
        );
        if let Err(e) = set {
            skip(&format!("user attributes in {}: {e}", root.display()));
        }
    }
    for (path, mode) in [
        ("", 0o755),
        ("usr", 0o755),
        ("usr/bin", 0o755),
        ("empty", 0o1777),
        ("empty/in", 0o700),
        ("größe", 0o2775),
        ("usr/share", 0o755),
        ("var", 0o755),
    ] {
        std::fs::set_permissions(root.join(path), PermissionsExt::from_mode(mode)).unwrap();
    }
}

fn put(path: &Path, bytes: &[u8], mode: u32) {
    std::fs::write(path, bytes).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

/// What only root may make: owners, devices, a capability, access control lists.
pub(crate) fn add_roots(root: &Path) {
    let script = "set -e
        mknod dev-null c 1 3; mknod -m 600 dev-disk b 259 1234
        cp /bin/true capable; setcap cap_net_bind_service,cap_net_raw+ep capable
        setfacl -m u:1234:rw,g:99:r usr/share/file7
        setfacl -d -m u:1234:rwx empty
        chown 1000:1001 usr/share/file8; chown 70000:4000000000 var
        chown -h 5:6 short";
    ok(Command::new("sh").args(["-c", script]).current_dir(root));
}

/// Packs a directory, names sorted, with attributes and numeric owners.
pub(crate) fn tar(root: &Path, out: &Path, more: &[&str]) -> PathBuf {
    let mut tar = Command::new("tar");
    tar.args(["--create", "--numeric-owner", "--sort=name"]);
    tar.args(["--xattrs", "--xattrs-include=*", "--file"])
        .arg(out);
    ok(tar.args(more).arg("--directory").arg(root).arg("."));
    out.to_path_buf()
}

/// Unpacks an archive with owners and attributes, as far as this user may.
pub(crate) fn untar(archive: &Path, out: &Path, more: &[&str]) {
    std::fs::create_dir(out).unwrap();
    let mut tar = Command::new("tar");
    tar.args(["--extract", "--numeric-owner", "--same-permissions"]);
    tar.args(["--xattrs", "--xattrs-include=*", "--file"])
        .arg(archive);
    ok(tar.args(more).arg("--directory").arg(out));
}

/// A random archive, the same for the same seed.
pub(crate) fn random_tar(seed: u64, out: &Path) {
    let mut random = Random(seed);
    let mut archive = tar::Builder::new(std::fs::File::create(out).unwrap());
    let mut dirs = vec![String::new()];
    let mut files: Vec<String> = Vec::new();
    // Something has to run.
    let mut app = tar::Header::new_gnu();
    app.set_mode(0o755);
    app.set_uid(0);
    app.set_gid(0);
    app.set_size(3);
    archive.append_data(&mut app, "app", &b"app"[..]).unwrap();
    for n in 0..200 {
        let dir = dirs[random.below(dirs.len())].clone();
        let name = ["f", "ü", "a name with spaces ", "-"][random.below(4)];
        let long = "n".repeat(random.below(3) * random.below(100));
        let path = format!("{dir}{name}{long}{n}");
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o400 | random.below(0o10000) as u32);
        header.set_uid(random.below(3) as u64 * 1_000_003);
        header.set_gid(random.below(3) as u64 * 77);
        header.set_mtime(0);
        header.set_size(0);
        let value = vec![b'a' + n as u8 % 26; random.below(3) * random.below(200)];
        let key = format!("SCHILY.xattr.user.k{}", random.below(5));
        let special = matches!(random.below(3), 0);
        let kind = random.below(12);
        if special && kind < 9 {
            archive
                .append_pax_extensions([(key.as_str(), &value[..])])
                .unwrap();
        }
        match kind {
            0..=2 => {
                header.set_entry_type(tar::EntryType::Directory);
                archive
                    .append_data(&mut header, &path, std::io::empty())
                    .unwrap();
                dirs.push(format!("{path}/"));
            }
            3..=8 => {
                let mut body = vec![0; random.below(2) * random.below(400_000) + random.below(99)];
                for _ in 0..random.below(5) {
                    let (at, byte) = (random.below(body.len() + 1), random.below(256));
                    let end = (at + 70_000).min(body.len());
                    body[at..end].fill(byte as u8);
                }
                header.set_size(body.len() as u64);
                archive.append_data(&mut header, &path, &body[..]).unwrap();
                files.push(path);
            }
            9 => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_mode(0o777);
                archive
                    .append_link(&mut header, &path, "t".repeat(1 + random.below(150)))
                    .unwrap();
            }
            10 => {
                header.set_entry_type(tar::EntryType::Fifo);
                archive
                    .append_data(&mut header, &path, std::io::empty())
                    .unwrap();
            }
            _ if files.is_empty() => {}
            _ => {
                header.set_entry_type(tar::EntryType::Link);
                let target = &files[random.below(files.len())];
                archive.append_link(&mut header, &path, target).unwrap();
            }
        }
    }
    archive.into_inner().unwrap().flush().unwrap();
}

/// Knuth's linear congruential generator: the same everywhere, and good enough.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}
