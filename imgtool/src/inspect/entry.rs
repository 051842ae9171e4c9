//! A file in a file system of an image. Field names are those of `--json`.

use std::fmt;

use serde::{Serialize, Serializer};

use super::escape::Escaped;

/// What kind of file something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A character device.
    CharacterDevice,
    /// A block device.
    BlockDevice,
    /// A named pipe.
    Fifo,
    /// A Unix socket.
    Socket,
}

impl FileKind {
    /// Its letter, as `ls` and `tar` have it.
    fn letter(self) -> char {
        match self {
            FileKind::File => '-',
            FileKind::Directory => 'd',
            FileKind::Symlink => 'l',
            FileKind::CharacterDevice => 'c',
            FileKind::BlockDevice => 'b',
            FileKind::Fifo => 'p',
            FileKind::Socket => 's',
        }
    }
}

/// As it is called in a sentence.
impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FileKind::File => "file",
            FileKind::Directory => "directory",
            FileKind::Symlink => "symbolic link",
            FileKind::CharacterDevice => "character device",
            FileKind::BlockDevice => "block device",
            FileKind::Fifo => "named pipe",
            FileKind::Socket => "socket",
        })
    }
}

/// The numbers of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Device {
    /// Which driver.
    pub major: u32,
    /// Which of its devices.
    pub minor: u32,
}

/// What a file has on a file system that knows owners: ext4, not FAT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Unix {
    /// Permissions, set-user-ID, set-group-ID and sticky bit; in JSON four octal digits.
    #[serde(serialize_with = "octal")]
    pub mode: u16,
    /// User ID of the owner.
    pub uid: u32,
    /// Group ID.
    pub gid: u32,
    /// Number of names: hard links.
    pub links: u16,
    /// Number of the inode, the same for all names of a file.
    pub inode: u32,
    /// Time of the last change: seconds since 1970.
    pub mtime: i64,
}

/// A file, by one of its names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Path from the file system's root, with a `/` in front. In JSON, what is not UTF-8 becomes
    /// U+FFFD.
    #[serde(serialize_with = "text")]
    pub path: Vec<u8>,
    /// Its kind.
    pub kind: FileKind,
    /// Bytes: of a file its content, of a link its target, of a directory its entries.
    pub size: u64,
    /// Mode, owner and so on; none on FAT.
    #[serde(flatten)]
    pub unix: Option<Unix>,
    /// Where a symbolic link leads.
    #[serde(
        serialize_with = "optional_text",
        skip_serializing_if = "Option::is_none"
    )]
    pub target: Option<Vec<u8>>,
    /// The numbers of a device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<Device>,
}

/// What an [`Entry`] does not show and a copy of the file needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Time of the last change: seconds since 1970.
    pub modified: i64,
    /// Nanoseconds after that.
    pub nanoseconds: u32,
    /// Extended attributes.
    pub extended: Vec<Attribute>,
}

/// An extended attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// Its name, as `setxattr(2)` takes it.
    pub name: Vec<u8>,
    /// Its value, in the same form.
    pub value: Vec<u8>,
}

fn octal<S: Serializer>(mode: &u16, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&format_args!("{mode:04o}"))
}

fn text<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&String::from_utf8_lossy(bytes))
}

fn optional_text<S: Serializer>(bytes: &Option<Vec<u8>>, to: S) -> Result<S::Ok, S::Error> {
    match bytes {
        Some(bytes) => text(bytes, to),
        None => to.serialize_none(),
    }
}

/// A line as `tar tv` has it, less the time: mode, owner and group, bytes or the numbers of a
/// device, path, target of a symbolic link. Without a line end.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mode, owner) = match &self.unix {
            Some(unix) => (
                permissions(self.kind, unix.mode),
                format!("{}/{}", unix.uid, unix.gid),
            ),
            None => (self.kind.letter().to_string(), "-".to_owned()),
        };
        let size = match &self.device {
            Some(device) => format!("{},{}", device.major, device.minor),
            None => self.size.to_string(),
        };
        write!(
            f,
            "{mode:<10} {owner:<11} {size:>10} {}",
            Escaped(&self.path)
        )?;
        match &self.target {
            Some(target) => write!(f, " -> {}", Escaped(target)),
            None => Ok(()),
        }
    }
}

