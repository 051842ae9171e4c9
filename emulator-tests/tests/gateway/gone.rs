//! What becomes of a request whose client has gone.

use super::host::{Host, signed_lines};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::sleep;

const JSON: &str = "content-type: application/x-amz-json-1.0\r\nx-amz-target: AmazonSQS.";
const FORM: &str = "content-type: application/x-www-form-urlencoded\r\n";

/// A client that waits for the answer to a request that gets none.
async fn waiting(host: &Host, headers: &str, body: &str) -> TcpStream {
    let before = host.behind.hanging();
    let mut stream = TcpStream::connect(host.address).await.unwrap();
    let request = format!(
        "POST / HTTP/1.1\r\nhost: localhost\r\n{}{headers}x-hang: 1\r\ncontent-length: {}\r\n\r\n\
         {body}",
        signed_lines("sqs"),
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    until(host, "it is passed on", |hanging| hanging > before).await;
    stream
}

async fn until(host: &Host, what: &str, is_so: impl Fn(usize) -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !is_so(host.behind.hanging()) {
        assert!(Instant::now() < end, "{what}");
        sleep(Duration::from_millis(5)).await;
    }
}

async fn at_work(host: &Host) -> usize {
    let status = host.admin().status().await.unwrap();
    status.at_work.get("111111111111").copied().unwrap_or(0)
}

#[tokio::test]
async fn who_waits_for_a_message_and_goes_gets_none() {
    let host = Host::start().await;
    for (headers, body) in [
        (
            &*format!("{JSON}ReceiveMessage\r\n"),
            "{\"WaitTimeSeconds\":20}",
        ),
        (FORM, "Action=ReceiveMessage&WaitTimeSeconds=20"),
    ] {
        for resets in [false, true] {
            let client = waiting(&host, headers, body).await;
            assert_eq!(at_work(&host).await, 1);
            if resets {
                // As a guest's connection ends when its machine is gone.
                client.set_zero_linger().unwrap();
            }
            drop(client);
            until(&host, "it is still asked for", |hanging| hanging == 0).await;
            let end = Instant::now() + Duration::from_secs(30);
            while at_work(&host).await > 0 {
                assert!(Instant::now() < end, "it is still at work");
            }
        }
    }
}

#[tokio::test]
async fn whatever_else_was_asked_for_is_done() {
    let host = Host::start().await;
    for (number, (headers, body)) in [
        (&*format!("{JSON}SendMessage\r\n"), "{}"),
        (FORM, "Action=DeleteMessage"),
    ]
    .into_iter()
    .enumerate()
    {
        drop(waiting(&host, headers, body).await);
        sleep(Duration::from_millis(300)).await;
        assert_eq!(host.behind.hanging(), number + 1);
        assert_eq!(at_work(&host).await, number + 1);
    }
}
