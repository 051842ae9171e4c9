//! A guest's network, as a kernel of its own sees it.

use crate::images::{build, made};
use crate::machine::{INSTANCE, Machine, PATIENCE};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};

/// Bytes that pass in each direction.
const LENGTH: usize = 32 << 20;

/// Sends zeros to who says `down`, and counts what comes after `up`.
async fn gateway() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                let mut word = String::new();
                stream.read_line(&mut word).await.unwrap();
                let mut piece = vec![0; 1 << 16];
                if word == "down\n" {
                    for _ in 0..LENGTH / piece.len() {
                        stream.write_all(&piece).await.unwrap();
                    }
                } else {
                    let mut left = LENGTH;
                    while left > 0 {
                        let read = stream.read(&mut piece).await.unwrap();
                        assert!(read > 0 && piece[..read].iter().all(|&byte| byte == 0));
                        left -= read;
                    }
                    stream.write_all(b"seen: all came\n").await.unwrap();
                }
                stream.shutdown().await.unwrap();
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_finds_what_an_instance_finds() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image.img");
    let Some(tree) = made(".imgtool/debian.tar", "`just trees`") else {
        return;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guests/network.sh");
    let add = format!("{}:/network.sh", script.display());
    // Room for what its init writes.
    let room = ["--size", "+64MiB", "--add", &add];
    let arguments = [&room[..], &["--", "/bin/bash", "/network.sh"]].concat();
    let Some(()) = build(&tree, &image, &arguments) else {
        return;
    };
    let mut machine = Machine::boot(&image, gateway().await);
    machine.off().await;
    let console = machine.console();
    let instance = format!("seen: instance {INSTANCE}");
    for expected in [
        &*instance,
        "seen: without HTTP/1.1 401 Unauthorized",
        "seen: mtu 9001",
        "seen: resolver nameserver 172.31.0.2",
        "seen: service 172.31.0.3 STREAM",
        "seen: no other name",
        "seen: no way out",
        "seen: all there",
        "seen: all came",
        "seen: done",
    ] {
        assert!(console.contains(expected), "{expected}:\n{console}");
    }
    for line in console.lines().filter(|line| line.contains("MiB/s")) {
        println!("{line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sample_answers_who_is_let_in() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image.img");
    let sample = made(
        "target/x86_64-unknown-linux-gnu/release/hello",
        "`just hello`",
    );
    let Some(sample) = sample else { return };
    let Some(()) = build(&sample, &image, &[]) else {
        return;
    };
    let machine = Machine::boot(&image, gateway().await);
    // The guest boots meanwhile: what comes before it has its address is sent again, and refused
    // until somebody listens.
    let asked = async {
        loop {
            let Ok(mut guest) = machine.lan.dial(8080).await else {
                sleep(Duration::from_millis(100)).await;
                continue;
            };
            guest.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
            let mut answer = String::new();
            guest.read_to_string(&mut answer).await.unwrap();
            return answer;
        }
    };
    let answer = timeout(PATIENCE, asked).await;
    let answer = answer.unwrap_or_else(|_| panic!("no answer:\n{}", machine.console()));
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    // It has taken its name from the metadata service.
    let name = "<h1>Hello from ip-172-31-0-5.ec2.internal</h1>";
    assert!(answer.contains(name), "{answer}\n{}", machine.console());
    println!("{}", answer.lines().last().unwrap_or_default());
}
