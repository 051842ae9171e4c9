//! More instances than places, and instances that are records.

use super::aws::{PATIENCE, text};
use super::host;
use super::instances::{client, image_of};
use super::sector;
use emulator_guests as guests;
use emulator_tests::Emulator;
use emulator_tests::admin::Admin;

/// The instances that `emulator ps` shows as waiting.
fn waiting(emulator: &Emulator) -> Vec<String> {
    let admin = Admin::new(emulator.parts().address);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let all = runtime.block_on(admin.instances()).unwrap();
    all.into_iter()
        .filter(|it| it.waits)
        .map(|it| it.id)
        .collect()
}

#[test]
fn those_behind_the_cap_wait_their_turn() {
    let Some(builder) = host::builder(1) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let emulator = builder.start().unwrap();
    let aws = client(&emulator);
    let snapshot = aws.snapshot(&image_of(dir.path(), &sector::waits()));
    let image = aws.image("sector", &snapshot, 1);
    let first = aws.launch(&image, "t2.micro", "");
    aws.until_state(&first, "running");
    let runs = "sector runs";
    emulator.wait_for_console(&first, runs, PATIENCE).unwrap();
    let (second, third) = (
        aws.launch(&image, "t2.micro", ""),
        aws.launch(&image, "t2.micro", ""),
    );
    let mut both = vec![second.clone(), third.clone()];
    both.sort();
    assert_eq!(waiting(&emulator), both);
    aws.until_state(&second, "pending");
    // One that waits can be terminated; the next one moves up.
    aws.ec2(&format!("Action=TerminateInstances&InstanceId.1={second}"));
    aws.until_state(&second, "terminated");
    aws.until_state(&third, "pending");
    // It knows of no power button.
    aws.ec2(&format!(
        "Action=StopInstances&Force=true&InstanceId.1={first}"
    ));
    aws.until_state(&first, "stopped");
    aws.until_state(&third, "running");
    emulator.wait_for_console(&third, runs, PATIENCE).unwrap();
    assert_eq!(host::machines(&third).len(), 1);
    let machine = emulator.parts().guests.as_ref().map(guests::Guests::limits);
    assert_eq!(machine.unwrap().guests, 1);
    let missing = aws.try_ec2(&format!("Action=StartInstances&InstanceId.1={second}"));
    assert!(missing.text().contains("IncorrectInstanceState"));
    drop(emulator);
    assert_eq!(host::machines(&third), [""; 0]);
}

#[test]
fn what_holds_nothing_to_boot_is_a_record() {
    let Some(builder) = host::builder(1) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let emulator = builder.start().unwrap();
    let aws = client(&emulator);
    let snapshot = aws.snapshot(&image_of(dir.path(), b"no boot sector"));
    let image = aws.image("data", &snapshot, 1);
    let ids = [(); 2].map(|()| aws.launch(&image, "t3.micro", ""));
    for id in &ids {
        let said = aws.until_state(id, "running");
        assert_eq!(text(&said, "instanceType"), "t3.micro");
        assert_eq!(host::machines(id), [""; 0]);
        assert_eq!(aws.console(id), "");
    }
    assert_eq!(waiting(&emulator), [""; 0]);
}
