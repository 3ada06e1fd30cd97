//! Makes a log of its events and the rows beside them.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use futures::future::BoxFuture;
use uuid::Uuid;

use super::{BackupRow, CHUNK, unsealed};
use crate::clock::Timestamp;
use crate::error::OpenError;
use crate::keys::{LogKeys, is_personal};
use crate::log::Archive;
use crate::proof::{Frontier, Growth, Hash, ProvableEvent, TreeHead};
use crate::ring::{InForce, KeyId, MasterKeys, Ring};
use crate::stream::StreamId;
use crate::{postgres, sqlite};

/// Where a log is made.
#[derive(Clone, Debug)]
pub enum RestoreInto {
    /// In a data directory that has no log, or an empty one.
    Directory(PathBuf),
    /// In a database that has no log, or an empty one.
    Database {
        /// Its URL, for the role that is to own the tables.
        owner_url: String,
        /// The role that serves.
        application_role: Option<String>,
    },
}

/// What a log is made of, beside its events.
#[derive(Clone, Debug)]
pub enum RestoreFrom {
    /// The rows of a backup, with the log's own keys among them.
    Backup {
        /// The wrapped keys of the log itself: name and bytes.
        log_keys: Vec<(String, Vec<u8>)>,
        /// Streams whose keys were destroyed since.
        erased: HashSet<StreamId>,
        /// The kinds of claims on personal keys that outlive their owner; the others end where its key is destroyed.
        outliving: Vec<String>,
    },
    /// Nothing: it becomes an archive, which can be read and not be added to.
    Export {
        /// The checkpoint that it shows.
        checkpoint: String,
        /// The key that the checkpoint is checked with.
        verifier_key: String,
    },
}

/// A log that cannot be made.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RestoreError {
    /// The place cannot be used.
    #[error("the log cannot be made there")]
    Into(#[from] OpenError),
    /// What it is to be made of does not fit together.
    #[error("{0}")]
    Unfit(String),
}

/// What was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The tree over its events.
    pub tree: TreeHead,
    /// How many streams have their keys.
    pub keys: u64,
    /// Streams whose keys were there and are not in the new log, since they were destroyed since the backup.
    pub erased: Vec<StreamId>,
}

/// What a new home starts with.
pub(crate) struct Origin {
    pub(crate) log_id: Uuid,
    pub(crate) log_keys: Vec<(String, Vec<u8>)>,
    pub(crate) archive: Option<Archive>,
    /// The master key that everything is wrapped under.
    pub(crate) master_key: KeyId,
}

/// What a new home ends with.
pub(crate) struct End {
    pub(crate) position: u64,
    pub(crate) last_at: Timestamp,
    pub(crate) accounts: HashMap<String, u64>,
}

pub(crate) type Made<'a, T> = BoxFuture<'a, Result<T, OpenError>>;

/// A home that is being filled. Dropped before its end it is as if it had never been begun, and nobody serves from it.
pub(crate) trait NewHome: Send {
    fn events(&mut self, events: Vec<ProvableEvent>) -> Made<'_, ()>;
    fn rows(&mut self, rows: Vec<BackupRow>) -> Made<'_, ()>;
    fn grow(&mut self, growth: Growth) -> Made<'_, ()>;
    /// Leaves nothing of it.
    fn abandon<'a>(self: Box<Self>) -> Made<'a, ()>;
    /// Says of every stream that has something sealed and no key that its key was destroyed; then all of it is there at once.
    fn finish<'a>(self: Box<Self>, end: End) -> Made<'a, ()>;
}

/// A log that is being made: first all of its events, then the rows beside them.
pub struct Restoration {
    home: Box<dyn NewHome>,
    keys: LogKeys,
    master_key: KeyId,
    frontier: Frontier,
    end: End,
    root: Hash,
    /// Keys of these are not written.
    erased: HashSet<StreamId>,
    /// Keys of these were, though, in what the log is made of.
    had_keys: Vec<StreamId>,
    /// The same, as owners of claims.
    gone: HashSet<String>,
    outliving: Vec<String>,
    /// The wrapped keys that what is beside their streams is sealed with.
    wrapped: HashMap<StreamId, Vec<u8>>,
    /// Streams whose keys were destroyed when the rows were taken.
    destroyed: HashSet<StreamId>,
}

