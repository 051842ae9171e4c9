//! What AWS's protocols have in common: who calls, how a request names its parameters, how an
//! answer and an error look.

mod caller;
mod error;
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
