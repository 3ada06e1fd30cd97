//! All views of a process: opened together, each with a follower of its own.

use std::fs::File;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rollbook_aggregates::FORM;
use rollbook_aggregates::values::AccountId;
use rollbook_eventstore::{Log, StoreError};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinHandle;

use crate::audit::{AuditTrail, AuditView};
use crate::changes::UserChanges;
use crate::copies::{Copied, Copier, ViewCopy, ViewSource};
use crate::deadlines::{DeadlineView, Deadlines};
use crate::feed::Feed;
use crate::file::ViewFile;
use crate::follower::{Follower, Standing};
use crate::invitations::{InvitationView, Invitations};
use crate::involvements::{InvolvementView, Involvements};
use crate::mails::{MailView, Mails};
use crate::past::{Past, PastView};
use crate::reading::{ReadError, Reading};
use crate::rebuild::{Rebuild, RebuildProgress, Rebuilder, Rebuilds};
use crate::snapshots::{self, KeptSnapshots, MakeSnapshot};
use crate::supervisors::{SupervisorView, Supervisors};
use crate::users::accesses::Accesses;
use crate::users::accounts::Accounts;
use crate::users::routing::Routing;
use crate::users::{UserView, Users};
use crate::view::View;

/// The folder of the views in a data directory.
const FOLDER: &str = "views";

/// The views cannot be opened or followed.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// The folder of the views cannot be used.
    #[error("the folder of the views cannot be used")]
    Folder(#[source] std::io::Error),
    /// Another process has the folder.
    #[error("the views in {0} are in use by another process")]
    InUse(PathBuf),
    /// The file of a view cannot be made.
    #[error("the file of the view {view} cannot be made")]
    File {
        /// Which view.
        view: &'static str,
        /// What its database says.
        #[source]
        source: rusqlite::Error,
    },
    /// The log cannot be read.
    #[error("the log cannot be read")]
    Log(#[source] StoreError),
}

/// How far a view is on the way to a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Which view.
    pub view: &'static str,
    /// How far it is.
    pub position: u64,
    /// How far it is to come.
    pub head: u64,
}

/// What a view is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViewState {
    /// It has not yet come to where the log ended when it was opened.
    Building,
    /// It keeps up with the log.
    Following,
    /// It cannot apply an event, and answers nothing.
    Stopped,
}

/// How a view stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewStatus {
    /// Its name.
    pub name: &'static str,
    /// The version of its tables and its fold.
    pub version: u32,
    /// How far it is.
    pub position: u64,
    /// Where the log ends, as far as this process knows.
    pub head: u64,
    /// What it is doing.
    pub state: ViewState,
    /// Why it stopped, or why it waits for the log.
    pub error: Option<String>,
    /// How far it is made anew, where it is.
    pub rebuild: Option<RebuildProgress>,
}

/// All views of a process. Dropping the last copy ends their followers; [`Views::shutdown`] waits for them.
#[derive(Clone)]
pub struct Views(Arc<Inner>);

struct Inner {
    log: Log,
    feed: Arc<Feed>,
    snapshots: Arc<KeptSnapshots>,
    users: Users,
    accounts: Accounts,
    accesses: Accesses,
    routing: Routing,
    supervisors: Supervisors,
    involvements: Involvements,
    invitations: Invitations,
    audit: AuditTrail,
    deadlines: Deadlines,
    mails: Mails,
    past: Past,
    followed: Vec<Followed>,
    followers: Mutex<Vec<JoinHandle<()>>>,
    end: watch::Sender<bool>,
    /// Held for as long as the views are: one process writes the files.
    _lock: File,
}

/// A view as seen from outside its follower.
struct Followed {
    name: &'static str,
    version: u32,
    built_at: u64,
    standing: watch::Receiver<Standing>,
    reading: Arc<Reading>,
    rebuilder: Arc<dyn Rebuilds>,
    copier: Arc<dyn Copied>,
}

/// What opening the views one by one gathers.
struct Opening {
    log: Log,
    folder: PathBuf,
    head: u64,
    feed: Arc<Feed>,
    end: watch::Sender<bool>,
    turn: Arc<Semaphore>,
    source: Option<Arc<dyn ViewSource>>,
    followed: Vec<Followed>,
    followers: Vec<JoinHandle<()>>,
}

impl Views {
    /// Opens the views of a data directory, or makes them, and starts to follow the log.
    ///
    /// A file that was folded from another history is thrown away and built again.
    ///
    /// # Errors
    /// The folder is in use or cannot be written, or the log cannot be read.
    pub async fn start(log: Log, data_dir: &Path) -> Result<Self, ViewError> {
        Self::start_from(log, data_dir, None).await
    }