impl Restoration {
    /// Begins to make a log where there is none.
    ///
    /// # Errors
    /// Where there is one that has events, or the master key is not the one of the backup.
    pub async fn begin(
        into: &RestoreInto,
        log_id: Uuid,
        from: RestoreFrom,
        masters: impl Into<MasterKeys>,
    ) -> Result<Self, RestoreError> {
        let ring = Ring::new(masters.into());
        let (log_keys, archive, erased, outliving) = match from {
            RestoreFrom::Backup {
                log_keys,
                erased,
                outliving,
            } => (log_keys, None, erased, outliving),
            RestoreFrom::Export {
                checkpoint,
                verifier_key,
            } => {
                let made = LogKeys::create(&ring).into_iter();
                let archive = Archive {
                    checkpoint,
                    verifier_key,
                };
                let made = made.map(|(name, wrapped)| (name.to_owned(), wrapped));
                (made.collect(), Some(archive), HashSet::new(), Vec::new())
            }
        };
        let master_key = LogKeys::first_master(&ring, &log_keys)?;
        let in_force = InForce {
            wrapping: master_key,
            former: None,
        };
        let keys = LogKeys::open(ring, &in_force, &log_keys)?;
        let origin = Origin {
            log_id,
            log_keys,
            archive,
            master_key,
        };
        let home = match into {
            RestoreInto::Directory(directory) => sqlite::new_home(directory, &origin)?,
            RestoreInto::Database {
                owner_url,
                application_role,
            } => postgres::new_home(owner_url, application_role.clone(), origin).await?,
        };
        Ok(Self {
            home,
            keys,
            master_key,
            frontier: Frontier::default(),
            end: End {
                position: 0,
                last_at: Timestamp::UNIX_EPOCH,
                accounts: HashMap::new(),
            },
            root: Frontier::EMPTY,
            erased,
            had_keys: Vec::new(),
            gone: HashSet::new(),
            outliving,
            wrapped: HashMap::new(),
            destroyed: HashSet::new(),
        })
    }

    /// The key that checkpoints of the new log will be checked with.
    #[must_use]
    pub fn checkpoint_key(&self, log_id: Uuid) -> Option<String> {
        Some(self.keys.signer(log_id)?.key().to_owned())
    }

    /// Adds events, which must follow on those before; whoever calls has checked them.
    ///
    /// # Errors
    /// Where they do not follow, or cannot be written.
    pub async fn events(&mut self, events: Vec<ProvableEvent>) -> Result<(), RestoreError> {
        let mut leaves = Vec::with_capacity(events.len());
        for event in &events {
            if event.position != self.end.position + 1 {
                let what = format!("position {} does not follow", event.position);
                return Err(RestoreError::Unfit(what));
            }
            self.end.position = event.position;
            self.end.last_at = event.recorded_at;
            if let Some(number) = self.end.accounts.get_mut(&event.account_id) {
                *number = event.account_number;
            } else {
                let account = event.account_id.clone();
                self.end.accounts.insert(account, event.account_number);
            }
            if event.forgets {
                self.erased.insert(event.stream.clone());
            }
            leaves.push(event.content().hash());
        }
        if leaves.is_empty() {
            return Ok(());
        }
        let growth = self.frontier.grow(&leaves);
        let growth =
            growth.ok_or_else(|| RestoreError::Unfit("the tree does not grow".to_owned()))?;
        self.root = growth.to.root;
        self.home.grow(growth).await?;
        Ok(self.home.events(events).await?)
    }

