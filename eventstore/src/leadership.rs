//! Work that must happen once for all processes of a log is done by one of them, which leads.
//!
//! Two may believe that they lead for a moment while one loses it, so what a leader does must be safe to do twice.

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use tokio::sync::oneshot;

/// That this process leads, for as long as it is kept and not lost; dropping it lets another one lead.
pub struct Leadership {
    lost: Shared<BoxFuture<'static, ()>>,
    /// Dropped to give it up.
    _kept: Option<oneshot::Sender<()>>,
}

impl Leadership {
    /// One that nobody else can have.
    pub(crate) fn without_rivals() -> Self {
        Self {
            lost: std::future::pending().boxed().shared(),
            _kept: None,
        }
    }

    /// One that is over as soon as `holder` ends. The holder is to end when what it is given does.
    pub(crate) fn held<F>(holder: impl FnOnce(oneshot::Receiver<()>) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (kept, given_up) = oneshot::channel();
        let holder = tokio::spawn(holder(given_up));
        Self {
            // However the holder ended, nobody holds it any more.
            lost: holder.map(drop).boxed().shared(),
            _kept: Some(kept),
        }
    }

    /// Waits until this process does not lead any more.
    pub async fn lost(&self) {
        self.lost.clone().await;
    }
}

impl std::fmt::Debug for Leadership {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leadership")
            .field("lost", &self.lost.peek().is_some())
            .finish_non_exhaustive()
    }
}
