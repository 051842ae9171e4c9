//! One HTTP/1.1 request, as little of it as the metadata service takes (RFC 9112).

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Most bytes of a response, headers included.
const MAX_RESPONSE: usize = 8 * 1024;

/// Sends a request and returns the body of a response with status 200. All of it, connecting
/// included, ends by `deadline`.
pub(crate) fn fetch(
    server: SocketAddr,
    request: &str,
    headers: &[(&str, &str)],
    deadline: Instant,
) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&server, left(deadline)?)?;
    let mut text = format!(
        "{request} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n",
        server.ip()
    );
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    stream.set_write_timeout(Some(left(deadline)?))?;
    stream.write_all(text.as_bytes())?;

    let mut response = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        if let Some(body) = complete(&response)? {
            return Ok(body);
        }
        stream.set_read_timeout(Some(left(deadline)?))?;
        match stream.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length => response.extend(&buffer[..length]),
        }
        if response.len() > MAX_RESPONSE {
            return Err(invalid("the response is too long"));
        }
    }
}

/// The time left, which is not zero.
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        Err(io::ErrorKind::TimedOut.into())
    } else {
        Ok(left)
    }
}

/// The body, once `response` holds all of it.
fn complete(response: &[u8]) -> io::Result<Option<String>> {
    let Some(end) = response.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&response[..end]).map_err(|_| invalid("not text"))?;
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap_or_default();
    let mut words = status.split(' ');
    let version = words.next().unwrap_or_default();
    match words.next() {
        Some("200") if version.starts_with("HTTP/1.") => {}
        _ => return Err(invalid(status)),
    }
    let length = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse::<usize>().ok())
        .filter(|&length| length <= MAX_RESPONSE)
        .ok_or_else(|| invalid("no usable Content-Length"))?;
    match response.get(end + 4..end + 4 + length) {
        Some(body) => std::str::from_utf8(body)
            .map(|text| Some(text.to_owned()))
            .map_err(|_| invalid("not text")),
        None => Ok(None),
    }
}

fn invalid(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    #[test]
    fn a_response_is_complete_with_its_last_byte() {
        let whole = b"HTTP/1.1 200 OK\r\nServer: x\r\ncontent-length: 4\r\n\r\nbody";
        for length in 0..whole.len() {
            assert_eq!(complete(&whole[..length]).unwrap(), None, "{length} bytes");
        }
        assert_eq!(complete(whole).unwrap().as_deref(), Some("body"));
    }

    #[test]
    fn other_responses_are_errors() {
        for response in [
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\nbody",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "SSH-2.0-x 200\r\n\r\n",
            "\r\n\r\n",
        ] {
            assert!(complete(response.as_bytes()).is_err(), "{response}");
        }
        assert!(complete(b"\xff\r\n\r\n").is_err());
        assert!(complete(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n\xff").is_err());
    }

    #[test]
    fn an_endless_or_silent_server_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for (i, stream) in listener.incoming().enumerate() {
                let Ok(mut stream) = stream else { return };
                if i == 0 {
                    while stream.write_all(&[b'x'; 512]).is_ok() {}
                } else {
                    thread::sleep(Duration::from_secs(5));
                }
            }
        });
        let soon = || Instant::now() + Duration::from_millis(500);
        let endless = fetch(address, "GET /", &[], soon()).unwrap_err();
        assert_eq!(endless.to_string(), "the response is too long");
        let start = Instant::now();
        assert!(fetch(address, "GET /", &[], soon()).is_err());
        assert!(start.elapsed() < Duration::from_secs(3));
        assert!(fetch(address, "GET /", &[], Instant::now()).is_err());
    }
}
