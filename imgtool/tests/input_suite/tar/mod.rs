//! Tar archives: what must be read, and what must be refused.

mod content;
mod entries;
mod gnu;
mod hostile;
