//! What hostile or broken clients send: the gateway stays up, and says what it can.

use super::host::{Host, quick, signed_lines};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Sends bytes and gives what comes until the gateway closes.
async fn raw(host: &Host, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(host.address).await.unwrap();
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = timeout(Duration::from_secs(60), stream.read_to_end(&mut answer))
        .await
        .expect("the gateway neither answers nor closes");
    String::from_utf8_lossy(&answer).into_owned()
}

async fn still_up(host: &Host) {
    assert_eq!(
        host.get_unsigned("/_localstack/health", &[]).await.body,
        "here"
    );
}

#[tokio::test]
async fn garbage_is_closed_on_or_refused() {
    let host = Host::start_with(quick()).await;
    for bytes in [
        &b"\x16\x03\x01\xff\xff"[..],
        b"\x16garbage that is no handshake at all",
        b"\x00\x00\x00\x00",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"OPTIONS * HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
        b"CONNECT a:1 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
        b"PUT /snapshots/\xff\xfe/blocks/9 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    ] {
        let answer = raw(&host, bytes).await;
        assert!(!answer.starts_with("HTTP/1.1 500"), "{answer}");
        still_up(&host).await;
    }
}

#[tokio::test]
async fn heads_that_are_too_long_are_refused() {
    let host = Host::start_with(quick()).await;
    let long = format!(
        "GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n",
        "x".repeat(1 << 20)
    );
    let answer = raw(&host, long.as_bytes()).await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 431"),
        "{answer}"
    );
    let many = format!(
        "GET / HTTP/1.1\r\nhost: a\r\n{}\r\n",
        "x: y\r\n".repeat(500)
    );
    let answer = raw(&host, many.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    still_up(&host).await;
}

#[tokio::test]
async fn a_head_that_drips_is_not_waited_for() {
    let host = Host::start_with(quick()).await;
    let start = Instant::now();
    for bytes in [
        &b""[..],
        b"G",
        b"GET / HTTP/1.1\r\nhost: a\r\n",
        b"\x16\x03\x01\x02",
    ] {
        raw(&host, bytes).await;
    }
    assert!(start.elapsed() < Duration::from_secs(30));
    still_up(&host).await;
}

#[tokio::test]
async fn a_body_that_stalls_is_told_so() {
    let host = Host::start_with(quick()).await;
    let head = |service: &str| {
        format!(
            "POST / HTTP/1.1\r\nhost: a\r\n{}content-length: 1000\r\n\r\nAction=",
            signed_lines(service)
        )
    };
    let answer = raw(&host, head("ec2").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(answer.contains("<Code>RequestTimeout</Code>"), "{answer}");
    let put = head("s3").replace("POST /", "PUT /b/k");
    let answer = raw(&host, put.as_bytes()).await;
    assert!(answer.contains("<Code>RequestTimeout</Code>"), "{answer}");
    still_up(&host).await;
}

#[tokio::test]
async fn bodies_that_are_too_long_are_refused_unread() {
    let host = Host::start().await;
    let head = format!(
        "POST / HTTP/1.1\r\nhost: a\r\n{}content-length: 99999999999\r\n\r\n",
        signed_lines("ec2")
    );
    let answer = raw(&host, head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    // Without a length, it is noticed on the way; the answer is still read.
    let answer = host.call("kms", "POST /", vec![b'x'; (4 << 20) + 1]).await;
    assert_eq!(answer.status.as_u16(), 413);
    assert_eq!(host.behind.count(), 0);
}

/// Far more than connections hold: the client is stuck with it unless somebody goes on reading.
#[tokio::test]
async fn an_answer_that_comes_before_the_body_is_read_gets_there() {
    let host = Host::start().await;
    let body = vec![b'x'; 40 << 20];
    let head = format!(
        "PUT /early/key HTTP/1.1\r\nhost: a\r\n{}content-length: {}\r\n\r\n",
        signed_lines("s3"),
        body.len()
    );
    let answered = async {
        let mut stream = TcpStream::connect(host.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&body).await.unwrap();
        let mut answer = vec![0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        answer
    };
    let answer = timeout(Duration::from_secs(60), answered).await;
    assert_eq!(answer.unwrap(), b"HTTP/1.1 500");
    still_up(&host).await;
}

#[tokio::test]
async fn a_body_shorter_than_it_says_is_not_performed() {
    let host = Host::start().await;
    let mut stream = TcpStream::connect(host.address).await.unwrap();
    let head = format!(
        "POST / HTTP/1.1\r\nhost: a\r\n{}content-length: 100\r\n\r\nAction=DescribeVpcs",
        signed_lines("ec2")
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    assert!(!answer.starts_with("HTTP/1.1 5"), "{answer}");
    assert_eq!(host.behind.count(), 0);
    still_up(&host).await;
}

#[tokio::test]
async fn a_thousand_idle_connections_hinder_nobody() {
    let host = Host::start().await;
    let mut idle = Vec::new();
    for _ in 0..1000 {
        idle.push(TcpStream::connect(host.address).await.unwrap());
    }
    let start = Instant::now();
    for _ in 0..20 {
        assert_eq!(host.call("s3", "PUT /b/k", "x").await.status.as_u16(), 200);
    }
    assert!(start.elapsed() < Duration::from_secs(20));
    drop(idle);
}

#[tokio::test]
async fn a_client_that_does_not_read_is_given_up() {
    let host = Host::start_with(quick()).await;
    let mut stream = TcpStream::connect(host.address).await.unwrap();
    let head = format!(
        "GET /blob/{} HTTP/1.1\r\nhost: a\r\n{}\r\n",
        100 << 20,
        signed_lines("s3")
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut read = 0;
    let mut buffer = vec![0; 1 << 20];
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        read += length;
    }
    assert!(read < 100 << 20, "{read}");
    still_up(&host).await;
}

#[tokio::test]
async fn localstack_gone_is_said() {
    let mut host = Host::start_with(quick()).await;
    let gone = std::mem::replace(&mut host.behind, super::host::Behind::start().await);
    drop(gone);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let answer = host.call("s3", "PUT /b/k", "x").await;
    assert_eq!(answer.status.as_u16(), 503);
    assert!(answer.body.contains("LocalStack at"), "{answer:?}");
}

#[tokio::test]
async fn a_stop_lets_requests_end() {
    let host = Host::start_with(quick()).await;
    let slow = host.call_with("s3", "GET /b/k", &[], "");
    assert_eq!(slow.await.unwrap().status.as_u16(), 200);
    let mut stream = TcpStream::connect(host.address).await.unwrap();
    let head = format!(
        "PUT /b/k HTTP/1.1\r\nhost: a\r\n{}content-length: 3\r\n\r\n",
        signed_lines("s3")
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let address = host.address;
    let stopping = tokio::spawn(host.stop());
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(TcpStream::connect(address).await.is_err());
    stream.write_all(b"abc").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
    stopping.await.unwrap();
}
