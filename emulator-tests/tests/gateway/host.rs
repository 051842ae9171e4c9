//! A gateway, what is behind it, and a client that signs in form.

use bytes::Bytes;
use emulator_protocol::http::{Body, empty, full};
use emulator_tests::admin::Admin;
use emulator_tests::gateway::{Config, Gateway, Limits};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use sha2::{Digest, Sha256};
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use time::OffsetDateTime;
use time::macros::format_description;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A request as it came out of the gateway.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub headers: HeaderMap,
    pub length: u64,
    pub sha256: String,
}

/// What stands in for LocalStack.
pub struct Behind {
    pub address: SocketAddr,
    pub seen: Arc<Mutex<Vec<Seen>>>,
    /// Requests with the header `x-hang`, which get no answer, until their connection ends.
    pub hanging: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Behind {
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let hanging = Arc::new(AtomicUsize::new(0));
        let (log, hangs) = (Arc::clone(&seen), Arc::clone(&hanging));
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (log, hangs) = (Arc::clone(&log), Arc::clone(&hangs));
                tokio::spawn(async move {
                    let service = service_fn(|request: Request<Incoming>| {
                        let (log, hangs) = (Arc::clone(&log), Arc::clone(&hangs));
                        async move {
                            if request.headers().contains_key("x-hang") {
                                hang(hangs).await;
                            }
                            see(log, request).await
                        }
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self {
            address,
            seen,
            hanging,
            task,
        }
    }

    /// What came last.
    pub fn last(&self) -> Seen {
        self.seen.lock().unwrap().last().expect("a request").clone()
    }

    pub fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    pub fn hanging(&self) -> usize {
        self.hanging.load(Ordering::SeqCst)
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Never ends by itself; what hyper drops when the connection ends is not counted any more.
async fn hang(hanging: Arc<AtomicUsize>) {
    struct Hanging(Arc<AtomicUsize>);
    impl Drop for Hanging {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }
    hanging.fetch_add(1, Ordering::SeqCst);
    let _hanging = Hanging(hanging);
    std::future::pending().await
}

/// What the bucket `vault` is: who may delete what in it.
const POLICY: &str = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Deny",
    "Principal": "*", "Action": "s3:DeleteObject", "Resource": "arn:aws:s3:::vault/kept/*"}}"#;

/// What the gateway itself asks about a bucket.
const QUESTIONS: [&str; 5] = [
    "location",
    "policy",
    "encryption",
    "publicAccessBlock",
    "ownershipControls",
];

/// Answers about the bucket `vault`, the only one; takes a while to tag it.
fn vault(method: &str, path: &str) -> Option<(u16, &'static str)> {
    Some(match (method, path) {
        ("GET", "/?prefix=vault&max-buckets=1") => (200, "<L><Name>vault</Name></L>"),
        ("GET", "/vault?location") => (200, "<LocationConstraint/>"),
        ("GET", "/vault?policy") => (200, POLICY),
        ("GET", path)
            if path
                .split_once('?')
                .is_some_and(|(_, query)| QUESTIONS.contains(&query)) =>
        {
            (404, "")
        }
        ("POST", "/vault?delete") => (
            200,
            "<DeleteResult><Deleted><Key>gone</Key></Deleted></DeleteResult>",
        ),
        ("PUT", "/vault?tagging") => (200, ""),
        _ => return None,
    })
}

/// Notes a request; answers `/blob/N` with N bytes, what is put below `/early/` before it is read, KMS with a key, everything else with `here`.
async fn see(
    log: Arc<Mutex<Vec<Seen>>>,
    request: Request<Incoming>,
) -> Result<http::Response<Body>, Infallible> {
    let (parts, mut body) = request.into_parts();
    if parts.method == "PUT" && parts.uri.path().starts_with("/early/") {
        // Neither read nor closed, as LocalStack's server does it with what nobody listens to.
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            drop(body);
        });
        let early = http::Response::builder().status(500).body(full("early"));
        return Ok(early.unwrap());
    }
    let mut sha256 = Sha256::new();
    let mut length = 0;
    while let Some(Ok(frame)) = body.frame().await {
        let data = frame.into_data().unwrap_or_default();
        length += data.len() as u64;
        sha256.update(&data);
    }
    let path = parts.uri.path().to_owned();
    let (method, whole) = (parts.method.to_string(), parts.uri.to_string());
    let answer = vault(&method, &whole);
    // Questions about other buckets are not what a test counts.
    if answer == Some((404, "")) && !whole.starts_with("/vault") {
        return Ok(http::Response::builder().status(404).body(empty()).unwrap());
    }
    log.lock().unwrap().push(Seen {
        method: parts.method.to_string(),
        path: parts.uri.to_string(),
        headers: parts.headers,
        length,
        sha256: hex::encode(sha256.finalize()),
    });
    let response = http::Response::builder().header("x-from", "behind");
    if whole == "/vault?tagging" {
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    if let Some((status, text)) = answer {
        return Ok(response.status(status).body(full(text)).unwrap());
    }
    let response = match path.strip_prefix("/blob/").and_then(|n| n.parse().ok()) {
        Some(length) => response
            .header("content-length", length)
            .body(Zeros(length).boxed()),
        None => response.body(full("here")),
    };
    Ok(response.unwrap())
}

/// So many zero bytes, of which there is but one piece in memory.
pub struct Zeros(pub u64);

static PIECE: [u8; 64 << 10] = [0; 64 << 10];

impl hyper::body::Body for Zeros {
    type Data = Bytes;
    type Error = emulator_protocol::http::BodyError;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
        let piece = self.0.min(PIECE.len() as u64);
        self.0 -= piece;
        let data = Bytes::from_static(&PIECE[..usize::try_from(piece).unwrap()]);
        std::task::Poll::Ready((piece > 0).then(|| Ok(hyper::body::Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.0 == 0
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        hyper::body::SizeHint::with_exact(self.0)
    }
}

/// A gateway that serves.
pub struct Host {
    pub address: SocketAddr,
    pub ca_bundle: PathBuf,
    pub data: Arc<TempDir>,
    pub behind: Behind,
    pub client: Client<HttpConnector, Body>,
    stop: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<()>>,
}

/// Short, so that a test that waits for them is quick: for such tests alone, because a machine that
/// is busy reaches them, too.
pub fn quick() -> Limits {
    Limits {
        header: Duration::from_secs(1),
        stall: Duration::from_secs(1),
        answer: Duration::from_secs(2),
        drain: Duration::from_secs(2),
        ..Limits::default()
    }
}

impl Host {
    pub async fn start() -> Self {
        Self::start_with(Limits::default()).await
    }

    pub async fn start_with(limits: Limits) -> Self {
        Self::start_on(Arc::new(tempfile::tempdir().unwrap()), limits).await
    }

    pub async fn start_on(data: Arc<TempDir>, limits: Limits) -> Self {
        let behind = Behind::start().await;
        let config = Config {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            localstack: behind.address,
            data: data.path().to_owned(),
            seed: 1,
            guests: None,
            keep: false,
        };
        let gateway = Gateway::bind_with(config, limits).await.unwrap();
        let address = gateway.address();
        let ca_bundle = gateway.ca_bundle().to_owned();
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(gateway.serve(async {
            let _ = stopped.await;
        }));
        Self {
            address,
            ca_bundle,
            data,
            behind,
            client: Client::builder(TokioExecutor::new()).build(HttpConnector::new()),
            stop: Some(stop),
            serving: Some(serving),
        }
    }

    /// Stops, and waits for the end.
    pub async fn stop(mut self) -> Arc<TempDir> {
        drop(self.stop.take());
        if let Some(serving) = self.serving.take() {
            serving.await.unwrap();
        }
        Arc::clone(&self.data)
    }

    pub fn admin(&self) -> Admin {
        Admin::new(self.address)
    }

    /// Sends a request signed for a service.
    pub async fn call(&self, service: &str, line: &str, body: impl Into<Bytes>) -> Answer {
        self.call_with(service, line, &[], body).await.unwrap()
    }

    /// The same with more headers; an error if the connection broke.
    pub async fn call_with(
        &self,
        service: &str,
        line: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Answer, String> {
        let (method, path) = line.split_once(' ').unwrap();
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address));
        for (name, value) in signature(service) {
            request = request.header(name, value);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(full(body)).unwrap()).await
    }

    /// Sends a request as it is.
    pub async fn send(&self, request: Request<Body>) -> Result<Answer, String> {
        let response = self
            .client
            .request(request)
            .await
            .map_err(|error| format!("{error:?}"))?;
        let (parts, body) = response.into_parts();
        let body = body
            .collect()
            .await
            .map_err(|error| format!("{error:?}"))?
            .to_bytes();
        Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    }

    pub async fn get_unsigned(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::get(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(empty()).unwrap()).await.unwrap()
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

/// The headers of a signature that is good in form.
pub fn signature(service: &str) -> [(&'static str, String); 2] {
    signature_at(service, OffsetDateTime::now_utc())
}

pub fn signature_at(service: &str, time: OffsetDateTime) -> [(&'static str, String); 2] {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    let time = time.format(format).unwrap();
    let date = &time[..8];
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential=111111111111/{date}/us-east-1/{service}/aws4_request, \
         SignedHeaders=host;x-amz-date, Signature=00"
    );
    [("authorization", authorization), ("x-amz-date", time)]
}

/// The same as lines of a request's head.
pub fn signed_lines(service: &str) -> String {
    signature(service)
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect()
}
