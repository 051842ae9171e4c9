//! What the library has to say that is neither a result nor a failure: on standard error, so that
//! standard output is the result alone.

use cli_support::Stderr;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// What is said unless `--log` says otherwise: our own warnings, and of the libraries below only
/// what they call an error.
pub(crate) const DEFAULT: &str = "error,uploader=warn,imgtool=warn";

/// Reads a filter.
pub(crate) fn filter(text: &str) -> Result<Targets, String> {
    let failed = |why: &str| {
        format!(
            "{why}; a filter is a level (error, warn, info, debug, trace) or a list of them as \
             TARGET=LEVEL, with commas"
        )
    };
    // Without a name or a level it would be one all the same.
    if text
        .split(',')
        .any(|it| it.starts_with('=') || it.ends_with('='))
    {
        return Err(failed("a target or its level is missing"));
    }
    text.parse().map_err(|error| failed(&format!("{error}")))
}

/// From now on the library is listened to.
pub(crate) fn start(filter: &Targets) {
    let started = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_writer(|| Stderr)
        .with_ansi(false)
        // Whoever keeps a log stamps its lines.
        .without_time()
        // It would panic where standard error can't be written.
        .log_internal_errors(false)
        .finish()
        .with(filter.clone())
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
            assert!(filter(good).is_ok(), "{good}");
        }
        for bad in ["uploader=loud", "=", "uploader=", "a=b=c"] {
            let said = filter(bad).unwrap_err();
            assert!(said.contains("TARGET=LEVEL"), "{bad}: {said}");
        }
    }
}
