//! Extended attributes: which of them belong to an image, and reading them from the host.

use super::InputError;
use crate::tree::Xattrs;
use rustix::io::Errno;
use std::ffi::CStr;
use std::path::Path;

/// Longest value that Linux handles (`XATTR_SIZE_MAX`).
pub(super) const MAX_VALUE: usize = 64 * 1024;
/// Longest name that Linux handles (`XATTR_NAME_MAX`).
pub(super) const MAX_NAME: usize = 255;

/// Whether an attribute is the file's own: capabilities, access control lists and what users
/// set. Everything else belongs to the host: `trusted.*` is seen by root alone, SELinux labels,
/// IMA and EVM follow the host's policy, and overlay file systems keep their state in others.
pub(super) fn keep(name: &[u8]) -> bool {
    const EXACT: [&[u8]; 3] = [
        b"security.capability",
        b"system.posix_acl_access",
        b"system.posix_acl_default",
    ];
    const STATE: [&[u8]; 3] = [
        b"user.overlay.",
        b"user.fuseoverlayfs.",
        b"user.containers.",
    ];
    EXACT.contains(&name)
        || (name.len() > b"user.".len()
            && name.starts_with(b"user.")
            && !STATE.iter().any(|prefix| name.starts_with(prefix)))
}

/// The attributes of `path` that belong to an image; a link is not followed.
pub(super) fn read(path: &Path) -> Result<Xattrs, InputError> {
    let mut xattrs = Xattrs::new();
    let mut small = [0_u8; 256];
    let mut large = Vec::new();
    let names: &[u8] = match rustix::fs::llistxattr(path, &mut small[..]) {
        Ok(0) | Err(Errno::NOTSUP) => return Ok(xattrs),
        Ok(len) => &small[..len],
        Err(Errno::RANGE) => {
            // 64 KiB is the most the kernel ever returns (XATTR_LIST_MAX).
            large.resize(64 * 1024, 0);
            let len = rustix::fs::llistxattr(path, &mut large[..])
                .map_err(|e| InputError::io(path, e.into()))?;
            &large[..len]
        }
        Err(e) => return Err(InputError::io(path, e.into())),
    };
    for name in names.split_inclusive(|&b| b == 0) {
        let Ok(name) = CStr::from_bytes_with_nul(name) else {
            continue;
        };
        if !keep(name.to_bytes()) {
            continue;
        }
        let mut value = vec![0; MAX_VALUE];
        match rustix::fs::lgetxattr(path, name, &mut value[..]) {
            Ok(len) => value.truncate(len),
            // Gone between the two calls.
            Err(Errno::NODATA) => continue,
            Err(e) => return Err(InputError::io(path, e.into())),
        }
        xattrs.insert(name.to_bytes().into(), value.into());
    }
    Ok(xattrs)
}

#[cfg(test)]
mod tests {
    use super::keep;

    #[test]
    fn only_the_files_own_attributes_are_kept() {
        for name in [
            "user.a",
            "user.overlayed",
            "security.capability",
            "system.posix_acl_access",
            "system.posix_acl_default",
        ] {
            assert!(keep(name.as_bytes()), "{name}");
        }
        for name in [
            "user.",
            "user.overlay.opaque",
            "user.fuseoverlayfs.x",
            "user.containers.override_stat",
            "trusted.overlay.opaque",
            "security.selinux",
            "security.ima",
            "security.evm",
            "system.nfs4_acl",
            "",
        ] {
            assert!(!keep(name.as_bytes()), "{name}");
        }
    }
}
