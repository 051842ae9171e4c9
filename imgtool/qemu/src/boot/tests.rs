//! Boots sectors of a few instructions for real: what `imgtool run` promises, without an image.

use super::*;
use crate::Disk;
use crate::sector::tests::{Then, saying};
use testutils::{oracle, skip};

/// An image that writes `text` to the console, and options to boot it.
fn machine(text: &str, then: Then) -> Option<(tempfile::TempDir, Options)> {
    disk(&saying(text, then))
}

/// An image that starts with `sector`, and options to boot it.
fn disk(sector: &[u8]) -> Option<(tempfile::TempDir, Options)> {
    oracle(Command::new(QEMU).arg("--version"))?;
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("a, b.img");
    let mut bytes = sector.to_vec();
    bytes.resize(1 << 20, 0);
    std::fs::write(&image, bytes).unwrap();
    let options = Options {
        image,
        firmware: None,
        disk: Disk::Virtio,
        accel: Accel::Tcg,
        forwards: Vec::new(),
        offline: true,
        memory: 64 << 20,
        cpus: 1,
        disk_size: None,
        overlay: None,
        expect: None,
        power_off: false,
        timeout: Some(Duration::from_secs(60)),
    };
    Some((dir, options))
}

fn run(options: &Options) -> (Report, String) {
    let mut console = Vec::new();
    let report = boot(
        options,
        &mut console,
        &mut |_, _, _| {},
        &AtomicBool::new(false),
    )
    .unwrap();
    (report, String::from_utf8_lossy(&console).into_owned())
}

#[test]
fn the_console_decides_the_outcome() {
    let exited = |exit| Outcome::Exited(exit);
    for (text, then, expect, expected) in [
        ("hello\r\n", Then::Hang, Some("ello"), Outcome::Expected),
        (
            "bye\r\n",
            Then::PowerOff,
            Some("hello"),
            Outcome::PoweredOff,
        ),
        ("bye\r\n", Then::Reset, None, Outcome::Reset),
        (
            "imgtool: application exited with status 3\r\n",
            Then::PowerOff,
            None,
            exited(Exit::Status(3)),
        ),
        (
            "imgtool: application exited with signal 9\r\n",
            Then::PowerOff,
            Some("hello"),
            exited(Exit::Signal(9)),
        ),
        (
            "imgtool: FAILED: no root\r\nmore\r\n",
            Then::Hang,
            Some("hello"),
            Outcome::Failed("no root".to_string()),
        ),
        (
            "Kernel panic - not syncing: x\r\n",
            Then::Hang,
            None,
            Outcome::Panicked("Kernel panic - not syncing: x".to_string()),
        ),
    ] {
        let Some((_dir, mut options)) = machine(text, then) else {
            return;
        };
        options.expect = expect.map(String::from);
        let (report, console) = run(&options);
        assert_eq!(report.outcome, expected, "{text:?}");
        assert_eq!(
            report.expected_after.is_some(),
            expected == Outcome::Expected
        );
        assert!(console.contains(expect.filter(|e| text.contains(e)).unwrap_or(text)));
    }
}

#[test]
fn an_image_that_cannot_boot_is_noticed_at_once() {
    for firmware in [Firmware::Bios, Firmware::Uefi] {
        let Some((_dir, mut options)) = disk(&[0; 512]) else {
            return;
        };
        if firmware == Firmware::Uefi && find_ovmf().is_err() {
            skip("no OVMF (Debian: ovmf)");
            return;
        }
        options.firmware = Some(firmware);
        let (report, console) = run(&options);
        assert_eq!(report.outcome, Outcome::NothingToBoot, "{console}");
    }
}

#[test]
fn the_power_button_is_pressed_once_the_text_was_seen() {
    let Some((_dir, mut options)) = machine("hello\r\n", Then::PowerOffWhenAsked) else {
        return;
    };
    options.expect = Some("hello".to_string());
    options.power_off = true;
    let (report, _) = run(&options);
    assert_eq!(report.outcome, Outcome::Expected);
    // Without the button it waits for ever.
    options.expect = Some("never".to_string());
    options.timeout = Some(Duration::from_secs(2));
    let (report, _) = run(&options);
    assert_eq!(report.outcome, Outcome::TimedOut);
}

