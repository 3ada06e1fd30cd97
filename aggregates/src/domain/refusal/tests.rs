//! The list of reasons.

use std::collections::BTreeSet;

use super::*;

#[test]
fn r67_reasons_are_told_apart_by_name() {
    let names: BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(names.len(), Reason::ALL.len());
    for name in names {
        assert!(
            name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'),
            "{name}"
        );
    }
}
