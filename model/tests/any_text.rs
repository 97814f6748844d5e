//! No text is too odd: nothing panics, positions fit, `score` and `explain` agree.

use std::time::{Duration, Instant};

use ounce_model::train::learn::Random;
use ounce_model::{explain, score};

/// Characters and pieces that the scanner treats in a way of their own, beside any other.
const PIECES: [&str; 46] = [
    "a",
    "i",
    "u",
    "s",
    "1",
    "0",
    "@",
    "$",
    "!",
    "*",
    "|",
    "&",
    "&#",
    ";",
    "&amp;",
    "&#128514;",
    "http://",
    "www.",
    "#",
    "'",
    "qu'",
    "l'",
    "\"",
    "«",
    ".",
    " ",
    "  ",
    "\n",
    "\0",
    "œ",
    "ß",
    "\u{301}",
    "\u{200B}",
    "\u{1F602}",
    "\u{FE0F}",
    "中",
    "fuck",
    "connard",
    "women",
    "п",
    "<b>",
    "</",
    "\\",
    "&shy;",
    "but",
    "\u{1F3FD}",
];

fn text(random: &mut Random) -> String {
    let length = random.below(60);
    let mut text = String::new();
    for _ in 0..length {
        match random.below(6) {
            0 => text.extend(char::from_u32(random.below(0x11_0000) as u32)),
            1 => text.extend(char::from_u32(random.below(0x3000) as u32)),
            2 => text.push_str(&PIECES[random.below(PIECES.len())].repeat(random.below(40))),
            _ => text.push_str(PIECES[random.below(PIECES.len())]),
        }
    }
    text
}

#[test]
fn any_text_is_scored_and_explained_alike() {
    let mut random = Random(7);
    for _ in 0..3_000 {
        let text = text(&mut random);
        let verdict = score(&text);
        let (explained, evidence) = explain(&text, usize::MAX);
        assert_eq!(verdict, explained, "{text:?}");
        assert!((0.0..=1.0).contains(&verdict.probability) && verdict.score() <= 100, "{text:?}");
        for piece in evidence {
            let words = text.get(piece.bytes.clone()).unwrap_or_else(|| panic!("{text:?} {piece:?}"));
            assert!(!words.is_empty(), "{text:?} {piece:?}");
            assert_eq!(text[..piece.bytes.start].chars().count(), piece.chars.start, "{text:?}");
            assert_eq!(words.chars().count(), piece.chars.len(), "{text:?}");
            assert!(piece.weight.is_finite());
        }
    }
}

/// Time grows with length, not with its square, whatever is repeated.
#[test]
fn time_is_linear() {
    for piece in PIECES.iter().copied().chain(["@@", "a.", "a a ", "#a", "aaaaaaaaaaaaaaaaa ", "http://é "])
    {
        let time = |bytes: usize| {
            let text = piece.repeat(bytes / piece.len());
            let start = Instant::now();
            score(&text);
            start.elapsed()
        };
        // Sixteen times the text: linear takes 16 times as long, quadratic 256. A busy machine delays some tries, not all.
        let linear = (0..20).any(|_| time(32_000) < time(2_000) * 64 + Duration::from_millis(1));
        assert!(linear, "{piece:?}");
    }
}

#[test]
fn evidence_holds_what_belongs_to_its_last_letter() {
    for (text, insult) in [
        ("you idiot\u{301}\u{20DD} there", "idiot\u{301}\u{20DD}"),
        ("you i<b>d</b>iot\u{FE0F}!", "i<b>d</b>iot\u{FE0F}"),
        ("you idi&shy;ot", "idi&shy;ot"),
    ] {
        let (_, evidence) = explain(text, 200);
        assert!(evidence.iter().any(|piece| &text[piece.bytes.clone()] == insult), "{text:?} {evidence:?}");
    }
    let text = "idiot \u{1F44D}\u{1F3FD}\u{FE0F}";
    for piece in explain(text, 200).1 {
        assert!(!text[piece.bytes.clone()].starts_with('\u{1F3FD}'), "{piece:?}");
    }
}

#[test]
fn evidence_points_at_the_original() {
    let text = "Olé\u{301} 😂 — you are an ｉｄiooot!";
    let (verdict, evidence) = explain(text, 200);
    assert!(verdict.probability > 0.5, "{verdict:?}");
    let insult = evidence.iter().find(|piece| &text[piece.bytes.clone()] == "ｉｄiooot").unwrap();
    assert!(insult.weight > 0.0);
    assert_eq!(insult.chars, 20..27);
    assert!(evidence.windows(2).all(|pair| pair[0].weight.abs() >= pair[1].weight.abs()));
    assert_eq!(explain(text, 3).1, evidence[..3]);
}
