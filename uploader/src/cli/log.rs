//! What the library has to say that is neither a result nor a failure: on standard error, so that
//! standard output is the result alone.

use super::progress;
use tracing_subscriber::EnvFilter;

/// What is said unless `--log` says otherwise: our own warnings, and of the libraries below only
/// what they call an error.
pub(crate) const DEFAULT: &str = "error,uploader=warn,imgtool=warn";

/// Checks a filter, and gives it back: clap keeps what can be copied.
pub(crate) fn filter(text: &str) -> Result<String, String> {
    match parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!(
            "{error}; a filter is a level (error, warn, info, debug, trace) or a list of them as \
             TARGET=LEVEL, with commas"
        )),
    }
}

fn parse(text: &str) -> Result<EnvFilter, tracing_subscriber::filter::ParseError> {
    // Nothing in it is a pattern: it may come from anywhere.
    EnvFilter::builder().with_regex(false).parse(text)
}

/// From now on the library is listened to. `filter` is one that [`filter`] let pass.
pub(crate) fn start(filter: &str) {
    let Ok(filter) = parse(filter) else { return };
    let started = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| progress::Above)
        .with_ansi(false)
        // Whoever keeps a log stamps its lines.
        .without_time()
        // It would panic where standard error can't be written.
        .log_internal_errors(false)
        .try_init();
    // Only a second start can fail: the first one goes on.
    let _ = started;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_levels_and_targets() {
        for good in [
            DEFAULT,
            "debug",
            "uploader=trace",
            "warn,uploader::push=debug",
        ] {
            assert_eq!(filter(good).as_deref(), Ok(good));
        }
        for bad in ["uploader=loud", "=", "a=b=c"] {
            let said = filter(bad).unwrap_err();
            assert!(said.contains("TARGET=LEVEL"), "{bad}: {said}");
        }
    }
}
