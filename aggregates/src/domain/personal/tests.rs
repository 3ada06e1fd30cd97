//! Personal values.

use serde_json::{from_str, to_string};

use super::*;

#[test]
fn r62_a_personal_value_is_marked() {
    assert_eq!(
        to_string(&Personal::Known(7)).unwrap(),
        r#"{"$personal":7}"#
    );
    assert_eq!(
        to_string(&Personal::<u8>::Erased).unwrap(),
        r#"{"$erased":true}"#
    );
}

#[test]
fn r62_a_personal_value_is_read_known_or_erased() {
    let read = from_str::<Personal<u8>>;
    assert_eq!(read(r#"{"$personal":7}"#).unwrap(), Personal::Known(7));
    assert_eq!(read(r#"{"$erased":true}"#).unwrap(), Personal::Erased);
    for wrong in [
        "7",
        "{}",
        r#"{"$sealed":7}"#,
        r#"{"$personal":7,"$erased":true}"#,
    ] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn what_is_known_is_known_until_it_is_erased() {
    assert_eq!(Personal::from(7).known(), Some(&7));
    assert_eq!(Personal::<u8>::default().known(), None);
}
