//! Writes that S3 does in one step and LocalStack in several: completions of uploads, and writes on
//! a condition. For each object there is one at a time, and whoever reads it waits.

use emulator_protocol::operation;
use http::request::Parts;
use http::{Method, header};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::sync::{Mutex as Turns, OwnedMutexGuard};

/// A bucket and a key.
type Object = (String, String);

/// Objects that are being written.
#[derive(Default)]
pub(super) struct Writers {
    objects: Mutex<HashMap<Object, Weak<Turns<()>>>>,
}

/// What a request does with an object.
enum Part {
    Write,
    Read,
}

impl Writers {
    /// Waits until nobody writes the object of a request to S3. A writer's turn lasts as long as
    /// what this gives.
    pub(super) async fn turn(&self, request: &Parts) -> Option<OwnedMutexGuard<()>> {
        let part = part(request)?;
        let (Some(bucket), Some(key)) = operation::s3_target(request) else {
            return None;
        };
        let object = (bucket, key);
        let turns = {
            let mut objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
            match (objects.get(&object).and_then(Weak::upgrade), &part) {
                (Some(turns), _) => turns,
                (None, Part::Read) => return None,
                (None, Part::Write) => {
                    objects.retain(|_, turns| turns.strong_count() > 0);
                    let turns = Arc::new(Turns::new(()));
                    objects.insert(object, Arc::downgrade(&turns));
                    turns
                }
            }
        };
        let turn = turns.lock_owned().await;
        matches!(part, Part::Write).then_some(turn)
    }
}

fn part(request: &Parts) -> Option<Part> {
    let operation = operation::of("s3", request, None)?;
    let conditional = [header::IF_NONE_MATCH, header::IF_MATCH]
        .iter()
        .any(|name| request.headers.contains_key(name));
    match operation.as_str() {
        "CompleteMultipartUpload" => Some(Part::Write),
        "PutObject" if conditional => Some(Part::Write),
        _ if [Method::GET, Method::HEAD].contains(&request.method) => Some(Part::Read),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    fn request(method: &str, uri: &str, condition: bool) -> Parts {
        let mut request = http::Request::builder().method(method).uri(uri);
        if condition {
            request = request.header(header::IF_NONE_MATCH, "*");
        }
        request.body(()).unwrap().into_parts().0
    }

    #[tokio::test]
    async fn an_object_has_one_writer_and_others_are_not_held_up() {
        let writers = Writers::default();
        let complete = request("POST", "/b/k?uploadId=u", false);
        let turn = writers.turn(&complete).await;
        assert!(turn.is_some());
        let waits = async |request: Parts| {
            timeout(Duration::from_millis(50), writers.turn(&request))
                .await
                .is_err()
        };
        assert!(waits(complete.clone()).await);
        assert!(waits(request("PUT", "/b/k", true)).await);
        assert!(waits(request("HEAD", "/b/k", false)).await);
        assert!(!waits(request("PUT", "/b/k", false)).await);
        assert!(!waits(request("PUT", "/b/other", true)).await);
        assert!(!waits(request("GET", "/b?list-type=2", false)).await);
        drop(turn);
        assert!(writers.turn(&complete).await.is_some());
    }
}
