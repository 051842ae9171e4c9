//! Into the guest, as far as the rules let.

use super::*;
use smoltcp::iface::SocketHandle;
use std::io::ErrorKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Listens at a port and answers each connection with who it is from, and what it said.
fn server(guest: &mut Guest, port: u16) -> SocketHandle {
    let mut socket = guest::tcp();
    socket.listen(port).unwrap();
    guest.sockets.add(socket)
}

/// Runs the guest until it has answered a connection, beside something else.
async fn beside<T>(guest: &mut Guest, handle: SocketHandle, other: impl Future<Output = T>) -> T {
    let serves = async {
        let mut said = Vec::new();
        guest
            .until(|guest| {
                let socket = guest.tcp(handle);
                let ended = socket.recv(|data| {
                    said.extend_from_slice(data);
                    (data.len(), ())
                });
                let from = socket.remote_endpoint();
                let finished = ended == Err(smoltcp::socket::tcp::RecvError::Finished);
                if finished && socket.may_send() {
                    let answer = format!("{} {}", from?.addr, String::from_utf8_lossy(&said));
                    socket.send_slice(answer.as_bytes()).unwrap();
                    socket.close();
                    said.clear();
                }
                None::<()>
            })
            .await
    };
    tokio::select! {
        () = serves => unreachable!("it serves until the other has ended"),
        done = other => done,
    }
}

async fn talk(mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin) -> String {
    stream.write_all(b"hello").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn the_rules_decide_who_gets_in() {
    let host = host(nowhere().await);
    let mut guest = host.guest().await;
    let open = server(&mut guest, 8080);
    // From the host, through the router.
    let answer = async { talk(host.lan.dial(8080).await.unwrap()).await };
    assert_eq!(beside(&mut guest, open, answer).await, "172.31.0.1 hello");
    // From elsewhere, with the address that it has.
    let elsewhere = Ipv4Addr::new(203, 0, 113, 7);
    let other = server(&mut guest, 9090);
    let answer = async { talk(host.lan.dialer().dial_from(elsewhere, 9090).await.unwrap()).await };
    assert_eq!(beside(&mut guest, other, answer).await, "203.0.113.7 hello");
    // Nobody listens.
    let refused = async {
        host.lan
            .dialer()
            .dial_from(elsewhere, 81)
            .await
            .unwrap_err()
    };
    assert_eq!(
        beside(&mut guest, open, refused).await.kind(),
        ErrorKind::ConnectionRefused
    );
}

#[tokio::test]
async fn what_is_not_let_in_is_not_answered() {
    let host = host_with(nowhere().await, |setup| {
        setup.patience = Duration::from_millis(200);
    });
    let mut guest = host.guest().await;
    let open = server(&mut guest, 22);
    guest.wire.seen = Some(Vec::new());
    let refused = async { host.lan.dial(22).await.unwrap_err() };
    assert_eq!(
        beside(&mut guest, open, refused).await.kind(),
        ErrorKind::TimedOut
    );
    assert!(
        guest.wire.seen.unwrap_or_default().is_empty(),
        "not a frame"
    );
    // Nor is who calls while there is no guest, however often.
    let host = host_with(nowhere().await, |setup| {
        setup.patience = Duration::from_millis(1);
    });
    for _ in 0..2 * MOST_CONNECTIONS {
        let error = host.lan.dial(8080).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }
}

#[tokio::test]
async fn who_knocks_is_answered_whatever_the_rules_say() {
    let host = host(nowhere().await);
    let mut guest = host.guest().await;
    let open = server(&mut guest, 22);
    let dialer = host.lan.dialer();
    let knocks = async {
        let mut kinds = Vec::new();
        for port in [22, 23] {
            let knocked = dialer.knock(port).await;
            kinds.push(knocked.map(drop).map_err(|error| error.kind()));
        }
        kinds
    };
    assert_eq!(
        beside(&mut guest, open, knocks).await,
        [Ok(()), Err(ErrorKind::ConnectionRefused)]
    );
    // Nobody works for the guest now.
    let silent = dialer.knock(24).await.unwrap_err();
    assert_eq!(silent.kind(), ErrorKind::TimedOut);
}

#[tokio::test]
async fn a_port_of_the_host_leads_into_the_guest() {
    let host = host(nowhere().await);
    let mut guest = host.guest().await;
    let open = server(&mut guest, 8080);
    let forward = Forward::start(host.lan.dialer(), 0, 8080).await.unwrap();
    let address = forward.address();
    assert!(address.ip().is_loopback());
    let answer = async { talk(TcpStream::connect(address).await.unwrap()).await };
    assert_eq!(beside(&mut guest, open, answer).await, "172.31.0.1 hello");
    let taken = Forward::start(host.lan.dialer(), address.port(), 8080).await;
    assert_eq!(taken.unwrap_err().kind(), ErrorKind::AddrInUse);
    drop(forward);
    // The task that listens ends soon.
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}
