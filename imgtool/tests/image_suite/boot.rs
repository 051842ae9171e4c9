//! The boot matrix: both firmwares, every kind of disk.

use crate::machine::{run, start};
use crate::support::*;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

/// One test for each row, so that each has its own time and they run side by side.
macro_rules! matrix {
    ($($name:ident: $check:ident($firmware:literal, $disk:literal);)+) => {$(
        #[test]
        fn $name() {
            $check($firmware, $disk);
        }
    )+};
}

matrix! {
    sample_bios_nvme: sample_serves("bios", "nvme");
    sample_bios_virtio: sample_serves("bios", "virtio");
    sample_bios_ide: sample_serves("bios", "ide");
    sample_uefi_nvme: sample_serves("uefi", "nvme");
    sample_uefi_virtio: sample_serves("uefi", "virtio");
    sample_uefi_ide: sample_serves("uefi", "ide");
    debian_bios_nvme: debian_runs_a_command("bios", "nvme");
    debian_bios_virtio: debian_runs_a_command("bios", "virtio");
    debian_bios_ide: debian_runs_a_command("bios", "ide");
    debian_uefi_nvme: debian_runs_a_command("uefi", "nvme");
    debian_uefi_virtio: debian_runs_a_command("uefi", "virtio");
    debian_uefi_ide: debian_runs_a_command("uefi", "ide");
    generic_bios_ide: modules_find_root("bios", "ide");
    generic_uefi_nvme: modules_find_root("uefi", "nvme");
    systemd_bios_virtio: systemd_reaches_its_login_prompt("bios", "virtio");
    systemd_uefi_nvme: systemd_reaches_its_login_prompt("uefi", "nvme");
}

/// The sample gives its page to the host, and then the power button ends it.
fn sample_serves(firmware: &str, disk: &str) {
    let Some(sample) = sample() else { return };
    let dir = scratch();
    let image = dir.path().join("sample.img");
    build(&sample, &image, &["--name", "sample"]);
    // Pressed once the page was taken.
    let answered = ["--expect", "hello: answered 200", "--power-off"];
    let machine = ["--firmware", firmware, "--disk", disk, "--port", "0:8080"];
    let mut machine = start(&image, &[&machine[..], &answered[..]].concat());
    let forward = machine.wait_for("port 127.0.0.1:");
    let port = forward
        .trim_start_matches("port 127.0.0.1:")
        .split(' ')
        .next()
        .and_then(|port| port.parse().ok())
        .expect(&forward);
    machine.wait_for("hello: listening on");
    let page = fetch(port);
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
    assert!(page.contains("<h1>Hello from sample</h1>"), "{page}");
    let ran = machine.end();
    ran.expect(0, "expected", &["the power button"]);
    assert_eq!(ran.result["firmware"], firmware);
    assert_eq!(ran.result["disk"], disk);
    assert_eq!(ran.result["accel"], "tcg");
}

fn fetch(port: u16) -> String {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    let patience = Some(Duration::from_secs(60));
    stream.set_read_timeout(patience).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    page
}

/// A command of Debian's under our PID 1, and the machine powers off when it is done.
fn debian_runs_a_command(firmware: &str, disk: &str) {
    let Some(debian) = debian() else { return };
    let dir = scratch();
    let image = dir.path().join("debian.img");
    let script = "cat /etc/os-release && id && tr '\\0' ' ' </proc/1/cmdline && echo && \
                  cat /proc/sys/kernel/hostname && dpkg --audit && echo all is well";
    build(&debian, &image, &["--", "/bin/sh", "-c", script]);
    let ran = run(&image, &["--firmware", firmware, "--disk", disk]);
    ran.expect(
        0,
        "exited",
        &[
            "ID=debian",
            "uid=0(root) gid=0(root)",
            "/init",
            "\ndebian\n",
            "all is well",
            "imgtool: application exited with status 0",
        ],
    );
    assert_eq!(ran.result["firmware"], firmware);
}

/// A kernel that can't read root without modules.
fn modules_find_root(firmware: &str, disk: &str) {
    let (Some(sample), Some(kernel)) = (sample(), generic_kernel()) else {
        return;
    };
    let dir = scratch();
    let image = dir.path().join("generic.img");
    build(&sample, &image, &["--kernel", kernel.to_str().unwrap()]);
    let serves = ["--expect", "hello: listening", "--power-off"];
    let machine = ["--firmware", firmware, "--disk", disk];
    let ran = run(&image, &[&machine[..], &serves[..]].concat());
    ran.expect(0, "expected", &["root file system grown", "powering off"]);
}

/// systemd as the image's own init, which acts on the power button by logind.
fn systemd_reaches_its_login_prompt(firmware: &str, disk: &str) {
    let Some(debian) = debian_systemd() else {
        return;
    };
    let dir = scratch();
    let image = dir.path().join("systemd.img");
    // Room for the journal and what else systemd writes.
    let arguments = ["--init", "/sbin/init", "--size", "+256MiB"];
    build(
        &debian,
        &image,
        &[&arguments[..], &["--name", "box"]].concat(),
    );
    let machine = ["--firmware", firmware, "--disk", disk];
    let button = ["--expect", " login: ", "--power-off"];
    let ran = run(&image, &[&machine[..], &button[..]].concat());
    ran.expect(
        0,
        "expected",
        &[
            "imgtool: handing over to /sbin/init",
            "Debian GNU/Linux",
            "reboot: Power down",
        ],
    );
    assert!(!ran.console.contains("FAILED"), "{}", ran.console);
}
