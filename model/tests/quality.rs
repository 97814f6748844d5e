//! What the shipped weights must get right.

use std::collections::BTreeSet;

use ounce_model::train::{augment, cases, functional};
use ounce_model::{Level, SHIPPED, score};

#[test]
fn functional_cases_pass() {
    let cases = cases().unwrap();
    let mut all = (0, 0);
    for (class, languages) in functional::rates(&SHIPPED, &cases) {
        let (passed, count) = languages.values().fold((0, 0), |sum, rate| (sum.0 + rate.0, sum.1 + rate.1));
        assert!(count >= 20, "{class} has {count} cases");
        all = (all.0 + passed, all.1 + count);
        if class == "neutral-identity" || class == "everyday" {
            assert!(passed * 100 >= count * 90, "{class}: {passed} of {count}");
        }
    }
    assert!(all.0 * 100 >= all.1 * 75, "{} of {}", all.0, all.1);
}

#[test]
fn no_functional_case_is_trained_on() {
    let plain = |text: &str| -> String {
        text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    let read =
        |name: &str| std::fs::read_to_string(format!("{}/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let made = augment::make(&read("templates.csv"), &read("slots.csv"), 200).unwrap();
    let made: BTreeSet<String> = made.iter().map(|one| plain(&one.text)).collect();
    let trained: Vec<_> =
        cases().unwrap().into_iter().filter(|case| made.contains(&plain(&case.text))).collect();
    assert!(trained.is_empty(), "{trained:?}");
}

#[test]
fn without_evidence_the_score_is_low() {
    for text in [
        "",
        " ",
        "?!",
        "12 34",
        "\0",
        "zxqv",
        "\u{200B}",
        "日本",
        "привет",
        "https://example.com/fuck",
        "@idiot",
    ] {
        assert_eq!(score(text).level(), Level::Low, "{text:?}: {}", score(text).score());
    }
}

const CALM: &str = "The weather was nice and we had breakfast on the terrace, then we drove to the lake with the \
     children and the dog. It was a quiet day with a good book and some cake. Il faisait beau et nous avons bien mangé. ";

#[test]
fn a_long_text_hides_no_attack() {
    for attack in
        ["You are a worthless piece of shit and I hope you die.", "Ferme ta gueule, sale connard de merde."]
    {
        for (before, after) in [(0, 30), (15, 15), (30, 0), (3, 40)] {
            let text = format!("{}{attack} {}", CALM.repeat(before), CALM.repeat(after));
            assert_eq!(score(&text).level(), Level::High, "{before} {after} {attack}");
        }
    }
}

#[test]
fn length_alone_is_no_evidence() {
    for text in [CALM, "a ", "hello "] {
        assert_eq!(score(&text.repeat(9_000 / text.len())).level(), Level::Low, "{text}");
    }
    // Of repetition counts what two blocks hold.
    for text in ["women ", "musulmans ", "idiot "] {
        assert_eq!(score(&text.repeat(1_000)), score(&text.repeat(100)), "{text}");
    }
}
