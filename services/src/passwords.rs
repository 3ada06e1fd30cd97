//! Password hashes: argon2id on a bounded pool off the async threads.
//!
//! Parameters are at least those of the OWASP password storage cheat sheet: 19 MiB, two passes, one lane. Hashes are PHC
//! strings, which say what they were made with, so that one made with less is made anew when its password is known.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::{
    PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString, rand_core::OsRng,
};
use argon2::{Algorithm, Argon2, Params, Version};
use rollbook_aggregates::values::{EnteredPassword, Password};
use rollbook_proto::v1::ErrorReason;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::failure::{Failure, Outcome};

/// The kind of side row that a user's hash is kept in.
pub const SIDE_ROW: &str = "password";

/// What a hash costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// How much memory, in KiB.
    pub memory_kib: u32,
    /// How many passes over it.
    pub passes: u32,
}

impl Default for Cost {
    fn default() -> Self {
        Self {
            memory_kib: 19 * 1024,
            passes: 2,
        }
    }
}

impl Cost {
    const LANES: u32 = 1;

    fn argon2(self) -> Result<Argon2<'static>, argon2::Error> {
        let params = Params::new(self.memory_kib, self.passes, Self::LANES, None)?;
        Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
    }

    /// Whether a hash was made with less, or otherwise.
    fn is_above(self, hash: &PasswordHash<'_>) -> bool {
        let id = Algorithm::Argon2id.ident();
        Params::try_from(hash).map_or(true, |params| {
            hash.algorithm != id
                || params.m_cost() < self.memory_kib
                || params.t_cost() < self.passes
        })
    }
}

/// Hashes passwords, a few at a time; those that wait are bounded too.
#[derive(Clone)]
pub struct Hasher {
    cost: Cost,
    running: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
}

/// A place in the queue of a [`Hasher`].
pub struct Place(
    #[expect(dead_code, reason = "it is held, and given back when dropped")] OwnedSemaphorePermit,
);

/// What became of a password that was entered.
#[derive(Debug)]
pub struct Verified {
    /// Whether it is the one that was kept.
    pub right: bool,
    /// Its hash at the present cost, where it is right and was kept at a lower one.
    pub better: Option<String>,
}

fn busy() -> Failure {
    Failure::new(
        ErrorReason::HashingBusy,
        "too many passwords wait to be hashed",
    )
    .retry_after(Duration::from_millis(500))
}

/// What cannot be hashed, or checked against what was kept, is told to the operator; neither error names the password.
fn unhashed(error: &impl fmt::Display) -> Failure {
    tracing::error!(cause = %error, "a password could not be hashed");
    busy()
}

impl Hasher {
    /// How many may wait for each that runs.
    const WAITING_PER_RUNNING: usize = 64;

    /// One that hashes `parallel` at a time, at the usual cost.
    #[must_use]
    pub fn new(parallel: usize) -> Self {
        let parallel = parallel.max(1);
        Self {
            cost: Cost::default(),
            running: Arc::new(Semaphore::new(parallel)),
            admitted: Arc::new(Semaphore::new(parallel * (Self::WAITING_PER_RUNNING + 1))),
        }
    }

    /// The same at another cost.
    #[must_use]
    pub fn at(self, cost: Cost) -> Self {
        Self { cost, ..self }
    }

    /// A place in the queue.
    ///
    /// # Errors
    /// `HASHING_BUSY` when too many wait.
    pub fn admit(&self) -> Outcome<Place> {
        let place = Arc::clone(&self.admitted).try_acquire_owned();
        place.map(Place).map_err(|_| busy())
    }

    /// The PHC string of a password.
    ///
    /// # Errors
    /// `HASHING_BUSY` when too many wait.
    pub async fn hash(&self, password: Password) -> Outcome<String> {
        let place = self.admit()?;
        let cost = self.cost;
        self.run(place, move || hash(password.as_bytes(), cost))
            .await
    }

    /// Whether a password is the one that was kept. Where none was, the same work is done and it is not.
    ///
    /// # Errors
    /// `HASHING_BUSY` when the pool is shut.
    pub async fn verify(
        &self,
        place: Place,
        entered: EnteredPassword,
        kept: Option<String>,
    ) -> Outcome<Verified> {
        let cost = self.cost;
        self.run(place, move || verify(&entered, kept.as_deref(), cost))
            .await
    }

