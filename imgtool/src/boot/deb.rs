//! Reads what is wanted out of a Debian package (deb(5)).
//!
//! The outer `ar` archive is read here and not with the crate `ar`, which allocates what a header
//! says. Nothing is written to disk, so names in the package can do no harm.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

pub use super::control::DebInfo;
use super::decompress::{Compression, Limited, read_bounded, too_large};
use super::error::BootError;

const AR_MAGIC: &[u8; 8] = b"!<arch>\n";
/// Unpacked size of `data.tar`, at most: Debian's largest kernel package is 600 MiB.
const MAX_UNPACKED: u64 = 2 << 30;
/// Size of a file that is wanted, at most.
const MAX_FILE: u64 = 512 << 20;
/// Size of all files that are wanted, at most.
const MAX_KEPT: u64 = 512 << 20;
const MAX_ENTRIES: usize = 200_000;
const MAX_CONTROL: u64 = 1 << 20;
/// Length of a path, at most, as Linux has it.
const MAX_PATH: u64 = 4096;

/// A Debian package and the files of it that were wanted.
#[derive(Debug)]
pub(super) struct Deb {
    pub(super) info: DebInfo,
    /// By path without a leading slash.
    pub(super) files: BTreeMap<String, Vec<u8>>,
}

/// Whether the file begins as a Debian package does (as any `ar` archive does).
pub fn is_deb(path: &Path) -> Result<bool, BootError> {
    let mut magic = Vec::new();
    let file = File::open(path).map_err(BootError::read(path))?;
    file.take(AR_MAGIC.len() as u64)
        .read_to_end(&mut magic)
        .map_err(BootError::read(path))?;
    Ok(magic == AR_MAGIC)
}

/// What a Debian package for amd64 says of itself. Reads its control file only.
pub fn deb_info(path: &Path) -> Result<DebInfo, BootError> {
    Members::open(path)?.control()
}

/// Reads a package for amd64 (or all) and keeps the regular files for which `want` holds.
pub(super) fn read_deb(path: &Path, want: &mut dyn FnMut(&str) -> bool) -> Result<Deb, BootError> {
    let mut members = Members::open(path)?;
    let info = members.control()?;
    loop {
        let member = members.next()?;
        // deb(5): members whose names begin with an underscore may come before data.
        if member.name.starts_with('_') {
            continue;
        }
        let Some(compression) = tar_compression(&member.name, "data.tar") else {
            return Err(members.wrong(format!("{:?} where data.tar should be", member.name)));
        };
        let name = member.name.clone();
        let files = members
            .read(member, |m| data(compression.decoder(m)?, MAX_FILE, want))
            .map_err(|source| members.damaged(&name, source))?;
        return Ok(Deb { info, files });
    }
}

/// One member of the `ar` archive.
struct Member {
    name: String,
    size: u64,
}

/// The members of a package's `ar` archive, in order.
struct Members<'a> {
    path: &'a Path,
    file: BufReader<File>,
    /// Where the next member's header is.
    next: u64,
}

