//! What the host says of a file's holes never changes where its data is found.

use std::convert::Infallible;

use imgtool::tree::{CHUNK, find_data};

pub(crate) fn run(input: &[u8]) {
    // Each byte is a run of a quarter chunk: whether it has a byte set, and whether the host calls
    // it a hole (only zeros may be called that). The first byte is the length of the last run.
    let Some((&last, runs)) = input.split_first() else {
        return;
    };
    let run = CHUNK / 4;
    let runs = &runs[..runs.len().min(256)];
    let size = (runs.len() as u64 * run).saturating_sub(u64::from(last));
    let has_byte = |at: u64| runs.get((at / run) as usize).is_some_and(|r| r & 1 == 1);
    let mut skip: Vec<(u64, u64)> = Vec::new();
    for (n, r) in runs.iter().enumerate() {
        if r & 3 == 2 {
            skip.push((n as u64 * run, run));
        }
    }
    let mut read = |at: u64, buf: &mut [u8]| {
        assert!(at + buf.len() as u64 <= size, "read past the end");
        for (n, byte) in buf.iter_mut().enumerate() {
            let at = at + n as u64;
            // One byte at the start of its run.
            *byte = u8::from(at.is_multiple_of(run) && has_byte(at));
        }
        Ok::<_, Infallible>(())
    };
    let (Ok(found), Ok(plain)) = (
        find_data(size, &skip, &mut read),
        find_data(size, &[], &mut read),
    );
    assert_eq!(found, plain, "holes depend on the host");
    let mut end = 0;
    for &(at, len) in &found {
        assert!(len > 0 && at.is_multiple_of(CHUNK) && (end == 0 || at > end));
        end = at + len;
        assert!(end <= size && (end.is_multiple_of(CHUNK) || end == size));
    }
    for n in 0..runs.len() as u64 {
        let at = n * run;
        let data = found
            .iter()
            .any(|&(start, len)| start <= at && at < start + len);
        assert!(data || at >= size || !has_byte(at), "data lost at {at}");
    }
}
