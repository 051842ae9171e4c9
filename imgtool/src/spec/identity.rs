//! The image's identity, and every identifier in the image derived from it.
//!
//! Two builds that say the same thing have the same identity on every host: it covers what the
//! spec means, never where files lie. Content is not in it, so that a new version of an
//! application keeps its partition GUIDs and its base's blocks.

use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

use super::{Restart, Run, Spec};

/// What identifiers are derived for.
pub mod purpose {
    /// Disk GUID.
    pub const DISK: &str = "disk";
    /// GUID of the BIOS boot partition.
    pub const PARTITION_BIOS: &str = "partition/bios";
    /// GUID of the ESP (or XBOOTLDR) partition.
    pub const PARTITION_ESP: &str = "partition/esp";
    /// GUID of the root partition.
    pub const PARTITION_ROOT: &str = "partition/root";
    /// UUID of the root file system.
    pub const EXT4_UUID: &str = "ext4/uuid";
    /// Seed of the root file system's directory hash.
    pub const EXT4_HASH_SEED: &str = "ext4/hash-seed";
    /// Serial number of the FAT volume.
    pub const FAT_SERIAL: &str = "fat/serial";
}

/// The image's identity: SHA-256 of a canonical serialization of what the spec means.
///
/// Each item is a name and a value, both with their length as a little-endian u64 before them, so
/// no two specs serialize alike. A change of this format changes every identifier of every image:
/// it needs a new version in the first item.
pub fn identity(spec: &Spec, run: &Run) -> [u8; 32] {
    let mut out = Canonical(Sha256::new());
    out.item("imgtool identity", b"1");
    out.item("name", spec.name.as_bytes());
    out.item("firmware", spec.firmware.word().as_bytes());
    out.item(
        "cmdline",
        spec.extra_cmdline.as_deref().unwrap_or("").as_bytes(),
    );
    out.item("hostname", spec.hostname.as_bytes());
    out.item("grow", &[u8::from(spec.grow)]);
    out.item("timestamp", &spec.timestamp.to_le_bytes());
    out.item("label", spec.label.as_bytes());
    match run {
        Run::Init(path) => out.item("init", path.as_bytes()),
        Run::Application(run) => {
            for word in &run.command {
                out.item("command", word.as_bytes());
            }
            for (name, value) in &run.env {
                out.item("env name", name.as_bytes());
                out.item("env value", value.as_bytes());
            }
            out.item("user", run.user.as_bytes());
            out.item("working directory", run.working_directory.as_bytes());
            let restart: &[u8] = match run.restart {
                Restart::No => b"no",
                Restart::OnFailure => b"on-failure",
                Restart::Always => b"always",
            };
            out.item("restart", restart);
            if !run.wait_for_network {
                out.item("wait for network", b"no");
            }
        }
    }
    out.0.finalize().into()
}

/// The UUID for one [`purpose`]: version 8 (RFC 9562, section 5.8), so nobody takes it for random.
pub fn derive_uuid(identity: &[u8; 32], purpose: &str) -> Uuid {
    let digest = derive(identity, purpose);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    Builder::from_custom_bytes(bytes).into_uuid()
}

/// The number for one [`purpose`].
pub fn derive_u32(identity: &[u8; 32], purpose: &str) -> u32 {
    let digest = derive(identity, purpose);
    u32::from_le_bytes([digest[0], digest[1], digest[2], digest[3]])
}

fn derive(identity: &[u8; 32], purpose: &str) -> [u8; 32] {
    let mut out = Canonical(Sha256::new());
    out.item("imgtool derive", b"1");
    out.item("identity", identity);
    out.item("purpose", purpose.as_bytes());
    out.0.finalize().into()
}

struct Canonical(Sha256);