    async fn run<T: Send + 'static>(
        &self,
        place: Place,
        work: impl FnOnce() -> Result<T, argon2::password_hash::Error> + Send + 'static,
    ) -> Outcome<T> {
        let running = Arc::clone(&self.running)
            .acquire_owned()
            .await
            .map_err(|_| busy())?;
        tokio::task::spawn_blocking(move || {
            let done = work();
            drop((running, place));
            done
        })
        .await
        .map_err(|error| unhashed(&error))?
        .map_err(|error| unhashed(&error))
    }
}

fn hash(password: &[u8], cost: Cost) -> Result<String, argon2::password_hash::Error> {
    let salt = SaltString::generate(&mut OsRng);
    let hash = cost.argon2()?.hash_password(password, &salt)?;
    Ok(hash.to_string())
}

fn verify(
    entered: &EnteredPassword,
    kept: Option<&str>,
    cost: Cost,
) -> Result<Verified, argon2::password_hash::Error> {
    let Some(kept) = kept else {
        hash(entered.as_bytes(), cost)?;
        return Ok(Verified {
            right: false,
            better: None,
        });
    };
    let kept = PasswordHash::new(kept)?;
    let right = Argon2::default()
        .verify_password(entered.as_bytes(), &kept)
        .is_ok();
    let better = (right && cost.is_above(&kept)).then(|| hash(entered.as_bytes(), cost));
    Ok(Verified {
        right,
        better: better.transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAWN: &str = "seven small boats at dawn";

    fn entered(text: &str) -> EnteredPassword {
        EnteredPassword::parse(text).unwrap()
    }

    #[tokio::test]
    async fn r17_a_password_is_hashed_with_argon2id_and_a_salt_of_its_own() {
        let password = || Password::parse(DAWN).unwrap();
        let hasher = Hasher::new(2);
        let (one, two) = tokio::join!(hasher.hash(password()), hasher.hash(password()));
        let (one, two) = (one.unwrap(), two.unwrap());
        assert_ne!(one, two);
        assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{one}");
        for (text, right) in [(DAWN, true), ("seven small boats at dusk", false)] {
            let place = hasher.admit().unwrap();
            let verified = hasher.verify(place, entered(text), Some(one.clone())).await;
            let verified = verified.unwrap();
            assert_eq!((verified.right, verified.better), (right, None));
        }
    }

    #[tokio::test]
    async fn r22_who_has_no_password_is_rejected_after_the_same_work() {
        let hasher = Hasher::new(1);
        let place = hasher.admit().unwrap();
        let verified = hasher.verify(place, entered(DAWN), None).await.unwrap();
        assert!(!verified.right);
    }

    #[test]
    fn r17_a_hash_of_a_lower_cost_is_made_anew_once_its_password_is_known() {
        let (low, high) = (
            Cost::default(),
            Cost {
                memory_kib: 20 * 1024,
                passes: 3,
            },
        );
        let kept = hash(DAWN.as_bytes(), low).unwrap();
        let wrong = verify(&entered("seven small boats at dusk"), Some(&kept), high).unwrap();
        assert!(wrong.better.is_none());
        let right = verify(&entered(DAWN), Some(&kept), high).unwrap();
        let better = right.better.unwrap();
        assert!(
            better.starts_with("$argon2id$v=19$m=20480,t=3,p=1$"),
            "{better}"
        );
        for cost in [low, high] {
            let again = verify(&entered(DAWN), Some(&better), cost).unwrap();
            assert!(
                again.right && again.better.is_none(),
                "it is never made worse"
            );
        }
    }

    #[tokio::test]
    async fn r17_beyond_the_queue_hashing_is_refused_with_a_delay() {
        let hasher = Hasher::new(1);
        let _all: Vec<Place> = (0..65).map(|_| hasher.admit().unwrap()).collect();
        let refused = hasher
            .hash(Password::parse(DAWN).unwrap())
            .await
            .unwrap_err();
        assert_eq!(refused.reason(), "HASHING_BUSY");
    }
}
