//! How an older form becomes the present one.

use cqrs_es::persist::{SemanticVersionEventUpcaster, SerializedEvent};
use serde_json::{Value, json};

use super::*;
use crate::domain::Recorded;
use crate::user::{UserEvent, UserShownAsAddressee};

/// As if `shown` had been called `visible` in a version before the first.
fn visible_is_shown_now() -> Box<dyn EventUpcaster> {
    Box::new(SemanticVersionEventUpcaster::new(
        "UserShownAsAddressee",
        "1",
        Box::new(|mut payload: Value| {
            let content = &mut payload["UserShownAsAddressee"];
            content["shown"] = content["visible"].take();
            payload
        }),
    ))
}

#[test]
fn r65_an_older_form_is_read_as_the_present_one() {
    let company = crate::samples::NORTH.to_string();
    let old = json!({ "UserShownAsAddressee": { "company_id": company, "visible": true } });
    let stored = SerializedEvent::new(
        crate::samples::ANNA.to_string(),
        3,
        "user".to_owned(),
        "UserShownAsAddressee".to_owned(),
        "0.9".to_owned(),
        old,
        Value::Null,
    );
    let upcaster = visible_is_shown_now();
    assert!(upcaster.can_upcast("UserShownAsAddressee", "0.9"));
    assert!(!upcaster.can_upcast("UserShownAsAddressee", "1"));
    let present = upcaster.upcast(stored);
    let read: Recorded<UserEvent> = serde_json::from_value(present.payload).unwrap();
    let shown = UserShownAsAddressee {
        company_id: crate::samples::NORTH,
        shown: true,
    };
    assert_eq!(read.event, shown.into());
}

#[test]
fn r65_every_event_is_in_its_first_form_still() {
    for kind in ["account", "user", "invitation", "invoice"] {
        assert!(upcasters(kind).is_empty());
    }
}
