//! A Spin application with one component many times: the manifest, generated from that of a target.
//!
//! Spin mounts component `cN` under `/cN/...`, and tells it by `spin-path-info` what comes after that.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use toml::{Table, Value};

use crate::target::Target;

/// The generated manifest's name in the instance's scratch directory.
const FILE: &str = "spin.toml";

/// Where a component is mounted; the first is 1. Spin wants each word of a component's name to begin with a letter.
pub(super) fn mount(number: usize) -> String {
    format!("/c{number}")
}

/// The target with so many components of the kind of its first.
///
/// # Errors
/// When the target's manifest is none that this can be done with.
pub(super) fn target(target: &Target, count: usize) -> Result<Target> {
    let path = target.path(target.manifest.as_deref().unwrap_or(Path::new(FILE)));
    let path = if path.is_dir() { path.join(FILE) } else { path };
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let directory = path.parent().unwrap_or(Path::new("."));
    let manifest = manifest(&text, directory, count).with_context(|| path.display().to_string())?;
    let mut target = target.clone();
    target.files.insert(FILE.into(), manifest);
    target.manifest = Some(Path::new("{scratch}").join(FILE));
    target.ready.path = mount(1) + &target.ready.path;
    Ok(target)
}

/// The same application with its first HTTP component `count` times, each under its own route.
fn manifest(text: &str, directory: &Path, count: usize) -> Result<String> {
    let mut manifest: Table = text.parse()?;
    let trigger = first_trigger(&manifest).context("it has no [[trigger.http]] with a component")?;
    let name = trigger.get("component").and_then(Value::as_str).unwrap_or_default().to_owned();
    let component = manifest.get("component").and_then(|all| all.get(&name)).and_then(Value::as_table);
    let mut component = component.with_context(|| format!("it has no [component.{name}]"))?.clone();
    // What is built already; and a manifest elsewhere looks for files elsewhere.
    component.remove("build");
    match component.get_mut("source") {
        Some(Value::String(source)) => *source = directory.join(&source).to_string_lossy().into_owned(),
        Some(Value::Table(_)) => {}
        _ => bail!("component {name} has no source"),
    }
    let (mut triggers, mut components) = (Vec::new(), Table::new());
    for number in 1..=count {
        let mount = mount(number);
        let name = mount.trim_start_matches('/').to_owned();
        let mut trigger = trigger.clone();
        trigger.insert("route".into(), format!("{mount}/...").into());
        trigger.insert("component".into(), name.clone().into());
        triggers.push(Value::Table(trigger));
        components.insert(name, Value::Table(component.clone()));
    }
    manifest.insert("trigger".into(), Value::Table(Table::from_iter([("http".to_owned(), triggers.into())])));
    manifest.insert("component".into(), Value::Table(components));
    Ok(toml::to_string(&manifest)?)
}

fn first_trigger(manifest: &Table) -> Option<Table> {
    let triggers = manifest.get("trigger")?.get("http")?.as_array()?;
    triggers.iter().filter_map(Value::as_table).find(|trigger| trigger.contains_key("component")).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data;

    fn generated(text: &str, count: usize) -> Table {
        manifest(text, Path::new("/there"), count).unwrap().parse().unwrap()
    }

    /// The project's own manifest.
    fn ours() -> String {
        fs::read_to_string(data::bench_dir().join("../spin.toml")).unwrap()
    }

    #[test]
    fn each_component_has_its_route_and_the_same_source() {
        let manifest = generated(&ours(), 3);
        assert_eq!(manifest["spin_manifest_version"].as_integer(), Some(2));
        let triggers = manifest["trigger"]["http"].as_array().unwrap();
        let pair = |trigger: &Value| {
            let text = |key| trigger[key].as_str().unwrap().to_owned();
            (text("route"), text("component"))
        };
        let pairs: Vec<_> = triggers.iter().map(pair).collect();
        let expected = [("/c1/...", "c1"), ("/c2/...", "c2"), ("/c3/...", "c3")];
        assert_eq!(pairs, expected.map(|(route, name)| (route.to_owned(), name.to_owned())));
        let components = manifest["component"].as_table().unwrap();
        assert_eq!(components.keys().collect::<Vec<_>>(), ["c1", "c2", "c3"]);
        for component in components.values() {
            assert_eq!(component["source"].as_str(), Some("/there/dist/ounce-spin.wasm"));
            assert_eq!(component["variables"]["max_body"].as_str(), Some("{{ max_body }}"));
            assert!(component.get("build").is_none() && component["allowed_outbound_hosts"].is_array());
        }
    }

    #[test]
    fn the_application_and_its_variables_stay() {
        let (before, after): (Table, Table) = (ours().parse().unwrap(), generated(&ours(), 2));
        assert_eq!(
            (&after["application"], &after["variables"]),
            (&before["application"], &before["variables"])
        );
    }

    #[test]
    fn a_source_from_elsewhere_is_left_alone() {
        let text = "[[trigger.http]]\nroute = \"/\"\ncomponent = \"a\"\n\
                    [component.a]\nsource = { url = \"http://x\", digest = \"sha256:0\" }\n";
        let source = &generated(text, 1)["component"]["c1"]["source"];
        assert_eq!(source["url"].as_str(), Some("http://x"));
    }

    #[test]
    fn what_has_no_component_for_http_is_refused() {
        for (text, what) in [
            ("", "no [[trigger.http]]"),
            ("[[trigger.redis]]\nchannel = \"x\"\ncomponent = \"a\"\n", "no [[trigger.http]]"),
            ("[[trigger.http]]\ncomponent = \"a\"\n", "no [component.a]"),
            ("[[trigger.http]]\ncomponent = \"a\"\n[component.a]\n", "has no source"),
        ] {
            let error = manifest(text, Path::new("/"), 1).unwrap_err().to_string();
            assert!(error.contains(what), "{text:?}: {error}");
        }
    }
}
