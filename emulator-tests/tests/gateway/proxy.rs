//! Long bodies pass through, and are never all in memory.

use super::host::{Host, Zeros, signature};
use http::Request;
use http_body_util::BodyExt;
use std::fs;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const LONG: u64 = 200 << 20;

/// Bytes of memory that this process has at most used so far.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib << 10
}

#[tokio::test]
async fn two_hundred_mebibytes_pass_each_way_with_flat_memory() {
    let host = Host::start().await;
    host.call("s3", "PUT /b/warm", "x").await;
    let before = peak();
    let mut request = Request::put(format!("http://{}/b/k", host.address));
    for (name, value) in signature("s3") {
        request = request.header(name, value);
    }
    let answer = host
        .send(request.body(Zeros(LONG).boxed()).unwrap())
        .await
        .unwrap();
    assert_eq!(answer.status.as_u16(), 200);
    let seen = host.behind.last();
    assert_eq!(seen.length, LONG);
    assert_eq!(seen.headers["content-length"], LONG.to_string());
    // Of 200 MiB of zeros.
    assert_eq!(
        seen.sha256,
        "72abf2ca8f36943ebe2e49ca3a51d409ca5f0bfcffab6c9d25643c17c32889da"
    );

    let mut request = Request::get(format!("http://{}/blob/{LONG}", host.address));
    for (name, value) in signature("s3") {
        request = request.header(name, value);
    }
    let request = request.body(emulator_protocol::http::empty()).unwrap();
    let mut body = host.client.request(request).await.unwrap().into_body();
    let mut read = 0;
    while let Some(frame) = body.frame().await {
        read += frame.unwrap().into_data().unwrap().len() as u64;
    }
    assert_eq!(read, LONG);
    let grown = peak() - before;
    assert!(grown < 32 << 20, "{grown} bytes more");
}

#[tokio::test]
async fn a_body_of_unknown_length_passes_in_chunks() {
    let host = Host::start().await;
    let mut stream = TcpStream::connect(host.address).await.unwrap();
    let head = format!(
        "PUT /b/k HTTP/1.1\r\nhost: localhost\r\n{}transfer-encoding: chunked\r\n\
         expect: 100-continue\r\nconnection: close\r\n\r\n",
        super::host::signed_lines("s3")
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"3\r\nabc\r\n0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let seen = host.behind.last();
    assert_eq!(seen.length, 3);
    assert!(!seen.headers.contains_key("expect"));
}

#[tokio::test]
async fn head_keeps_the_length_of_what_it_does_not_send() {
    let host = Host::start().await;
    let answer = host.call("s3", "HEAD /blob/1234", "").await;
    assert_eq!(answer.headers["content-length"], "1234");
    assert_eq!(answer.body, "");
}
