//! One set of AWS habits: clients as the SDK's default chain finds them, and what an error means.

mod bucket;
pub mod ec2;
mod error;
mod http;
mod lazy;
mod metadata;
pub mod roots;
mod session;

pub use bucket::{Body, Bucket, Condition, GetError, Head, ListedObject, Object, Owner};
pub use error::{AwsError, Kind};
pub use http::HttpError;
pub use lazy::LazyClient;
pub use metadata::{Identity, Metadata, MetadataError, RoleCredentials};
pub use session::{ConnectError, Options, Session};
