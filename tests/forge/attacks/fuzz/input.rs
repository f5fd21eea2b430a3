//! Inputs for the fuzz targets: lines of a small corpus, bent at random, for a bounded time.
//!
//! Runs repeat: the seed of round n is n, beginning at `DBFORGE_FUZZ_SEED` (0). A failure names its
//! round and the smallest input that still fails. `DBFORGE_FUZZ_SECONDS` (1) is the time of each
//! target; `make fuzz` sets both.
use dbforge::clock::Stopwatch;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use std::cell::Cell;
use std::path::Path;
use std::time::Duration;

/// Inputs of one round; after each the clock is looked at.
const ROUND: u32 = 64;

/// Tries inputs bent from `tests/fixtures/fuzz/<corpus>.txt` and `more` until the time is over.
/// Says how many there were, and how many of them `test` found well formed.
pub(crate) fn fuzz(
    corpus: &str,
    more: Vec<String>,
    test: impl Fn(&str) -> Result<bool, TestCaseError>,
) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/fuzz");
    let file = std::fs::read_to_string(file.join(format!("{corpus}.txt"))).unwrap();
    let mut seeds: Vec<String> = file.lines().map(str::to_owned).collect();
    seeds.extend(more);
    let bent = bent(seeds);
    let time = Duration::from_secs(number("DBFORGE_FUZZ_SECONDS", 1));
    let first = number("DBFORGE_FUZZ_SEED", 0);
    let started = Stopwatch::start();
    let (tried, well_formed) = (Cell::new(0_u64), Cell::new(0_u64));
    for round in first.. {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&round.to_le_bytes());
        let config = Config {
            cases: ROUND,
            failure_persistence: None, // the round is enough to see it again
            max_shrink_time: 20_000,
            ..Config::default()
        };
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
        let outcome = TestRunner::new_with_rng(config, rng).run(&bent, |input| {
            tried.set(tried.get() + 1);
            well_formed.set(well_formed.get() + u64::from(test(&input)?));
            Ok(())
        });
        if let Err(error) = outcome {
            panic!("{corpus}, DBFORGE_FUZZ_SEED={round}: {error}");
        }
        if started.elapsed() >= time {
            break;
        }
    }
    let (tried, well_formed) = (tried.get(), well_formed.get());
    assert!(
        well_formed * 50 >= tried && well_formed < tried,
        "{well_formed} of {tried} are well formed: the target sees one side only"
    );
    say(&format!(
        "{corpus}: {tried} inputs, {well_formed} well formed"
    ));
}

#[expect(clippy::print_stderr, reason = "figures to be read, with --nocapture")]
fn say(figures: &str) {
    eprintln!("{figures}");
}

fn number(variable: &str, default: u64) -> u64 {
    #[expect(clippy::disallowed_methods, reason = "tests have no configuration")]
    std::env::var(variable).map_or(default, |it| it.parse().unwrap())
}

/// One way to bend a text. Places are parts of its length.
#[derive(Debug, Clone)]
enum Bend {
    Drop(f64, f64),
    Repeat(f64, f64, usize),
    Insert(f64, String),
    /// The rest of another seed from here on.
    Splice(f64, f64, prop::sample::Index),
}

/// A seed with up to four bends; now and then as it is.
fn bent(seeds: Vec<String>) -> impl Strategy<Value = String> {
    // What the seeds are made of is what the parser knows.
    let mut words: Vec<String> = seeds
        .iter()
        .flat_map(|it| it.split_inclusive(|c: char| !c.is_alphanumeric()))
        .map(str::to_owned)
        .filter(|it| it.len() < 40)
        .collect();
    words.sort();
    words.dedup();
    let odd = [
        "\0", "\u{202e}", "é", "𝄞", "\"", "'", "`", "[", "{", "\\", "%", ";", "--", "/*",
    ];
    words.extend(odd.map(str::to_owned));
    words.extend(["9223372036854775808", "-1", "1e999", "0x", "\u{fffd}"].map(str::to_owned));
    let place = || 0.0..1.0_f64;
    let bend = prop_oneof![
        2 => (place(), 0.0..0.3_f64).prop_map(|(at, part)| Bend::Drop(at, part)),
        1 => (place(), 0.0..0.2_f64, 2..40_usize)
            .prop_map(|(at, part, times)| Bend::Repeat(at, part, times)),
        4 => (place(), prop_oneof![
                8 => prop::sample::select(words),
                1 => any::<char>().prop_map(String::from),
            ]).prop_map(|(at, word)| Bend::Insert(at, word)),
        2 => (place(), place(), any::<prop::sample::Index>())
            .prop_map(|(at, from, other)| Bend::Splice(at, from, other)),
    ];
    let chosen = prop::sample::select(seeds.clone());
    (chosen, prop::collection::vec(bend, 0..5)).prop_map(move |(seed, bends)| {
        bends
            .into_iter()
            .fold(seed, |text, it| apply(text, it, &seeds))
    })
}

/// No input is longer: what is long is another test's.
const LONGEST: usize = 4_096;

fn apply(text: String, bend: Bend, seeds: &[String]) -> String {
    let mut text = match bend {
        Bend::Drop(at, part) => {
            let (start, end) = (place(&text, at), place(&text, at + part));
            format!("{}{}", &text[..start], &text[end..])
        }
        Bend::Repeat(at, part, times) => {
            let (start, end) = (place(&text, at), place(&text, at + part));
            let repeated = text[start..end].repeat(times);
            format!("{}{repeated}{}", &text[..start], &text[end..])
        }
        Bend::Insert(at, word) => {
            let at = place(&text, at);
            format!("{}{word}{}", &text[..at], &text[at..])
        }
        Bend::Splice(at, from, other) => {
            let other = other.get(seeds);
            format!(
                "{}{}",
                &text[..place(&text, at)],
                &other[place(other, from)..]
            )
        }
    };
    text.truncate(text.floor_char_boundary(LONGEST));
    text
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a place in a short text"
)]
fn place(text: &str, at: f64) -> usize {
    text.floor_char_boundary((text.len() as f64 * at.min(1.0)) as usize)
}
