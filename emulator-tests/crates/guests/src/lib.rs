//! Instances that boot ([`Guests`]), with what surrounds each of them: a network ([`vpc`]) and the
//! instance metadata service ([`imds`]).

mod guests;
pub mod imds;
pub mod vpc;

pub use guests::{
    Console, ForwardStatus, GuestError, GuestStatus, Guests, Limits, Piece, PortForward, PortScan,
    Setup, Storage, forget_machines, has_uefi, missing,
};
