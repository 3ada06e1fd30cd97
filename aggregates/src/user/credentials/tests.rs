//! A user's way to its first sign-in.

use chrono::Duration;

use super::*;
use crate::given::replayed;
use crate::samples::{TOKEN, TOKEN_2, created, dawn, days};

#[test]
fn r16_a_later_welcome_link_replaces_the_earlier() {
    let issued = |issue, token_digest, validity| WelcomeIssued {
        issue,
        token_digest,
        validity_days: days(validity),
    };
    let user: User = replayed(&[
        created(),
        issued(1, TOKEN, 7).into(),
        issued(2, TOKEN_2, 3).into(),
    ]);
    let welcome = user.person().unwrap().welcome().unwrap();
    assert_eq!((welcome.issue, welcome.token_digest), (2, TOKEN_2));
    let sent_at = dawn() + Duration::seconds(2);
    assert_eq!(welcome.expires_at(), sent_at + Duration::days(3));
}
