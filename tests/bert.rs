//! The heavy model, with tiny random ones that the tests make: what they say, what is refused and how, and what the
//! service tells while it loads one.
#![cfg(feature = "bert")]

#[path = "bert/tiny.rs"]
mod tiny;

mod common;

use std::fs::{self, OpenOptions};
use std::future::Future;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use common::{DEADLINE, Server, eventually};
use ounce::native::bert::{Bert, Limits, Refusal, State};
use serde_json::json;
use tiny::{Directory, POSITIONS, Tiny, VOCABULARY, safetensors, with_header};

const LIMITS: Limits = Limits { threads: 1, queue: 4, timeout: DEADLINE };

const FAMILIES: [&str; 5] = ["bert", "distilbert", "roberta", "camembert", "xlm-roberta"];

fn start(path: &Path) -> Bert {
    let bert = Bert::start(path.into(), LIMITS);
    eventually("it is loaded or not", || bert.state() != State::Loading);
    bert
}

fn load(directory: &Directory) -> Bert {
    let bert = start(&directory.0);
    assert_eq!(bert.state(), State::Ready);
    assert!(bert.load_seconds().is_some_and(|seconds| seconds > 0.0));
    bert
}

/// Why the model could not be loaded.
fn refusal(path: &Path) -> String {
    let bert = start(path);
    assert_eq!((run(bert.classify("text".into())), bert.load_seconds()), (Err(Refusal::Failed), None));
    match bert.state() {
        State::Failed(why) => why,
        state => panic!("{state:?}"),
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime").block_on(future)
}

fn probability(bert: &Bert, text: &str) -> f32 {
    run(bert.classify(text.into())).unwrap_or_else(|why| panic!("{why:?}: {text:?}"))
}

fn close(a: f32, b: f64, tolerance: f64) -> bool {
    (f64::from(a) - b).abs() < tolerance
}

#[test]
fn every_family_computes_what_its_formula_says() {
    let long = "you are a rotten person ".repeat(3 * POSITIONS);
    let texts = ["you", "are you kind", "a rotten rotten rotten person", "", &long];
    for family in FAMILIES {
        let tiny = Tiny::new(family);
        let bert = load(&tiny.write(&format!("formula-{family}")));
        let found = texts.map(|text| probability(&bert, text));
        let expected = texts.map(|text| tiny.softmax(text)[1]);
        let same = found.iter().zip(expected).all(|(found, expected)| close(*found, expected, 1e-5));
        assert!(same, "{family}: {found:?} instead of {expected:?}");
        // Otherwise the weights would be too small for anything to matter.
        let (least, most) = found.iter().fold((1.0, 0.0), |(a, b), p| (f32::min(a, *p), f32::max(b, *p)));
        assert!(most - least > 0.02, "{family}: {found:?}");
    }
}

#[test]
fn a_text_is_cut_where_the_positions_end_and_has_one_answer() {
    let bert = load(&Tiny::new("bert").write("cut"));
    let words = |count| "rotten ".repeat(count);
    let full = probability(&bert, &words(POSITIONS - 2));
    assert_eq!(probability(&bert, &(words(POSITIONS - 2) + "you are kind")), full);
    assert_ne!(probability(&bert, &words(POSITIONS - 3)), full);
    assert_eq!(probability(&bert, &words(POSITIONS - 2)), full);
}

#[test]
fn any_text_has_a_probability() {
    let bert = load(&Tiny::new("roberta").write("any"));
    let long: String = "é🙂ß".chars().cycle().take(10_000).collect();
    let words = "you are ".repeat(1250);
    for text in [&long, &words, "\0", "\u{202e}abc\u{301}", " \n\t", "👩‍👩‍👧", &"x".repeat(10_000)]
    {
        assert!((0.0..=1.0).contains(&probability(&bert, text)));
    }
}

#[test]
fn a_text_cannot_place_special_tokens() {
    let tiny = Tiny::new("bert");
    let bert = load(&tiny.write("special"));
    assert_ne!(probability(&bert, "you [SEP] kind"), probability(&bert, "you"));
    // Three words that the model does not know, and not one token.
    assert_eq!(probability(&bert, "you [SEP]"), probability(&bert, "you ( foo )"));
}

#[test]
fn the_toxic_label_is_found_by_its_name() {
    let tiny = Tiny::new("bert").labels(&["toxic", "non-toxic"]);
    let bert = load(&tiny.write("label-first"));
    assert!(close(probability(&bert, "you are"), tiny.softmax("you are")[0], 1e-5));

    let tiny = Tiny::new("distilbert").labels(&["hate", "normal", "offensive"]);
    let bert = load(&tiny.write("label-sum"));
    let shares = tiny.softmax("you are");
    assert!(close(probability(&bert, "you are"), shares[0] + shares[2], 1e-5));
}

#[test]
fn labels_that_may_hold_together_have_probabilities_of_their_own() {
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let mut tiny = Tiny::new("bert").labels(&["toxic", "insult", "identity_hate"]);
    tiny.config["problem_type"] = json!("multi_label_classification");
    let bert = load(&tiny.write("label-multi"));
    let logits = tiny.logits("you are");
    assert!(close(probability(&bert, "you are"), sigmoid(logits[0].max(logits[2])), 1e-5));

    let tiny = Tiny::new("bert").labels(&["LABEL_0"]);
    let bert = load(&tiny.write("label-one"));
    assert!(close(probability(&bert, "you are"), sigmoid(tiny.logits("you are")[0]), 1e-5));
}

#[test]
fn weights_may_have_other_widths_and_older_names() {
    let mut tiny = Tiny::new("bert");
    let expected = tiny.softmax("you are")[1];
    let bert = load(&tiny.write_as("f64", "F64", |weight| f64::from(weight).to_le_bytes().to_vec()));
    assert!(close(probability(&bert, "you are"), expected, 1e-5));
    // The upper half of an f32.
    let bert = load(&tiny.write_as("bf16", "BF16", |weight| weight.to_le_bytes()[2..].to_vec()));
    let found = probability(&bert, "you are");
    assert!(close(found, expected, 0.1) && !close(found, expected, 1e-6), "{found} and {expected}");

    let old =
        |name: String| name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("Norm.bias", "Norm.beta");
    tiny.tensors = tiny.tensors.into_iter().map(|(name, tensor)| (old(name), tensor)).collect();
    // What else is in the file is not read.
    tiny.tensors.insert("cls.predictions.bias".into(), (vec![0], vec![]));
    assert!(close(probability(&load(&tiny.write("old")), "you are"), expected, 1e-5));
}

#[test]
fn a_directory_that_is_none_is_refused() {
    let why = refusal(Path::new("no/such/model"));
    assert!(why.contains("no/such/model") && why.contains("--bert-dir"), "{why}");
}

#[test]
fn a_missing_file_is_named() {
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        let directory = Tiny::new("bert").write(&format!("missing-{file}"));
        fs::remove_file(directory.file(file)).expect("it was there");
        let why = refusal(&directory.0);
        assert!(why.contains(file) && why.contains("No such file"), "{why}");
    }
}

