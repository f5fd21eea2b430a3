//! What is linked into the program is allowed by `deny.toml`: its licences, and no crate twice
//! without a reason. `cargo deny check` asks more, and needs a network; this needs none.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
}

#[derive(Deserialize)]
struct Rules {
    licenses: Licenses,
    bans: Bans,
}

#[derive(Deserialize)]
struct Licenses {
    allow: Vec<String>,
}

#[derive(Deserialize)]
struct Bans {
    skip: Vec<Skip>,
}

#[derive(Deserialize)]
struct Skip {
    #[serde(rename = "crate")]
    name_and_version: String,
}

fn rules() -> Rules {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/deny.toml");
    toml::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

/// Every package that a build on Linux uses, in the program, in its build or in its tests.
fn packages() -> Vec<Package> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--offline", "--format-version=1"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo metadata: {errors}");
    let metadata: Metadata = serde_json::from_slice(&output.stdout).unwrap();
    let used: BTreeSet<String> = metadata
        .resolve
        .nodes
        .into_iter()
        .map(|node| node.id)
        .collect();
    let all = metadata.packages.into_iter();
    all.filter(|package| used.contains(&package.id)).collect()
}

#[test]
fn every_licence_is_allowed() {
    let allowed = rules().licenses.allow;
    let refused: Vec<String> = packages()
        .iter()
        .filter(|package| !is_allowed(package.license.as_deref(), &allowed))
        .map(|package| {
            format!(
                "{} {}: {:?}",
                package.name, package.version, package.license
            )
        })
        .collect();
    assert!(
        refused.is_empty(),
        "not in deny.toml:\n{}",
        refused.join("\n")
    );
}

fn is_allowed(license: Option<&str>, allowed: &[String]) -> bool {
    let Some(license) = license else { return false };
    // `MIT/Apache-2.0` and `MPL-2.0+` are how older packages write it.
    let expression = spdx::Expression::parse_mode(license, spdx::ParseMode::LAX);
    expression.is_ok_and(|expression| {
        expression.evaluate(|asked| {
            let id = asked.license.id().map(|id| id.name);
            id.is_some_and(|id| allowed.iter().any(|name| name == id))
        })
    })
}

#[test]
fn a_licence_that_is_not_listed_is_refused() {
    let allowed = ["MIT".to_owned()];
    assert!(is_allowed(Some("GPL-3.0-only OR MIT"), &allowed));
    assert!(is_allowed(Some("Apache-2.0/MIT"), &allowed));
    for refused in [Some("GPL-3.0-only"), Some("MIT AND Apache-2.0"), None] {
        assert!(!is_allowed(refused, &allowed), "{refused:?}");
    }
}

#[test]
fn no_crate_is_there_twice_without_a_reason() {
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in packages() {
        versions
            .entry(package.name)
            .or_default()
            .insert(package.version);
    }
    let skipped: Vec<String> = rules()
        .bans
        .skip
        .into_iter()
        .map(|skip| skip.name_and_version)
        .collect();
    let mut unused: BTreeSet<&str> = skipped.iter().map(String::as_str).collect();
    let mut unexplained = Vec::new();
    for (name, versions) in versions {
        let explained = |version: &String| {
            skipped.iter().find(|skip| {
                skip.split_once('@').is_some_and(|(skipped, at)| {
                    skipped == name && (version == at || version.starts_with(&format!("{at}.")))
                })
            })
        };
        let (explained, open): (Vec<_>, Vec<_>) = versions
            .iter()
            .map(|version| (version, explained(version)))
            .partition(|(_, skip)| skip.is_some());
        for (_, skip) in explained {
            unused.remove(skip.unwrap().as_str());
        }
        if open.len() > 1 {
            unexplained.push(format!("{name}: {versions:?}"));
        }
    }
    assert!(
        unexplained.is_empty(),
        "not in deny.toml:\n{}",
        unexplained.join("\n")
    );
    assert!(
        unused.is_empty(),
        "deny.toml explains what is no longer there: {unused:?}"
    );
}
