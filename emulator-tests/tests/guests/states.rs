//! How instances end that nobody has told to.

use super::aws::PATIENCE;
use super::host;
use super::instances::{client, image_of};
use super::sector;
use rustix::process::{Pid, Signal, kill_process};

#[test]
fn a_guests_own_end_is_what_its_behavior_says() {
    let Some(builder) = host::builder(2) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let emulator = builder.start().unwrap();
    let aws = client(&emulator);
    let image = |name: &str, sector: &[u8]| {
        let snapshot = aws.snapshot(&image_of(dir.path(), sector));
        aws.image(name, &snapshot, 1)
    };
    let off = image("off", &sector::powers_off());
    let waits = image("waits", &sector::waits());
    for (behavior, state) in [("stop", "stopped"), ("terminate", "terminated")] {
        let more = format!("&InstanceInitiatedShutdownBehavior={behavior}");
        let by_itself = aws.launch(&off, "t2.micro", &more);
        let said = aws.until_state(&by_itself, state);
        let reason = "<code>Client.InstanceInitiatedShutdown</code>";
        assert!(said.contains(reason), "{said}");
        assert!(aws.console(&by_itself).contains("sector runs"));
        assert_eq!(host::machines(&by_itself), [""; 0]);

        // QEMU itself is killed, or asked to end by someone else.
        for signal in [Signal::KILL, Signal::TERM] {
            let killed = aws.launch(&waits, "t2.micro", &more);
            aws.until_state(&killed, "running");
            emulator
                .wait_for_console(&killed, "sector runs", PATIENCE)
                .unwrap();
            for pid in host::machine_ids(&killed) {
                kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
            }
            let said = aws.until_state(&killed, state);
            let reason = "<code>Server.InternalError</code>";
            assert!(said.contains(reason), "{signal:?}: {said}");
        }
    }
    let left = aws.ec2("Action=DescribeVolumes");
    // Of each behaviour's three instances, those that are stopped keep theirs.
    assert_eq!(left.matches("<volumeId>").count(), 2 * 3, "{left}");
}