#[test]
fn a_file_of_another_format_is_named() {
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        let directory = Tiny::new("bert").write(&format!("other-{file}"));
        for content in ["", "[]", "<html>", "version https://git-lfs.github.com/spec/v1", "{}", "null"] {
            directory.put(file, content.as_bytes());
            let why = refusal(&directory.0);
            assert!(why.contains(file), "{file} with {content:?}: {why}");
        }
    }
}

/// Changes config.json, and expects an error that contains each of the `words`.
fn config_is_refused(name: &str, change: impl FnOnce(&mut serde_json::Value), words: &[&str]) {
    let mut tiny = Tiny::new("bert");
    change(&mut tiny.config);
    let why = refusal(&tiny.write(&format!("config-{name}")).0);
    let missing: Vec<_> = words.iter().filter(|word| !why.contains(**word)).collect();
    assert!(why.contains("config.json") && missing.is_empty(), "{name}: no {missing:?} in: {why}");
}

#[test]
fn a_configuration_that_cannot_be_served_is_refused() {
    config_is_refused(
        "type",
        |c| c["model_type"] = json!("gpt2"),
        &["'gpt2'", "bert, camembert, distilbert"],
    );
    config_is_refused("typeless", |c| drop(c["model_type"].take()), &["model_type is missing"]);
    config_is_refused("field", |c| drop(c["hidden_size"].take()), &["hidden_size is missing"]);
    config_is_refused("text", |c| c["hidden_size"] = json!("32"), &["hidden_size is \"32\""]);
    config_is_refused("zero", |c| c["num_hidden_layers"] = json!(0), &["num_hidden_layers is 0"]);
    config_is_refused(
        "huge",
        |c| c["vocab_size"] = json!(1u64 << 60),
        &["vocab_size is 1152921504606846976"],
    );
    config_is_refused("heads", |c| c["num_attention_heads"] = json!(5), &["5 attention heads", "32"]);
    config_is_refused("activation", |c| c["hidden_act"] = json!("swish"), &["'swish'", "gelu"]);
    let relative = json!("relative_key");
    config_is_refused(
        "positions",
        |c| c["position_embedding_type"] = relative,
        &["relative_key", "absolute"],
    );
    config_is_refused("long", |c| c["max_position_embeddings"] = json!(60_000), &["60000 positions"]);
    config_is_refused("regression", |c| c["problem_type"] = json!("regression"), &["'regression'"]);
    config_is_refused("labels", |c| c["id2label"] = json!({"0": "a", "1": "b", "2": "c"}), &["a, b, c"]);
    config_is_refused("gap", |c| c["id2label"] = json!({"0": "a", "2": "toxic"}), &["id2label"]);
    config_is_refused("count", |c| c["id2label"] = json!({"x": "toxic"}), &["id2label"]);
    let both = |c: &mut serde_json::Value| {
        c["num_labels"] = json!(3);
        c["id2label"] = json!({"0": "fine", "1": "toxic"});
    };
    config_is_refused("number", both, &["num_labels is 3", "2 labels"]);
    config_is_refused("epsilon", |c| c["layer_norm_eps"] = json!(-1), &["layer_norm_eps is -1"]);
}

