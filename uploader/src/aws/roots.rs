//! The certificates that an instance trusts: Mozilla's roots, as a file of the image. They come with
//! the program and not from the host, so that the image is the same whoever builds it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

/// Where the image has them: where programs look on Debian and its descendants.
pub const PATH: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Characters of a line (RFC 7468).
const LINE: usize = 64;

/// All of them in PEM form.
pub fn pem() -> String {
    let mut text = String::new();
    for certificate in TLS_SERVER_ROOT_CERTS {
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        let mut rest = STANDARD.encode(certificate);
        while !rest.is_empty() {
            let more = rest.split_off(rest.len().min(LINE));
            text.push_str(&rest);
            text.push('\n');
            rest = more;
        }
        text.push_str("-----END CERTIFICATE-----\n");
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};
    use testutils::oracle;

    /// OpenSSL's reader is not ours.
    #[test]
    fn openssl_reads_every_certificate() {
        let text = pem();
        let count = text.matches("-----BEGIN CERTIFICATE-----").count();
        assert_eq!(count, TLS_SERVER_ROOT_CERTS.len());
        assert!(count > 50, "{count}");
        assert!(text.lines().all(|it| it.len() <= LINE));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &text).unwrap();
        let mut openssl = Command::new("openssl");
        openssl
            .args(["storeutl", "-noout", "-certs"])
            .arg(file.path())
            .stdin(Stdio::null());
        if let Some(output) = oracle(&mut openssl) {
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(said.contains(&format!("Total found: {count}")), "{said}");
        }
    }
}