    /// Likewise; a view that would have to be built is taken from there, if it can be.
    ///
    /// # Errors
    /// The folder is in use or cannot be written, or the log cannot be read.
    pub async fn start_from(
        log: Log,
        data_dir: &Path,
        source: Option<Arc<dyn ViewSource>>,
    ) -> Result<Self, ViewError> {
        let folder = data_dir.join(FOLDER);
        std::fs::create_dir_all(&folder).map_err(ViewError::Folder)?;
        let lock = lock(&folder)?;
        let head = log.head().await.map_err(ViewError::Log)?;
        let mut opening = Opening {
            feed: Arc::new(Feed::new(log.clone())),
            end: watch::Sender::new(false),
            turn: Arc::new(Semaphore::new(1)),
            source,
            followed: Vec::new(),
            followers: Vec::new(),
            log,
            folder,
            head,
        };
        let snapshots = KeptSnapshots::open(&opening.folder, &opening.log, FORM, head)?;
        let users = opening.open::<UserView>().await?;
        Ok(Self(Arc::new(Inner {
            accounts: Accounts::new(Arc::clone(&users)),
            accesses: Accesses::new(Arc::clone(&users)),
            routing: Routing::new(Arc::clone(&users)),
            users: Users::new(users),
            supervisors: Supervisors::new(opening.open::<SupervisorView>().await?),
            involvements: Involvements::new(opening.open::<InvolvementView>().await?),
            invitations: Invitations::new(opening.open::<InvitationView>().await?),
            audit: AuditTrail::new(opening.open::<AuditView>().await?),
            deadlines: Deadlines::new(opening.open::<DeadlineView>().await?),
            mails: Mails::new(opening.open::<MailView>().await?),
            past: Past::new(opening.open::<PastView>().await?),
            log: opening.log,
            feed: opening.feed,
            snapshots: Arc::new(snapshots),
            followed: opening.followed,
            followers: Mutex::new(opening.followers),
            end: opening.end,
            _lock: lock,
        })))
    }

    /// Waits until each view that has not stopped is where the log ends now; answers that position.
    ///
    /// # Errors
    /// The log cannot be asked where it ends.
    pub async fn caught_up(&self, progress: impl Fn(&Progress)) -> Result<u64, ViewError> {
        let head = self.0.log.head().await.map_err(ViewError::Log)?;
        for view in &self.0.followed {
            view.reading.want(head);
            let mut standing = view.standing.clone();
            loop {
                let (position, readable, stopped) = {
                    let now = standing.borrow_and_update();
                    (now.position, now.readable, now.stopped.is_some())
                };
                progress(&Progress {
                    view: view.name,
                    position,
                    head,
                });
                let there = position >= head && readable;
                if there || stopped || standing.changed().await.is_err() {
                    break;
                }
            }
        }
        Ok(head)
    }

    /// The users: look-ups and lists.
    #[must_use]
    pub fn users(&self) -> &Users {
        &self.0.users
    }

    /// The accounts with their companies and catalogues.
    #[must_use]
    pub fn accounts(&self) -> &Accounts {
        &self.0.accounts
    }

    /// Which users of other accounts have access to which.
    #[must_use]
    pub fn accesses(&self) -> &Accesses {
        &self.0.accesses
    }

    /// Who takes care of what.
    #[must_use]
    pub fn routing(&self) -> &Routing {
        &self.0.routing
    }

    /// Who has whom as supervisor.
    #[must_use]
    pub fn supervisors(&self) -> &Supervisors {
        &self.0.supervisors
    }

    /// What needs a user, and who reviewed an invoice.
    #[must_use]
    pub fn involvements(&self) -> &Involvements {
        &self.0.involvements
    }

    /// The invitations.
    #[must_use]
    pub fn invitations(&self) -> &Invitations {
        &self.0.invitations
    }

    /// Which events were done for whom, and which are of a type.
    #[must_use]
    pub fn audit(&self) -> &AuditTrail {
        &self.0.audit
    }

    /// What ends by itself, and when.
    #[must_use]
    pub fn deadlines(&self) -> &Deadlines {
        &self.0.deadlines
    }

    /// The snapshots of long streams, to be loaded from.
    #[must_use]
    pub fn snapshots(&self) -> Arc<KeptSnapshots> {
        Arc::clone(&self.0.snapshots)
    }

    /// Follows the log from now on to have snapshots made of streams that grow long.
    pub fn keep_snapshots(&self, make: MakeSnapshot) {
        let Inner { log, feed, end, .. } = &*self.0;
        let following = snapshots::follow(
            self.snapshots(),
            Arc::clone(feed),
            log.clone(),
            make,
            end.subscribe(),
        );
        self.also(tokio::spawn(following));
    }

