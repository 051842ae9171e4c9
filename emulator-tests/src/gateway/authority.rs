//! A certificate authority of our own, made once for each data directory, and the certificates
//! that the endpoint shows.
//!
//! The names are those that AWS's own certificates have: `*.us-east-1.amazonaws.com`, and
//! `*.s3.us-east-1.amazonaws.com` for buckets, and the same of the dual-stack endpoints. A bucket's
//! name with dots is covered by none, there as here.

use super::error::GatewayError;
use emulator_protocol::Region;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Certificates kept in memory; there are about forty regions.
const MOST_KEPT: usize = 64;

/// Names that every certificate has.
const NAMES: &[&str] = &[
    "localhost",
    "*.localhost",
    "127.0.0.1",
    "::1",
    "localhost.localstack.cloud",
    "*.localhost.localstack.cloud",
    "*.s3.localhost.localstack.cloud",
    "amazonaws.com",
    "*.amazonaws.com",
    "*.s3.amazonaws.com",
];

/// Names that the certificate of a region has beside those.
const REGIONAL: &[&str] = &[
    "*.REGION.amazonaws.com",
    "*.s3.REGION.amazonaws.com",
    "*.s3-control.REGION.amazonaws.com",
    "*.dualstack.REGION.amazonaws.com",
    "*.s3.dualstack.REGION.amazonaws.com",
    "*.REGION.api.aws",
];

/// The authority of one data directory.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    bundle: PathBuf,
    leaves: Mutex<BTreeMap<Option<Region>, Arc<CertifiedKey>>>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority")
            .field("bundle", &self.bundle)
            .finish_non_exhaustive()
    }
}

impl Authority {
    /// Loads the authority of this directory, or makes one.
    pub(super) fn open(data: &Path) -> Result<Self, GatewayError> {
        let key_path = data.join("ca.key");
        let bundle = data.join("ca.pem");
        let params = params();
        let key = match fs::read_to_string(&key_path) {
            Ok(pem) => KeyPair::from_pem(&pem)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let key = KeyPair::generate()?;
                write_private(&key_path, &key.serialize_pem())?;
                key
            }
            Err(error) => return Err(GatewayError::file(&key_path, "read", error)),
        };
        // A process killed between the two leaves a key without a certificate.
        if !bundle.exists() {
            write_private(&bundle, &params.self_signed(&key)?.pem())?;
        }
        let authority = Self {
            issuer: Issuer::new(params, key),
            bundle,
            leaves: Mutex::default(),
        };
        authority.leaf(None)?;
        Ok(authority)
    }

    /// Where the authority's certificate is, for `AWS_CA_BUNDLE`.
    pub(super) fn bundle(&self) -> &Path {
        &self.bundle
    }

    /// TLS with the authority's certificates.
    pub(super) fn server(self: Arc<Self>) -> Result<ServerConfig, GatewayError> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(self);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    /// The certificate for a region's endpoints, or for none in particular.
    fn leaf(&self, region: Option<Region>) -> Result<Arc<CertifiedKey>, GatewayError> {
        let mut leaves = self.leaves.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(leaf) = leaves.get(&region) {
            return Ok(Arc::clone(leaf));
        }
        let mut names: Vec<String> = NAMES.iter().map(|&name| name.to_owned()).collect();
        if let Some(region) = &region {
            names.extend(
                REGIONAL
                    .iter()
                    .map(|name| name.replace("REGION", region.as_str())),
            );
        }
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names)?;
        valid(&mut params);
        params
            .distinguished_name
            .push(DnType::CommonName, "localhost");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let chain: Vec<CertificateDer<'static>> = vec![certificate.der().clone()];
        let secret = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let leaf = Arc::new(CertifiedKey::from_der(
            chain,
            secret,
            &ring::default_provider(),
        )?);
        if leaves.len() >= MOST_KEPT {
            leaves.retain(|region, _| region.is_none());
        }
        leaves.insert(region, Arc::clone(&leaf));
        Ok(leaf)
    }
}

impl ResolvesServerCert for Authority {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.leaf(hello.server_name().and_then(region_of)).ok()
    }
}

/// The region in `NAME.REGION.amazonaws.com` or `NAME.REGION.api.aws`.
fn region_of(name: &str) -> Option<Region> {
    let rest = name
        .strip_suffix(".amazonaws.com")
        .or_else(|| name.strip_suffix(".api.aws"))?;
    Region::parse(rest.rsplit_once('.')?.1)
}

/// What the authority's certificate says; the same each time it is loaded.
fn params() -> CertificateParams {
    let mut params = CertificateParams::default();
    valid(&mut params);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(
        DnType::CommonName,
        "emulator-tests, not to be trusted elsewhere",
    );
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// A fixed span: no clock is asked, and a guest's that is off does not matter.
fn valid(params: &mut CertificateParams) {
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2049, 12, 31);
}

/// Writes a file that nobody else can read, whole or not at all.
fn write_private(path: &Path, text: &str) -> Result<(), GatewayError> {
    let new = path.with_extension("new");
    let _left_behind = fs::remove_file(&new);
    let written = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| fs::rename(&new, path));
    written.map_err(|error| GatewayError::file(path, "written", error))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn an_authority_is_made_once_and_kept_private() {
        let dir = tempfile::tempdir().unwrap();
        let first = Authority::open(dir.path()).unwrap();
        let bundle = fs::read(first.bundle()).unwrap();
        let again = Authority::open(dir.path()).unwrap();
        assert_eq!(fs::read(again.bundle()).unwrap(), bundle);
        for file in ["ca.key", "ca.pem"] {
            let mode = fs::metadata(dir.path().join(file)).unwrap().permissions();
            assert_eq!(mode.mode() & 0o777, 0o600, "{file}");
        }
    }

    #[test]
    fn a_certificate_names_the_region_that_is_asked_for() {
        assert_eq!(
            region_of("ec2.eu-west-1.amazonaws.com").unwrap().as_str(),
            "eu-west-1"
        );
        assert_eq!(
            region_of("b.s3.eu-west-1.amazonaws.com").unwrap().as_str(),
            "eu-west-1"
        );
        assert_eq!(
            region_of("ec2.eu-west-1.api.aws").unwrap().as_str(),
            "eu-west-1"
        );
        assert_eq!(region_of("localhost"), None);
        assert_eq!(region_of("a.B_C.amazonaws.com"), None);
    }

    #[test]
    fn certificates_of_many_names_are_not_kept_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::open(dir.path()).unwrap();
        for number in 0..2 * MOST_KEPT {
            authority
                .leaf(Region::parse(&format!("r-{number}")))
                .unwrap();
        }
        assert!(authority.leaves.lock().unwrap().len() <= MOST_KEPT);
    }
}
