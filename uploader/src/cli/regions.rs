//! What came of a command in its regions: each has its result or its error, all are shown together, and
//! the command fails as the worst of them.

use super::Failure;
use super::aws_args::Place;
use cli_support::say;
use serde_json::{Value, json};
use std::io::Write;
use uploader::Class;

/// What came of it in one region.
#[derive(Debug)]
pub(crate) struct InRegion<T> {
    pub(crate) region: String,
    /// What is known: where it failed, as far as it got.
    pub(crate) what: T,
    pub(crate) failure: Option<Failure>,
}

/// What came of it in each, in the order in which they were asked for.
#[derive(Debug)]
pub(crate) struct Regions<T>(pub(crate) Vec<InRegion<T>>);

/// What is shown of a region by a command that shows each as soon as it is done with it.
pub(crate) enum Shown {
    Text(String),
    Json(Value),
}

impl<T> InRegion<T> {
    /// Nothing has failed yet.
    pub(crate) fn new(place: &Place, what: T) -> InRegion<T> {
        InRegion {
            region: place.vault.session.region.clone(),
            what,
            failure: None,
        }
    }

    /// How it ended. Where others go on, a failure is said before the result.
    pub(crate) fn ended(mut self, place: &Place, done: Result<(), Failure>) -> InRegion<T> {
        if let Err(failure) = done {
            if !failure.is_interrupt() && place.is_one_of_several() {
                place.say(&format!("failed: {}", failure.message()));
            }
            self.failure = Some(failure);
        }
        self
    }
}

/// Works on all regions at once: one that fails holds up no other.
pub(crate) async fn at_once<T, F>(works: impl IntoIterator<Item = (String, F)>) -> Regions<T>
where
    T: Default + Send + 'static,
    F: Future<Output = InRegion<T>> + Send + 'static,
{
    let mut tasks = Vec::new();
    for (region, work) in works {
        tasks.push((region, tokio::spawn(work)));
    }
    let mut regions = Vec::new();
    for (region, task) in tasks {
        regions.push(task.await.unwrap_or_else(|error| InRegion {
            region,
            what: T::default(),
            failure: Some(Failure::new(
                Class::Failed,
                format!("a thread is gone: {error}"),
            )),
        }));
    }
    Regions(regions)
}

/// Works on one region after the other. Where it fails, the next one is tried all the same.
pub(crate) async fn in_turn<T>(
    places: &[Place],
    work: impl AsyncFn(&Place) -> Result<T, Failure>,
) -> Regions<Option<T>> {
    let mut regions = Vec::new();
    for place in places {
        let mut it = InRegion::new(place, None);
        let done = work(place).await.map(|what| it.what = Some(what));
        regions.push(it.ended(place, done));
    }
    Regions(regions)
}

/// The same, and shows what came of each before the next one's turn: as a line of JSON, or as text.
/// After Ctrl-C there is no next one.
///
/// # Errors
/// Of regions that failed, the worst; or Ctrl-C.
pub(crate) async fn shown_in_turn(
    places: &[Place],
    as_json: bool,
    out: &mut impl Write,
    again: &str,
    work: impl AsyncFn(&Place) -> Result<Shown, Failure>,
) -> Result<(), Failure> {
    let mut regions = Regions(Vec::new());
    for place in places {
        let mut it = InRegion::new(place, Shown::Text(String::new()));
        let done = match work(place).await {
            Err(failure) if failure.is_interrupt() => return Err(failure),
            done => done.map(|what| it.what = what),
        };
        let it = it.ended(place, done);
        let text = match &it.what {
            _ if as_json => format!("{}\n", it.json(Shown::json)),
            _ if it.failure.is_some() => match place.is_one_of_several() {
                true => format!("{}\n", it.failed()),
                false => String::new(),
            },
            Shown::Text(text) => text.clone(),
            Shown::Json(value) => format!("{value}\n"),
        };
        write!(out, "{text}").map_err(Failure::stdout)?;
        regions.0.push(it);
    }
    regions.end(again)
}

impl Shown {
    fn json(&self) -> Value {
        match self {
            Shown::Json(value) => value.clone(),
            Shown::Text(_) => json!({}),
        }
    }
}

impl<T> InRegion<T> {
    /// As JSON: what `of` tells of it, the region, and the error or `null`.
    fn json(&self, of: impl Fn(&T) -> Value) -> Value {
        let mut value = of(&self.what);
        value["region"] = json!(self.region);
        value["error"] = json!(self.failure.as_ref().map(Failure::message));
        value
    }

    /// Its line where it failed.
    fn failed(&self) -> String {
        let why = self.failure.as_ref().map_or("", |it| it.message());
        format!("failed {} {why}", self.region)
    }
}

impl<T> Regions<T> {
    /// Each as JSON: what `of` tells of it, the region, and the error or `null`.
    pub(crate) fn json(&self, of: impl Fn(&T) -> Value) -> Vec<Value> {
        self.0.iter().map(|it| it.json(&of)).collect()
    }

