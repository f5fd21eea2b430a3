//! Figures of the README and of the operator's pages are those of the last benchmark.
//!
//! `make figures` (`DBFORGE_FIGURES=write`) puts them there.
use super::{ROOT, text};

/// Jobs behind a million events of the benchmark's history.
const JOBS: f64 = 90_000.0;
const MIB: f64 = 1_048_576.0;

/// The cells of a row of docs/performance.md.
fn row(performance: &str, what: impl Fn(&str) -> bool) -> Vec<String> {
    let rows = performance.lines().filter(|line| line.starts_with("| "));
    let mut cells = rows.map(|line| line.trim_matches('|').split('|').map(str::trim));
    let row = cells.find(|cells| cells.clone().next().is_some_and(&what));
    let row = row.expect("docs/performance.md has the row");
    row.map(str::to_owned).collect()
}

/// The number behind a word: `journal 163 MiB` has 163.
fn number_after(cell: &str, word: &str) -> f64 {
    let (_, rest) = cell.split_once(word).expect("the cell has the word");
    let number = rest
        .trim_start()
        .split(|it: char| !it.is_ascii_digit() && it != '.');
    number.into_iter().next().unwrap().parse().unwrap()
}

/// Thousands, rounded down: `66,000`.
fn thousands(cell: &str) -> String {
    let number = number_after(cell, "");
    format!("{},000", (number / 1000.0).floor())
}

/// A document, the texts around a place in it, and what is to stand there.
struct Place {
    document: &'static str,
    before: &'static str,
    after: &'static str,
    text: String,
}

fn places() -> Vec<Place> {
    let performance = text("docs/performance.md");
    let select = row(&performance, |it| it == "W1, asked by wrk");
    let insert = row(&performance, |it| it == "W2, asked by wrk");
    let of_a_million = |end: &str| {
        row(&performance, |it| {
            it.starts_with("10004") && it.ends_with(end)
        })
    };
    let disk = &of_a_million("memory of the gateway that has listed them")[2];
    let first_list = &of_a_million("without and with a checkpoint")[2];
    let sizes = ["journal", "events.sled", "control.db"].map(|it| number_after(disk, it));
    let [journal, index, lists] = sizes;
    let job = sizes.iter().sum::<f64>() * MIB / JOBS / 1000.0;
    let rebuilt = number_after(first_list, "control.db:");
    vec![
        Place {
            document: "README.md",
            before: "SQL goes straight to SQLite: ",
            after: " a second over HTTP",
            text: format!(
                "{} point selects or {} durable inserts",
                thousands(&select[1]),
                thousands(&insert[1])
            ),
        },
        Place {
            document: "docs/OPERATIONS.md",
            before: "A million events (about 90,000 jobs) take ",
            after: " per job.",
            text: format!(
                "{journal} MiB of journal, {index} MiB of index and {lists} MiB of `control.db`: {job:.0} kB"
            ),
        },
        Place {
            document: "docs/OPERATIONS.md",
            before: "A schedule that runs a job every minute adds ",
            after: " a day.",
            text: format!("{:.0} MB", job * 1440.0 / 1000.0),
        },
        Place {
            document: "docs/OPERATIONS.md",
            before: "can be rebuilt from the journal (`control.db` in ",
            after: " for a million events",
            text: format!("{rebuilt:.0} s"),
        },
    ]
}

#[test]
fn figures_in_the_documents_are_those_of_the_last_benchmark() {
    #[expect(clippy::disallowed_methods, reason = "says what the test is to do")]
    let writes = std::env::var("DBFORGE_FIGURES").is_ok_and(|it| it == "write");
    for place in places() {
        let document = text(place.document);
        let (head, rest) = document
            .split_once(place.before)
            .unwrap_or_else(|| panic!("{} lacks: {}", place.document, place.before));
        let (stands, tail) = rest.split_once(place.after).unwrap();
        if writes {
            let whole = [head, place.before, &place.text, place.after, tail].concat();
            std::fs::write(format!("{ROOT}/{}", place.document), whole).unwrap();
        } else {
            assert_eq!(stands, place.text, "{}: run make figures", place.document);
        }
    }
}
