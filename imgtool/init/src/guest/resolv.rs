//! `/etc/resolv.conf`, written from the lease.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::dhcp::Lease;

/// Writes the lease's name servers to `/etc/resolv.conf`.
///
/// Leaves it alone when the lease has none, when there is no `/etc`, or when the file is not a
/// plain one: a symbolic link belongs to whoever manages what it leads to.
pub(crate) fn write(lease: &Lease) {
    if lease.dns.is_empty() {
        return;
    }
    if let Err(error) = write_in(Path::new("/etc"), &text(lease)) {
        say!("warning: can't write /etc/resolv.conf: {error}");
    }
}

fn text(lease: &Lease) -> String {
    let mut text = String::from("# From DHCP\n");
    if let Some(domain) = &lease.domain {
        let _ = writeln!(text, "search {domain}");
    }
    for server in &lease.dns {
        let _ = writeln!(text, "nameserver {server}");
    }
    text
}

/// Replaces the file at once, so that no reader sees half of it.
fn write_in(etc: &Path, text: &str) -> io::Result<()> {
    let (file, new) = (etc.join("resolv.conf"), etc.join(".resolv.conf.new"));
    if !is(etc, fs::Metadata::is_dir) {
        return Ok(());
    }
    if fs::symlink_metadata(&file).is_ok() {
        if !is(&file, fs::Metadata::is_file) {
            say!("/etc/resolv.conf is not a plain file and stays as it is");
            return Ok(());
        }
        // Not written anew at each boot.
        let mut bytes = Vec::new();
        let most = text.len() as u64 + 1;
        io::Read::read_to_end(
            &mut io::Read::take(fs::File::open(&file)?, most),
            &mut bytes,
        )?;
        if bytes == text.as_bytes() {
            return Ok(());
        }
    }
    // Left over if power failed.
    let _ = fs::remove_file(&new);
    let mut options = fs::File::options();
    let mut opened = options
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(&new)?;
    opened.write_all(text.as_bytes())?;
    opened.sync_all()?;
    fs::rename(&new, &file)
}

fn is(path: &Path, what: impl FnOnce(&fs::Metadata) -> bool) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| what(&metadata))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_a_plain_file_is_replaced() {
        let etc = std::env::temp_dir().join(format!("imgtool-resolv-{}", std::process::id()));
        let file = etc.join("resolv.conf");
        assert!(write_in(&etc, "x\n").is_ok(), "no /etc is no error");
        assert!(!etc.exists());
        fs::create_dir(&etc).unwrap();
        write_in(&etc, "a\n").unwrap();
        write_in(&etc, "b\n").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "b\n");
        fs::rename(&file, etc.join("managed")).unwrap();
        symlink("managed", &file).unwrap();
        write_in(&etc, "c\n").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "b\n");
        fs::remove_dir_all(&etc).unwrap();
    }
}
