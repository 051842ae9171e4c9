//! The rules in force, their counts, and the file that keeps them.

use super::rule::{Fault, Rule};
use crate::gateway::error::GatewayError;
use crate::gateway::json_file::{read_json, write_json};
use emulator_protocol::AwsError;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};

/// Most rules at a time: each is looked at for every request.
const MOST_RULES: usize = 1000;

/// A rule in force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Counted {
    /// `fault-1`.
    pub id: String,
    /// What it says.
    #[serde(flatten)]
    pub rule: Rule,
    /// Requests that it was about.
    #[serde(default)]
    pub matched: u64,
    /// Requests that it fired for.
    #[serde(default)]
    pub fired: u64,
}

/// A request, as rules see it.
pub(crate) struct Subject<'a> {
    pub(crate) service: &'a str,
    pub(crate) operation: Option<&'a str>,
    pub(crate) account: &'a str,
    /// Path and query.
    pub(crate) path: &'a str,
    /// The form or the JSON, where it was read.
    pub(crate) body: &'a [u8],
}

struct Entry {
    id: String,
    rule: Rule,
    matched: AtomicU64,
    fired: AtomicU64,
}

/// The rules in force.
pub(crate) struct Book {
    path: PathBuf,
    entries: RwLock<Vec<Arc<Entry>>>,
    /// How many there are: most of the time none, and then no lock is taken.
    count: AtomicU64,
    next: AtomicU64,
}

impl Book {
    /// Those that `faults.json` keeps.
    pub(crate) fn open(data: &Path) -> Result<Self, GatewayError> {
        let path = data.join("faults.json");
        let kept: Vec<Counted> = read_json(&path)?.unwrap_or_default();
        let number = |it: &Counted| it.id.strip_prefix("fault-")?.parse::<u64>().ok();
        let last = kept.iter().filter_map(number).max().unwrap_or(0);
        let entries: Vec<Arc<Entry>> = kept.into_iter().map(|it| Arc::new(it.into())).collect();
        Ok(Self {
            path,
            count: AtomicU64::new(entries.len() as u64),
            entries: RwLock::new(entries),
            next: AtomicU64::new(last.saturating_add(1)),
        })
    }

    /// Whether there is no rule.
    pub(crate) fn is_empty(&self) -> bool {
        self.count.load(Relaxed) == 0
    }

    /// What happens to a request: the first rule that fires decides, all that match count it.
    pub(crate) fn pick(&self, subject: &Subject<'_>) -> Option<Fault> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let mut picked = None;
        for entry in entries.iter().filter(|entry| entry.is_about(subject)) {
            let number = entry.matched.fetch_add(1, Relaxed) + 1;
            if picked.is_none() && entry.rule.when.chooses(number) && entry.fire() {
                tracing::info!(rule = entry.id, number, "a fault");
                picked = Some(entry.rule.fault.clone());
            }
        }
        picked
    }

    /// Adds a rule.
    pub(crate) fn add(&self, rule: Rule) -> Result<Counted, AwsError> {
        if let Some(problem) = rule.problem() {
            return Err(AwsError::new("InvalidRule", problem));
        }
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= MOST_RULES {
            let message = format!("There are {MOST_RULES} rules already");
            return Err(AwsError::new("TooManyRules", message));
        }
        let added = Counted {
            id: format!("fault-{}", self.next.fetch_add(1, Relaxed)),
            rule,
            matched: 0,
            fired: 0,
        };
        entries.push(Arc::new(added.clone().into()));
        if let Err(error) = self.keep(&entries) {
            entries.pop();
            return Err(error);
        }
        Ok(added)
    }

    /// All rules, in the order in which they are tried.
    pub(crate) fn list(&self) -> Vec<Counted> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.iter().map(|entry| entry.counted()).collect()
    }

    /// Removes the rule of this id, or all; gives what was removed.
    pub(crate) fn remove(&self, id: Option<&str>) -> Result<Vec<Counted>, AwsError> {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let (gone, left): (Vec<_>, Vec<_>) = entries
            .iter()
            .cloned()
            .partition(|entry| id.is_none_or(|id| entry.id == id));
        if let Some(id) = id
            && gone.is_empty()
        {
            let message = format!("There is no fault rule {id}");
            return Err(AwsError::new("NoSuchRule", message).with_status(404));
        }
        self.keep(&left)?;
        *entries = left;
        Ok(gone.iter().map(|entry| entry.counted()).collect())
    }

    /// Writes down how often each rule fired.
    pub(crate) fn close(&self) -> Result<(), AwsError> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        if entries.is_empty() {
            return Ok(());
        }
        self.keep(&entries)
    }

    fn keep(&self, entries: &[Arc<Entry>]) -> Result<(), AwsError> {
        let counted: Vec<Counted> = entries.iter().map(|entry| entry.counted()).collect();
        write_json(&self.path, &counted).map_err(|error| {
            AwsError::unavailable(format!("{} can't be written: {error}", self.path.display()))
        })?;
        self.count.store(entries.len() as u64, Relaxed);
        Ok(())
    }
}