#[test]
fn every_disk_boots_and_the_image_stays_as_it_was() {
    for disk in [Disk::Virtio, Disk::Nvme, Disk::Ide] {
        let Some((_dir, mut options)) = machine("hello\r\n", Then::Hang) else {
            return;
        };
        let before = std::fs::read(&options.image).unwrap();
        options.disk = disk;
        options.disk_size = Some(8 << 30);
        options.expect = Some("hello".to_string());
        let (report, _) = run(&options);
        assert_eq!(report.outcome, Outcome::Expected, "{disk:?}");
        assert_eq!(report.firmware, Firmware::Bios);
        assert!(before == std::fs::read(&options.image).unwrap(), "{disk:?}");
    }
}

#[test]
fn time_and_signals_end_a_run() {
    let Some((_dir, mut options)) = machine("hello\r\n", Then::Hang) else {
        return;
    };
    options.timeout = Some(Duration::from_secs(3));
    let (report, _) = run(&options);
    assert_eq!(report.outcome, Outcome::TimedOut);
    assert!(report.elapsed < Duration::from_secs(10));
    assert!(report.last_lines.contains("hello"), "{}", report.last_lines);

    let mut console = Vec::new();
    let interrupted = AtomicBool::new(true);
    let report = boot(&options, &mut console, &mut |_, _, _| {}, &interrupted).unwrap();
    assert_eq!(report.outcome, Outcome::Interrupted);
}

#[test]
fn where_kvm_does_not_work_tcg_takes_over() {
    let Some((dir, mut options)) = machine("hello\r\n", Then::Hang) else {
        return;
    };
    options.accel = Accel::Auto;
    options.expect = Some("hello".to_string());
    let (report, _) = run(&options);
    assert_eq!(report.outcome, Outcome::Expected);
    let works = probe::kvm("q35", dir.path()).unwrap().is_ok();
    assert_eq!(report.accel == Accel::Kvm, works);
}

#[test]
fn an_overlay_is_kept_and_refused_where_it_does_not_fit() {
    let Some((dir, mut options)) = machine("hello\r\n", Then::Hang) else {
        return;
    };
    let overlay = dir.path().join("overlay");
    options.overlay = Some(overlay.clone());
    options.disk_size = Some(1 << 30);
    options.expect = Some("hello".to_string());
    run(&options);
    options.disk_size = None;
    run(&options);
    assert!(overlay.is_file());

    let refused = |options: &Options| {
        let quiet = AtomicBool::new(false);
        let error = boot(options, &mut io::sink(), &mut |_, _, _| {}, &quiet).unwrap_err();
        assert_eq!(error.class(), error_class::Class::Input, "{error}");
        error.to_string()
    };
    options.disk_size = Some(2 << 30);
    assert!(refused(&options).contains("--disk-size is for the first run"));
    options.disk_size = None;
    let image = std::fs::read(&options.image).unwrap();
    let other = dir.path().join("other");
    std::fs::write(&other, &image).unwrap();
    let first = std::mem::replace(&mut options.image, other);
    assert!(refused(&options).contains("of another image"));
    options.image = first;
    std::fs::write(&options.image, &image).unwrap();
    assert!(refused(&options).contains("the image is newer"));
    std::fs::write(&overlay, "not one").unwrap();
    assert!(refused(&options).contains("not an overlay"));
}

#[test]
fn what_is_no_image_is_refused() {
    let Some((dir, mut options)) = machine("", Then::Hang) else {
        return;
    };
    let quiet = AtomicBool::new(false);
    let odd = dir.path().join("odd");
    std::fs::write(&odd, [0; 511]).unwrap();
    for path in [dir.path().join("missing"), dir.path().to_path_buf(), odd] {
        options.image = path;
        let error = boot(&options, &mut io::sink(), &mut |_, _, _| {}, &quiet).unwrap_err();
        assert_eq!(error.class(), error_class::Class::Input, "{error}");
    }
}

#[test]
fn ports_in_use_are_refused_and_0_takes_a_free_one() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let forward = |host| Forward { host, guest: 80 };
    let error = settle_ports(&[forward(port)]).unwrap_err();
    assert_eq!(error.class(), error_class::Class::Surroundings);
    let settled = settle_ports(&[forward(0), forward(0)]).unwrap();
    assert!(settled.iter().all(|f| f.host != 0 && f.guest == 80));
    assert_ne!(settled[0].host, settled[1].host);
}
