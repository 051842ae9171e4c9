//! The HTTP client below the SDK: rustls with ring, and the certificates that it trusts.

use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::path::{Path, PathBuf};

/// No HTTP client can be made.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The bundle of certificates (`AWS_CA_BUNDLE`) can't be read.
    #[error("{path}: the CA bundle can't be read")]
    Bundle {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// It is not what it should be.
    #[error("{path}: no certificates in PEM form in it")]
    NotPem {
        /// The file.
        path: PathBuf,
    },
    /// One of them is none.
    #[error("{from}: certificate {number} can't be read: {why}")]
    Certificate {
        /// The file, or what else they came in.
        from: String,
        /// Which, counted from 1.
        number: usize,
        /// Why not.
        why: String,
    },
    /// TLS can't be set up.
    #[error("TLS can't be set up: {0}")]
    Tls(String),
}

/// Which certificates are trusted. The Rust SDK does not look at `AWS_CA_BUNDLE`, as all others do.
#[derive(Clone, Debug, Default)]
pub(super) struct Trust<'t> {
    /// Those in this file, and not the system's.
    pub(super) bundle: Option<&'t Path>,
    /// These in PEM form, and not the system's.
    pub(super) pem: Option<&'t str>,
}

/// A client that trusts these certificates.
pub(super) fn client(trust: &Trust<'_>) -> Result<SharedHttpClient, HttpError> {
    let mut store = match (trust.bundle, trust.pem) {
        (None, None) => TrustStore::default(),
        (None, Some(_)) => TrustStore::empty(),
        (Some(path), _) => {
            let pem = std::fs::read(path).map_err(|cause| HttpError::Bundle {
                path: path.into(),
                cause,
            })?;
            if check(&path.display().to_string(), &pem)? == 0 {
                return Err(HttpError::NotPem { path: path.into() });
            }
            TrustStore::empty().with_pem_certificate(pem)
        }
    };
    if let Some(pem) = trust.pem {
        check("the certificates that were given", pem.as_bytes())?;
        store = store.with_pem_certificate(pem.as_bytes());
    }
    with_trust(store)
}

/// A client for plain HTTP: it reads no certificates, and trusts none.
pub(super) fn plain_client() -> Result<SharedHttpClient, HttpError> {
    with_trust(TrustStore::empty())
}

fn with_trust(store: TrustStore) -> Result<SharedHttpClient, HttpError> {
    let tls = TlsContext::builder()
        .with_trust_store(store)
        .build()
        .map_err(|error| HttpError::Tls(error.to_string()))?;
    Ok(Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .tls_context(tls)
        .build_https())
}

/// How many certificates a PEM text has. All have to be in order: the SDK's client takes that for
/// granted.
fn check(from: &str, pem: &[u8]) -> Result<usize, HttpError> {
    let mut store = RootCertStore::empty();
    for (at, certificate) in CertificateDer::pem_slice_iter(pem).enumerate() {
        let refused = |why: String| HttpError::Certificate {
            from: from.to_owned(),
            number: at + 1,
            why,
        };
        let certificate = certificate.map_err(|error| refused(error.to_string()))?;
        store
            .add(certificate)
            .map_err(|error| refused(error.to_string()))?;
    }
    Ok(store.len())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn certificates_that_are_none_are_refused_and_nobody_panics() {
        let begin = "-----BEGIN CERTIFICATE-----\n";
        let end = "-----END CERTIFICATE-----\n";
        let all = crate::aws::roots::pem();
        let one = &all[..all.find(end).unwrap() + end.len()];
        assert!(check("x", all.as_bytes()).unwrap() > 50);
        assert_eq!(check("x", one.as_bytes()).unwrap(), 1);
        assert_eq!(check("x", b"hello").unwrap(), 0);
        for bad in [
            format!("{begin}MIIB\n{end}"),
            format!("{begin}AAAA\n{end}"),
            format!("{begin}!!!!\n{end}"),
            format!("{one}{begin}{end}"),
            format!("{one}{begin}"),
        ] {
            let error = check("x", bad.as_bytes()).unwrap_err().to_string();
            let number = if bad.starts_with(one) { 2 } else { 1 };
            assert!(
                error.contains(&format!("certificate {number} can't")),
                "{error}"
            );
            let trust = Trust {
                bundle: None,
                pem: Some(&bad),
            };
            assert!(client(&trust).is_err());
        }
        let trust = Trust {
            bundle: None,
            pem: Some(one),
        };
        assert!(client(&trust).is_ok());
    }
}