/// As `ls -l` shows it: `-rwsr-xr-x`.
fn permissions(kind: FileKind, mode: u16) -> String {
    let mut text = String::from(kind.letter());
    // The special bit of each class, and its letter with execution and without.
    for (shift, special, with, without) in [
        (6, 0o4000, 's', 'S'),
        (3, 0o2000, 's', 'S'),
        (0, 0o1000, 't', 'T'),
    ] {
        let class = mode >> shift;
        text.push(if class & 4 != 0 { 'r' } else { '-' });
        text.push(if class & 2 != 0 { 'w' } else { '-' });
        text.push(match (mode & special != 0, class & 1 != 0) {
            (true, true) => with,
            (true, false) => without,
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: FileKind, mode: u16) -> Entry {
        Entry {
            path: b"/a\x1bb".to_vec(),
            kind,
            size: 7,
            unix: Some(Unix {
                mode,
                uid: 1000,
                gid: 70000,
                links: 2,
                inode: 12,
                mtime: -1,
            }),
            target: None,
            device: None,
        }
    }

    #[test]
    fn a_line_is_as_tar_has_it() {
        use FileKind::*;
        let link = Entry {
            target: Some(b"to\n".to_vec()),
            ..entry(Symlink, 0o777)
        };
        let disk = Entry {
            device: Some(Device {
                major: 259,
                minor: 1234,
            }),
            ..entry(BlockDevice, 0o600)
        };
        let fat = Entry {
            unix: None,
            ..entry(Directory, 0)
        };
        for (entry, line) in [
            (
                entry(File, 0o4755),
                "-rwsr-xr-x 1000/70000           7 /a\\u{1b}b",
            ),
            (
                entry(File, 0o6644),
                "-rwSr-Sr-- 1000/70000           7 /a\\u{1b}b",
            ),
            (
                entry(Directory, 0o1777),
                "drwxrwxrwt 1000/70000           7 /a\\u{1b}b",
            ),
            (
                entry(Directory, 0o1770),
                "drwxrwx--T 1000/70000           7 /a\\u{1b}b",
            ),
            (
                entry(Directory, 0o2070),
                "d---rws--- 1000/70000           7 /a\\u{1b}b",
            ),
            (
                entry(CharacterDevice, 0),
                "c--------- 1000/70000           7 /a\\u{1b}b",
            ),
            (
                entry(Fifo, 0o640),
                "prw-r----- 1000/70000           7 /a\\u{1b}b",
            ),
            (
                entry(Socket, 0o1),
                "s--------x 1000/70000           7 /a\\u{1b}b",
            ),
            (
                link,
                "lrwxrwxrwx 1000/70000           7 /a\\u{1b}b -> to\\n",
            ),
            (disk, "brw------- 1000/70000    259,1234 /a\\u{1b}b"),
            (fat, "d          -                    7 /a\\u{1b}b"),
        ] {
            assert_eq!(entry.to_string(), line);
        }
    }

    #[test]
    fn json_has_what_there_is() {
        let device = Entry {
            device: Some(Device { major: 1, minor: 3 }),
            ..entry(FileKind::CharacterDevice, 0o20)
        };
        let json = serde_json::json!({
            "path": "/a\u{1b}b", "kind": "character-device", "size": 7, "mode": "0020",
            "uid": 1000, "gid": 70000, "links": 2, "inode": 12, "mtime": -1,
            "device": {"major": 1, "minor": 3},
        });
        assert_eq!(serde_json::to_value(&device).unwrap(), json);
        let fat = Entry {
            unix: None,
            path: b"/\xff".to_vec(),
            ..entry(FileKind::File, 0)
        };
        let json = serde_json::json!({"path": "/\u{fffd}", "kind": "file", "size": 7});
        assert_eq!(serde_json::to_value(&fat).unwrap(), json);
    }
}
