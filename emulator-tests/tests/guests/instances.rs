//! Instances that boot: the sample's image, launched as a user does, answers from inside.

use super::aws::{Aws, PATIENCE, http, text};
use super::host;
use emulator_tests::Emulator;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

/// What the sample writes once it serves.
pub const SERVES: &str = "hello: listening on";

pub fn client(emulator: &Emulator) -> Aws {
    Aws {
        address: emulator.parts().address,
        account: emulator.account_of_its_own().account().to_string(),
    }
}

/// The sample's page, asked for until it comes.
pub fn page(address: SocketAddr) -> String {
    let until = Instant::now() + PATIENCE;
    loop {
        match http(address, "GET / HTTP/1.1", &[]) {
            Ok(answer) if answer.status == 200 => return answer.text(),
            other => assert!(
                Instant::now() < until,
                "{:?}",
                other.map(|answer| answer.text())
            ),
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// A type, and how its instances boot.
struct Kind {
    name: &'static str,
    mode: &'static str,
    /// What QEMU is told.
    hardware: &'static [&'static str],
    /// What firmware and guest say of it.
    said: &'static [&'static str],
}

/// One instance's life, on a type.
fn life(emulator: &Emulator, aws: &Aws, image: &str, kind: &Kind) {
    let &Kind {
        name: kind,
        mode,
        hardware,
        said: says,
    } = kind;
    let made = aws.ec2(&format!(
        "Action=CreateSecurityGroup&GroupName=web-{mode}&GroupDescription=web"
    ));
    let group = text(&made, "groupId");
    let id = aws.launch(image, kind, &format!("&SecurityGroupId.1={group}"));
    let said = aws.until_state(&id, "running");
    assert_eq!(text(&said, "currentInstanceBootMode"), mode);
    let volume = text(&said, "volumeId");
    let machines = host::machines(&id);
    assert_eq!(machines.len(), 1);
    for part in hardware {
        assert!(machines[0].contains(part), "{part}: {}", machines[0]);
    }
    emulator.wait_for_console(&id, SERVES, PATIENCE).unwrap();
    let console = aws.console(&id);
    let lines = [
        "imgtool: root partition grown to ",
        "imgtool: application started",
    ];
    for line in lines.iter().chain(says) {
        assert!(console.contains(line), "{line}: {console}");
    }

    // What listens in it is not its security group's business.
    let ports = emulator.scan_ports(&id).unwrap();
    assert_eq!((&ports.open[..], ports.silent), (&[8080][..], 0));

    // Its security group lets nobody in, until it does.
    let forward = emulator.forward_port(&id, 8080).unwrap();
    http(forward.address(), "GET / HTTP/1.1", &[])
        .map(|answer| answer.text())
        .expect_err("there is no rule");
    aws.open_port(&group, 8080);
    assert!(page(forward.address()).contains("Hello from"));

    // A reboot is one in good order, of the same machine.
    aws.ec2(&format!("Action=RebootInstances&InstanceId.1={id}"));
    let until = Instant::now() + PATIENCE;
    while aws.console(&id).matches(SERVES).count() < 2 {
        assert!(Instant::now() < until, "{}", aws.console(&id));
        std::thread::sleep(Duration::from_millis(500));
    }
    assert!(aws.console(&id).contains("reboot: Power down"));
    aws.until_state(&id, "running");
    assert!(page(forward.address()).contains("Hello from"));

    // A snapshot of it while it runs is whole.
    let made = aws.ec2(&format!("Action=CreateSnapshot&VolumeId={volume}"));
    let snapshot = text(&made, "snapshotId");
    aws.until(
        &format!("Action=DescribeSnapshots&SnapshotId.1={snapshot}"),
        "<status>completed</status>",
    );

    // Stopped by its power button, and started again: what it wrote is there.
    aws.ec2(&format!("Action=StopInstances&InstanceId.1={id}"));
    let said = aws.until_state(&id, "stopped");
    assert!(said.contains("Client.UserInitiatedShutdown"), "{said}");
    assert_eq!(aws.console(&id).matches("reboot: Power down").count(), 2);
    assert_eq!(host::machines(&id), [""; 0]);
    aws.ec2(&format!("Action=StartInstances&InstanceId.1={id}"));
    emulator.wait_for_console(&id, SERVES, PATIENCE).unwrap();
    let console = aws.console(&id);
    assert!(!console.contains("root partition grown"), "{console}");

    // An image of the snapshot boots, too: its root has grown already.
    let copy = aws.image(&format!("copy-{mode}"), &snapshot, 3);
    aws.ec2(&format!("Action=TerminateInstances&InstanceId.1={id}"));
    let said = aws.until_state(&id, "terminated");
    assert!(said.contains("Client.UserInitiatedShutdown"), "{said}");
    assert_eq!(host::machines(&id), [""; 0]);
    let gone = aws.try_ec2(&format!("Action=DescribeVolumes&VolumeId.1={volume}"));
    assert!(
        gone.text().contains("InvalidVolume.NotFound"),
        "{}",
        gone.text()
    );
    let guest = emulator.parts().data.join("guests").join(&id);
    assert!(!guest.join("run").exists());

    let again = aws.launch(&copy, kind, "");
    emulator.wait_for_console(&again, SERVES, PATIENCE).unwrap();
    assert!(!aws.console(&again).contains("root partition grown"));
    aws.ec2(&format!(
        "Action=TerminateInstances&SkipOsShutdown=true&InstanceId.1={again}"
    ));
    aws.until_state(&again, "terminated");
}

fn lives(kind: &Kind) {
    let Some(builder) = host::builder(1) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let Some(file) = host::sample(dir.path()) else {
        return;
    };
    let emulator = builder.start().unwrap();
    let aws = client(&emulator);
    let snapshot = aws.snapshot(&file);
    let image = aws.image("hello", &snapshot, 3);
    life(&emulator, &aws, &image, kind);
}

#[test]
fn a_xen_type_boots_by_bios_from_ide() {
    lives(&Kind {
        name: "t2.micro",
        mode: "legacy-bios",
        hardware: &[
            "-machine pc,",
            "ide-hd,drive=volume0",
            "-m 1024M ",
            "-smp 1 ",
        ],
        said: &["Booting from Hard Disk", "imgtool: root is /dev/sda"],
    });
}

#[test]
fn a_nitro_type_boots_by_uefi_from_nvme() {
    lives(&Kind {
        name: "t3.micro",
        mode: "uefi",
        hardware: &[
            "-machine q35,pflash0=code,",
            "nvme,drive=volume0",
            "-m 1024M ",
        ],
        said: &["BdsDxe: starting ", "imgtool: root is /dev/nvme0n1p"],
    });
}

/// Writes an image of a mebibyte that begins with this sector.
pub fn image_of(dir: &Path, sector: &[u8]) -> std::path::PathBuf {
    let file = dir.join("small.img");
    let mut bytes = vec![0; 1 << 20];
    bytes[..sector.len()].copy_from_slice(sector);
    std::fs::write(&file, bytes).unwrap();
    file
}