    /// Begins to make a view anew beside the live one; answers where to see how far that is, or nothing where there is no view
    /// of the name. It goes on though nobody looks, once it has its turn.
    #[must_use]
    pub fn rebuild(&self, name: &str, how: Rebuild) -> Option<watch::Receiver<RebuildProgress>> {
        let view = self.0.followed.iter().find(|view| view.name == name)?;
        let (work, progress) = Arc::clone(&view.rebuilder).begin(how);
        self.also(tokio::spawn(work));
        Some(progress)
    }

    /// A consistent copy of a view, for another process of the log; nothing where there is no view of the name.
    ///
    /// # Errors
    /// The view has stopped, or its file cannot be copied.
    pub async fn copy(&self, name: &str) -> Result<Option<ViewCopy>, ReadError> {
        match self.0.followed.iter().find(|view| view.name == name) {
            Some(view) => view.copier.copy().await.map(Some),
            None => Ok(None),
        }
    }

    /// Waits for work of its own when it shuts down.
    fn also(&self, work: JoinHandle<()>) {
        let followers = &self.0.followers;
        let mut followers = followers.lock().unwrap_or_else(PoisonError::into_inner);
        followers.retain(|work| !work.is_finished());
        followers.push(work);
    }

    /// What happens to the users of an account, or of all accounts, behind a position.
    #[must_use]
    pub fn user_changes(&self, account: Option<AccountId>, position: u64) -> UserChanges {
        let Inner { log, feed, .. } = &*self.0;
        UserChanges::new(log.clone(), Arc::clone(feed), account, position)
    }

    /// The mail that is to be sent, and the mail that could not be.
    #[must_use]
    pub fn mails(&self) -> &Mails {
        &self.0.mails
    }

    /// Who was there at any position, and who had whom as supervisor.
    #[must_use]
    pub fn past(&self) -> &Past {
        &self.0.past
    }

    /// How each view stands.
    #[must_use]
    pub fn status(&self) -> Vec<ViewStatus> {
        let known = *self.0.log.moved().borrow();
        self.0
            .followed
            .iter()
            .map(|view| view.status(known))
            .collect()
    }

    /// Ends the followers, saves their checkpoints and closes the files.
    pub async fn shutdown(&self) {
        self.0.end.send_replace(true);
        let followers = std::mem::take(
            &mut *self
                .0
                .followers
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        for view in &self.0.followed {
            view.reading.close();
        }
        futures::future::join_all(followers).await;
    }
}

impl Followed {
    fn status(&self, known: u64) -> ViewStatus {
        let standing = self.standing.borrow().clone();
        let state = if standing.stopped.is_some() {
            ViewState::Stopped
        } else if standing.position < self.built_at || !standing.readable {
            ViewState::Building
        } else {
            ViewState::Following
        };
        ViewStatus {
            name: self.name,
            version: self.version,
            position: standing.position,
            head: known.max(standing.position),
            state,
            error: standing
                .stopped
                .or(standing.waiting)
                .map(|reason| reason.to_string()),
            rebuild: self.rebuilder.under_way(),
        }
    }
}

impl Opening {
    async fn open<V: View>(&mut self) -> Result<Arc<Reading>, ViewError> {
        let source = self.source.as_deref();
        let file = ViewFile::open::<V>(&self.folder, &self.log, self.head, source).await?;
        let (sender, standing) = watch::channel(Standing {
            position: file.position(),
            readable: file.is_indexed::<V>(),
            ..Standing::default()
        });
        let (want, wanted) = watch::channel(file.position());
        let (hand_over, handovers) = mpsc::channel(1);
        let reading = Reading::new(V::NAME, self.log.clone(), standing.clone(), want, &file);
        self.followed.push(Followed {
            name: V::NAME,
            version: V::VERSION,
            built_at: self.head,
            standing: standing.clone(),
            reading: Arc::clone(&reading),
            rebuilder: Arc::new(Rebuilder::<V> {
                log: self.log.clone(),
                feed: Arc::clone(&self.feed),
                folder: self.folder.clone(),
                reading: Arc::clone(&reading),
                standing,
                handovers: hand_over,
                end: self.end.subscribe(),
                turn: Arc::clone(&self.turn),
                under_way: Mutex::default(),
                view: PhantomData,
            }),
            copier: Arc::new(Copier::<V>::new(self.folder.clone(), Arc::clone(&reading))),
        });
        let follower = Follower {
            feed: Arc::clone(&self.feed),
            standing: sender,
            wanted,
            end: self.end.subscribe(),
            built_at: self.head,
            reading: Arc::clone(&reading),
            handovers,
        };
        self.followers
            .push(tokio::spawn(follower.follow::<V>(file)));
        Ok(reading)
    }
}

fn lock(folder: &Path) -> Result<File, ViewError> {
    let lock = File::create(folder.join("lock")).map_err(ViewError::Folder)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(std::fs::TryLockError::WouldBlock) => Err(ViewError::InUse(folder.to_owned())),
        Err(std::fs::TryLockError::Error(error)) => Err(ViewError::Folder(error)),
    }
}
