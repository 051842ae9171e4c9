//! What was found.

use imgtool::pass::BLOCK_LEN;
use serde::Serialize;

/// How a snapshot compares with a manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Blocks of the image that have to be there: data and zeros. Free blocks are not looked at.
    pub blocks: u64,
    /// How many of them the snapshot does not have.
    pub missing: u64,
    /// How many it has with other content.
    pub different: u64,
    /// The first of those, by index.
    pub first: Vec<Difference>,
}

/// A block that is not the manifest's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Difference {
    /// Which block.
    pub index: u32,
    /// Its first byte on the disk.
    pub first_byte: u64,
    /// Its last byte.
    pub last_byte: u64,
    /// What is wrong with it.
    pub problem: Problem,
    /// SHA-256 of what the manifest says.
    pub expected: String,
    /// SHA-256 of what is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
}

/// What is wrong with a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Problem {
    /// The snapshot does not have it.
    Missing,
    /// It holds something else.
    Different,
}

impl Report {
    /// Whether every block is as the manifest says.
    pub fn is_equal(&self) -> bool {
        self.missing == 0 && self.different == 0
    }

    /// A block is not there (`found` is `None`) or is another. Of all, the first `most` are kept.
    pub(super) fn add(
        &mut self,
        index: u32,
        expected: &[u8; 32],
        found: Option<[u8; 32]>,
        most: usize,
    ) {
        let problem = match found {
            None => Problem::Missing,
            Some(_) => Problem::Different,
        };
        match problem {
            Problem::Missing => self.missing += 1,
            Problem::Different => self.different += 1,
        }
        // Answers come in any order.
        let at = self.first.partition_point(|it| it.index < index);
        if at >= most {
            return;
        }
        let first_byte = u64::from(index) * BLOCK_LEN as u64;
        self.first.insert(
            at,
            Difference {
                index,
                first_byte,
                last_byte: first_byte + BLOCK_LEN as u64 - 1,
                problem,
                expected: hex::encode(expected),
                found: found.map(hex::encode),
            },
        );
        self.first.truncate(most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_are_kept_in_whatever_order_they_come() {
        let mut report = Report::default();
        assert!(report.is_equal());
        for index in [5, 1, 9, 3, 7] {
            let found = (index % 3 != 0).then_some([1; 32]);
            report.add(index, &[0; 32], found, 3);
        }
        let first: Vec<_> = report
            .first
            .iter()
            .map(|it| (it.index, it.problem))
            .collect();
        let (missing, different) = (Problem::Missing, Problem::Different);
        assert_eq!(first, [(1, different), (3, missing), (5, different)]);
        assert_eq!((report.missing, report.different), (2, 3));
        assert_eq!(report.first[1].first_byte, 3 * 524_288);
        assert_eq!(report.first[1].last_byte, 4 * 524_288 - 1);
        assert!(!report.is_equal());
    }
}
