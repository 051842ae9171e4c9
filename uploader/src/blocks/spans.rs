//! Which bytes of packs are read at a time, and in which order. Pure.

use super::plan::{BlockPlan, Frame, PlannedPut};

/// Bytes between two frames that are read rather than asked around: a request costs more.
const GAP: u64 = 64 << 10;

/// Positions of the plan's puts that have frames, in the packs' order: what lies together is read
/// together.
fn order(plan: &BlockPlan) -> Vec<u32> {
    let frame = |at: u32| plan.puts.get(at as usize).and_then(|it| it.frame);
    // A plan has no more blocks than a disk, whose indexes have 32 bits.
    let all = 0..u32::try_from(plan.puts.len()).unwrap_or(u32::MAX);
    let mut order: Vec<u32> = all.filter(|&at| frame(at).is_some()).collect();
    order.sort_unstable_by_key(|&at| frame(at).map(|it| (it.pack, it.offset)));
    order
}

/// Bytes of a pack that are read with one request, and the blocks whose frames are in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) pack: u32,
    pub(crate) offset: u64,
    pub(crate) len: u64,
    pub(crate) blocks: Vec<(PlannedPut, Frame)>,
}

/// Spans of at most `longest` bytes, but for a frame that is longer, and `most` blocks.
pub(crate) struct Spans<'p> {
    plan: &'p BlockPlan,
    order: std::iter::Peekable<std::vec::IntoIter<u32>>,
    longest: u64,
    most: usize,
}

impl<'p> Spans<'p> {
    pub(crate) fn new(plan: &'p BlockPlan, longest: u64, most: usize) -> Self {
        Spans {
            plan,
            order: order(plan).into_iter().peekable(),
            longest,
            most,
        }
    }

    /// The next block, if it is one that `joins`.
    fn next_if(&mut self, joins: impl Fn(&Frame) -> bool) -> Option<(PlannedPut, Frame)> {
        let put = self.plan.puts.get(*self.order.peek()? as usize)?;
        let frame = put.frame.filter(joins)?;
        self.order.next();
        Some((*put, frame))
    }
}

impl Iterator for Spans<'_> {
    type Item = Span;

    fn next(&mut self) -> Option<Span> {
        let (put, frame) = self.next_if(|_| true)?;
        let mut span = Span {
            pack: frame.pack,
            offset: frame.offset,
            len: frame.len.into(),
            blocks: vec![(put, frame)],
        };
        while span.blocks.len() < self.most {
            let end = span.offset.saturating_add(span.len);
            let longest = self.longest;
            let next = self.next_if(|frame| {
                frame.pack == span.pack
                    && (span.offset..=end.saturating_add(GAP)).contains(&frame.offset)
                    && frame.end() - span.offset <= longest
            });
            let Some((put, frame)) = next else { break };
            span.len = span.len.max(frame.end() - span.offset);
            span.blocks.push((put, frame));
        }
        Some(span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn put() -> impl Strategy<Value = Option<Frame>> {
        let frame = (0u32..3, 0u64..4_000_000, 1u32..500_000);
        proptest::option::weighted(
            0.8,
            frame.prop_map(|(pack, offset, len)| Frame { pack, offset, len }),
        )
    }

    proptest! {
        /// Each block comes once, each frame is in its span, and no span is longer than was said.
        #[test]
        fn every_block_is_read_once(
            frames in vec(put(), 0..100),
            longest in 1u64..3_000_000,
            most in 1usize..10,
        ) {
            let puts: Vec<_> = (0..)
                .zip(frames)
                .map(|(index, frame)| PlannedPut { index, sha256: [0; 32], frame })
                .collect();
            let plan = BlockPlan { puts, linear_checksum: [0; 32] };
            let spans = Spans::new(&plan, longest, most);
            let mut seen = BTreeSet::new();
            for span in spans {
                let first = u64::from(span.blocks[0].1.len);
                prop_assert!(span.len <= longest.max(first));
                prop_assert!(span.blocks.len() <= most);
                for (put, frame) in &span.blocks {
                    prop_assert!(frame.pack == span.pack && frame.offset >= span.offset);
                    let end = frame.offset + u64::from(frame.len);
                    prop_assert!(end <= span.offset + span.len);
                    prop_assert_eq!(put.frame.as_ref(), Some(frame));
                    prop_assert!(seen.insert(put.index));
                }
            }
            let all = plan.puts.iter().filter(|it| it.frame.is_some()).count();
            prop_assert_eq!(seen.len(), all);
        }

        /// A pack without holes is read without holes.
        #[test]
        fn what_lies_together_is_read_together(lens in vec(1u32..100_000, 1..200)) {
            let mut offset = 0;
            let mut puts = Vec::new();
            for (index, len) in (0..).zip(lens) {
                let frame = Some(Frame { pack: 0, offset, len });
                puts.push(PlannedPut { index, sha256: [0; 32], frame });
                offset += u64::from(len);
            }
            let plan = BlockPlan { puts, linear_checksum: [0; 32] };
            let spans: Vec<_> = Spans::new(&plan, 1 << 20, usize::MAX).collect();
            prop_assert_eq!(spans.iter().map(|it| it.len).sum::<u64>(), offset);
            // But for the last, each is full to within one frame.
            for span in spans.iter().rev().skip(1) {
                prop_assert!(span.len > (1 << 20) - 100_000);
            }
        }
    }
}
