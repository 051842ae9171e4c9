//! One HTTP request, to see whether somebody answers.

use http_body_util::Empty;
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// How long one attempt may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The status of the answer to `GET path`; or why there is none, in words.
pub(super) async fn get(address: &str, path: &str) -> Result<u16, String> {
    match tokio::time::timeout(PATIENCE, ask(address, path)).await {
        Ok(answer) => answer,
        Err(_) => Err(format!(
            "{address}: no answer within {} s",
            PATIENCE.as_secs()
        )),
    }
}

async fn ask(address: &str, path: &str) -> Result<u16, String> {
    let failed = |error: &dyn std::fmt::Display| format!("{address}: {error}");
    let stream = TcpStream::connect(address)
        .await
        .map_err(|error| failed(&error))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| failed(&error))?;
    let request = Request::get(path)
        .header("host", address)
        .header("user-agent", "uploader")
        .header("connection", "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| failed(&error))?;
    // It moves the bytes, and ends with them, before or after the answer is taken; dropped, it is
    // broken off.
    let mut moving = JoinSet::new();
    moving.spawn(connection);
    let answer = sender.send_request(request).await;
    Ok(answer.map_err(|error| failed(&error))?.status().as_u16())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// What comes of a server that says this, and hangs up.
    async fn asked(answer: &'static [u8]) -> Result<u16, String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; 1024];
            let len = stream.read(&mut asked).await.unwrap();
            stream.write_all(answer).await.unwrap();
            String::from_utf8_lossy(&asked[..len]).into_owned()
        });
        let got = get(&address, "/health").await;
        assert!(
            server
                .await
                .unwrap()
                .starts_with("GET /health HTTP/1.1\r\n")
        );
        got
    }

    #[tokio::test]
    async fn statuses_are_answers_and_nothing_else_is() {
        let ok = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        assert_eq!(asked(ok).await, Ok(200));
        assert_eq!(
            asked(b"HTTP/1.1 503 x\r\nconnection: close\r\n\r\n").await,
            Ok(503)
        );
        assert!(asked(b"").await.is_err());
        assert!(asked(b"SSH-2.0-OpenSSH_9\r\n").await.is_err());
        assert!(get("127.0.0.1:1", "/").await.is_err());
    }
}
