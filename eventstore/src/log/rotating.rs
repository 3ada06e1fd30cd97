//! Rotating the master key, and knowing which is in force.

use tokio::sync::{oneshot, watch};

use super::{Inner, Log};
use crate::error::StoreError;
use crate::ring::{InForce, KeyId};
use crate::rotation::{
    NotRotated, Rewrapped, Rotation, RotationProgress, RotationRecord, RotationRow, Step, Stepped,
    in_force,
};
use crate::stream::StreamId;
use crate::writer::Job;

/// How many keys are wrapped anew in one commit: few, since writers wait for it.
const STEP: u32 = 250;

impl Log {
    /// The master keys that the log has and had, the last one first.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn master_keys(&self, limit: u32) -> Result<Vec<RotationRecord>, StoreError> {
        let rows = self.inner.home.rotations(limit.saturating_add(1)).await?;
        let formers = rows.iter().skip(1).map(Some).chain([None]);
        let record = |(row, former): (&RotationRow, Option<&RotationRow>)| {
            Ok(RotationRecord {
                key: row.key()?,
                former: former.map(RotationRow::key).transpose()?,
                begun_at: row.begun_at,
                begun_by: row.begun_by.clone(),
                finished_at: row.finished_at,
            })
        };
        let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
        rows.iter().zip(formers).take(wanted).map(record).collect()
    }

    /// Wraps every key of the log under the next master key that this process was given, or goes on with that, and tells how
    /// far it is. It goes on though nobody listens. A rotation that this process is at already is joined.
    ///
    /// # Errors
    /// See [`NotRotated`]; then nothing has begun.
    pub async fn rotate_master_key(&self, by: &str) -> Result<Rotation, NotRotated> {
        if let Some(under_way) = self.inner.rotation() {
            return Ok(under_way);
        }
        let key = self.inner.keys.ring.next().ok_or(NotRotated::NoNextKey)?;
        let number = self.inner.begin(key, by).await?;
        let total = self.inner.home.count_wrapped_otherwise(key).await?;
        let (teller, told) = watch::channel(Ok(RotationProgress {
            key,
            rewrapped: 0,
            total,
            done: false,
        }));
        self.inner.keep_rotation(told.clone());
        let inner = self.inner.clone();
        tokio::spawn(async move {
            if let Err(error) = inner.rewrap_all(key, number, &teller).await {
                tracing::warn!(%error, "the rotation of the master key broke off");
                // Nobody may be listening any more.
                drop(teller.send_replace(Err(error.into())));
            }
        });
        Ok(told)
    }
}

impl Inner {
    /// The rotation that this process is at.
    fn rotation(&self) -> Option<Rotation> {
        let kept = self.rotation.lock().ok()?;
        let under_way = |told: &&Rotation| told.has_changed().is_ok();
        kept.as_ref().filter(under_way).cloned()
    }

    fn keep_rotation(&self, told: Rotation) {
        if let Ok(mut kept) = self.rotation.lock() {
            *kept = Some(told);
        }
    }

    /// Takes what the log says of its master keys, as another process may have had them rotated.
    pub(super) async fn learn_master(&self) -> Result<(), StoreError> {
        let in_force = in_force(&self.home.rotations(2).await?)?;
        Ok(self.keys.ring.learn(&in_force)?)
    }

    /// Has the log wrap what is new under the key, where it does not yet; answers the number of the rotation.
    async fn begin(&self, key: KeyId, by: &str) -> Result<u32, NotRotated> {
        loop {
            let rows = self.home.rotations(2).await?;
            let InForce { wrapping, former } = in_force(&rows)?;
            let number = rows.first().map_or(0, |row| row.number);
            if wrapping == key {
                self.learn_master().await?;
                return Ok(number);
            }
            if former.is_some() {
                return Err(NotRotated::AnotherUnderWay(wrapping));
            }
            let log_keys = self.keys.rewrap(key, &self.home.log_keys().await?);
            let log_keys = log_keys
                .ok_or_else(|| StoreError::Corrupt("the log's keys cannot be read".to_owned()))?;
            let step = Step::Begin {
                number: number + 1,
                key,
                begun_at: self.clock.now(),
                begun_by: by.to_owned(),
                log_keys,
            };
            match self.step(step).await? {
                Stepped::UnknownElsewhere(processes) => {
                    return Err(NotRotated::UnknownElsewhere(processes));
                }
                // Another process was faster, with this key or another: that is looked at again.
                Stepped::Changed(0) => {}
                Stepped::Changed(_) => {
                    tracing::info!(from = %wrapping, to = %key, by, "the master key is being rotated");
                }
            }
        }
    }

    /// Wraps everything under the key, step by step.
    async fn rewrap_all(
        &self,
        key: KeyId,
        number: u32,
        teller: &watch::Sender<Result<RotationProgress, NotRotated>>,
    ) -> Result<(), StoreError> {
        let mut after = StreamId::new("", "");
        loop {
            let rows = self.home.wrapped_otherwise(key, &after, STEP).await?;
            let Some((last, _)) = rows.last() else {
                let left = self.home.count_wrapped_otherwise(key).await?;
                if left == 0 {
                    break;
                }
                if after == StreamId::new("", "") {
                    let what = format!("{left} keys of the log are wrapped under another key");
                    return Err(StoreError::Corrupt(what));
                }
                // Keys that changed under a step's hand are found in the next round.
                after = StreamId::new("", "");
                continue;
            };
            after = last.clone();
            let keys = self.keys.clone();
            let rewrap = move || -> Result<Vec<_>, StoreError> {
                let rewrap = |(stream, old): (StreamId, Vec<u8>)| {
                    let new = keys.rewrap_stream_key(key, &stream, &old);
                    let new = new.ok_or_else(|| keys.ring.why_not(&stream.to_string(), &old))?;
                    Ok(Rewrapped { stream, old, new })
                };
                rows.into_iter().map(rewrap).collect()
            };
            let rewrapped = tokio::task::spawn_blocking(rewrap).await;
            let rewrapped = rewrapped.map_err(StoreError::unavailable)??;
            if let Stepped::Changed(changed) = self.step(Step::Rewrap(rewrapped)).await? {
                tell(teller, |progress| progress.rewrapped += changed);
            }
        }
        let finished_at = self.clock.now();
        let finish = Step::Finish {
            number,
            finished_at,
        };
        if self.step(finish).await? == Stepped::Changed(1) {
            tracing::info!(to = %key, "the master key is rotated, nothing is wrapped under the former one");
        }
        self.learn_master().await?;
        tell(teller, |progress| progress.done = true);
        Ok(())
    }

    async fn step(&self, step: Step) -> Result<Stepped, StoreError> {
        let (answer, stepped) = oneshot::channel();
        let queued = self.queue.send(Job::Rotate(step, answer)).await;
        queued.map_err(|_| StoreError::Closed)?;
        stepped.await.map_err(|_| StoreError::Closed)?
    }
}

fn tell(
    teller: &watch::Sender<Result<RotationProgress, NotRotated>>,
    change: impl FnOnce(&mut RotationProgress),
) {
    teller.send_modify(|told| {
        if let Ok(progress) = told {
            change(progress);
        }
    });
}