impl<'a> Members<'a> {
    /// Opens a package and checks its first member, `debian-binary`.
    fn open(path: &'a Path) -> Result<Members<'a>, BootError> {
        let mut file =
            BufReader::with_capacity(128 * 1024, File::open(path).map_err(BootError::read(path))?);
        let mut magic = [0; AR_MAGIC.len()];
        let read = file.read_exact(&mut magic);
        let mut members = Members {
            path,
            file,
            next: AR_MAGIC.len() as u64,
        };
        match read {
            Ok(()) if magic == *AR_MAGIC => {}
            Err(e) if e.kind() != io::ErrorKind::UnexpectedEof => {
                return Err(BootError::read(path)(e));
            }
            _ => return Err(members.wrong("not a Debian package (no ar archive)".into())),
        }
        let first = members.next()?;
        if first.name != "debian-binary" {
            return Err(members.wrong(format!(
                "not a Debian package: an ar archive that begins with {:?}",
                first.name
            )));
        }
        let version = members
            .read(first, |m| read_bounded(m, "debian-binary", 4096))
            .map_err(|source| members.damaged("debian-binary", source))?;
        if !version.starts_with(b"2.") {
            return Err(members.wrong(format!(
                "a Debian package of format {:?}, not 2.x",
                String::from_utf8_lossy(&version).trim()
            )));
        }
        Ok(members)
    }

    /// Reads the control member, which must be next.
    fn control(&mut self) -> Result<DebInfo, BootError> {
        let member = self.next()?;
        let Some(compression) = tar_compression(&member.name, "control.tar") else {
            return Err(self.wrong(format!("{:?} where control.tar should be", member.name)));
        };
        let name = member.name.clone();
        let mut files = self
            .read(member, |m| {
                let control = &mut |p: &str| p == "control";
                data(compression.decoder(m)?, MAX_CONTROL, control)
            })
            .map_err(|source| self.damaged(&name, source))?;
        let control = files.remove("control").unwrap_or_default();
        let info = DebInfo::parse(&control).map_err(|why| self.wrong(why))?;
        if info.architecture != "amd64" && info.architecture != "all" {
            return Err(BootError::Package {
                path: self.path.to_owned(),
                why: format!(
                    "package {} is for the architecture {}, not amd64",
                    info.package, info.architecture
                ),
                hint: Some("download the package for amd64".into()),
            });
        }
        Ok(info)
    }

    /// The next member's header; it is an error if there is none.
    fn next(&mut self) -> Result<Member, BootError> {
        self.header()
            .map_err(|source| self.damaged("the ar archive", source))
    }

    fn header(&mut self) -> io::Result<Member> {
        // 16 bytes name, 12 mtime, 6 uid, 6 gid, 8 mode, 10 size, 2 magic.
        let mut header = [0; 60];
        self.file.seek(SeekFrom::Start(self.next))?;
        self.file.read_exact(&mut header)?;
        if header[58..] != *b"`\n" {
            return Err(invalid("no member header where one should be"));
        }
        let text = |bytes: &[u8]| {
            std::str::from_utf8(bytes)
                .map(|t| t.trim_end().to_owned())
                .map_err(|_| invalid("a member header that is not ASCII"))
        };
        let name = text(&header[..16])?;
        let digits = text(&header[48..58])?;
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(invalid("a member whose size is not a number"));
        }
        // At most ten digits, so neither this nor the next position can overflow.
        let size: u64 = digits
            .parse()
            .map_err(|_| invalid("a member whose size is not a number"))?;
        self.next += 60 + size + size % 2;
        Ok(Member {
            name: name.trim_end_matches('/').to_owned(),
            size,
        })
    }

    /// Reads the member whose header was read last, all of it.
    fn read<T>(
        &mut self,
        member: Member,
        read: impl FnOnce(&mut dyn BufRead) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut body = Exact((&mut self.file).take(member.size));
        let value = read(&mut body)?;
        // What the decoder did not ask for must be there too.
        io::copy(&mut body, &mut io::sink())?;
        Ok(value)
    }

    fn wrong(&self, why: String) -> BootError {
        BootError::Package {
            path: self.path.to_owned(),
            why,
            hint: None,
        }
    }

    fn damaged(&self, part: &str, source: io::Error) -> BootError {
        BootError::Damaged {
            path: self.path.to_owned(),
            part: part.to_owned(),
            source,
        }
    }
}

/// A bounded reader that takes the end of the file before the bound for an error.
struct Exact<R>(io::Take<R>);

impl<R: BufRead> Exact<R> {
    fn check(&self, empty: bool) -> io::Result<()> {
        if empty && self.0.limit() > 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("the file ends {} bytes too early", self.0.limit()),
            ));
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Exact<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.0.read(buf)?;
        self.check(n == 0 && !buf.is_empty())?;
        Ok(n)
    }
}