impl Canonical {
    fn item(&mut self, name: &str, value: &[u8]) {
        for bytes in [name.as_bytes(), value] {
            self.0.update((bytes.len() as u64).to_le_bytes());
            self.0.update(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{
        AppChoice, ContainerDefaults, Firmware, HostConfig, Overrides, Size, application, resolve,
    };
    use super::*;
    use std::path::Path;

    fn spec() -> Spec {
        let host = HostConfig {
            kernel: Some("k".into()),
            modules: None,
            stub: Some("s".into()),
        };
        resolve(Some(Path::new("hello")), None, &Overrides::default(), &host).unwrap()
    }

    fn run(spec: &Spec) -> Run {
        application(spec, &ContainerDefaults::default(), Some("/app")).unwrap()
    }

    /// Every identifier of every image hangs on these values: an image built today must be the
    /// image built from the same spec tomorrow. If this test fails, the serialization has
    /// changed, and with it all GUIDs: that is a decision, not a repair of the test.
    #[test]
    fn identity_and_what_derives_from_it_are_frozen() {
        let spec = spec();
        let id = identity(&spec, &run(&spec));
        assert_eq!(
            hex::encode(id),
            "2aebd26d04bb1f5af10aa1c9f87cbdf3b9468c293d194bdff1dc574f2dcee0fc"
        );
        assert_eq!(
            derive_uuid(&id, purpose::DISK).to_string(),
            "43de5498-3b84-82d2-89d6-e8f876f4038c"
        );
        assert_eq!(
            derive_uuid(&id, purpose::PARTITION_ROOT).to_string(),
            "a45416f9-c6e4-8566-b82b-75b1e072aa0a"
        );
        assert_eq!(derive_u32(&id, purpose::FAT_SERIAL), 0x8360_3dc8);
        let init = Run::Init("/sbin/init".into());
        assert_eq!(
            hex::encode(identity(&spec, &init)),
            "f94ef66f78107cb5ac366a3b07cef68e05fb08959c23159c2cfe06505d629109"
        );
    }

    #[test]
    fn uuids_are_version_8_and_differ_by_purpose() {
        let all = [
            purpose::DISK,
            purpose::PARTITION_BIOS,
            purpose::PARTITION_ESP,
            purpose::PARTITION_ROOT,
            purpose::EXT4_UUID,
            purpose::EXT4_HASH_SEED,
            purpose::FAT_SERIAL,
        ];
        let uuids: std::collections::BTreeSet<_> =
            all.iter().map(|p| derive_uuid(&[7; 32], p)).collect();
        assert_eq!(uuids.len(), all.len());
        for uuid in uuids {
            assert_eq!(uuid.get_version_num(), 8);
            assert_eq!(uuid.get_variant(), uuid::Variant::RFC4122);
        }
    }

    #[test]
    fn identity_is_what_the_spec_means_and_not_where_files_lie() {
        let base = spec();
        let id = |spec: &Spec| identity(spec, &run(spec));
        let changes: [fn(&mut Spec); 10] = [
            |s| s.name.push('x'),
            |s| s.firmware = Firmware::Bios,
            |s| s.extra_cmdline = Some("quiet".into()),
            |s| s.hostname.push('x'),
            |s| s.grow = false,
            |s| s.timestamp = 1,
            |s| s.label.push('x'),
            |s| s.app.env = vec![("A".into(), "1".into())],
            |s| s.app.command = Some(vec!["a".into(), "b".into()]),
            |s| s.app.command = Some(vec!["ab".into()]),
        ];
        let mut seen = std::collections::BTreeSet::from([id(&base)]);
        for (at, change) in changes.iter().enumerate() {
            let mut spec = base.clone();
            change(&mut spec);
            assert!(seen.insert(id(&spec)), "change {at} is not in the identity");
        }
        let mut elsewhere = base.clone();
        elsewhere.input = "/other/hello".into();
        elsewhere.kernel = "/other/k".into();
        elsewhere.modules = Some("/m".into());
        elsewhere.stub = Some("/other/s".into());
        elsewhere.add = vec![("/x".into(), "/x".into())];
        elsewhere.size = Size::Exact(1 << 30);
        elsewhere.max_size = 1;
        elsewhere.app = AppChoice::default();
        assert_eq!(id(&elsewhere), id(&base));
    }
}
