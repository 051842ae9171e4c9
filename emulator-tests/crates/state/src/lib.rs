//! What the emulator keeps: records and their journal ([`world`]), the bytes of snapshots and
//! volumes ([`layers`]), and where time ([`clock`]) and identifiers ([`ids`]) come from.

pub mod clock;
pub mod ids;
pub mod layers;
pub mod world;
