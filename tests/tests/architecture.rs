//! The crates depend on each other in one direction only, and each knows only what is its business.

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};
use std::collections::{BTreeMap, BTreeSet};

/// Which of our crates each of our crates may know: exactly these.
const DIRECTION: [(&str, &[&str]); 6] = [
    ("rollbook-proto", &[]),
    ("rollbook-aggregates", &[]),
    ("rollbook-eventstore", &[]),
    (
        "rollbook-projections",
        &["rollbook-aggregates", "rollbook-eventstore"],
    ),
    (
        "rollbook-services",
        &[
            "rollbook-aggregates",
            "rollbook-eventstore",
            "rollbook-projections",
            "rollbook-proto",
        ],
    ),
    (
        "rollbook-tests",
        &[
            "rollbook-aggregates",
            "rollbook-eventstore",
            "rollbook-projections",
            "rollbook-proto",
            "rollbook-services",
        ],
    ),
];

/// What a crate must not know, whatever of ours stands between: the domain has no clock, no chance, no I/O and no wire,
/// the wire no storage, the log no wire.
const STRANGERS: [(&str, &[&str]); 4] = [
    (
        "rollbook-aggregates",
        &[
            "prost", "rand", "rusqlite", "sqlx", "tokio", "tonic", "tracing",
        ],
    ),
    ("rollbook-proto", &["rusqlite", "serde_json", "sqlx"]),
    ("rollbook-eventstore", &["prost", "tonic"]),
    ("rollbook-projections", &["prost", "tonic"]),
];

#[expect(clippy::unwrap_used, reason = "without it there is nothing to test")]
fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .no_deps()
        .other_options(vec!["--offline".to_owned()])
        .exec()
        .unwrap()
}

/// The names of everything a package depends on, for building, running or testing.
fn dependencies(package: &Package) -> BTreeSet<&str> {
    package
        .dependencies
        .iter()
        .map(|dependency| dependency.name.as_str())
        .collect()
}

#[test]
fn crates_depend_in_one_direction_only() {
    let metadata = metadata();
    let ours: BTreeSet<&str> = DIRECTION.iter().map(|(name, _)| *name).collect();
    let seen: BTreeMap<&str, BTreeSet<&str>> = metadata
        .packages
        .iter()
        .map(|package| {
            let of_ours = dependencies(package).intersection(&ours).copied().collect();
            (package.name.as_str(), of_ours)
        })
        .collect();
    let wanted: BTreeMap<&str, BTreeSet<&str>> = DIRECTION
        .iter()
        .map(|(name, knows)| (*name, knows.iter().copied().collect()))
        .collect();
    assert_eq!(seen, wanted);
}

#[test]
fn crates_know_nothing_that_is_not_their_business() {
    let metadata = metadata();
    for (name, strangers) in STRANGERS {
        let package = metadata
            .packages
            .iter()
            .find(|package| package.name.as_str() == name)
            .unwrap();
        let known: BTreeSet<&str> = package
            .dependencies
            .iter()
            .filter(|dependency| dependency.kind != DependencyKind::Development)
            .map(|dependency| dependency.name.as_str())
            .collect();
        let met: Vec<_> = strangers
            .iter()
            .filter(|stranger| known.contains(*stranger))
            .collect();
        assert!(met.is_empty(), "{name} must not know {met:?}");
    }
}

#[test]
fn every_dependency_has_its_version_in_the_workspace() {
    for (name, _) in DIRECTION {
        let room = name.trim_start_matches("rollbook-");
        let manifest = format!("{}/../{room}/Cargo.toml", env!("CARGO_MANIFEST_DIR"));
        let mut section = String::new();
        for line in std::fs::read_to_string(&manifest).unwrap().lines() {
            if line.starts_with('[') {
                section = line.to_owned();
            } else if section.contains("dependencies") && !line.trim().is_empty() {
                assert!(
                    line.contains("workspace = true") || line.starts_with('#'),
                    "{manifest} has a version of its own: {line}"
                );
            }
        }
    }
}
