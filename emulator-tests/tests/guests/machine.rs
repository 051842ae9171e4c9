//! QEMU on a network of ours.

use async_trait::async_trait;
use emulator_guests::imds::{Facts, Metadata, RoleStatus};
use emulator_guests::vpc::{Inbound, Lan, LanSetup};
use emulator_protocol::AwsError;
use emulator_state::clock::SystemClock;
use emulator_state::world::Instance;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// Longer than any boot takes, however busy the host is.
pub const PATIENCE: Duration = Duration::from_secs(400);
/// What instances are named by.
pub const INSTANCE: &str = "i-0123456789abcdef0";
const MAC: &str = "0a:00:00:00:00:05";

/// A record as one of the emulator's instances has it.
fn instance() -> Instance {
    serde_json::from_str(include_str!("instance.json")).unwrap()
}

struct Told;

#[async_trait]
impl Metadata for Told {
    fn facts(&self) -> Option<Facts> {
        Some(Facts {
            instance: instance(),
            devices: vec!["/dev/xvda".to_owned()],
            subnet_cidr: "172.31.0.0/20".to_owned(),
            vpc_cidr: None,
        })
    }

    async fn role(&self) -> Result<RoleStatus, AwsError> {
        Ok(RoleStatus::NoProfile)
    }
}

/// Lets in what comes to port 8080.
struct Rules;

#[async_trait]
impl Inbound for Rules {
    async fn allows(&self, port: u16, _source: Ipv4Addr) -> bool {
        port == 8080
    }
}

/// A guest that runs, and its network. Ended when dropped.
pub struct Machine {
    pub lan: Lan,
    child: Child,
    console: Arc<Mutex<String>>,
    _dir: TempDir,
}

impl Machine {
    /// Boots an image, on a network whose gateway is at this address.
    pub fn boot(image: &Path, gateway: SocketAddr) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let setup = LanSetup {
            private_ip: Ipv4Addr::new(172, 31, 0, 5),
            subnet: "172.31.0.0/20".parse().unwrap(),
            mac: [0x0a, 0, 0, 0, 0, 5],
            gateway_tls: gateway,
            gateway_plain: gateway,
            metadata: Arc::new(Told),
            inbound: Arc::new(Rules),
            clock: Arc::new(SystemClock::default()),
            seed: 1,
            patience: PATIENCE,
        };
        let lan = Lan::start(&dir.path().join("lan"), setup).unwrap();
        let disk = format!(
            "file={},format=raw,if=none,id=disk,snapshot=on",
            image.display()
        );
        let card = format!("virtio-net-pci,netdev=lan,mac={MAC},romfile=");
        let mut child = Command::new("qemu-system-x86_64")
            .current_dir(dir.path())
            .env("TMPDIR", dir.path())
            .args(["-nodefaults", "-no-user-config", "-display", "none"])
            .args(["-no-reboot", "-machine", "q35,smm=off,graphics=off"])
            .args(["-accel", "tcg,thread=multi"])
            .args(["-cpu", "max,la57=off,erms=off,fsrm=off"])
            .args(["-m", "512M", "-smp", "2", "-device", "virtio-rng-pci"])
            .args(["-drive", &disk])
            .args(["-device", "virtio-blk-pci,drive=disk,bootindex=0"])
            .args([
                "-netdev",
                "stream,id=lan,server=off,addr.type=unix,addr.path=lan",
            ])
            .args(["-device", &card, "-serial", "stdio"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("qemu-system-x86_64");
        let console = Arc::new(Mutex::new(String::new()));
        let seen = Arc::clone(&console);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).split(b'\n');
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_segment().await {
                let line = String::from_utf8_lossy(&line).into_owned();
                let mut seen = seen.lock().unwrap();
                seen.push_str(line.trim_end());
                seen.push('\n');
            }
        });
        Self {
            lan,
            child,
            console,
            _dir: dir,
        }
    }

    /// What the guest has shown so far.
    pub fn console(&self) -> String {
        self.console.lock().unwrap().clone()
    }

    /// Waits until the guest has powered off.
    pub async fn off(&mut self) {
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        assert!(ended.is_ok(), "it runs still:\n{}", self.console());
    }
}