impl<R: BufRead> BufRead for Exact<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let empty = self.0.fill_buf()?.is_empty();
        self.check(empty)?;
        self.0.fill_buf()
    }

    fn consume(&mut self, n: usize) {
        self.0.consume(n);
    }
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_owned())
}

/// The compression of member `name` if it is `stem` with an extension of deb(5).
fn tar_compression(name: &str, stem: &str) -> Option<Compression> {
    let rest = name.strip_prefix(stem)?;
    Compression::from_extension(rest.strip_prefix('.').unwrap_or(rest))
        .filter(|_| rest.is_empty() || rest.starts_with('.'))
}

/// The wanted regular files of a tar archive, each of `max_file` bytes at most.
pub(super) fn data(
    from: Box<dyn Read + '_>,
    max_file: u64,
    want: &mut dyn FnMut(&str) -> bool,
) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let mut archive = tar::Archive::new(Limited {
        inner: from,
        left: MAX_UNPACKED,
        limit: MAX_UNPACKED,
    });
    let mut files = BTreeMap::new();
    let mut kept = 0_u64;
    // Path that an extension header gives the next entry.
    let mut long_path: Option<Vec<u8>> = None;
    // Raw: the crate would read extension headers of any size into memory.
    for (i, entry) in archive.entries()?.raw(true).enumerate() {
        let mut entry = entry?;
        if i >= MAX_ENTRIES {
            return Err(invalid("more than 200000 entries"));
        }
        let kind = entry.header().entry_type();
        if kind.is_gnu_longname() {
            let mut name = read_bounded(&mut entry, "a path", MAX_PATH)?;
            name.truncate(name.iter().position(|&b| b == 0).unwrap_or(name.len()));
            long_path = Some(name);
            continue;
        }
        if kind.is_pax_local_extensions() {
            let pax = read_bounded(&mut entry, "an extended header", 1 << 20)?;
            for record in tar::PaxExtensions::new(&pax) {
                let record = record?;
                match record.key_bytes() {
                    b"path" if record.value_bytes().len() as u64 > MAX_PATH => {
                        return Err(invalid("a path longer than 4096 bytes"));
                    }
                    b"path" => long_path = Some(record.value_bytes().to_vec()),
                    // Would change where the next header is.
                    b"size" => return Err(invalid("a size in an extended header")),
                    _ => {}
                }
            }
            continue;
        }
        if kind.is_gnu_longlink() || kind.is_pax_global_extensions() {
            continue;
        }
        let path = long_path
            .take()
            .unwrap_or_else(|| entry.header().path_bytes().into_owned());
        let Some(path) = clean(&path).filter(|p| kind.is_file() && want(p)) else {
            continue;
        };
        let size = entry.header().entry_size()?;
        if size > max_file {
            return Err(too_large(path, max_file));
        }
        kept = kept.saturating_add(size);
        if kept > MAX_KEPT {
            return Err(too_large("what is needed of it", MAX_KEPT));
        }
        let bytes = read_bounded(&mut entry, path, max_file)?;
        if bytes.len() as u64 != size {
            return Err(invalid("the archive ends within a file"));
        }
        if files.insert(path.to_owned(), bytes).is_some() {
            return Err(invalid("the same file twice"));
        }
    }
    // To the end of the compressed stream, where its checksum is.
    io::copy(&mut archive.into_inner(), &mut io::sink())?;
    Ok(files)
}

/// A path without leading `./` or `/`; `None` if it is not plain UTF-8 below the root.
fn clean(path: &[u8]) -> Option<&str> {
    let path = std::str::from_utf8(path).ok()?;
    let path = path.strip_prefix("./").unwrap_or(path);
    let path = path.strip_prefix('/').unwrap_or(path);
    path.split('/')
        .all(|part| !matches!(part, "" | "." | ".."))
        .then_some(path)
}

#[cfg(test)]
mod tests;
