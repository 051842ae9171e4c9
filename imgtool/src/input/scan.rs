//! A directory of the host as a tree.
//!
//! The scan goes level by level: names of all directories of a level, then their entries, both in
//! parallel, then sorted into the tree. So nothing depends on the order in which the file system
//! lists names, and no nesting is too deep for the stack.

use super::budget::Budget;
use super::{InputError, OwnerPolicy, xattrs};
use crate::tree::{
    CHUNK, Content, ContentError, HostFile, Kind, Meta, Name, Node, NodeId, Segment, Source, Tree,
    find_data,
};
use rayon::prelude::*;
use rustix::fs::{Access, AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Longest path that Linux opens, in bytes.
const MAX_PATH: usize = 4095;
/// Ranges that a file system may report as holes; what lies behind the last is looked at instead.
const MAX_HOLES: usize = 1 << 16;

/// File systems of the kernel's own (`statfs(2)`, `linux/magic.h`): what they show is this host.
const KERNEL_FILE_SYSTEMS: [(u32, &str); 14] = [
    (0x9fa0, "proc"),
    (0x6265_6572, "sysfs"),
    (0x1cd1, "devpts"),
    (0x0027_e0eb, "cgroup"),
    (0x6367_7270, "cgroup2"),
    (0x6462_6720, "debugfs"),
    (0x7472_6163, "tracefs"),
    (0x7363_6673, "securityfs"),
    (0xcafe_4a11, "bpf"),
    (0x6165_676c, "pstore"),
    (0xde5e_81e4, "efivarfs"),
    (0x4249_4e4d, "binfmt_misc"),
    (0x6265_6570, "configfs"),
    (0x1980_0202, "mqueue"),
];

/// A directory whose entries are still to be read.
struct Pending {
    id: NodeId,
    path: PathBuf,
    stat: Stat,
}

/// What the host says of an entry.
struct Found {
    path: PathBuf,
    stat: Stat,
    node: Node,
}

/// The directory `root` as a tree, all in layer 0.
pub(super) fn directory(
    root: &Path,
    owner: OwnerPolicy,
    budget: &Budget,
) -> Result<Tree, InputError> {
    let stat = rustix::fs::stat(root).map_err(|e| InputError::io(root, e.into()))?;
    refuse_kernel_file_system(root)?;
    let mut tree = Tree::new();
    tree.node_mut(Tree::ROOT).meta = meta(root, &stat, owner)?;
    budget.file()?;
    let mut links: BTreeMap<(u64, u64), NodeId> = BTreeMap::new();
    let mut level = vec![Pending {
        id: Tree::ROOT,
        path: root.to_path_buf(),
        stat,
    }];
    while !level.is_empty() {
        let names: Vec<Vec<Name>> = in_order(level.par_iter().map(list).collect())?;
        let work: Vec<(&Pending, Name)> = level
            .iter()
            .zip(names)
            .flat_map(|(dir, names)| names.into_iter().map(move |name| (dir, name)))
            .collect();
        let found = work
            .par_iter()
            .with_min_len(64)
            .map(|(dir, name)| entry(dir, name, owner));
        let found = in_order(found.collect())?;
        let mut next = Vec::new();
        for ((dir, name), found) in work.iter().zip(found) {
            let inode = (found.stat.st_dev, found.stat.st_ino);
            let is_dir = matches!(found.node.kind, Kind::Dir(_));
            let insert = if let Some(&first) = links.get(&inode)
                && !is_dir
            {
                tree.link(dir.id, name, first)
            } else {
                budget.file()?;
                budget.content(&found.node)?;
                let id = tree.insert(dir.id, name, found.node);
                if let Ok(id) = id {
                    if is_dir {
                        next.push(Pending {
                            id,
                            path: found.path.clone(),
                            stat: found.stat,
                        });
                    } else if found.stat.st_nlink > 1 {
                        links.insert(inode, id);
                    }
                }
                id.map(|_| ())
            };
            insert.map_err(|source| InputError::Tree {
                name: found.path.display().to_string(),
                source,
            })?;
        }
        level = next;
    }
    Ok(tree)
}

/// A single file of the host as a node of layer 0.
pub(super) fn file(path: &Path, owner: OwnerPolicy) -> Result<Node, InputError> {
    let stat = rustix::fs::lstat(path).map_err(|e| InputError::io(path, e.into()))?;
    node(path, &stat, owner)
}

/// All results, or the first error in their order, whichever thread met one first.
fn in_order<T>(results: Vec<Result<T, InputError>>) -> Result<Vec<T>, InputError> {
    results.into_iter().collect()
}

/// The names in a directory, sorted.
fn list(dir: &Pending) -> Result<Vec<Name>, InputError> {
    let io = |e: Errno| InputError::io(&dir.path, e.into());
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = rustix::fs::open(&dir.path, flags, Mode::empty()).map_err(io)?;
    let same = |stat: &Stat| {
        (stat.st_dev, stat.st_ino) == (dir.stat.st_dev, dir.stat.st_ino)
            && (stat.st_mtime, stat.st_mtime_nsec) == (dir.stat.st_mtime, dir.stat.st_mtime_nsec)
            && (stat.st_ctime, stat.st_ctime_nsec) == (dir.stat.st_ctime, dir.stat.st_ctime_nsec)
    };
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(&fd).map_err(io)? {
        let entry = entry.map_err(io)?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(Name::from(name));
        }
    }
    if !same(&rustix::fs::fstat(&fd).map_err(io)?) {
        return Err(changed(&dir.path));
    }
    names.sort_unstable();
    Ok(names)
}

