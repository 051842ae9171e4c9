//! The HTTP client below the SDK: rustls with ring, and the certificates that it trusts.

use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
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
    /// TLS can't be set up.
    #[error("TLS can't be set up: {0}")]
    Tls(String),
}

/// A client that trusts the certificates in `bundle` and no others, or else the system's. The Rust
/// SDK does not look at `AWS_CA_BUNDLE`, as all others do.
pub(super) fn client(bundle: Option<&Path>) -> Result<SharedHttpClient, HttpError> {
    let trust = match bundle {
        None => TrustStore::default(),
        Some(path) => {
            let pem = std::fs::read(path).map_err(|cause| HttpError::Bundle {
                path: path.into(),
                cause,
            })?;
            if !pem.windows(11).any(|it| it == b"-----BEGIN ") {
                return Err(HttpError::NotPem { path: path.into() });
            }
            TrustStore::empty().with_pem_certificate(pem)
        }
    };
    let tls = TlsContext::builder()
        .with_trust_store(trust)
        .build()
        .map_err(|error| HttpError::Tls(error.to_string()))?;
    Ok(Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .tls_context(tls)
        .build_https())
}