impl From<Counted> for Entry {
    fn from(it: Counted) -> Self {
        Self {
            id: it.id,
            rule: it.rule,
            matched: it.matched.into(),
            fired: it.fired.into(),
        }
    }
}

impl Entry {
    fn is_about(&self, subject: &Subject<'_>) -> bool {
        let rule = &self.rule;
        rule.service == subject.service
            && rule
                .operation
                .as_deref()
                .is_none_or(|it| Some(it) == subject.operation)
            && rule
                .account
                .as_deref()
                .is_none_or(|it| it == subject.account)
            && rule.resource.as_deref().is_none_or(|it| {
                subject.path.contains(it)
                    || subject
                        .body
                        .windows(it.len())
                        .any(|piece| piece == it.as_bytes())
            })
    }

    /// Counts that it fires, unless it did so as often as it may.
    fn fire(&self) -> bool {
        let limit = self.rule.limit.unwrap_or(u64::MAX);
        self.fired
            .fetch_update(Relaxed, Relaxed, |fired| (fired < limit).then(|| fired + 1))
            .is_ok()
    }

    fn counted(&self) -> Counted {
        Counted {
            id: self.id.clone(),
            rule: self.rule.clone(),
            matched: self.matched.load(Relaxed),
            fired: self.fired.load(Relaxed),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::gateway::fault::When;

    fn rule(when: When, limit: Option<u64>) -> Rule {
        Rule {
            service: "ebs".to_owned(),
            operation: Some("PutSnapshotBlock".to_owned()),
            account: None,
            resource: Some("snap-1".to_owned()),
            when,
            limit,
            fault: Fault::Lose,
        }
    }

    fn put(path: &str) -> Subject<'_> {
        Subject {
            service: "ebs",
            operation: Some("PutSnapshotBlock"),
            account: "111111111111",
            path,
            body: b"",
        }
    }

    #[test]
    fn a_rule_counts_what_it_is_about_and_fires_as_often_as_it_may() {
        let dir = tempfile::tempdir().unwrap();
        let book = Book::open(dir.path()).unwrap();
        book.add(rule(When::Every(2), Some(3))).unwrap();
        let fired: Vec<bool> = (0..10)
            .map(|_| book.pick(&put("/snapshots/snap-1/blocks/0")).is_some())
            .collect();
        let expected = [
            false, true, false, true, false, true, false, false, false, false,
        ];
        assert_eq!(fired, expected);
        assert_eq!(book.pick(&put("/snapshots/snap-2/blocks/0")), None);
        let mut other = put("/snapshots/snap-1/blocks/0");
        other.operation = Some("GetSnapshotBlock");
        assert_eq!(book.pick(&other), None);
        let list = book.list();
        assert_eq!((list[0].matched, list[0].fired), (10, 3));
    }

    #[test]
    fn rules_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let book = Book::open(dir.path()).unwrap();
        let first = book.add(rule(When::Always, None)).unwrap();
        let second = book.add(rule(When::Nth(1), None)).unwrap();
        book.pick(&put("/snap-1"));
        book.close().unwrap();
        let again = Book::open(dir.path()).unwrap();
        assert_eq!(again.list(), book.list());
        assert_eq!(again.list()[0].fired, 1);
        again.remove(Some(&first.id)).unwrap();
        assert_eq!(again.remove(Some(&first.id)).unwrap_err().status, 404);
        let third = again.add(rule(When::Always, None)).unwrap();
        assert_ne!(third.id, second.id);
        assert_eq!(again.remove(None).unwrap().len(), 2);
        assert_eq!(Book::open(dir.path()).unwrap().list(), []);
    }
}
