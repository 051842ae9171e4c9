//! The handle by which everything else works with a vault.

use super::{NameError, Names};
use crate::aws::{Bucket, Session};

/// One account's vault in one region: the clients to reach it, and what its parts are called. Clones share
/// connections.
#[derive(Clone, Debug)]
pub struct Vault {
    /// The account's clients in the vault's region.
    pub session: Session,
    /// The names of the vault's parts.
    pub names: Names,
}

impl Vault {
    /// The vault `name` of the session's account and region.
    ///
    /// # Errors
    /// It can't be a vault's name.
    pub fn new(session: Session, name: &str) -> Result<Vault, NameError> {
        let names = Names::new(name, &session.account, &session.region, &session.partition)?;
        Ok(Vault { session, names })
    }

    /// The vault's bucket, which no call reaches if it is another account's.
    pub fn bucket(&self) -> Bucket {
        self.session
            .bucket(self.names.bucket(), &self.names.account)
    }
}
