//! `/_emulator/instances` and `/_emulator/forwards`: instances that are booted.

use crate::admin::messages::{ConsolePiece, ForwardWish, ForwardedPort, InstanceStatus};
use crate::gateway::answer::plain_json;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use emulator_guests::{GuestError, Guests, PortForward, PortScan};
use emulator_protocol::AwsError;
use emulator_protocol::http::{BodyError, Response};
use emulator_state::clock::Clock;
use emulator_state::world::{Instance, Store};
use error_class::Chain;
use http_body::{Body as HttpBody, Frame};
use http_body_util::BodyExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc;

/// How often whoever holds a forwarded port is told that it is still there.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// How often it is looked whether the instance still runs.
const LOOK: Duration = Duration::from_millis(500);

/// What is known of instances.
pub(in crate::gateway) struct Instances {
    pub(in crate::gateway) store: Arc<Store>,
    pub(in crate::gateway) clock: Arc<dyn Clock>,
    /// Instances that are booted, if any are.
    pub(in crate::gateway) guests: Option<Guests>,
}

/// All instances.
pub(super) fn list(known: &Instances) -> Vec<InstanceStatus> {
    let now = known.clock.now();
    let instances: Vec<Instance> = known
        .store
        .read(|world| world.instances.values().cloned().collect());
    instances
        .into_iter()
        .map(|it| {
            let guest = known.guests.as_ref().and_then(|guests| guests.status(&it));
            let forwards = guest.iter().flat_map(|it| &it.forwards);
            InstanceStatus {
                state: it.state.name(now).name.to_owned(),
                since: it.state.since().min(now),
                booted: it.booted,
                waits: guest.as_ref().is_some_and(|it| it.waits),
                pid: guest.as_ref().and_then(|it| it.pid),
                cpus: guest.as_ref().map_or(it.cpus, |it| it.cpus),
                memory_mib: guest.as_ref().map_or(it.memory_mib, |it| it.memory_mib),
                forwards: forwards
                    .map(|it| ForwardedPort {
                        host: it.host,
                        guest: it.guest,
                    })
                    .collect(),
                id: it.id,
                account: it.owner,
                region: it.region,
                instance_type: it.instance_type,
                image: it.image,
                private_ip: it.interface.private_ip,
            }
        })
        .collect()
}

/// A piece of an instance's console.
pub(super) fn console(
    known: &Instances,
    id: &str,
    query: Option<&str>,
) -> Result<ConsolePiece, AwsError> {
    let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let mut from = 0;
    for (name, value) in pairs {
        match (&*name, value.parse()) {
            ("from", Ok(number)) => from = number,
            _ => {
                let message = format!("from has to be a number of bytes, not {name}={value}");
                return Err(AwsError::new("InvalidRequest", message));
            }
        }
    }
    exists(known, id)?;
    let Some(guests) = &known.guests else {
        return Ok(ConsolePiece {
            start: 0,
            bytes: String::new(),
            live: false,
        });
    };
    // Before it is read: what comes between is not lost.
    let live = guests.is_live(id);
    let piece = guests.console(id, from).map_err(refused)?;
    Ok(ConsolePiece {
        start: piece.start,
        bytes: STANDARD.encode(piece.bytes),
        live,
    })
}

/// Which ports of an instance something listens on.
pub(super) async fn ports(known: &Instances, id: &str) -> Result<PortScan, AwsError> {
    exists(known, id)?;
    let not_running = || refused(GuestError::NotRunning(id.to_owned()));
    let guests = known.guests.as_ref().ok_or_else(not_running)?;
    guests.scan_ports(id).await.map_err(refused)
}

/// Lets a port lead into an instance, until whoever asked is gone, or the instance.
pub(super) async fn forward(known: &Instances, wish: ForwardWish) -> Result<Response, AwsError> {
    exists(known, &wish.instance)?;
    let not_running = || refused(GuestError::NotRunning(wish.instance.clone()));
    let guests = known.guests.as_ref().ok_or_else(not_running)?;
    let forward = guests
        .forward(&wish.instance, wish.guest_port, wish.host_port)
        .await
        .map_err(refused)?;
    let port = ForwardedPort {
        host: forward.address(),
        guest: wish.guest_port,
    };
    let (pieces, held) = mpsc::channel(4);
    let first = serde_json::to_vec(&port).unwrap_or_default();
    tokio::spawn(hold(guests.clone(), wish.instance, forward, first, pieces));
    let mut response = plain_json(200, &());
    *response.body_mut() = Held(held).boxed();
    response.headers_mut().remove(http::header::CONTENT_LENGTH);
    Ok(response)
}

/// Keeps a port forwarded.
async fn hold(
    guests: Guests,
    instance: String,
    forward: PortForward,
    first: Vec<u8>,
    pieces: mpsc::Sender<Bytes>,
) {
    let ended = async {
        while guests.is_live(&instance) {
            tokio::time::sleep(LOOK).await;
        }
    };
    let told = async {
        let mut piece = Bytes::from(first);
        while pieces.send(piece).await.is_ok() {
            tokio::time::sleep(HEARTBEAT).await;
            piece = Bytes::from_static(b"\n");
        }
    };
    tokio::select! {
        () = ended => {}
        () = told => {}
        // Whoever holds it has gone.
        () = pieces.closed() => {}
    }
    drop(forward);
}

fn exists(known: &Instances, id: &str) -> Result<(), AwsError> {
    let found = known.store.read(|world| world.instances.contains_key(id));
    if found {
        return Ok(());
    }
    Err(AwsError::new("NotFound", format!("There is no instance {id}")).with_status(404))
}

fn refused(error: GuestError) -> AwsError {
    AwsError::new("Refused", Chain(&error).to_string())
}

/// A body of pieces as they come.
struct Held(mpsc::Receiver<Bytes>);

impl HttpBody for Held {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.0
            .poll_recv(context)
            .map(|piece| piece.map(|bytes| Ok(Frame::data(bytes))))
    }
}
