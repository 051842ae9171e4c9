//! The program, killed while a guest runs, and started again.

use super::aws::{Aws, PATIENCE, text};
use super::host;
use super::instances::{SERVES, page};
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn emulator(data: &Path, arguments: &[&str]) -> String {
    let out = Command::new(env!("CARGO_BIN_EXE_emulator"))
        .args(arguments)
        .arg("--data")
        .arg(data)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{arguments:?}: {said}");
    String::from_utf8_lossy(&out.stdout).into_owned()
}

fn up(data: &Path) -> (u32, SocketAddr) {
    let said = emulator(
        data,
        &[
            "up",
            "--json",
            "--port",
            "0",
            "--guests",
            "1",
            "--localstack",
            "process",
        ],
    );
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    (
        said["pid"].as_u64().unwrap().try_into().unwrap(),
        said["address"].as_str().unwrap().parse().unwrap(),
    )
}

fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn nothing_is_left_of_a_killed_emulator_and_its_guests_are_stopped() {
    if host::builder(1).is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let Some(file) = host::sample(dir.path()) else {
        return;
    };
    let data = dir.path().join("data");
    let (pid, address) = up(&data);
    let aws = |address| Aws {
        address,
        account: "000000000000".to_owned(),
    };
    let client = aws(address);
    let image = client.image("hello", &client.snapshot(&file), 2);
    let id = client.launch(&image, "t2.micro", "");
    let console = || emulator(&data, &["console", &id]);
    wait("it does not serve", || console().contains(SERVES));
    let shown = emulator(&data, &["ps"]);
    assert!(shown.contains(&id) && shown.contains("running"), "{shown}");

    // A port leads into it for as long as the program that asked for it runs.
    let said = client.until_state(&id, "running");
    client.open_port(&text(&said, "groupId"), 8080);
    let forward = |id: &str| {
        Command::new(env!("CARGO_BIN_EXE_emulator"))
            .args(["port-forward", id, "8080", "--json", "--data"])
            .arg(&data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let address = |child: &mut Child| -> SocketAddr {
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let said: serde_json::Value = serde_json::from_str(&line).unwrap();
        said["host"].as_str().unwrap().parse().unwrap()
    };
    let mut first = forward(&id);
    let port = address(&mut first);
    assert!(page(port).contains("Hello from"));
    assert!(emulator(&data, &["ps"]).contains(&format!("{port}->8080")));
    first.kill().unwrap();
    first.wait().unwrap();
    wait("the port is left", || TcpStream::connect(port).is_err());
    assert!(!emulator(&data, &["ps"]).contains("->8080"));
    let mut second = forward(&id);
    address(&mut second);

    let process = rustix::process::Pid::from_raw(pid.try_into().unwrap()).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();
    // For a moment after the signal it still holds its data, and is not taken for running.
    let again = up(&data);
    assert_ne!(again.0, pid);
    wait("QEMU is left", || host::machines(&id).is_empty());
    assert_eq!(second.wait().unwrap().code(), Some(1));

    // What it had written and flushed is there, and so is its console.
    let client = aws(again.1);
    let said = client.until_state(&id, "stopped");
    assert!(said.contains("Server.ScheduledStop"), "{said}");
    assert!(console().contains(SERVES));
    client.ec2(&format!("Action=StartInstances&InstanceId.1={id}"));
    wait("it does not boot again", || {
        let text = console();
        !text.contains("root partition grown") && text.contains(SERVES)
    });
    // The end in good order is a stop, too: the guest is asked to power off.
    emulator(&data, &["down"]);
    assert_eq!(host::machines(&id), [""; 0]);
    let written = std::fs::read(data.join("guests").join(&id).join("console")).unwrap();
    assert!(String::from_utf8_lossy(&written).contains("reboot: Power down"));
}
