//! The gateway in a process of its own, without a LocalStack: puts need none.

use emulator_tests::gateway::{Config, Gateway};
use std::error::Error;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The server's process; it and its blocks go when this does.
pub struct Child {
    process: std::process::Child,
    dir: PathBuf,
    pub endpoint: SocketAddr,
}

impl Child {
    pub fn start(dir: &Path) -> Result<Self, Box<dyn Error>> {
        let dir = dir.join("data");
        if dir.exists() {
            std::fs::remove_dir_all(&dir)?;
        }
        let mut process = Command::new(std::env::current_exe()?)
            .arg("--serve")
            .arg(&dir)
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(stdout) = process.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        Ok(Self {
            process,
            dir,
            endpoint: line.trim().parse()?,
        })
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let ended = self.process.kill().and_then(|()| self.process.wait());
        if let Err(error) = ended.and_then(|_| std::fs::remove_dir_all(&self.dir)) {
            eprintln!("{} is left behind: {error}", self.dir.display());
        }
    }
}

/// Bytes that a process had in memory at most.
pub fn peak_memory(pid: u32) -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .ok_or("no VmHWM")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib * 1024)
}

/// The process that [`Child::start`] starts: says where it listens, then serves until it is killed.
pub fn serve(dir: &Path) -> Result<(), Box<dyn Error>> {
    let here = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    tokio::runtime::Runtime::new()?.block_on(async {
        let gateway = Gateway::bind(Config {
            listen: here(0),
            // Nobody is there, and nobody is asked.
            localstack: here(1),
            data: dir.to_owned(),
            seed: 1,
            guests: None,
            keep: false,
        })
        .await?;
        println!("{}", gateway.address());
        gateway.serve(std::future::pending()).await;
        Ok(())
    })
}
