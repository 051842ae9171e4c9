//! The entrance of instances: AWS, and nothing of what is behind it.

use crate::host::Behind;
use emulator_guests::Limits;
use emulator_tests::admin::Admin;
use emulator_tests::gateway::{Config, Gateway};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn a_guest_asks_aws_and_neither_the_emulator_nor_localstack() {
    let behind = Behind::start().await;
    let data = tempfile::tempdir().unwrap();
    let config = Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        localstack: behind.address,
        data: data.path().to_owned(),
        seed: 1,
        guests: Some(Limits {
            guests: 1,
            cpus: 1,
            memory_mib: 512,
        }),
        keep: false,
    };
    let gateway = Gateway::bind(config).await.unwrap();
    let of_host = gateway.address();
    let of_guests = gateway.guests().unwrap().gateway();
    assert!(of_guests.ip().is_loopback());
    let serving = tokio::spawn(gateway.serve(std::future::pending()));

    let ask = async |line: &str, kind: &str, body: &str| {
        let request = format!(
            "{line} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(of_guests).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    for (line, body) in [
        ("GET /_emulator/status", ""),
        ("POST /_emulator/clock", r#"{"advance_seconds": 1}"#),
        (
            "POST http://localhost/_emulator/clock",
            r#"{"advance_seconds": 1}"#,
        ),
        ("GET //%5femulator/status", ""),
        ("POST /_localstack/health", r#"{"action": "kill"}"#),
        ("POST /%5Flocalstack/health", r#"{"action": "kill"}"#),
    ] {
        let answer = ask(line, "application/json", body).await;
        assert!(answer.starts_with("HTTP/1.1 403 "), "{line}: {answer}");
    }
    assert_eq!(behind.seen.lock().unwrap().len(), 0, "LocalStack was asked");
    let form = "application/x-www-form-urlencoded";
    let answer = ask("POST /", form, "Action=GetCallerIdentity").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(!behind.seen.lock().unwrap().is_empty());

    // This host may, and finds the clock where it was.
    let status = Admin::new(of_host).status().await.unwrap();
    assert_eq!(status.ahead_seconds, 0);
    serving.abort();
}
