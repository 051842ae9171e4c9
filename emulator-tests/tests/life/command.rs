//! The program.

use crate::host::{
    assert_listens_on_loopback_only, eventually, listeners, processes_of, python, state,
};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::tempdir;

fn emulator(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_emulator"));
    command
        .args(args)
        .env("EMULATOR_LOCALSTACK_PYTHON", python());
    command
}

fn run(args: &[&str]) -> Output {
    emulator(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// An `emulator up --foreground`, killed when dropped.
pub struct Foreground(Child);

pub fn foreground(data: &Path, localstack: &str) -> Foreground {
    let data = data.to_str().unwrap();
    let args = [
        "up",
        "--foreground",
        "--json",
        "--port",
        "0",
        "--data",
        data,
        "--localstack",
        localstack,
    ];
    let child = emulator(&args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    Foreground(child.unwrap())
}

impl Foreground {
    pub fn wait_until_ready(&mut self) -> Value {
        let mut line = String::new();
        BufReader::new(self.0.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        serde_json::from_str(&line).unwrap()
    }

    /// As kill -9 does.
    pub fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Foreground {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The environment that `--json` shows.
pub fn env(running: &Value) -> Vec<(&'static str, String)> {
    [
        "AWS_ENDPOINT_URL",
        "AWS_CA_BUNDLE",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
    ]
    .map(|name| (name, running["env"][name].as_str().unwrap().to_owned()))
    .to_vec()
}

#[test]
fn a_killed_parent_leaves_no_process_and_loses_no_state() {
    let dir = tempdir().unwrap();
    let (data, ids) = (dir.path().join("data"), dir.path().join("ids.json"));
    let mut parent = foreground(&data, "process");
    state(env(&parent.wait_until_ready()), "put", &ids);
    assert_eq!(processes_of(&data).len(), 1);
    parent.kill();
    // At once: `up` waits for the one that is saving.
    let mut parent = foreground(&data, "process");
    state(env(&parent.wait_until_ready()), "check", &ids);
    assert_eq!(processes_of(&data).len(), 1);
    parent.kill();
    eventually("LocalStack's end", || processes_of(&data).is_empty());
}

#[test]
fn ctrl_c_while_it_starts_leaves_nothing() {
    let dir = tempdir().unwrap();
    let data = dir.path().join("data");
    let mut starting = foreground(&data, "process");
    eventually("LocalStack's start", || !processes_of(&data).is_empty());
    let pid = starting.0.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    let status = starting.0.wait().unwrap();
    assert_eq!(status.code(), Some(130));
    assert!(processes_of(&data).is_empty());
}

#[test]
fn up_again_and_down() {
    let dir = tempdir().unwrap();
    let data = dir.path().join("it's data");
    let data = data.to_str().unwrap();
    let up = [
        "up",
        "--data",
        data,
        "--port",
        "0",
        "--localstack",
        "process",
    ];
    let first = run(&up);
    assert!(first.status.success(), "{}", text(&first.stderr));
    // A shell reads the lines back.
    let script = format!("{}\necho $AWS_CA_BUNDLE $AWS_REGION", text(&first.stdout));
    let shell = Command::new("sh").args(["-ec", &script]).output().unwrap();
    assert!(
        text(&shell.stdout).contains("it's data"),
        "{}",
        text(&shell.stdout)
    );
    assert!(text(&shell.stdout).ends_with(" us-east-1\n"));

    let second = run(&up);
    assert!(second.status.success());
    assert_eq!(second.stdout, first.stdout);
    assert!(text(&second.stderr).contains("runs already"));

    let status = run(&["status", "--json", "--data", data]);
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    let address = status["running"]["address"].as_str().unwrap().to_owned();
    let port = address.rsplit_once(':').unwrap().1.parse().unwrap();
    assert_eq!(listeners(port), [address]);
    let pid = status["running"]["pid"].as_u64().unwrap();
    assert_listens_on_loopback_only(pid.try_into().unwrap());
    let [localstack] = processes_of(Path::new(data))[..] else {
        panic!("not one LocalStack");
    };
    assert_listens_on_loopback_only(localstack);

    assert!(run(&["down", "--data", data]).status.success());
    assert!(processes_of(Path::new(data)).is_empty());
    assert!(listeners(port).is_empty());
    let status = run(&["status", "--json", "--data", data]);
    assert_eq!(text(&status.stdout), "{\"running\":null}\n");
}

#[test]
fn what_a_killed_one_left_is_not_taken_for_a_running_one() {
    let dir = tempdir().unwrap();
    let data = dir.path().join("data");
    let mut killed = foreground(&data, "process");
    killed.wait_until_ready();
    killed.kill();
    assert!(data.join("emulator.json").exists());
    let status = |when: &str| {
        let out = run(&["status", "--json", "--data", data.to_str().unwrap()]);
        assert_eq!(text(&out.stdout), "{\"running\":null}\n", "{when}");
    };
    status("killed");
    let mut starting = foreground(&data, "process");
    // It holds the lock, and waits for the other's LocalStack or starts its own.
    eventually("its start", || !data.join("emulator.json").exists());
    status("starting");
    starting.wait_until_ready();
}

/// It took half a minute once in some ends, after which LocalStack was killed with nothing saved.
#[test]
fn each_of_many_ends_is_quick_and_saves() {
    let dir = tempdir().unwrap();
    let data = dir.path().join("data");
    let data = data.to_str().unwrap();
    for round in 0..3 {
        let up = [
            "up",
            "--json",
            "--data",
            data,
            "--port",
            "0",
            "--localstack",
            "process",
        ];
        let up = run(&up);
        assert!(up.status.success(), "{}", text(&up.stderr));
        let running: Value = serde_json::from_slice(&up.stdout).unwrap();
        count(&running, round);
        let since = Instant::now();
        assert!(run(&["down", "--data", data]).status.success());
        assert!(
            since.elapsed() < Duration::from_secs(25),
            "{:?}",
            since.elapsed()
        );
        let log = std::fs::read_to_string(Path::new(data).join("localstack/localstack.log"));
        assert!(!log.unwrap().contains("hangs"));
    }
}

/// Sees the buckets of all rounds before this one, and makes this one's.
fn count(running: &Value, round: usize) {
    let script = "import boto3, sys
s3, round = boto3.client('s3'), int(sys.argv[1])
found = sorted(bucket['Name'] for bucket in s3.list_buckets()['Buckets'])
assert found == [f'bucket-{one}' for one in range(round)], found
s3.create_bucket(Bucket=f'bucket-{round}')";
    let out = Command::new(python())
        .args(["-c", script, &round.to_string()])
        .envs(env(running))
        .output()
        .unwrap();
    assert!(out.status.success(), "round {round}: {}", text(&out.stderr));
}

#[test]
fn a_port_in_use_is_said_with_exit_code_3() {
    let dir = tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let data = dir.path().to_str().unwrap();
    let out = run(&[
        "up",
        "--data",
        data,
        "--port",
        &port,
        "--localstack",
        "process",
    ]);
    assert_eq!(out.status.code(), Some(3));
    let said = text(&out.stderr);
    assert!(
        said.contains(&format!("port {port} of 127.0.0.1 is in use")),
        "{said}"
    );
    assert!(processes_of(dir.path()).is_empty());
}

#[test]
fn without_data_nothing_is_kept() {
    let dir = tempdir().unwrap();
    let in_dir = |args: &[&str]| {
        let mut command = emulator(args);
        command.env("XDG_RUNTIME_DIR", dir.path()).output().unwrap()
    };
    let up = in_dir(&["up", "--port", "0", "--localstack", "process"]);
    assert!(up.status.success(), "{}", text(&up.stderr));
    assert!(in_dir(&["down"]).status.success());
    let left: Vec<_> = std::fs::read_dir(dir.path().join("emulator"))
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert_eq!(left, ["lock"]);
    std::thread::sleep(Duration::from_millis(100));
    assert!(processes_of(&dir.path().join("emulator")).is_empty());
}

#[test]
fn nobody_has_to_be_there_to_be_told() {
    let dir = tempdir().unwrap();
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let mut down = emulator(&["down", "--data", dir.path().to_str().unwrap()]);
    assert_eq!(down.stderr(full).status().unwrap().code(), Some(0));
}
