//! QEMU's command line: pure, from what an instance is made of.

use imgtool_qemu::{Accel, machine};
use serde_json::json;
use sha2::{Digest, Sha256};

/// The socket, relative to QEMU's working directory, on which QEMU is told what to do.
pub(super) const CONTROL: &str = "control";
/// The socket of the guest's network.
pub(super) const LAN: &str = "lan";

/// Disks that IDE has places for.
const IDE_PLACES: usize = 4;

/// What an instance is made of.
#[derive(Clone, Debug)]
pub(super) struct Hardware<'a> {
    pub(super) instance: &'a str,
    pub(super) instance_type: &'a str,
    pub(super) nitro: bool,
    pub(super) cpus: u32,
    pub(super) memory_mib: u32,
    pub(super) mac: &'a str,
    pub(super) accel: Accel,
    /// Code, and variables of its own, of the UEFI firmware.
    pub(super) flash: Option<(&'a str, &'a str)>,
    /// The volumes' ids, the root's first.
    pub(super) volumes: &'a [String],
}

/// The socket of a volume's disk.
pub(super) fn disk_socket(place: usize) -> String {
    format!("disk{place}")
}

/// The kind of machine: Xen's guests see the older one.
pub(super) fn machine_kind(nitro: bool) -> &'static str {
    if nitro { "q35" } else { "pc" }
}

/// All arguments.
pub(super) fn arguments(hardware: &Hardware<'_>) -> Vec<String> {
    let mut kind = machine_kind(hardware.nitro).to_owned();
    let mut blocks = Vec::new();
    if let Some((code, vars)) = hardware.flash {
        kind += ",pflash0=code,pflash1=vars";
        blocks.push(json!({
            "driver": "file", "node-name": "code", "filename": code, "read-only": true,
        }));
        blocks.push(json!({"driver": "file", "node-name": "vars", "filename": vars}));
    }
    let mut devices = Vec::new();
    for (place, volume) in hardware.volumes.iter().enumerate() {
        let node = format!("volume{place}");
        blocks.push(json!({
            "driver": "nbd",
            "node-name": node,
            "export": super::nbd::NAME,
            "server": {"type": "unix", "path": disk_socket(place)},
        }));
        devices.push(disk(hardware.nitro, place, &node, volume));
    }
    devices.extend([
        // No option ROM: nothing boots from the network.
        format!("virtio-net-pci,netdev=lan,mac={},romfile=", hardware.mac),
        "virtio-rng-pci".to_owned(),
    ]);

    let mut arguments = machine(&kind, hardware.accel);
    let mut option = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
    option("-name", hardware.instance.to_owned());
    option("-m", format!("{}M", hardware.memory_mib.max(1)));
    option("-smp", hardware.cpus.max(1).to_string());
    let uuid = uuid(hardware.instance);
    option("-uuid", uuid.clone());
    for table in smbios(hardware, &uuid) {
        option("-smbios", table);
    }
    for block in blocks {
        option("-blockdev", block.to_string());
    }
    option(
        "-netdev",
        format!("stream,id=lan,server=off,addr.type=unix,addr.path={LAN}"),
    );
    for device in devices {
        option("-device", device);
    }
    option("-chardev", "stdio,id=console,signal=off".to_owned());
    option("-serial", "chardev:console".to_owned());
    option(
        "-chardev",
        format!("socket,id=control,path={CONTROL},server=off"),
    );
    option("-mon", "chardev=control,mode=control".to_owned());
    // Who powered off, and whether a reboot was asked for, is looked at before the machine goes.
    option("-action", "shutdown=pause,reboot=reset".to_owned());
    arguments
}

/// A volume's device. Its serial number is the volume's id, as EBS has it.
fn disk(nitro: bool, place: usize, node: &str, volume: &str) -> String {
    let serial: String = volume.chars().filter(|c| *c != '-').take(20).collect();
    let boot = if place == 0 { ",bootindex=0" } else { "" };
    if nitro {
        format!("nvme,drive={node},serial={serial}{boot}")
    } else if place < IDE_PLACES {
        let (bus, unit) = (place / 2, place % 2);
        format!("ide-hd,drive={node},serial={serial},bus=ide.{bus},unit={unit}{boot}")
    } else {
        format!("virtio-blk-pci,drive={node},serial={serial}")
    }
}

