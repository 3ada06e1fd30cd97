//! Tokens that are sent to people: 256 bits that only this log's keys can make, for one purpose, id and issue.
//!
//! A token is derived, never stored: a retry of the command or of the mail yields the same one. What is stored is its SHA-256.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use rollbook_aggregates::values::{AccountId, InvitationId, TokenDigest, UserId};
use rollbook_eventstore::Log;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

/// The bytes of a token that only this log's keys can make.
#[derive(Clone)]
pub struct Secret([u8; 32]);

impl Secret {
    /// What is stored of it.
    #[must_use]
    pub fn digest(&self) -> TokenDigest {
        TokenDigest::new(Sha256::digest(self.0).into())
    }
}

/// The secret of the first-sign-in link of a user, as it was sent the `issue`th time.
#[must_use]
pub fn welcome(log: &Log, user: UserId, issue: u32) -> Secret {
    secret(log, "welcome", user.as_uuid(), issue)
}

/// The secret of a reset link of a user, as it was sent the `issue`th time.
#[must_use]
pub fn reset(log: &Log, user: UserId, issue: u32) -> Secret {
    secret(log, "reset", user.as_uuid(), issue)
}

/// An id that stands for nobody under a name, in the shape of a user's, and always the same for the same name.
#[must_use]
pub fn nobody(log: &Log, account: &AccountId, name: &str) -> Uuid {
    /// 2025, when nobody could be made yet, and for how many milliseconds from then on somebody seems to have been.
    const FROM_MILLIS: u64 = 1_735_689_600_000;
    const FOR_MILLIS: u64 = 365 * 24 * 60 * 60 * 1000;
    let name = name.to_lowercase();
    let digest = log.digest("nobody", &[account.as_str().as_bytes(), name.as_bytes()]);
    let (millis, rest) = digest.split_at(8);
    let millis = millis
        .iter()
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    let mut random = [0; 10];
    random.copy_from_slice(&rest[..10]);
    uuid::Builder::from_unix_timestamp_millis(FROM_MILLIS + millis % FOR_MILLIS, &random)
        .into_uuid()
}

/// The secret of an invitation, as it was sent the `issue`th time.
#[must_use]
pub fn invitation(log: &Log, invitation: InvitationId, issue: u32) -> Secret {
    secret(log, "invitation", invitation.as_uuid(), issue)
}

fn secret(log: &Log, purpose: &str, id: Uuid, issue: u32) -> Secret {
    Secret(log.token(purpose, &[id.as_bytes(), &issue.to_be_bytes()]))
}

/// The token as a link carries it: the id it belongs to and the secret.
#[must_use]
pub fn text(id: Uuid, secret: &Secret) -> String {
    BASE64.encode([id.as_bytes().as_slice(), &secret.0].concat())
}

/// A token of a link to a user as it came back.
#[derive(Clone)]
pub struct UserToken {
    /// The user it names.
    pub user: UserId,
    secret: [u8; 32],
}

impl UserToken {
    /// Reads one.
    ///
    /// # Errors
    /// When it is not the text of a token.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const PROBLEM: &str = "must be the token of a welcome or reset link";
        let (id, secret) = parts(text).ok_or(PROBLEM)?;
        Ok(Self {
            user: UserId::parse(&id).map_err(|_| PROBLEM)?,
            secret,
        })
    }

    /// What would be stored of it; compared in constant time with what is.
    #[must_use]
    pub fn digest(&self) -> TokenDigest {
        Secret(self.secret).digest()
    }
}

impl std::fmt::Debug for UserToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UserToken")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// The id and the secret of a token's text.
fn parts(text: &str) -> Option<(String, [u8; 32])> {
    if text.len() != 64 {
        return None;
    }
    let bytes = BASE64.decode(text).ok()?;
    let (id, secret) = bytes.split_at_checked(16)?;
    let id = Uuid::from_slice(id).ok()?;
    Some((id.to_string(), secret.try_into().ok()?))
}

/// A token of an invitation as it came back.
#[derive(Clone)]
pub struct InvitationToken {
    /// The invitation it names.
    pub invitation: InvitationId,
    secret: [u8; 32],
}

impl InvitationToken {
    /// Reads one.
    ///
    /// # Errors
    /// When it is not the text of a token.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const PROBLEM: &str = "must be the token of an invitation link";
        let (id, secret) = parts(text).ok_or(PROBLEM)?;
        Ok(Self {
            invitation: InvitationId::parse(&id).map_err(|_| PROBLEM)?,
            secret,
        })
    }

    /// Whether it is that secret, compared in constant time.
    #[must_use]
    pub fn is(&self, secret: &Secret) -> bool {
        self.secret.ct_eq(&secret.0).into()
    }
}

impl std::fmt::Debug for InvitationToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InvitationToken")
            .field("invitation", &self.invitation)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r23_a_token_is_read_back_from_its_text_and_nothing_else_is() {
        let id = Uuid::now_v7();
        let secret = Secret([7; 32]);
        let token = text(id, &secret);
        let read = InvitationToken::parse(&token).unwrap();
        assert_eq!(read.invitation, InvitationId::new(id));
        assert!(read.is(&secret));
        assert!(!read.is(&Secret([8; 32])));
        let v4 = text(Uuid::nil(), &secret);
        for wrong in [
            "",
            "x",
            &token[1..],
            &format!("{token}A"),
            &v4,
            &token.replace('A', "!"),
        ] {
            if wrong != token {
                assert!(InvitationToken::parse(wrong).is_err(), "{wrong}");
            }
        }
    }
}