fn entry(dir: &Pending, name: &[u8], owner: OwnerPolicy) -> Result<Found, InputError> {
    let path = dir.path.join(OsStr::from_bytes(name));
    if path.as_os_str().len() > MAX_PATH {
        return Err(InputError::file(
            &dir.path,
            "holds a file whose path is longer than 4095 bytes, which Linux can't open",
        ));
    }
    let stat = match rustix::fs::lstat(&path) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return Err(changed(&path)),
        Err(e) => return Err(InputError::io(&path, e.into())),
    };
    if stat.st_dev != dir.stat.st_dev {
        refuse_kernel_file_system(&path)?;
    }
    let node = node(&path, &stat, owner)?;
    Ok(Found { path, stat, node })
}

fn node(path: &Path, stat: &Stat, owner: OwnerPolicy) -> Result<Node, InputError> {
    let device = (
        rustix::fs::major(stat.st_rdev),
        rustix::fs::minor(stat.st_rdev),
    );
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Kind::Dir(BTreeMap::new()),
        FileType::RegularFile => Kind::File(content(path, stat)?),
        FileType::Symlink => {
            let target = rustix::fs::readlink(path, Vec::new())
                .map_err(|e| InputError::io(path, e.into()))?;
            super::tar::check_target(target.to_bytes())
                .map_err(|why| InputError::file(path, why))?;
            Kind::Symlink(target.to_bytes().into())
        }
        FileType::CharacterDevice => Kind::Char {
            major: device.0,
            minor: device.1,
        },
        FileType::BlockDevice => Kind::Block {
            major: device.0,
            minor: device.1,
        },
        FileType::Fifo => Kind::Fifo,
        FileType::Socket => Kind::Socket,
        _ => return Err(InputError::file(path, "a file of unknown type")),
    };
    Ok(Node {
        meta: meta(path, stat, owner)?,
        kind,
        layer: 0,
    })
}

fn meta(path: &Path, stat: &Stat, owner: OwnerPolicy) -> Result<Meta, InputError> {
    let (uid, gid) = match owner {
        OwnerPolicy::Root => (0, 0),
        OwnerPolicy::Keep => (stat.st_uid, stat.st_gid),
    };
    Ok(Meta {
        mode: (stat.st_mode & 0o7777) as u16,
        uid,
        gid,
        xattrs: xattrs::read(path)?,
    })
}

fn content(path: &Path, stat: &Stat) -> Result<Content, InputError> {
    let host = HostFile {
        path: path.to_path_buf(),
        dev: stat.st_dev,
        ino: stat.st_ino,
        size: u64::try_from(stat.st_size).unwrap_or(0),
        mtime: (stat.st_mtime, stat.st_mtime_nsec.cast_signed()),
        ctime: (stat.st_ctime, stat.st_ctime_nsec.cast_signed()),
    };
    let size = host.size;
    let data = if size >= CHUNK {
        probe(&host, stat)?
    } else {
        // Not opened before it is read; whether it can be is told now. What everybody may read
        // needs no question.
        if stat.st_mode & 0o444 != 0o444 {
            rustix::fs::accessat(rustix::fs::CWD, path, Access::READ_OK, AtFlags::EACCESS)
                .map_err(|e| InputError::io(path, e.into()))?;
        }
        if size == 0 {
            Vec::new()
        } else {
            vec![(0, size)]
        }
    };
    let source = Source::Path(Arc::new(host));
    let segments = data.into_iter().map(|(offset, len)| Segment {
        offset,
        len,
        source: source.clone(),
        at: offset,
    });
    Ok(Content {
        size,
        segments: segments.collect(),
    })
}

/// Where a file's data is.
fn probe(host: &HostFile, stat: &Stat) -> Result<Vec<(u64, u64)>, InputError> {
    let file = host.open()?;
    let blocks = u64::try_from(stat.st_blocks).unwrap_or(0);
    let holes = if blocks.saturating_mul(512) < host.size {
        reported_holes(&file, host.size)
    } else {
        Vec::new()
    };
    find_data(host.size, &holes, |at, buf| {
        file.read_exact_at(buf, at).map_err(|source| {
            if source.kind() == std::io::ErrorKind::UnexpectedEof {
                changed(&host.path)
            } else {
                InputError::io(&host.path, source)
            }
        })
    })
}

/// What the file system says are holes. It may say nothing: then they are found by reading.
fn reported_holes(file: &File, size: u64) -> Vec<(u64, u64)> {
    let mut holes = Vec::new();
    let mut at = 0;
    while at < size && holes.len() < MAX_HOLES {
        let data = match rustix::fs::seek(file, rustix::fs::SeekFrom::Data(at)) {
            Ok(data) if data >= at => data.min(size),
            // No data up to the end of the file.
            Err(Errno::NXIO) => size,
            _ => break,
        };
        if data > at {
            holes.push((at, data - at));
        }
        if data == size {
            break;
        }
        match rustix::fs::seek(file, rustix::fs::SeekFrom::Hole(data)) {
            Ok(hole) if hole > data => at = hole,
            _ => break,
        }
    }
    holes
}

fn refuse_kernel_file_system(path: &Path) -> Result<(), InputError> {
    let found = rustix::fs::statfs(path).map_err(|e| InputError::io(path, e.into()))?;
    let name = KERNEL_FILE_SYSTEMS
        .iter()
        .find(|(magic, _)| i64::from(*magic) == found.f_type);
    match name {
        Some((_, name)) => Err(InputError::file(
            path,
            format!(
                "{name} is mounted here, which shows this host: unmount it, the image mounts its own"
            ),
        )),
        None => Ok(()),
    }
}

fn changed(path: &Path) -> InputError {
    InputError::Content(ContentError::Changed {
        path: path.to_path_buf(),
    })
}
