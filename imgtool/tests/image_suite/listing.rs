//! What a file system holds, as text with a line for each name.

use crate::disk::Partition;
use crate::support::ok;
use ext4_view::{Ext4, Ext4Read};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

/// Path, without the leading slash, to what is there.
pub(crate) type Listing = BTreeMap<Vec<u8>, String>;

/// A partition for ext4-view.
struct Window {
    image: File,
    start: u64,
}

impl Ext4Read for Window {
    fn read(&mut self, at: u64, buf: &mut [u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(self.image.read_exact_at(buf, self.start + at)?)
    }
}

/// Type, mode, owner and content of every file of an image's root, by ext4-view.
pub(crate) fn of_image(image: &Path, root: Partition) -> Listing {
    let window = Window {
        image: File::open(image).unwrap(),
        start: root.start,
    };
    let fs = Ext4::load(Box::new(window)).unwrap();
    let mut listing = Listing::new();
    let mut dirs = vec![b"/".to_vec()];
    while let Some(dir) = dirs.pop() {
        for entry in fs.read_dir(dir.as_slice()).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name();
            if matches!(name.as_ref(), b"." | b"..") {
                continue;
            }
            let path = [dir.as_slice(), name.as_ref()].concat();
            let meta = fs.symlink_metadata(path.as_slice()).unwrap();
            let kind = meta.file_type();
            let what = if kind.is_dir() {
                dirs.push([path.as_slice(), b"/"].concat());
                "d".to_string()
            } else if kind.is_symlink() {
                let target = fs.read_link(path.as_slice()).unwrap();
                format!("l {}", String::from_utf8_lossy(target.as_ref()))
            } else if kind.is_regular_file() {
                let bytes = fs.read(path.as_slice()).unwrap();
                format!("f {}", hex::encode(Sha256::digest(bytes)))
            } else {
                "special".to_string()
            };
            let line = line(meta.mode().into(), meta.uid(), meta.gid(), &what);
            listing.insert(path[1..].to_vec(), line);
        }
    }
    listing
}

/// The same of an archive, by the `tar` crate.
pub(crate) fn of_tar(archive: &Path) -> Listing {
    use std::io::Read;
    use tar::EntryType;
    let mut listing = Listing::new();
    let mut archive = tar::Archive::new(File::open(archive).unwrap());
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = normal(&entry.path_bytes());
        let link = entry.link_name_bytes().map(|l| l.into_owned());
        let header = entry.header().clone();
        let what = match header.entry_type() {
            EntryType::Directory => "d".to_string(),
            EntryType::Symlink => format!("l {}", String::from_utf8_lossy(&link.unwrap())),
            EntryType::Link => {
                let first = listing[&normal(&link.unwrap())].clone();
                listing.insert(path, first);
                continue;
            }
            EntryType::Char | EntryType::Block | EntryType::Fifo => "special".to_string(),
            _ => {
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).unwrap();
                format!("f {}", hex::encode(Sha256::digest(bytes)))
            }
        };
        let id = |id: std::io::Result<u64>| u32::try_from(id.unwrap()).unwrap();
        let (uid, gid) = (id(header.uid()), id(header.gid()));
        listing.insert(path, line(header.mode().unwrap(), uid, gid, &what));
    }
    listing.remove(&b""[..]);
    listing
}

fn normal(path: &[u8]) -> Vec<u8> {
    let path = path.strip_prefix(b"./").unwrap_or(path);
    path.strip_suffix(b"/").unwrap_or(path).to_vec()
}

fn line(mode: u32, uid: u32, gid: u32, what: &str) -> String {
    // A link's own mode means nothing, and archives differ in it.
    let mode = if what.starts_with("l ") {
        0o777
    } else {
        mode & 0o7777
    };
    format!("{mode:04o} {uid}:{gid} {what}")
}

/// Owners, modes, sizes, links, attributes, capabilities and access control lists below a
/// directory, by the host's tools.
pub(crate) fn of_directory(dir: &Path) -> String {
    let script = "
        find . -mindepth 1 ! -type d -printf '%P %y %m %U %G %s %l %n\\n' | sort
        find . -mindepth 1 -type d -printf '%P %y %m %U %G\\n' | sort
        find . -type b -exec stat -c '%n %t %T' {} + | sort
        find . -type c -exec stat -c '%n %t %T' {} + | sort
        find . -print0 | sort -z | xargs -0 getfattr -h -d -m - --absolute-names
        getcap -r . | sort
        find . ! -type l -print0 | sort -z | xargs -0 getfacl -n -p --skip-base";
    let mut shell = Command::new("sh");
    shell
        .env("LC_ALL", "C")
        .args(["-c", script])
        .current_dir(dir);
    ok(&mut shell)
}

/// What differs, for a message: at most a few lines.
pub(crate) fn difference(found: &Listing, expected: &Listing) -> Vec<String> {
    let show = |path: &[u8], what: Option<&String>| {
        format!(
            "{} {}",
            String::from_utf8_lossy(path),
            what.map_or("missing", |w| w)
        )
    };
    let mut lines = Vec::new();
    for path in found.keys().chain(expected.keys()) {
        let (one, other) = (found.get(path), expected.get(path));
        if one != other {
            lines.push(format!(
                "{} | expected {}",
                show(path, one),
                show(path, other)
            ));
        }
    }
    lines.truncate(20);
    lines
}
