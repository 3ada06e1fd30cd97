//! The lock on a data directory, so that two processes never write one log.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

use crate::error::OpenError;

/// A data directory that this process has. Given back when it is dropped, or the process ends in whatever way.
pub(super) struct Directory {
    _lock: File,
}

impl Directory {
    pub(super) fn lock(path: &Path) -> Result<Self, OpenError> {
        let file = path.join("lock");
        let failed = |error| OpenError::unavailable(file.display().to_string(), error);
        std::fs::create_dir_all(path).map_err(failed)?;
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&file)
            .map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // The holder is told as well as it can be.
                let _ = lock.read_to_string(&mut holder);
                let holder = holder.trim();
                return Err(OpenError::InUse {
                    directory: path.display().to_string(),
                    holder: if holder.is_empty() { "unknown" } else { holder }.to_owned(),
                });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let note = |lock: &mut File| {
            lock.set_len(0)?;
            lock.rewind()?;
            writeln!(lock, "{}", std::process::id())
        };
        note(&mut lock).map_err(failed)?;
        Ok(Self { _lock: lock })
    }
}
