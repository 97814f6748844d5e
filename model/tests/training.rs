//! Training on the small sample: the same bytes each time, and a model that has learned something.

use std::path::{Path, PathBuf};

use ounce_model::train::learn::Settings;
use ounce_model::train::{Outcome, Plan, data, train};
use ounce_model::{Language, Model, score_with};

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

fn small() -> Outcome {
    let mut rows = data::read(&sample("sample_en.csv"), Language::En).unwrap();
    rows.extend(data::read(&sample("sample_fr.csv"), Language::Fr).unwrap());
    let plan = Plan { folds: 2, inner: 2, fills: 1, settings: Settings::default() };
    train(rows, plan).unwrap()
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let (one, two) = (small(), small());
    assert!(one.file == two.file);
    let plan = Plan::default();
    assert_eq!(ounce_model::train::card::card(&one, plan), ounce_model::train::card::card(&two, plan));
    assert!(one.file.iter().any(|byte| *byte != 0));
    let model = Model::parse(&one.file).unwrap();
    let score = |text| score_with(&model, text).probability;
    assert!(score("you are a stupid idiot") > score("the bus leaves at noon"));
    assert!(score("espèce de connard") > score("le bus part à midi"));
}

#[test]
fn bad_rows_are_named_by_file_and_line() {
    for (text, problem) in [
        ("text,label\nfine,0\nodd,2\n", "line 3: the label must be 0 or 1"),
        ("text,label\nfine,0\n\"two\nlines\",1\nmore,1,1\n", "line 5"),
        ("text,label\n ,0\n", "line 2: there is no text"),
        ("label,text\n0,fine\n", "line 1: the header"),
        ("text,label\n", "there are no rows"),
    ] {
        let name = format!("ounce-model-{}-{}.csv", std::process::id(), problem.len());
        let file = std::env::temp_dir().join(&name);
        std::fs::write(&file, text).unwrap();
        let error = format!("{:#}", data::read(&file, Language::En).unwrap_err());
        std::fs::remove_file(&file).unwrap();
        assert!(error.contains(&name) && error.contains(problem), "{error}");
    }
}

#[test]
fn near_duplicates_are_one_group() {
    let row = |text: &str| data::Row { text: text.into(), toxic: false, language: Language::En, group: 0 };
    let mut rows = [
        row("one two three four five six seven"),
        row("something else altogether"),
        row("RT @me: two three, FOUR five six seven &#8230;"),
        row("Something else altogether!!"),
    ];
    data::group(&mut rows);
    assert_eq!(rows.map(|row| row.group), [0, 1, 0, 1]);
}
