//! `ListChangedBlocks`.

use super::call::Call;
use super::error::validation;
use super::page::{Page, cut, scan};
use super::request::Query;
use super::snapshots;
use super::token::Listing;
use emulator_protocol::AwsError;
use emulator_protocol::http::Response;
use emulator_state::layers::Block;
use emulator_state::world::Snapshot;
use serde::Serialize;
use std::io;
use std::iter::Peekable;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ChangedBlocks {
    changed_blocks: Vec<Listed>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    block_index: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_block_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    second_block_token: Option<String>,
}

pub async fn handle(call: &Call<'_>, id: &str, query: &Query) -> Result<Response, AwsError> {
    let limit = query.max_results()?;
    let second = snapshots::readable(call, id, false).await?;
    let first = match query.get("firstSnapshotId") {
        Some(id) => Some(snapshots::readable(call, id, false).await?),
        None => None,
    };
    if let Some(first) = first.as_ref().filter(|first| !related(first, &second)) {
        return Err(validation(
            "UNRELATED_SNAPSHOTS",
            format!(
                "The snapshots '{}' and '{}' are not related.",
                first.id, second.id
            ),
        ));
    }
    let listing = Listing {
        operation: "ListChangedBlocks",
        first: first.as_ref().map(|first| first.id.as_str()),
        second: id,
    };
    let page = Page::new(call, query, listing)?;
    let (blocks, next) = {
        let layers = call.services.layers.clone();
        let stacks = (
            first.as_ref().map_or(Vec::new(), |it| it.layers.clone()),
            second.layers.clone(),
        );
        let from = page.from;
        scan(move || {
            let changed = Changed {
                first: layers.written(&stacks.0, from).peekable(),
                second: layers.written(&stacks.1, from).peekable(),
            };
            cut(changed, limit, |it| it.index)
        })
        .await?
    };
    let listed = |it: &Pair| Listed {
        block_index: it.index,
        first_block_token: first
            .as_ref()
            .zip(it.first.as_ref())
            .map(|(first, block)| page.token(first, block)),
        second_block_token: it.second.as_ref().map(|it| page.token(&second, it)),
    };
    let changed_blocks = blocks.iter().map(listed).collect();
    page.answer(&second, ChangedBlocks { changed_blocks }, next)
}

/// Whether both descend from one volume or snapshot: they have a layer in common, or come from
/// one volume.
fn related(first: &Snapshot, second: &Snapshot) -> bool {
    let volume = first.volume_id != super::start::NO_VOLUME && first.volume_id == second.volume_id;
    volume || first.layers.iter().any(|id| second.layers.contains(id))
}

/// A block that is not the same in both snapshots.
struct Pair {
    index: u32,
    first: Option<Block>,
    second: Option<Block>,
}

/// Merges two listings, and leaves out what is the same in both.
struct Changed<A: Iterator, B: Iterator> {
    first: Peekable<A>,
    second: Peekable<B>,
}

impl<A, B> Iterator for Changed<A, B>
where
    A: Iterator<Item = io::Result<Block>>,
    B: Iterator<Item = io::Result<Block>>,
{
    type Item = io::Result<Pair>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            // An error counts as the lowest index, so that it comes out.
            let at = |next: Option<&io::Result<Block>>| {
                next.map(|next| next.as_ref().map_or(0, |block| block.index))
            };
            let (first, second) = (at(self.first.peek()), at(self.second.peek()));
            let index = match (first, second) {
                (Some(first), Some(second)) => first.min(second),
                (first, second) => first.or(second)?,
            };
            let first = (first == Some(index)).then(|| self.first.next()).flatten();
            let second = (second == Some(index))
                .then(|| self.second.next())
                .flatten();
            let pair = first
                .transpose()
                .and_then(|first| Ok((first, second.transpose()?)));
            match pair {
                Err(error) => return Some(Err(error)),
                Ok((Some(first), Some(second))) if first.digest == second.digest => {}
                Ok((first, second)) => {
                    return Some(Ok(Pair {
                        index,
                        first,
                        second,
                    }));
                }
            }
        }
    }
}
