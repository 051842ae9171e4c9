//! What AWS's protocols have in common: who calls, what a request asks for and how it names its
//! parameters, what the service models say of it, how an answer and an error look.

mod caller;
mod error;
pub mod http;
pub mod model;
pub mod operation;
mod params;
mod regions;
mod xml;
pub mod xml_text;

pub use caller::{Account, Caller, Region};
pub use error::{AwsError, Protocol};
pub use params::Params;
pub use regions::{KnownRegion, REGIONS, known_region};
pub use xml::{Xml, ec2_time};