/// `ec2…`, by which guests know where they are; the same for the same instance.
fn uuid(instance: &str) -> String {
    let digest = hex::encode(Sha256::digest(instance));
    let part = |from: usize, to: usize| digest.get(from..to).unwrap_or_default();
    format!(
        "ec2{}-{}-4{}-8{}-{}",
        part(0, 5),
        part(5, 9),
        part(9, 12),
        part(12, 15),
        part(15, 27)
    )
}

/// What the firmware says of the machine: Nitro's by its vendor, Xen's by its version.
fn smbios(hardware: &Hardware<'_>, uuid: &str) -> Vec<String> {
    let Hardware {
        instance,
        instance_type,
        ..
    } = hardware;
    if hardware.nitro {
        vec![
            "type=0,vendor=Amazon EC2,version=1.0,release=1.0".to_owned(),
            format!(
                "type=1,manufacturer=Amazon EC2,product={instance_type},serial={uuid},uuid={uuid}"
            ),
            format!("type=2,manufacturer=Amazon EC2,asset={instance}"),
            "type=3,manufacturer=Amazon EC2,asset=Amazon EC2".to_owned(),
        ]
    } else {
        vec![
            "type=0,vendor=Xen,version=4.11.amazon".to_owned(),
            format!(
                "type=1,manufacturer=Xen,product=HVM domU,version=4.11.amazon,serial={uuid},\
                 uuid={uuid}"
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(nitro: bool, volumes: usize) -> String {
        line_of(nitro, volumes, (2, 1024))
    }

    fn line_of(nitro: bool, volumes: usize, (cpus, memory_mib): (u32, u32)) -> String {
        let volumes: Vec<String> = (0..volumes)
            .map(|n| format!("vol-0123456789abcdef{n}"))
            .collect();
        arguments(&Hardware {
            instance: "i-01111111111111111",
            instance_type: if nitro { "t3.micro" } else { "t2.micro" },
            nitro,
            cpus,
            memory_mib,
            mac: "0a:00:00:00:00:01",
            accel: Accel::Tcg,
            flash: nitro.then_some(("/code,a", "vars")),
            volumes: &volumes,
        })
        .join(" ")
    }

    #[test]
    fn disks_are_on_the_bus_that_the_type_has() {
        let nitro = line(true, 2);
        for part in [
            "-machine q35,pflash0=code,pflash1=vars",
            "nvme,drive=volume0,serial=vol0123456789abcdef0,bootindex=0",
            "nvme,drive=volume1,serial=vol0123456789abcdef1 ",
            "\"filename\":\"/code,a\"",
            "manufacturer=Amazon EC2,product=t3.micro,serial=ec2",
        ] {
            assert!(nitro.contains(part), "{part}: {nitro}");
        }
        let xen = line(false, 5);
        for part in [
            "-machine pc",
            "ide-hd,drive=volume0,serial=vol0123456789abcdef0,bus=ide.0,unit=0,bootindex=0",
            "ide-hd,drive=volume3,serial=vol0123456789abcdef3,bus=ide.1,unit=1",
            "virtio-blk-pci,drive=volume4",
            "version=4.11.amazon",
        ] {
            assert!(xen.contains(part), "{part}: {xen}");
        }
        assert!(!xen.contains("pflash") && !xen.contains("nvme"));
        assert!(!nitro.contains("ide-hd"));
    }

    #[test]
    fn processors_and_memory_are_those_that_it_has() {
        for (has, parts) in [
            ((1, 1024), ["-m 1024M ", "-smp 1 "]),
            ((16, 65_536), ["-m 65536M ", "-smp 16 "]),
        ] {
            let line = line_of(true, 1, has);
            for part in parts {
                assert!(line.contains(part), "{part}: {line}");
            }
        }
    }

    #[test]
    fn a_uuid_is_one_of_ec2() {
        let uuid = uuid("i-01111111111111111");
        let lengths: Vec<usize> = uuid.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert!(uuid.starts_with("ec2"));
        assert_ne!(uuid, super::uuid("i-02222222222222222"));
    }
}
