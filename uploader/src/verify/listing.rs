//! Which blocks a snapshot has.

use super::VerifyError;
use super::read::{failed, judged};
use crate::aws::AwsError;
use crate::blocks::call::Calls;
use aws_sdk_ebs::operation::list_snapshot_blocks::ListSnapshotBlocksError;
use imgtool::pass::BLOCK_LEN;

/// A block that can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) index: u32,
    pub(super) token: String,
}

/// A snapshot's list of blocks, page by page, in ascending order.
pub(super) struct Listing<'c> {
    ebs: aws_sdk_ebs::Client,
    snapshot: &'c str,
    calls: &'c Calls,
    next_token: Option<String>,
    /// No block below this may come.
    next_index: u32,
    ended: bool,
}

impl<'c> Listing<'c> {
    pub(super) fn new(ebs: aws_sdk_ebs::Client, snapshot: &'c str, calls: &'c Calls) -> Self {
        Listing {
            ebs,
            snapshot,
            calls,
            next_token: None,
            next_index: 0,
            ended: false,
        }
    }

    /// The next page, or `None` after the last. May be dropped and called again.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Listed>>, VerifyError> {
        if self.ended {
            return Ok(None);
        }
        let page = self
            .calls
            .until_through(0, || async {
                self.ebs
                    .list_snapshot_blocks()
                    .snapshot_id(self.snapshot)
                    .set_next_token(self.next_token.clone())
                    .send()
                    .await
                    .map_err(|error| {
                        let reason = error.as_service_error().and_then(|it| match it {
                            ListSnapshotBlocksError::ValidationException(it) => it.reason(),
                            _ => None,
                        });
                        let reason = reason.cloned();
                        judged(AwsError::new("ebs ListSnapshotBlocks", error), reason)
                    })
            })
            .await
            .map_err(|error| failed(self.snapshot, error))?;
        let odd = |why: String| VerifyError::Answer {
            snapshot: self.snapshot.to_owned(),
            why,
        };
        if page.block_size != Some(BLOCK_LEN as i32) {
            return Err(odd(format!("its blocks are not of {BLOCK_LEN} bytes")));
        }
        let mut blocks = Vec::new();
        let mut next_index = self.next_index;
        for block in page.blocks.unwrap_or_default() {
            let index = block.block_index.and_then(|it| u32::try_from(it).ok());
            let (Some(index), Some(token)) = (index, block.block_token) else {
                return Err(odd("a block is listed without index or token".to_owned()));
            };
            // Also what ends a list that would go on for ever.
            if index < next_index {
                return Err(odd(format!("block {index} is listed out of order")));
            }
            next_index = index + 1;
            blocks.push(Listed { index, token });
        }
        let next_token = page.next_token.filter(|it| !it.is_empty());
        if next_token.is_some() && blocks.is_empty() {
            return Err(odd("a page of its list of blocks is empty".to_owned()));
        }
        self.next_index = next_index;
        self.ended = next_token.is_none();
        self.next_token = next_token;
        Ok(Some(blocks))
    }
}