#[test]
fn a_roberta_whose_padding_leaves_no_position_is_refused() {
    let mut tiny = Tiny::new("roberta");
    tiny.config["pad_token_id"] = json!(POSITIONS + 1);
    let why = refusal(&tiny.write("padding").0);
    assert!(why.contains("max_position_embeddings") && why.contains("pad_token_id"), "{why}");
}

#[test]
fn a_tokenizer_of_another_model_is_refused() {
    let mut tiny = Tiny::new("bert");
    tiny.tokenizer["model"]["vocab"]["more"] = json!(VOCABULARY);
    let why = refusal(&tiny.write("vocabulary").0);
    assert!(
        why.contains("tokenizer.json") && why.contains("token 10, 'more'") && why.contains("has 10"),
        "{why}"
    );

    let mut tiny = Tiny::new("bert");
    tiny.tokenizer["post_processor"]["cls"] = json!(["[CLS]", 4_000_000]);
    let why = refusal(&tiny.write("template").0);
    assert!(why.contains("tokenizer.json") && why.contains("token 4000000"), "{why}");

    let mut tiny = Tiny::new("bert");
    tiny.tokenizer["post_processor"] = json!(null);
    let why = refusal(&tiny.write("plain").0);
    assert!(why.contains("tokenizer.json") && why.contains("post_processor"), "{why}");

    let mut tiny = Tiny::new("bert");
    tiny.config["max_position_embeddings"] = json!(2);
    let why = refusal(&tiny.write("narrow").0);
    assert!(why.contains("tokenizer.json") && why.contains("adds 2 tokens"), "{why}");
}

