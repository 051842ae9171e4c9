//! The machine against a model of AWS: two agents on one queue, in every order that proptest finds,
//! with crashes, lost answers, throttles, redelivery, replays, clocks that run, snapshots and
//! parents that vanish.
//!
//! Once the dust has settled there is one AMI for the request, or none and a dead letter; no
//! snapshot that no image needs; and no message.

mod agents;
mod lag;
mod pauses;
mod properties;
mod world;
