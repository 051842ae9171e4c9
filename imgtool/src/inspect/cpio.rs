//! An initramfs: cpio archives in the "new ASCII" format, one after the other (kernel
//! documentation, "initramfs buffer format").

use std::io::Read;

/// Bytes of a header: the magic and thirteen fields of eight hexadecimal digits.
const HEADER: usize = 110;

/// The largest file that is taken out.
const MAX_FILE: usize = 16 << 20;

/// The most that a compressed initramfs may unpack to.
const MAX_UNPACKED: u64 = 512 << 20;

const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Why an initramfs can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CpioError {
    /// Neither an archive nor anything known to be one when unpacked.
    #[error("initramfs: at byte {0}: neither a cpio archive nor zstd")]
    Unknown(usize),
    /// A header is damaged, or the archive ends in the middle.
    #[error("initramfs: at byte {0}: a damaged cpio header, or the archive is cut short")]
    Damaged(usize),
    /// The zstd frames are damaged.
    #[error("initramfs: at byte {0}: damaged zstd")]
    Zstd(usize),
    /// More than an initramfs has.
    #[error("initramfs: {0}")]
    TooLarge(&'static str),
}

/// The last file named `path` (absolute) of an initramfs, as the kernel would unpack it; `None` if
/// there is none. The initramfs may be zstd from some archive on.
pub fn find(initrd: &[u8], path: &str) -> Result<Option<Vec<u8>>, CpioError> {
    let mut found = None;
    let rest = scan(initrd, path, &mut found)?;
    if let Some(at) = rest {
        let packed = initrd.get(at..).unwrap_or_default();
        let mut unpacked = Vec::new();
        zstd::stream::read::Decoder::new(packed)
            .and_then(|zstd| zstd.take(MAX_UNPACKED + 1).read_to_end(&mut unpacked))
            .map_err(|_| CpioError::Zstd(at))?;
        if unpacked.len() as u64 > MAX_UNPACKED {
            return Err(CpioError::TooLarge("unpacks to more than 512 MiB"));
        }
        if let Some(at) = scan(&unpacked, path, &mut found)? {
            return Err(CpioError::Unknown(at));
        }
    }
    Ok(found)
}

/// Goes through the archives of `initrd`; the result is where zstd starts, if it does.
fn scan(
    initrd: &[u8],
    path: &str,
    found: &mut Option<Vec<u8>>,
) -> Result<Option<usize>, CpioError> {
    let wanted = trimmed(path.as_bytes());
    let mut at = 0;
    // Between archives there may be zeros.
    let mut between = true;
    loop {
        let rest = initrd.get(at..).unwrap_or_default();
        if between {
            let Some(zeros) = rest.iter().position(|&b| b != 0) else {
                return Ok(None);
            };
            at += zeros;
        }
        let rest = initrd.get(at..).unwrap_or_default();
        if between && rest.starts_with(&ZSTD_MAGIC) {
            return Ok(Some(at));
        }
        if between && !is_magic(rest) {
            return Err(CpioError::Unknown(at));
        }
        let (entry, len) = entry(rest).ok_or(CpioError::Damaged(at))?;
        between = entry.name == b"TRAILER!!!";
        if !between && entry.is_file && trimmed(entry.name) == wanted {
            if entry.data.len() > MAX_FILE {
                return Err(CpioError::TooLarge("the file is larger than 16 MiB"));
            }
            *found = Some(entry.data.to_vec());
        }
        at += len;
    }
}

struct Entry<'a> {
    name: &'a [u8],
    is_file: bool,
    data: &'a [u8],
}

fn is_magic(bytes: &[u8]) -> bool {
    bytes.starts_with(b"070701") || bytes.starts_with(b"070702")
}