/// Changes the tensors, and expects an error that contains each of the `words`.
fn tensors_are_refused(name: &str, change: impl FnOnce(&mut Tiny), words: &[&str]) {
    let mut tiny = Tiny::new("bert");
    change(&mut tiny);
    let why = refusal(&tiny.write(&format!("tensors-{name}")).0);
    let missing: Vec<_> = words.iter().filter(|word| !why.contains(**word)).collect();
    assert!(why.contains("model.safetensors") && missing.is_empty(), "{name}: no {missing:?} in: {why}");
}

#[test]
fn weights_of_another_model_are_refused() {
    let query = "bert.encoder.layer.1.attention.self.query.weight";
    tensors_are_refused("missing", |tiny| drop(tiny.tensors.remove(query)), &["no tensor", query]);
    tensors_are_refused(
        "headless",
        |tiny| drop(tiny.tensors.remove("classifier.bias")),
        &["'classifier.bias'"],
    );
    let turn = |tiny: &mut Tiny| tiny.tensors.get_mut(query).expect("it is there").0 = vec![16, 64];
    tensors_are_refused("shape", turn, &[query, "[16, 64]", "[32, 32]"]);
    tensors_are_refused("labels", |t| t.config["num_labels"] = json!(1), &["classifier.weight", "[1, 32]"]);
    tensors_are_refused("layers", |t| t.config["num_hidden_layers"] = json!(3), &["bert.encoder.layer.2"]);
    tensors_are_refused("wide", |t| t.config["intermediate_size"] = json!(65), &["[65, 32]"]);
    let poison = |tiny: &mut Tiny| tiny.tensors.get_mut(query).expect("it is there").1[7] = f32::NAN;
    tensors_are_refused("nan", poison, &[query, "no numbers"]);

    let directory = Tiny::new("bert").write_as("integers", "I32", |_| vec![0; 4]);
    let why = refusal(&directory.0);
    assert!(why.contains("model.safetensors") && why.contains("I32") && why.contains("F16"), "{why}");
}

#[test]
fn weights_that_overflow_on_the_way_are_refused() {
    let mut tiny = Tiny::new("bert");
    // Finite, but not so what they give when they are multiplied.
    for part in ["query", "key"] {
        let name = format!("bert.encoder.layer.0.attention.self.{part}.weight");
        let (_, weights) = tiny.tensors.get_mut(&name).expect("it is there");
        weights.iter_mut().for_each(|weight| *weight *= 1e30);
    }
    let why = refusal(&tiny.write("overflow").0);
    assert!(why.contains("trial"), "{why}");
}

