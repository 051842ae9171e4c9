//! What a push may use.

/// What a push may use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Threads that read, check and compress.
    pub jobs: usize,
    /// Requests at the same time, at most.
    pub requests: usize,
    /// Bytes of parts in memory at the same time.
    pub memory: u64,
    /// Where the pauses between retries are drawn from.
    pub seed: u64,
}

impl Limits {
    /// The share of each of so many pushes at the same time. Each has its own, so that one that waits
    /// for its region holds up no other. Threads are not divided: who waits needs none.
    pub fn among(self, pushes: usize) -> Limits {
        let pushes = pushes.max(1);
        Limits {
            requests: (self.requests / pushes).max(1),
            memory: self.memory / pushes as u64,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pushes_at_the_same_time_have_together_what_one_has() {
        let all = Limits {
            jobs: 4,
            requests: 16,
            memory: 192 << 20,
            seed: 1,
        };
        let share = |pushes| {
            let share = all.among(pushes);
            (share.jobs, share.requests, share.memory >> 20)
        };
        assert_eq!(share(1), (4, 16, 192));
        assert_eq!(share(3), (4, 5, 64));
        assert_eq!(share(100), (4, 1, 1));
    }
}
