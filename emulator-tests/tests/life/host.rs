//! What the tests see of this host.

use emulator_localstack::{Choice, DEFAULT_IMAGE, Docker, StartError};
use emulator_tests::emulator::{Builder, Emulator};
use std::env;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// The Python of LocalStack's environment, which has boto3, too.
pub fn python() -> PathBuf {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.imgtool/localstack/bin/python");
    assert!(
        python.exists(),
        "{} is not there: .ci/setup --emulator",
        python.display()
    );
    python
}

pub fn builder(choice: Choice) -> Builder {
    Emulator::builder().localstack(choice).python(python())
}

/// Whether there are an engine and the image; says so if there are not. CI makes the image where
/// there is an engine: it fails if that is missing.
pub fn has_container() -> bool {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    match runtime.block_on(Docker::connect(DEFAULT_IMAGE)) {
        Ok(_) => true,
        Err(error) => {
            let must_be = matches!(error, StartError::NoImage(_)) && env::var_os("CI").is_some();
            assert!(!must_be, "{error}");
            eprintln!("skipped: {error}");
            false
        }
    }
}

/// Runs `state.py` with boto3.
pub fn state(env: Vec<(&'static str, String)>, step: &str, ids: &Path) {
    let out = Command::new(python())
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/life/state.py"))
        .arg(step)
        .arg(ids)
        .envs(env)
        .output()
        .unwrap();
    assert!(
        out.status.success(),
        "state.py {step}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
}

/// The processes with this directory in their environment: LocalStack, and what it has started.
pub fn processes_of(dir: &Path) -> Vec<u32> {
    let wanted = format!("EMULATOR_HOME={}", dir.join("localstack").display());
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| {
            fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environ| {
                environ
                    .split(|byte| *byte == 0)
                    .any(|pair| pair == wanted.as_bytes())
            })
        })
        .collect()
}

/// Waits until something is so.
pub fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(180);
    while !is_so() {
        assert!(Instant::now() < until, "{what}: not within 180 s");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Where something listens on this port, on all interfaces: the local addresses that `ss` shows.
pub fn listeners(port: u16) -> Vec<String> {
    let out = Command::new("ss").args(["-Hltn"]).output().unwrap();
    assert!(out.status.success());
    String::from_utf8(out.stdout)
        .unwrap()
        .lines()
        .filter_map(|line| line.split_whitespace().nth(3))
        .filter(|address| address.ends_with(&format!(":{port}")))
        .map(str::to_owned)
        .collect()
}

pub fn assert_loopback_only(address: SocketAddr) {
    assert_eq!(listeners(address.port()), [address.to_string()]);
    assert!(address.ip().is_loopback());
}

/// The addresses, TCP and UDP, that a process listens on.
pub fn sockets_of(pid: u32) -> Vec<String> {
    let out = Command::new("ss").args(["-Hltunp"]).output().unwrap();
    String::from_utf8(out.stdout)
        .unwrap()
        .lines()
        .filter(|line| line.contains(&format!("pid={pid},")))
        .filter_map(|line| line.split_whitespace().nth(4))
        .map(str::to_owned)
        .collect()
}

/// Whether a process listens, and on loopback alone.
pub fn assert_listens_on_loopback_only(pid: u32) {
    let sockets = sockets_of(pid);
    assert!(!sockets.is_empty(), "{pid} does not listen");
    for socket in sockets {
        let address: SocketAddr = socket.parse().unwrap();
        assert!(address.ip().is_loopback(), "{pid} listens on {address}");
    }
}
