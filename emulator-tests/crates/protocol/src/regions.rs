//! The regions of the commercial partition.

/// A region, and what an account has to do before it can use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownRegion {
    /// `us-east-1`.
    pub name: &'static str,
    /// Whether it is disabled until an account opts in: all that were opened since 2019 are.
    pub opt_in: bool,
}

const fn always(name: &'static str) -> KnownRegion {
    KnownRegion {
        name,
        opt_in: false,
    }
}

const fn opt_in(name: &'static str) -> KnownRegion {
    KnownRegion { name, opt_in: true }
}

/// Every region, sorted by name.
pub const REGIONS: [KnownRegion; 34] = [
    opt_in("af-south-1"),
    opt_in("ap-east-1"),
    opt_in("ap-east-2"),
    always("ap-northeast-1"),
    always("ap-northeast-2"),
    always("ap-northeast-3"),
    always("ap-south-1"),
    opt_in("ap-south-2"),
    always("ap-southeast-1"),
    always("ap-southeast-2"),
    opt_in("ap-southeast-3"),
    opt_in("ap-southeast-4"),
    opt_in("ap-southeast-5"),
    opt_in("ap-southeast-6"),
    opt_in("ap-southeast-7"),
    always("ca-central-1"),
    opt_in("ca-west-1"),
    always("eu-central-1"),
    opt_in("eu-central-2"),
    always("eu-north-1"),
    opt_in("eu-south-1"),
    opt_in("eu-south-2"),
    always("eu-west-1"),
    always("eu-west-2"),
    always("eu-west-3"),
    opt_in("il-central-1"),
    opt_in("me-central-1"),
    opt_in("me-south-1"),
    opt_in("mx-central-1"),
    always("sa-east-1"),
    always("us-east-1"),
    always("us-east-2"),
    always("us-west-1"),
    always("us-west-2"),
];

/// Whether there is a region of this name.
pub fn known_region(name: &str) -> bool {
    REGIONS.iter().any(|region| region.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_looked_up_whole() {
        assert!(REGIONS.is_sorted_by_key(|region| region.name));
        for (name, known) in [
            ("us-east-1", true),
            ("mx-central-1", true),
            ("us-east", false),
            ("us-gov-west-1", false),
            ("", false),
        ] {
            assert_eq!(known_region(name), known, "{name}");
        }
    }
}
