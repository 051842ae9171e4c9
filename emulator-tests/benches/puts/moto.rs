//! moto's server, from a virtual environment.

use super::client::{self, Measured};
use std::error::Error;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const VERSION: &str = "moto[server,ec2]==5.2.5";

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.0.kill().and_then(|()| self.0.wait()) {
            eprintln!("moto's server is left behind: {error}");
        }
    }
}

/// Puts blocks to a server that ends afterwards.
pub fn measure(dir: &Path, blocks: u32, connections: u32) -> Result<Measured, Box<dyn Error>> {
    let venv = dir.join("moto");
    if !venv.join("bin/moto_server").exists() {
        eprintln!("installing {VERSION}");
        run(Command::new("python3").arg("-m").arg("venv").arg(&venv))?;
        run(Command::new(venv.join("bin/pip")).args(["install", "-q", VERSION]))?;
    }
    let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
    let mut server = Server(
        Command::new(venv.join("bin/moto_server"))
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?,
    );
    let endpoint = SocketAddr::from(([127, 0, 0, 1], port));
    for _ in 0..300 {
        if let Some(status) = server.0.try_wait()? {
            return Err(format!("moto's server ended: {status}").into());
        }
        if TcpStream::connect(endpoint).is_ok() {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    client::measure(endpoint, blocks, connections, 0)
}

fn run(command: &mut Command) -> Result<(), Box<dyn Error>> {
    let status = command.stdout(Stdio::null()).status()?;
    status
        .success()
        .then_some(())
        .ok_or_else(|| format!("{command:?}: {status}").into())
}
