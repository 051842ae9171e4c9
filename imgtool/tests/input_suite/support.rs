//! What the tests of inputs share: a dump of a tree, archives from bytes, a scratch directory.

use imgtool::input::{Input, InputError, Options, load};
use imgtool::tree::{Content, Kind, NodeId, Tree, lossy};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Options with room for everything, spooling to `dir`.
pub(crate) fn options(dir: &Path) -> Options<'_> {
    Options {
        owner: None,
        max_size: 1 << 40,
        max_files: 1_000_000,
        spool_dir: dir,
        library_dirs: &[],
    }
}

/// An input and the directory that holds it: files that are removed count as changed.
pub(crate) struct Loaded {
    input: Input,
    _dir: tempfile::TempDir,
}

impl std::ops::Deref for Loaded {
    type Target = Input;

    fn deref(&self) -> &Input {
        &self.input
    }
}

/// Writes `bytes` to a file of a scratch directory and loads it.
pub(crate) fn load_bytes(bytes: &[u8]) -> Result<Loaded, InputError> {
    let (dir, path) = scratch("in.tar");
    std::fs::write(&path, bytes).unwrap();
    let input = load(&path, &options(dir.path()))?;
    Ok(Loaded { input, _dir: dir })
}

/// The whole message of an error, causes included.
pub(crate) fn message(error: &InputError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        write!(text, ": {cause}").unwrap();
        source = cause.source();
    }
    text
}

/// Everything about a file's bytes.
pub(crate) fn bytes_of(content: &Content) -> Vec<u8> {
    content.read_all(1 << 30).unwrap().unwrap()
}

/// A line for each name: path, kind, mode, owner, attributes; for files their size, data ranges
/// and digest; a further name of a node says which it is.
pub(crate) fn dump(tree: &Tree) -> String {
    let mut out = String::new();
    let mut seen: BTreeMap<NodeId, String> = BTreeMap::new();
    let mut pending = vec![("/".to_string(), Tree::ROOT)];
    while let Some((path, id)) = pending.pop() {
        let node = tree.node(id);
        let meta = &node.meta;
        if let Some(first) = seen.get(&id) {
            writeln!(out, "{path} = {first}").unwrap();
            continue;
        }
        seen.insert(id, path.clone());
        write!(out, "{path} {:04o} {}:{}", meta.mode, meta.uid, meta.gid).unwrap();
        match &node.kind {
            Kind::Dir(entries) => {
                write!(out, " dir").unwrap();
                for (name, &child) in entries.iter().rev() {
                    let slash = if path == "/" { "" } else { "/" };
                    pending.push((format!("{path}{slash}{}", lossy(name)), child));
                }
            }
            Kind::File(content) => {
                let data: Vec<_> = content.segments.iter().map(|s| (s.offset, s.len)).collect();
                let hash = hex::encode(Sha256::digest(bytes_of(content)));
                write!(out, " file {} {data:?} {}", content.size, &hash[..12]).unwrap();
            }
            Kind::Symlink(target) => write!(out, " -> {}", lossy(target)).unwrap(),
            Kind::Char { major, minor } => write!(out, " char {major},{minor}").unwrap(),
            Kind::Block { major, minor } => write!(out, " block {major},{minor}").unwrap(),
            Kind::Fifo => write!(out, " fifo").unwrap(),
            Kind::Socket => write!(out, " socket").unwrap(),
        }
        for (name, value) in &meta.xattrs {
            write!(out, " {}={}", lossy(name), hex::encode(value)).unwrap();
        }
        out.push('\n');
    }
    out
}

/// The content of a file of the tree.
pub(crate) fn read(tree: &Tree, path: &str) -> Vec<u8> {
    let id = tree.resolve(path.as_bytes()).unwrap();
    match &tree.node(id).kind {
        Kind::File(content) => bytes_of(content),
        other => panic!("{path} is {other:?}"),
    }
}

/// A tar header with everything at its usual value.
pub(crate) struct Entry<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) kind: u8,
    pub(crate) link: &'a [u8],
    pub(crate) body: &'a [u8],
}

/// A regular file.
pub(crate) fn file<'a>(name: &'a str, body: &'a [u8]) -> Entry<'a> {
    Entry {
        name: name.as_bytes(),
        kind: b'0',
        link: b"",
        body,
    }
}

/// An entry without content.
pub(crate) fn entry<'a>(kind: u8, name: &'a str, link: &'a str) -> Entry<'a> {
    Entry {
        name: name.as_bytes(),
        kind,
        link: link.as_bytes(),
        body: b"",
    }
}

/// One header in ustar form.
pub(crate) fn header(entry: &Entry<'_>) -> [u8; 512] {
    let mut h = [0; 512];
    h[..entry.name.len()].copy_from_slice(entry.name);
    let mode = if entry.kind == b'5' {
        b"0000755\0"
    } else {
        b"0000644\0"
    };
    h[100..108].copy_from_slice(mode);
    h[108..116].copy_from_slice(b"0000000\0");
    h[116..124].copy_from_slice(b"0000000\0");
    h[124..136].copy_from_slice(format!("{:011o}\0", entry.body.len()).as_bytes());
    h[136..148].copy_from_slice(b"00000000000\0");
    h[156] = entry.kind;
    h[157..157 + entry.link.len()].copy_from_slice(entry.link);
    h[257..265].copy_from_slice(b"ustar\x0000");
    h[329..337].copy_from_slice(b"0000001\0");
    h[337..345].copy_from_slice(b"0000003\0");
    checksum(&mut h);
    h
}

/// Puts in the checksum of a header.
pub(crate) fn checksum(h: &mut [u8; 512]) {
    h[148..156].copy_from_slice(b"        ");
    let sum: u32 = h.iter().map(|&b| u32::from(b)).sum();
    h[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// Entries without the mark at the end.
pub(crate) fn cut_tar(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for entry in entries {
        out.extend(header(entry));
        out.extend(entry.body);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out
}

/// A whole archive.
pub(crate) fn tar(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut out = cut_tar(entries);
    out.resize(out.len() + 1024, 0);
    out
}

/// The body of a pax header.
pub(crate) fn pax(records: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let mut len = rest + 1;
        while len != rest + len.to_string().len() {
            len += 1;
        }
        out.extend(format!("{len} {key}=").bytes());
        out.extend(*value);
        out.push(b'\n');
    }
    out
}

/// Runs a program of the host; `None` (reported) if it is not there, which CI does not allow.
pub(crate) fn run(program: &str, args: &[&str], dir: &Path) -> Option<()> {
    let out = match Command::new(program).args(args).current_dir(dir).output() {
        Ok(out) => out,
        Err(e) => {
            assert!(std::env::var_os("CI").is_none(), "{program}: {e}");
            eprintln!("skipped: {program} is not there");
            return None;
        }
    };
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{program} {args:?}: {text}");
    Some(())
}

/// A scratch directory and a path in it.
pub(crate) fn scratch(name: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    (dir, path)
}
