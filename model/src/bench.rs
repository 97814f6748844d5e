//! How long scoring takes, on one core, for texts of several lengths.

use std::hint::black_box;
use std::time::{Duration, Instant};

use ounce_model::score;

/// Ordinary text, an insult, and every kind of disguise, in both languages.
const TEXT: &str = "The bus to the city centre was late again, so I walked home and cooked dinner for my friends. \
     You are a complete 1d10t and nobody likes you! Le train avait du retard, on a mangé une soupe à l'oignon hier \
     soir. Espèce de c0nnard, va voir ailleurs :) https://example.com/a?b=c @someone &amp; so on… \u{1F602} ";

/// Prints the median of many runs for each length in characters.
pub fn run() {
    println!("{:>6}  {:>9}  {:>9}", "chars", "median µs", "p99 µs");
    for length in [20, 140, 1_000, 10_000] {
        let (median, late) = time(length);
        println!("{length:>6}  {:>9.2}  {:>9.2}", micros(median), micros(late));
    }
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn time(length: usize) -> (Duration, Duration) {
    // Each text begins elsewhere, so that no branch is learned by heart.
    let texts: Vec<String> =
        (0..64).map(|i| TEXT.chars().cycle().skip(i * 7).take(length).collect()).collect();
    let runs = (40_000_000 / (length * 100)).clamp(400, 20_000);
    let mut times: Vec<Duration> = (0..runs)
        .map(|i| {
            let start = Instant::now();
            black_box(score(black_box(&texts[i % texts.len()])));
            start.elapsed()
        })
        .collect();
    times.sort();
    (times[runs / 2], times[runs * 99 / 100])
}
