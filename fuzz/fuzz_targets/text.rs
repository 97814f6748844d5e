//! Any text through the normaliser and the scoring: no panic, a probability, and evidence that stands in the text.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let verdict = ounce_model::score(text);
    assert!((0.0..=1.0).contains(&verdict.probability), "{verdict:?}");
    let (explained, evidence) = ounce_model::explain(text, 10);
    assert_eq!((explained.probability, explained.language), (verdict.probability, verdict.language));
    for piece in evidence {
        let quoted = &text[piece.bytes.clone()];
        assert_eq!(text[..piece.bytes.start].chars().count(), piece.chars.start);
        assert_eq!(quoted.chars().count(), piece.chars.len());
        assert!(piece.weight.is_finite());
    }
});
