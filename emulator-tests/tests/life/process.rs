//! LocalStack as a process.

use crate::host::{assert_loopback_only, builder, eventually, processes_of, sockets_of, state};
use emulator_localstack::{Choice, StartError};
use emulator_tests::emulator::EmulatorError;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use tempfile::tempdir;

#[test]
fn a_dropped_emulator_leaves_no_process_and_no_file() {
    let emulator = builder(Choice::Process).start().unwrap();
    let parts = emulator.parts().clone();
    assert_loopback_only(parts.address);
    assert_loopback_only(parts.localstack);
    let pid = parts.localstack_pid.unwrap();
    assert_eq!(processes_of(&parts.data), [pid]);
    // UDP, too: LocalStack would serve DNS.
    assert_eq!(sockets_of(pid), [parts.localstack.to_string()]);
    drop(emulator);
    assert!(processes_of(&parts.data).is_empty());
    assert!(!parts.data.exists());
}

#[test]
fn a_panic_leaves_no_process() {
    let (tell, told) = mpsc::channel();
    let panicked = std::thread::spawn(move || {
        let emulator = builder(Choice::Process).start().unwrap();
        tell.send(emulator.parts().data.clone()).unwrap();
        panic!("as a failing test does");
    })
    .join();
    assert!(panicked.is_err());
    let data = told.recv().unwrap();
    assert!(processes_of(&data).is_empty());
    assert!(!data.exists());
}

const CHILD: &str = "EMULATOR_TESTS_CHILD";

/// Not a test: the program of `ctrl_c_in_a_program_leaves_nothing`.
#[test]
#[ignore = "run by another test"]
fn a_program_with_an_emulator() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let emulator = builder(Choice::Process).start().unwrap();
    println!("started {}", emulator.endpoint());
    std::thread::sleep(Duration::from_secs(300));
    drop(emulator);
}

#[test]
fn ctrl_c_in_a_program_leaves_nothing() {
    let dir = tempdir().unwrap();
    let dirs = || fs::read_dir(dir.path()).unwrap().flatten();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "process::a_program_with_an_emulator",
            "--ignored",
            "--nocapture",
        ])
        .env("TMPDIR", dir.path())
        .env(CHILD, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let started = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .any(|line| line.unwrap().contains("started https://127.0.0.1:"));
    assert!(started);
    let data = dirs().next().unwrap().path();
    assert_eq!(processes_of(&data).len(), 1);
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert!(!child.wait().unwrap().success());
    eventually("LocalStack's end", || processes_of(&data).is_empty());
    assert_eq!(dirs().count(), 0, "{data:?}");
}

#[test]
fn state_survives() {
    let dir = tempdir().unwrap();
    let (data, ids) = (dir.path().join("data"), dir.path().join("ids.json"));
    let emulator = builder(Choice::Process).data(&data).start().unwrap();
    state(emulator.env(), "put", &ids);
    drop(emulator);
    // AWS's own policies, 3 MB in each account, are not saved.
    for service in ["iam", "ec2"] {
        let path = data.join(format!("localstack/state/{service}.state"));
        let length = fs::metadata(path).unwrap().len();
        assert!(length < 1 << 20, "{service}: {length} bytes");
    }
    let emulator = builder(Choice::Process).data(&data).start().unwrap();
    state(emulator.env(), "check", &ids);
}

#[test]
fn a_damaged_state_file_is_refused_by_name() {
    let dir = tempdir().unwrap();
    let data = dir.path().join("data");
    drop(builder(Choice::Process).data(&data).start().unwrap());
    let path = data.join("localstack/state/kms.state");
    let mut content = fs::read(&path).unwrap();
    *content.last_mut().unwrap() ^= 1;
    fs::write(&path, content).unwrap();
    let Err(error) = builder(Choice::Process).data(&data).start() else {
        panic!("a damaged file was loaded");
    };
    let text = error.to_string();
    assert!(
        matches!(error, EmulatorError::LocalStack(StartError::Ended { .. })),
        "{text}"
    );
    assert!(text.contains("kms.state is damaged"), "{text}");
    eventually("the failed LocalStack's end", || {
        processes_of(&data).is_empty()
    });
}

#[test]
fn what_does_not_start_is_named() {
    let Err(error) = builder(Choice::Process).python("/nowhere/python").start() else {
        panic!("started without Python");
    };
    assert_eq!(
        error.to_string(),
        "LocalStack as a process: /nowhere/python is not there"
    );
    let Err(error) = builder(Choice::Process).python("/bin/false").start() else {
        panic!("started without Python");
    };
    assert!(
        error.to_string().contains("ended while it started"),
        "{error}"
    );
}

#[test]
fn each_test_gets_an_account_of_its_own() {
    let emulator = builder(Choice::Process).start().unwrap();
    let (one, two) = (emulator.account_of_its_own(), emulator.account_of_its_own());
    assert_ne!(one.account(), two.account());
    let key = |env: Vec<(&str, String)>| {
        let found = env
            .into_iter()
            .find(|(name, _)| *name == "AWS_ACCESS_KEY_ID");
        found.unwrap().1
    };
    assert_eq!(key(one.env()), one.account().to_string());
    assert_eq!(key(emulator.env()), "000000000000");
}