#[test]
fn a_file_that_lies_about_its_size_is_refused_without_believing_it() {
    let tiny = Tiny::new("bert");
    let whole = safetensors(&tiny.tensors, "F32", |weight| weight.to_le_bytes().to_vec());
    let directory = tiny.write("lies");
    let refused = |content: &[u8], word: &str| {
        directory.put("model.safetensors", content);
        let why = refusal(&directory.0);
        assert!(why.contains("model.safetensors") && why.contains(word), "{word}: {why}");
    };
    refused(&whole[..whole.len() - 1], "fetch it again");
    refused(&[&whole[..], b"more"].concat(), "fetch it again");
    refused(&whole[..100], "cut short");
    refused(&whole[..5], "cannot be read");
    refused(&u64::MAX.to_le_bytes(), "cut short");
    refused(&[&(99_000_000u64).to_le_bytes()[..], b"{}"].concat(), "cut short");
    let claim = |shape: &str, end: u64| {
        format!(r#"{{"classifier.bias":{{"dtype":"F32","shape":{shape},"data_offsets":[0,{end}]}}}}"#)
    };
    // Four terabytes, by offsets and by a shape that overflows.
    refused(&with_header(&claim("[1099511627776]", 1 << 42), b""), "fetch it again");
    refused(&with_header(&claim("[4294967296,4294967296,4]", 4), b"1234"), "header");
    refused(&with_header(&claim("[2]", 4), b"1234"), "header");
    refused(&with_header("{\"a\":", b""), "header");
}

#[test]
fn terabytes_that_are_really_there_are_refused_too() {
    let tiny = Tiny::new("bert");
    let directory = tiny.write("sparse");
    let size = 1u64 << 40;
    let info = format!(r#"{{"x":{{"dtype":"U8","shape":[{size}],"data_offsets":[0,{size}]}}}}"#);
    let header = with_header(&info, b"");
    directory.put("model.safetensors", &header);
    let file = OpenOptions::new().write(true).open(directory.file("model.safetensors")).expect("it is there");
    file.set_len(header.len() as u64 + size).expect("a hole takes no room");
    let why = refusal(&directory.0);
    assert!(why.contains("no tensor"), "{why}");
}

/// Byte by byte and cut by cut: whatever is broken, it is loaded or refused.
#[test]
fn no_damage_is_too_much() {
    let tiny = Tiny::new("bert");
    let directory = tiny.write("damage");
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        let whole = fs::read(directory.file(file)).expect("it is there");
        let interesting = whole.len().min(6000);
        for n in 0..60 {
            let at = n * interesting / 60;
            let mut damaged = whole.clone();
            damaged[at] = [b'9', b'"', 0xff, b'-'][n % 4];
            directory.put(file, &damaged);
            let state = start(&directory.0).state();
            let panicked = matches!(&state, State::Failed(why) if why.contains("panicked"));
            assert!(!panicked, "{file}, byte {at}: {state:?}");
        }
        directory.put(file, &whole);
    }
    load(&directory);
}

/// Of the threads whose names begin so; proc(5).
fn niceness(server: &Server, name: &str) -> Vec<i32> {
    let tasks = fs::read_dir(format!("/proc/{}/task", server.process.pid())).expect("it runs");
    let stats = tasks.flatten().map(|task| fs::read_to_string(task.path().join("stat")).expect("it runs"));
    let named = stats.filter(|stat| stat.split_once(" (").is_some_and(|(_, rest)| rest.starts_with(name)));
    let nice = |stat: String| stat.rsplit_once(") ")?.1.split(' ').nth(16)?.parse().ok();
    named.map(|stat| nice(stat).expect("proc(5)")).collect()
}

/// A configuration that arrives when the test writes it.
fn slow_configuration(directory: &Directory) {
    let path = directory.file("config.json");
    fs::remove_file(&path).expect("it was there");
    let made = Command::new("mkfifo").arg(&path).status().expect("mkfifo runs");
    assert!(made.success());
}

#[test]
fn the_service_is_ready_once_the_model_is() {
    let tiny = Tiny::new("bert");
    let directory = tiny.write("service");
    slow_configuration(&directory);
    let server = Server::start(&["--bert-threads", "1", "--bert-dir", directory.0.to_str().expect("text")]);
    let answer = server.get("/readyz");
    assert_eq!((answer.status, answer.json()["detail"].as_str()), (503, Some("bert is loading")));
    let health = server.get("/health").json();
    assert_eq!((&health["status"], &health["model_loaded"]), (&json!("bert is loading"), &json!(false)));
    let ask = |model: &str| {
        let body = json!({"text": "you", "model": model}).to_string();
        server.connect().request("POST", "/analyze", &[], body.as_bytes())
    };
    let early = ask("bert");
    assert_eq!((early.status, early.json()["detail"].as_str()), (503, Some("bert is loading")));
    assert_eq!(ask("simple").status, 200);
    // What needs no model is served meanwhile.
    assert_eq!((server.get("/api/light").status, server.get("/livez").status), (200, 200));

    let mut file = OpenOptions::new().write(true).open(directory.file("config.json")).expect("it is read");
    file.write_all(tiny.config.to_string().as_bytes()).expect("it is read");
    drop(file);
    eventually("it is ready", || server.get("/readyz").status == 200);
    assert_eq!(server.get("/health").json()["status"], "ok");
    let answer = ask("bert").json();
    assert!(answer["model_used"] == "bert" && answer["score"].as_u64() <= Some(100), "{answer}");
    assert_eq!(server.get("/health").json()["model_loaded"], true);
    let metrics = server.get("/metrics");
    for series in [
        r#"model_load_seconds{model_type="bert"} "#,
        r#"toxicity_api_requests_total{model_type="bert",status="503"} 1"#,
        r#"toxicity_api_requests_total{model_type="bert",status="200"} 1"#,
        r#"toxicity_processing_seconds_count{model_type="bert"} 1"#,
    ] {
        assert!(metrics.text().contains(series), "{series}: {}", metrics.text());
    }
    let said = r#"model="toxic is LABEL_1; it reads 20 tokens""#;
    eventually("the log says what it is", || server.process.stderr().text().contains(said));
    // The only worker; the model's own thread, and the one that computes.
    let [worker, model, log] = ["ounce", "bert", "log"].map(|name| niceness(&server, name));
    assert_eq!((worker.len(), model.len(), &log), (1, 2, &worker));
    assert!(model.iter().all(|nice| *nice == (worker[0] + 10).min(19)), "{worker:?} {model:?}");
}

#[test]
fn the_service_says_that_the_model_failed_and_logs_why() {
    let directory = Tiny::new("bert").write("service-broken");
    directory.put("config.json", b"{}");
    let mut server = Server::start(&["--bert-dir", directory.0.to_str().expect("text")]);
    let failed = || server.get("/readyz").json()["detail"] == "bert failed to load";
    eventually("it has failed", failed);
    assert_eq!(server.get("/readyz").status, 503);
    assert_eq!((server.get("/api/light").status, server.get("/livez").status), (200, 200));
    server.terminate();
    assert_eq!(server.exit_code(), Some(0));
    assert!(server.process.stderr().wait_closed(DEADLINE));
    let log = server.process.stderr().text();
    assert!(log.contains("bert failed to load why=") && log.contains("model_type is missing"), "{log}");
}

#[test]
fn a_service_without_a_directory_has_no_model_and_is_ready() {
    let server = Server::start(&[]);
    assert_eq!(server.get("/readyz").status, 200);
    let body = br#"{"text": "you", "model": "bert"}"#;
    let refused = server.connect().request("POST", "/analyze", &[], body);
    assert!(refused.status == 422 && refused.text().ends_with("there is: simple\"}"), "{}", refused.text());
}

#[test]
fn a_text_that_takes_too_long_is_refused() {
    let directory = Tiny::new("bert").write("late");
    let bert = Bert::start(directory.0.clone(), Limits { timeout: Duration::ZERO, ..LIMITS });
    eventually("it is loaded", || bert.state() == State::Ready);
    assert_eq!(run(bert.classify("you".into())), Err(Refusal::TimedOut));
}

#[test]
fn readme_has_a_line_for_each_setting() {
    let help = Command::new(env!("CARGO_BIN_EXE_ounce")).arg("--help").output().expect("it runs").stdout;
    let help = String::from_utf8(help).expect("text");
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("it is there");
    let settings = help.lines().filter(|line| line.starts_with("  --bert-"));
    let mut found = 0;
    for setting in settings {
        let (flag, rest) = setting.trim_start().split_at(26);
        let (help, default) = rest.trim().rsplit_once(" (default ").expect("every setting has one");
        let line = format!(
            "| `{}` | {} | {help} |",
            flag.trim_end().replace('|', "\\|"),
            default.trim_end_matches(')')
        );
        assert!(readme.contains(&line), "{line}");
        found += 1;
    }
    assert_eq!(found, 4);
}
