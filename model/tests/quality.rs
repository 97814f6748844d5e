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
    let plain = |text: &str| -> Vec<String> {
        let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        words.map(str::to_lowercase).collect()
    };
    let read =
        |name: &str| std::fs::read_to_string(format!("{}/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let made = augment::make(&read("templates.csv"), &read("slots.csv"), 200).unwrap();
    let made: BTreeSet<Vec<String>> = made.iter().map(|one| plain(&one.text)).collect();
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

const HARMLESS: [[&str; 6]; 2] = [
    [
        "Have a nice day.",
        "Thanks for the help.",
        "The weather is nice today.",
        "My brother bought two tickets for the concert.",
        "The library opens at nine.",
        "See you on Tuesday!",
    ],
    [
        "Bonne journée.",
        "Merci pour votre aide.",
        "Il fait beau aujourd'hui.",
        "Mon frère a acheté deux billets pour le concert.",
        "La bibliothèque ouvre à neuf heures.",
        "À mardi !",
    ],
];

/// Of 100 attacks among harmless sentences so many must stay toxic, and so many lose no more than 15 points.
const STAY: usize = 99;
const HARDLY_LOSE: usize = 95;

#[test]
fn harmless_sentences_take_nothing_from_an_attack() {
    let attacks: Vec<_> = cases()
        .unwrap()
        .into_iter()
        .filter(|case| case.toxic && score(&case.text).level() == Level::High)
        .map(|case| {
            let ended = case.text.ends_with(['.', '!', '?']);
            format!("{}{}", case.text, if ended { "" } else { "." })
        })
        .collect();
    assert!(attacks.len() > 100);
    let (mut all, mut toxic, mut near) = (0, 0, 0);
    for attack in &attacks {
        let alone = score(attack).score();
        for harmless in HARMLESS {
            for count in 1..=6 {
                let filler = harmless[..count].join(" ");
                for text in [
                    format!("{filler} {attack}"),
                    format!("{attack} {filler}"),
                    format!("{filler} {attack} {filler}"),
                ] {
                    let score = score(&text).score();
                    all += 1;
                    toxic += usize::from(score >= 50);
                    near += usize::from(score + 15 >= alone);
                }
            }
        }
    }
    println!("{} attacks, {all} texts: {toxic} stay toxic, {near} within 15 points", attacks.len());
    assert!(toxic * 100 >= all * STAY, "{toxic} of {all} stay toxic");
    assert!(near * 100 >= all * HARDLY_LOSE, "{near} of {all} lose 15 points at most");
}

#[test]
fn many_harmless_sentences_are_harmless() {
    let cases = cases().unwrap();
    let everyday: Vec<&str> =
        cases.iter().filter(|case| case.class == "everyday").map(|case| case.text.as_str()).collect();
    for times in [1, 10] {
        let text = everyday.repeat(times).join(" ");
        assert!(score(&text).probability < 0.5, "{times} times: {}", score(&text).score());
    }
}

#[test]
fn clear_insults_are_high() {
    for text in [
        "idiot",
        "kys",
        "fils de pute",
        "connard",
        "enculé",
        "ta gueule",
        "les noirs sont des singes",
        "fuckyou",
    ] {
        assert_eq!(score(text).level(), Level::High, "{text}: {}", score(text).score());
    }
}

#[test]
fn words_inside_harmless_words_are_no_evidence() {
    for text in [
        "Scunthorpe",
        "assess",
        "class",
        "Dickens",
        "cockpit",
        "Essex",
        "Sussex",
        "therapist",
        "analyse",
        "connaître",
        "culture",
        "reconnaissance",
        "députés",
        "disputer",
        "a55",
        "A55",
        "consumer",
        "grace",
    ] {
        assert_eq!(score(text).level(), Level::Low, "{text}: {}", score(text).score());
    }
}
