//! Ctrl-C leaves nothing.

use super::bench::{BOOT, Bench};
use rustix::process::{Pid, Signal, kill_process};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use testutils::noise;

fn temporary(dir: &Path) -> bool {
    std::fs::read_dir(dir).unwrap().any(|entry| {
        let name = entry.unwrap().file_name();
        name.to_string_lossy().starts_with(".imgtool-")
    })
}

/// Starts the command, interrupts it once a temporary file is there, and says how it ended.
fn interrupted(bench: &Bench, mut command: Command, signal: Signal) -> (Option<i32>, String) {
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while !temporary(&bench.output()) {
        assert!(child.try_wait().unwrap().is_none(), "it ended too early");
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "no temporary file"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
    kill_process(Pid::from_child(&child), signal).unwrap();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), stderr)
}

#[test]
fn an_interrupted_command_leaves_nothing() {
    let bench = Bench::new();
    // Level 19 takes long for it.
    bench.put("noise", noise(24 << 20));
    let before = bench.files();
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let mut command = bench.command(None);
        command
            .args(["build", "app", "--add", "noise:/noise", "--jobs", "1"])
            .args([
                "--level",
                "19",
                "-o",
                "../out/a.img",
                "--pack",
                "../out/a.pack",
            ])
            .args(BOOT);
        let (code, stderr) = interrupted(&bench, command, signal);
        assert_eq!(code, Some(130), "{stderr}");
        assert_eq!(stderr, "imgtool: interrupted; nothing was left\n");
        assert_eq!(bench.files(), before, "something was left");
    }
}
