//! What the regions that get a copy wait for: a region that converts says what the image is, and has
//! the AMI to copy.

use tokio::sync::watch;
use uploader::regions::Source;
use uploader::request::ImageRef;

/// What is known of a region. Of one that does not convert, that stays nothing.
#[derive(Clone, Debug, Default)]
struct Converted {
    image: Option<ImageRef>,
    ami: Option<Source>,
}

/// Held by a region as long as it converts: once it is dropped, no other one waits for that region.
pub(super) struct Announcer(watch::Sender<Converted>);

/// All regions, in the order in which they were asked for.
#[derive(Clone, Debug)]
pub(super) struct Sources(Vec<watch::Receiver<Converted>>);

/// Each region's announcer, and what the others wait for.
pub(super) fn sources(regions: usize) -> (Sources, Vec<Announcer>) {
    let channels = (0..regions).map(|_| watch::channel(Converted::default()));
    let (announcers, sources) = channels
        .map(|(sender, receiver)| (Announcer(sender), receiver))
        .unzip();
    (Sources(sources), announcers)
}

impl Announcer {
    /// The image is known: that of a disk, once the disk is read.
    pub(super) fn image(&self, image: &ImageRef) {
        let image = Some(image.clone());
        self.0.send_modify(|converted| converted.image = image);
    }

    /// The AMI is available.
    pub(super) fn ami(&self, source: Source) {
        self.0.send_modify(|converted| converted.ami = Some(source));
    }
}

impl Sources {
    /// Waits for the image; `None` if no region gets that far.
    pub(super) async fn image(&self) -> Option<ImageRef> {
        self.first(|converted| converted.image.clone()).await
    }

    /// Waits for the AMI of the first region that makes one: a later region's counts only if those
    /// before it fail. `None` if all do.
    pub(super) async fn ami(&self) -> Option<Source> {
        self.first(|converted| converted.ami.clone()).await
    }

    async fn first<T>(&self, get: impl Fn(&Converted) -> Option<T>) -> Option<T> {
        for region in &self.0 {
            let mut region = region.clone();
            let known = region.wait_for(|converted| get(converted).is_some()).await;
            if let Ok(converted) = known {
                return get(&converted);
            }
        }
        None
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn source(region: &str) -> Source {
        Source {
            region: region.to_owned(),
            ami: "ami-1".to_owned(),
            name: "web".to_owned(),
            request: uuid::Uuid::nil(),
        }
    }

    #[tokio::test]
    async fn the_first_region_with_an_ami_is_copied_and_a_failed_one_is_not_waited_for() {
        let (sources, announcers) = sources(3);
        let [first, second, third]: [Announcer; 3] = announcers.try_into().ok().unwrap();
        third.ami(source("c"));
        second.ami(source("b"));
        // The order counts, not who is faster.
        let early = tokio::time::timeout(Duration::from_millis(20), sources.ami()).await;
        assert!(early.is_err());
        drop(first);
        assert_eq!(sources.ami().await, Some(source("b")));
        // It stays, whatever becomes of the region's task.
        drop((second, third));
        assert_eq!(sources.ami().await, Some(source("b")));
    }

    #[tokio::test]
    async fn regions_that_end_leave_nobody_waiting() {
        let (sources, mut announcers) = sources(1);
        let announcer = announcers.remove(0);
        let image = ImageRef {
            name: "web".to_owned(),
            digest: "ab".repeat(32).parse().unwrap(),
        };
        announcer.image(&image);
        let waiting = tokio::spawn({
            let sources = sources.clone();
            async move { (sources.image().await, sources.ami().await) }
        });
        tokio::task::yield_now().await;
        drop(announcer);
        assert_eq!(waiting.await.unwrap(), (Some(image), None));
    }
}
