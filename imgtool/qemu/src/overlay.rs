//! The copy-on-write disk of a run.

use std::fs::{File, Metadata};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::command::utf8;
use super::qcow2::{Header, MAX_SIZE};
use super::{Options, QemuError};

/// Looks at the image: its absolute path and its size in bytes.
pub(super) fn check_image(image: &Path) -> Result<(PathBuf, Metadata), QemuError> {
    let unreadable = |source| QemuError::ReadImage {
        path: image.to_path_buf(),
        source,
    };
    let path = image.canonicalize().map_err(unreadable)?;
    let metadata = path.metadata().map_err(unreadable)?;
    let size = metadata.len();
    let why = if !metadata.is_file() {
        "not a regular file; a raw disk image is needed"
    } else if size == 0 || !size.is_multiple_of(512) {
        "not a raw disk image: its size is not a multiple of 512 bytes"
    } else if size > MAX_SIZE {
        "larger than 16 TiB"
    } else {
        File::open(&path).map_err(unreadable)?;
        return Ok((path, metadata));
    };
    Err(QemuError::Image {
        path: image.to_path_buf(),
        why: why.to_string(),
    })
}

/// Makes the overlay at `path` for `image`, or takes the one that is there.
pub(super) fn prepare(
    options: &Options,
    image: &Path,
    metadata: &Metadata,
    path: &Path,
) -> Result<(), QemuError> {
    let size = options
        .disk_size
        .unwrap_or_else(|| volume_size(metadata.len()));
    let bad_image = |why: &str| QemuError::Image {
        path: options.image.clone(),
        why: why.to_string(),
    };
    if size < metadata.len() {
        return Err(bad_image(&format!(
            "the image is {} bytes and does not fit on a disk of {size}",
            metadata.len()
        )));
    }
    let backing = utf8(image).map_err(bad_image)?.to_string();
    let header = Header { size, backing };
    let bytes = header.to_bytes().map_err(bad_image)?;
    let io = |source| QemuError::OverlayIo {
        path: path.to_path_buf(),
        source,
    };
    match File::open(path) {
        Ok(file) => check(options, metadata, path, &header, file),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            std::fs::write(path, bytes).map_err(io)
        }
        Err(e) => Err(io(e)),
    }
}

/// The EBS volume that an image of `len` bytes gets: whole GiB. An image that just fits its
/// content has room to write only once it has grown, there as here.
fn volume_size(len: u64) -> u64 {
    len.max(1).next_multiple_of(1 << 30)
}

/// Refuses an overlay that is of another image, of an older build of this one, or of another size
/// than was asked for.
fn check(
    options: &Options,
    image: &Metadata,
    path: &Path,
    wanted: &Header,
    file: File,
) -> Result<(), QemuError> {
    let io = |source| QemuError::OverlayIo {
        path: path.to_path_buf(),
        source,
    };
    let modified = |m: &Metadata| m.modified().map_err(io);
    let older = modified(&file.metadata().map_err(io)?)? < modified(image)?;
    let mut start = Vec::new();
    file.take(65536).read_to_end(&mut start).map_err(io)?;
    let why = match Header::parse(&start) {
        None => "not an overlay (qcow2) that an earlier run made".to_string(),
        Some(found) if found.backing != wanted.backing => {
            format!("the overlay of another image, {}", found.backing)
        }
        Some(found) if options.disk_size.is_some_and(|size| size != found.size) => format!(
            "the overlay of a disk of {} bytes; --disk-size is for the first run",
            found.size
        ),
        Some(_) if older => "the image is newer; delete the overlay to start afresh".to_string(),
        Some(_) => return Ok(()),
    };
    Err(QemuError::Overlay {
        path: path.to_path_buf(),
        why,
    })
}
