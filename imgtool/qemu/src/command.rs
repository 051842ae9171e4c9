//! QEMU's command line: pure, from the options and the files of a run.

use std::path::Path;

use serde_json::json;

use super::{Accel, Disk, Forward, Options};

/// The program.
pub const QEMU: &str = "qemu-system-x86_64";

/// The file, relative to QEMU's working directory, on which QEMU is told to power off and says
/// why it ended.
pub(super) const CONTROL: &str = "control";

/// Files and choices of one run, all settled.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    /// Code and (private, writable) variables of the UEFI firmware.
    pub(super) flash: Option<(&'a str, &'a str)>,
    /// [`Accel::Kvm`] or [`Accel::Tcg`].
    pub(super) accel: Accel,
    pub(super) overlay: &'a str,
    pub(super) forwards: &'a [Forward],
}

/// The arguments that choose a machine of this kind (`pc`, `q35`), without devices: also what the
/// KVM probe tries.
pub fn machine(kind: &str, accel: Accel) -> Vec<String> {
    let (accel, cpu) = match accel {
        Accel::Kvm => ("kvm", "host"),
        // No 5-level page tables: they only make the translator's page walks longer. No fast string
        // instructions: Linux would clear and copy pages with `rep stosb` and `rep movsb`, which the
        // translator carries out byte by byte.
        Accel::Auto | Accel::Tcg => ("tcg,thread=multi", "max,la57=off,erms=off,fsrm=off"),
    };
    // No SMM: nothing here needs it. graphics=off sends the BIOS's text to the serial port.
    let kind = format!("{kind},smm=off,graphics=off");
    [
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-machine",
        &kind,
        "-accel",
        accel,
        "-cpu",
        cpu,
    ]
    .map(String::from)
    .to_vec()
}

/// The kind of machine a disk is attached to: IDE is on the older one.
pub(super) fn machine_kind(disk: Disk) -> &'static str {
    match disk {
        Disk::Ide => "pc",
        Disk::Nvme | Disk::Virtio => "q35",
    }
}

/// All arguments.
pub(super) fn arguments(options: &Options, parts: &Parts) -> Vec<String> {
    let mut kind = machine_kind(options.disk).to_string();
    let mut blocks = Vec::new();
    if let Some((code, vars)) = parts.flash {
        kind += ",pflash0=code,pflash1=vars";
        blocks.push(json!({
            "driver": "file", "node-name": "code", "filename": code, "read-only": true,
        }));
        blocks.push(json!({"driver": "file", "node-name": "vars", "filename": vars}));
    }
    blocks.push(json!({
        "driver": "qcow2",
        "node-name": "disk",
        "discard": "unmap",
        "file": {"driver": "file", "filename": parts.overlay, "discard": "unmap"},
    }));
    let disk = match options.disk {
        Disk::Nvme => "nvme,drive=disk,serial=imgtool,bootindex=0",
        Disk::Virtio => "virtio-blk-pci,drive=disk,bootindex=0",
        Disk::Ide => "ide-hd,drive=disk,bus=ide.0,bootindex=0",
    };
    let mut network = "user,id=network".to_string();
    if options.offline {
        network += ",restrict=on";
    }
    for forward in parts.forwards {
        let Forward { host, guest } = forward;
        network += &format!(",hostfwd=tcp:127.0.0.1:{host}-:{guest}");
    }
    let memory = format!("{}M", options.memory.div_ceil(1 << 20).max(1));
    let cpus = options.cpus.max(1).to_string();
    let chardev = format!("socket,id=control,path={CONTROL},server=off");

    let mut arguments = machine(&kind, parts.accel);
    arguments.push("-no-reboot".to_string());
    arguments.extend(["-m".to_string(), memory, "-smp".to_string(), cpus]);
    for block in blocks {
        arguments.extend(["-blockdev".to_string(), block.to_string()]);
    }
    for (option, value) in [
        ("-device", disk),
        ("-netdev", &network),
        // No option ROM: nothing boots from the network.
        ("-device", "virtio-net-pci,netdev=network,romfile="),
        ("-device", "virtio-rng-pci"),
        // Ctrl-C is for QEMU, not for the guest.
        ("-chardev", "stdio,id=console,signal=on"),
        ("-serial", "chardev:console"),
        ("-chardev", &chardev),
        ("-mon", "chardev=control,mode=control"),
    ] {
        arguments.extend([option.to_string(), value.to_string()]);
    }
    arguments
}

/// A path as QEMU's command line can carry it.
pub(super) fn utf8(path: &Path) -> Result<&str, &'static str> {
    path.to_str()
        .ok_or("its path is not UTF-8, which QEMU can't be given")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_with_commas_stay_whole() {
        let options = Options {
            image: "/image".into(),
            firmware: None,
            disk: Disk::Nvme,
            accel: Accel::Tcg,
            forwards: Vec::new(),
            offline: true,
            memory: (512 << 20) + 1,
            cpus: 0,
            disk_size: None,
            overlay: None,
            expect: None,
            power_off: false,
            timeout: None,
        };
        let parts = Parts {
            flash: Some(("/code,a", "/vars,\"b")),
            accel: Accel::Tcg,
            overlay: "/overlay,snapshot=on",
            forwards: &[Forward {
                host: 8080,
                guest: 80,
            }],
        };
        let arguments = arguments(&options, &parts);
        let files: Vec<String> = arguments
            .iter()
            .filter_map(|a| serde_json::from_str::<serde_json::Value>(a).ok())
            .filter_map(|b| {
                let name = b.pointer("/filename").or(b.pointer("/file/filename"));
                name?.as_str().map(String::from)
            })
            .collect();
        assert_eq!(files, ["/code,a", "/vars,\"b", "/overlay,snapshot=on"]);
        for expected in [
            "513M",
            "1",
            "user,id=network,restrict=on,hostfwd=tcp:127.0.0.1:8080-:80",
        ] {
            assert!(arguments.iter().any(|a| a == expected), "{expected}");
        }
    }
}
