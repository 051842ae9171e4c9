//! State, time and identifiers.

use crate::TestNetwork;
use emulator_state::clock::Clock;
use emulator_state::ids::Ids;
use emulator_state::layers::Layers;
use emulator_state::world::Store;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use time::{Duration, OffsetDateTime, macros::datetime};

/// Stands still until it is moved.
pub struct TestClock(Mutex<OffsetDateTime>);

impl TestClock {
    /// Moves on.
    pub fn advance(&self, by: Duration) {
        *self.0.lock().unwrap() += by;
    }
}

impl Clock for TestClock {
    fn now(&self) -> OffsetDateTime {
        *self.0.lock().unwrap()
    }
}

/// An empty state.
pub struct TestState {
    /// Records.
    pub store: Arc<Store>,
    /// Bytes.
    pub layers: Layers,
    /// Identifiers, the same every time.
    pub ids: Ids,
    /// Time, from the beginning of 2026.
    pub clock: Arc<TestClock>,
    /// Networks.
    pub network: Arc<TestNetwork>,
    /// Where all is kept.
    pub dir: TempDir,
}

/// An empty state in a directory of its own.
pub fn state() -> TestState {
    let dir = tempfile::tempdir().unwrap();
    TestState {
        store: Arc::new(Store::open(dir.path()).unwrap()),
        layers: Layers::open(dir.path().join("layers")).unwrap(),
        ids: Ids::new(1),
        clock: Arc::new(TestClock(Mutex::new(datetime!(2026-01-01 00:00 UTC)))),
        network: Arc::default(),
        dir,
    }
}