/// The entry at the start of `bytes`, and how many bytes it takes, padding included.
fn entry(bytes: &[u8]) -> Option<(Entry<'_>, usize)> {
    let header = bytes.get(..HEADER)?;
    if !is_magic(header) {
        return None;
    }
    let field = |index: usize| {
        let start = 6 + index * 8;
        let digits = std::str::from_utf8(header.get(start..start + 8)?).ok()?;
        // from_str_radix would take a sign.
        if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        u32::from_str_radix(digits, 16).ok()
    };
    let mode = field(1)?;
    let size = usize::try_from(field(6)?).ok()?;
    let name_size = usize::try_from(field(11)?).ok()?;
    // Linux' PATH_MAX, with the NUL.
    if name_size == 0 || name_size > 4096 {
        return None;
    }
    let name_end = HEADER + name_size;
    let (&nul, name) = bytes.get(HEADER..name_end)?.split_last()?;
    if nul != 0 {
        return None;
    }
    let data_start = name_end.next_multiple_of(4);
    let data_end = data_start.checked_add(size)?;
    let data = bytes.get(data_start..data_end)?;
    // The last entry of a file may lack its padding.
    let len = data_end.checked_next_multiple_of(4)?.min(bytes.len());
    let is_file = mode & 0o170_000 == 0o100_000;
    Some((
        Entry {
            name,
            is_file,
            data,
        },
        len,
    ))
}

/// A name without what makes no difference in front: `/`, `./`.
fn trimmed(mut name: &[u8]) -> &[u8] {
    loop {
        name = match name {
            [b'/', rest @ ..] | [b'.', b'/', rest @ ..] => rest,
            _ => return name,
        };
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        let trailer: (&str, &[u8]) = ("TRAILER!!!", b"");
        for (name, data) in files.iter().chain([&trailer]) {
            let fields = [
                1,
                0o100_644,
                0,
                0,
                1,
                0,
                data.len(),
                0,
                0,
                0,
                0,
                name.len() + 1,
                0,
            ];
            out.extend_from_slice(b"070701");
            for field in fields {
                out.extend_from_slice(format!("{field:08X}").as_bytes());
            }
            out.extend_from_slice(name.as_bytes());
            out.push(0);
            out.resize(out.len().next_multiple_of(4), 0);
            out.extend_from_slice(data);
            out.resize(out.len().next_multiple_of(4), 0);
        }
        out
    }

    #[test]
    fn the_last_of_several_archives_wins() {
        let one = archive(&[("init", b"x"), ("imgtool/guest.json", b"old")]);
        let two = archive(&[("./imgtool/guest.json", b"new")]);
        let find = |initrd: &[u8]| find(initrd, "/imgtool/guest.json");
        assert_eq!(find(&one).unwrap().unwrap(), b"old");
        let padded = [&one[..], &[0; 512], &two, &[0; 8]].concat();
        assert_eq!(find(&padded).unwrap().unwrap(), b"new");
        let packed = [&one[..], &zstd::encode_all(&two[..], 3).unwrap()].concat();
        assert_eq!(find(&packed).unwrap().unwrap(), b"new");
        assert_eq!(find(&archive(&[("a", b"b")])).unwrap(), None);
        assert_eq!(find(b"").unwrap(), None);
        assert_eq!(find(&[0; 100]).unwrap(), None);
    }

    #[test]
    fn damage_is_reported_with_its_place() {
        let good = archive(&[("a", b"data"), ("b", b"more")]);
        let find = |initrd: &[u8]| find(initrd, "/a").unwrap_err();
        assert_eq!(find(b"\x1f\x8bgzip"), CpioError::Unknown(0));
        assert_eq!(find(&good[..good.len() - 8]), CpioError::Damaged(232));
        assert_eq!(find(&good[..50]), CpioError::Damaged(0));
        let mut bad = good.clone();
        bad[6 + 6 * 8..][..8].copy_from_slice(b"FFFFFFFF");
        assert_eq!(find(&bad), CpioError::Damaged(0));
        let mut bad = good.clone();
        bad[6 + 11 * 8..][..8].copy_from_slice(b"00000000");
        assert_eq!(find(&bad), CpioError::Damaged(0));
        let mut bad = good;
        bad[6 + 11 * 8..][..8].copy_from_slice(b"+0000001");
        assert_eq!(find(&bad), CpioError::Damaged(0));
        assert_eq!(find(&[ZSTD_MAGIC, [0xff; 4]].concat()), CpioError::Zstd(0));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            cuts in proptest::collection::vec((0usize..400, 0u8..=255), 0..8),
            len in 0usize..400,
        ) {
            let mut bytes = archive(&[("imgtool/guest.json", b"{}"), ("b", b"more")]);
            for (at, value) in cuts {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = value;
                }
            }
            bytes.truncate(len);
            let _ = find(&bytes, "/imgtool/guest.json");
        }
    }
}