    /// Prints what `of` tells of each, or why it failed: of the only one, that is told at the end.
    pub(crate) fn print(
        &self,
        out: &mut impl Write,
        of: impl Fn(&InRegion<T>) -> Option<String>,
    ) -> Result<(), Failure> {
        for it in &self.0 {
            let line = match &it.failure {
                None => of(it),
                Some(_) if self.is_one() => None,
                Some(_) => Some(it.failed()),
            };
            if let Some(line) = line {
                writeln!(out, "{line}").map_err(Failure::stdout)?;
            }
        }
        Ok(())
    }

    /// Whether there is only one.
    pub(crate) fn is_one(&self) -> bool {
        self.0.len() == 1
    }

    /// Those where it failed as Ctrl-C wanted it to.
    pub(crate) fn interrupted(&self) -> Vec<&str> {
        let is_it = |it: &&InRegion<T>| it.failure.as_ref().is_some_and(Failure::is_interrupt);
        let interrupted = self.0.iter().filter(is_it);
        interrupted.map(|it| it.region.as_str()).collect()
    }

    /// Says where it failed, of several regions, and how to go on there.
    ///
    /// # Errors
    /// The worst failure: Ctrl-C, or else the highest exit code, and the first region's of those.
    pub(crate) fn end(self, again: &str) -> Result<(), Failure> {
        let of = self.0.len();
        let all = self.0.into_iter();
        let (regions, failures): (Vec<String>, Vec<Failure>) =
            all.filter_map(|it| Some((it.region, it.failure?))).unzip();
        if of > 1 && !regions.is_empty() {
            let (failed, regions) = (regions.len(), regions.join(", "));
            say!("uploader: {failed} of {of} regions failed ({regions}); {again}");
        }
        worst(failures).map_or(Ok(()), Err)
    }
}

fn worst(failures: Vec<Failure>) -> Option<Failure> {
    failures
        .into_iter()
        .reduce(|worst, it| match it.exit_code() > worst.exit_code() {
            true => it,
            false => worst,
        })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn region(name: &str, failure: Option<Failure>) -> InRegion<Option<u32>> {
        InRegion {
            region: name.to_owned(),
            what: failure.is_none().then_some(7),
            failure,
        }
    }

    fn failed(name: &str, class: Class) -> InRegion<Option<u32>> {
        region(name, Some(Failure::new(class, format!("no {name}"))))
    }

    fn printed(regions: &Regions<Option<u32>>) -> String {
        let mut out = Vec::new();
        let of = |it: &InRegion<Option<u32>>| Some(format!("{} {}", it.what?, it.region));
        regions.print(&mut out, of).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_region_has_its_result_or_its_error() {
        let regions = Regions(vec![
            region("a", None),
            failed("b", Class::Failed),
            region("c", None),
        ]);
        assert_eq!(printed(&regions), "7 a\nfailed b no b\n7 c\n");
        assert_eq!(
            regions.json(|it| json!({"number": it})),
            [
                json!({"region": "a", "number": 7, "error": null}),
                json!({"region": "b", "number": null, "error": "no b"}),
                json!({"region": "c", "number": 7, "error": null}),
            ]
        );
        // What is not known need not be told.
        let told = Regions(vec![failed("b", Class::Failed)]).json(|it| json!(it));
        assert_eq!(told, [json!({"region": "b", "error": "no b"})]);
    }

    #[test]
    fn the_only_regions_error_is_told_once() {
        let only = Regions(vec![failed("a", Class::Failed)]);
        assert_eq!(printed(&only), "");
        assert_eq!(only.end("").unwrap_err().message(), "no a");
    }

    #[test]
    fn the_worst_failure_is_the_commands() {
        let of = |classes: &[Class]| {
            let all = classes.iter().zip(["a", "b", "c"]);
            let all = all.map(|(class, name)| failed(name, *class));
            let ended = Regions(all.chain([region("d", None)]).collect()).end("again");
            ended.unwrap_err()
        };
        use Class::{Failed, Input, Surroundings};
        for (classes, code, message) in [
            (&[Failed][..], 1, "no a"),
            (&[Failed, Input, Input], 2, "no b"),
            (&[Failed, Surroundings, Input], 3, "no b"),
            (&[Surroundings, Failed, Surroundings], 3, "no a"),
        ] {
            let failure = of(classes);
            assert_eq!((failure.exit_code(), failure.message()), (code, message));
        }
        let regions = vec![
            failed("a", Surroundings),
            region("b", Some(Failure::interrupted())),
            failed("c", Surroundings),
        ];
        let regions = Regions(regions);
        assert_eq!(regions.interrupted(), ["b"]);
        assert!(regions.end("again").unwrap_err().is_interrupt());
        assert!(Regions(vec![region("a", None)]).end("again").is_ok());
    }

    #[tokio::test]
    async fn one_that_is_lost_is_one_that_failed() {
        let work = |number: u32| async move {
            assert_ne!(number, 1, "it panics");
            region("b", None)
        };
        let names = ["a", "b"].map(str::to_owned);
        let Regions(regions) = at_once(names.into_iter().zip([work(1), work(2)])).await;
        assert_eq!(regions[0].region, "a");
        assert!(regions[0].failure.is_some() && regions[0].what.is_none());
        assert_eq!((&*regions[1].region, regions[1].what), ("b", Some(7)));
    }
}
