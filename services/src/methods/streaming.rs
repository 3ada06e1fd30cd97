//! Answers without an end of their own: sent until the work is done, nobody listens, or the call has to end; then the caller is
//! told why, whether it reads or not.

use std::pin::Pin;
use std::time::Duration;

use futures::{Stream, StreamExt as _, stream};
use rollbook_proto::v1::ErrorReason;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::Directory;
use crate::failure::{Failure, Outcome};
use crate::gate::Call;

/// How long a reader that is told of what happens now may keep a message waiting.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// How many messages wait for a slow reader.
const MESSAGES_WAITING: usize = 4;

/// The messages of an answer.
pub(super) type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Where the messages go. Sending waits for a reader that is slow; one that is gone ends the work.
pub(super) type Sender<T> = mpsc::Sender<T>;

/// Nobody listens any more.
pub(super) struct Gone;

/// Hands a message to the reader.
pub(super) async fn send<T>(sender: &Sender<T>, message: T) -> Result<(), Gone> {
    sender.send(message).await.map_err(|_| Gone)
}

/// Hands a message over, unless the reader keeps it waiting for too long.
pub(super) async fn hand_over<T>(
    sender: &Sender<T>,
    message: T,
    patience: Duration,
) -> Outcome<()> {
    match tokio::time::timeout(patience, sender.send(message)).await {
        // One that is gone needs no more; whoever sends sees it.
        Ok(Ok(()) | Err(_)) => Ok(()),
        Err(_) => Err(Failure::new(
            ErrorReason::WatcherTooSlow,
            "the watcher did not read for too long; it may resume from the last position it has",
        )),
    }
}

impl Directory {
    /// Lets work send the messages of an answer, for as long as the call may go on.
    pub(super) fn answers<T, W>(&self, call: &Call, work: impl FnOnce(Sender<T>) -> W) -> Answers<T>
    where
        T: Send + 'static,
        W: Future<Output = Outcome<()>> + Send + 'static,
    {
        self.answers_that_end(call, Status::from, work)
    }

    /// The same, where a failure is told in words of one's own.
    pub(super) fn answers_that_end<T, W>(
        &self,
        call: &Call,
        told: fn(Failure) -> Status,
        work: impl FnOnce(Sender<T>) -> W,
    ) -> Answers<T>
    where
        T: Send + 'static,
        W: Future<Output = Outcome<()>> + Send + 'static,
    {
        let (sender, receiver) = mpsc::channel(MESSAGES_WAITING);
        let (end, ended) = oneshot::channel();
        let work = work(sender.clone());
        let expires_in = (call.caller.expires_at - self.executor().clock.now())
            .to_std()
            .unwrap_or_default();
        let deadline = call.wait_until();
        let stopping = self.stopping().clone();
        tokio::spawn(async move {
            let outcome = tokio::select! {
                outcome = work => outcome,
                () = sender.closed() => Ok(()),
                () = tokio::time::sleep(expires_in) => {
                    Err(Failure::new(ErrorReason::TokenInvalid, "the token has expired"))
                }
                () = until(deadline) => {
                    Err(Failure::new(ErrorReason::DeadlinePassed, "the deadline passed"))
                }
                () = stopping.cancelled() => {
                    Err(Failure::new(ErrorReason::LogUnavailable, "the service is stopping"))
                }
            };
            if let Err(failure) = outcome {
                // Nobody is left to tell when the reader is gone.
                let _ = end.send(failure);
            }
        });
        // The reason stands behind what waits to be read, and needs no place among it.
        let reason = stream::once(async { ended.await.ok() });
        let reason = reason.filter_map(move |failure| async move { Some(Err(told(failure?))) });
        Box::pin(ReceiverStream::new(receiver).map(Ok).chain(reason))
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn r41_a_watcher_that_does_not_read_is_cut_off_with_a_reason() {
        let (sender, mut reader) = mpsc::channel(1);
        let patience = Duration::from_millis(10);
        hand_over(&sender, 1, patience).await.unwrap();
        let failure = hand_over(&sender, 2, patience).await.unwrap_err();
        assert_eq!(failure.reason(), "WATCHER_TOO_SLOW");
        assert_eq!(failure.code(), tonic::Code::ResourceExhausted);
        reader.recv().await.unwrap();
        hand_over(&sender, 3, patience).await.unwrap();
        drop(reader);
        hand_over(&sender, 4, patience).await.unwrap();
    }
}