    /// Adds rows of a backup; keys come before what is sealed with them.
    ///
    /// # Errors
    /// Where one does not fit, with its place among these, or they cannot be written.
    pub async fn rows(&mut self, rows: Vec<BackupRow>) -> Result<(), (usize, RestoreError)> {
        let mut written = Vec::with_capacity(rows.len());
        for (place, row) in rows.into_iter().enumerate() {
            let fitted = self.fit(row).map_err(|error| (place, error))?;
            written.extend(fitted);
        }
        let last = written.len().saturating_sub(1);
        let wrote = self.home.rows(written).await;
        wrote.map_err(|error| (last, error.into()))
    }

    /// A row as its table is to have it; none where it is not to have it.
    fn fit(&mut self, row: BackupRow) -> Result<Option<BackupRow>, RestoreError> {
        let unfit = |what: String| Err(RestoreError::Unfit(what));
        match row {
            // They are there since the beginning.
            BackupRow::LogKey { .. } => Ok(None),
            BackupRow::StreamKey { stream, wrapped } => {
                let wrapped = match wrapped {
                    None => None,
                    // A backup that was made while the master key was rotated has keys under both.
                    Some(wrapped) => {
                        let wrapped = if KeyId::of(&wrapped) == Some(self.master_key) {
                            self.keys.stream_key(&stream, &wrapped).map(|_| wrapped)
                        } else {
                            (self.keys).rewrap_stream_key(self.master_key, &stream, &wrapped)
                        };
                        if wrapped.is_none() {
                            return unfit(format!(
                                "the key of {stream} is not one that this master key wrapped"
                            ));
                        }
                        wrapped
                    }
                };
                if let Some(wrapped) = &wrapped {
                    if self.erased.contains(&stream) {
                        self.had_keys.push(stream.clone());
                        self.gone.insert(stream.aggregate_id.clone());
                        self.destroyed.insert(stream.clone());
                        return Ok(Some(BackupRow::StreamKey {
                            stream,
                            wrapped: None,
                        }));
                    }
                    self.wrapped.insert(stream.clone(), wrapped.clone());
                } else {
                    self.destroyed.insert(stream.clone());
                }
                Ok(Some(BackupRow::StreamKey { stream, wrapped }))
            }
            BackupRow::Side {
                stream,
                kind,
                value,
            } => {
                if self.destroyed.contains(&stream) || self.erased.contains(&stream) {
                    return Ok(None);
                }
                let wrapped = self.wrapped.get(&stream).map(Vec::as_slice);
                let Some(value) = unsealed(&self.keys, &stream, &kind, wrapped, &value) else {
                    return unfit(format!(
                        "what is beside {stream} cannot be opened with the key of {stream}"
                    ));
                };
                Ok(Some(BackupRow::Side {
                    stream,
                    kind,
                    value,
                }))
            }
            BackupRow::Claim {
                ref kind,
                ref key,
                ref owner,
                ..
            } => {
                let ends = is_personal(key) && !self.outliving.contains(kind);
                Ok((!ends || !self.gone.contains(owner)).then_some(row))
            }
            BackupRow::Request { .. } => Ok(Some(row)),
        }
    }

    /// Leaves nothing of the log that was being made.
    ///
    /// # Errors
    /// Where something cannot be removed; nobody serves from it.
    pub async fn abandon(self) -> Result<(), RestoreError> {
        Ok(self.home.abandon().await?)
    }

    /// Puts the log in its place, all at once.
    ///
    /// # Errors
    /// Where that cannot be done; then there is none.
    pub async fn finish(self) -> Result<Restored, RestoreError> {
        let tree = TreeHead {
            size: self.end.position,
            root: self.root,
        };
        let mut home = self.home;
        // A list may name what the keys do not: nothing of it may be given a key later on.
        let unnamed = self.erased.difference(&self.destroyed);
        let unnamed: Vec<_> = unnamed
            .map(|stream| BackupRow::StreamKey {
                stream: stream.clone(),
                wrapped: None,
            })
            .collect();
        for rows in unnamed.chunks(CHUNK) {
            home.rows(rows.to_vec()).await?;
        }
        home.finish(self.end).await?;
        Ok(Restored {
            tree,
            keys: self.wrapped.len() as u64,
            erased: self.had_keys,
        })
    }
}
