//! Password hashes: argon2id on a bounded pool off the async threads.
//!
//! Parameters are those of the OWASP password storage cheat sheet: 19 MiB, two passes, one lane. Hashes are PHC strings.

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::{PasswordHasher as _, SaltString, rand_core::OsRng};
use argon2::{Algorithm, Argon2, Params, Version};
use rollbook_aggregates::values::Password;
use rollbook_proto::v1::ErrorReason;
use tokio::sync::Semaphore;

use crate::failure::{Failure, Outcome};

/// The kind of side row that a user's hash is kept in.
pub const SIDE_ROW: &str = "password";

const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Hashes passwords, a few at a time; those that wait are bounded too.
#[derive(Clone)]
pub struct Hasher {
    running: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
}

impl Hasher {
    /// How many may wait for each that runs.
    const WAITING_PER_RUNNING: usize = 64;

    /// One that hashes `parallel` at a time.
    #[must_use]
    pub fn new(parallel: usize) -> Self {
        let parallel = parallel.max(1);
        Self {
            running: Arc::new(Semaphore::new(parallel)),
            admitted: Arc::new(Semaphore::new(parallel * (Self::WAITING_PER_RUNNING + 1))),
        }
    }

    /// The PHC string of a password.
    ///
    /// # Errors
    /// `HASHING_BUSY` when too many wait.
    pub async fn hash(&self, password: Password) -> Outcome<String> {
        let busy = || {
            Failure::new(
                ErrorReason::HashingBusy,
                "too many passwords wait to be hashed",
            )
            .retry_after(Duration::from_millis(500))
        };
        let _admitted = self.admitted.try_acquire().map_err(|_| busy())?;
        let running = Arc::clone(&self.running)
            .acquire_owned()
            .await
            .map_err(|_| busy())?;
        tokio::task::spawn_blocking(move || {
            let hashed = hash(&password);
            drop(running);
            hashed
        })
        .await
        .map_err(|_| busy())?
        .map_err(|_| busy())
    }
}

fn hash(password: &Password) -> Result<String, argon2::password_hash::Error> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None)?;
    let salt = SaltString::generate(&mut OsRng);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password(password.as_bytes(), &salt)
        .map(|hash| hash.to_string())
}

#[cfg(test)]
mod tests {
    use argon2::{PasswordHash, PasswordVerifier as _};

    use super::*;

    #[tokio::test]
    async fn r17_a_password_is_hashed_with_argon2id_and_a_salt_of_its_own() {
        let password = || Password::parse("seven small boats at dawn").unwrap();
        let hasher = Hasher::new(2);
        let (one, two) = tokio::join!(hasher.hash(password()), hasher.hash(password()));
        let (one, two) = (one.unwrap(), two.unwrap());
        assert_ne!(one, two);
        assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{one}");
        let parsed = PasswordHash::new(&one).unwrap();
        assert!(
            Argon2::default()
                .verify_password(password().as_bytes(), &parsed)
                .is_ok()
        );
    }

    #[tokio::test]
    async fn r17_beyond_the_queue_hashing_is_refused_with_a_delay() {
        let hasher = Hasher::new(1);
        let _all = hasher.admitted.acquire_many(65).await.unwrap();
        let refused = hasher
            .hash(Password::parse("seven small boats at dawn").unwrap())
            .await
            .unwrap_err();
        assert_eq!(refused.reason(), "HASHING_BUSY");
    }
}
