//! A directory that is gone with its owner.

use std::{
    env, fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use crate::{cli::problem::Problem, executor::new_id};

/// A fresh directory among the temporary files; dropping it removes it.
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes one that every user of the machine can write to, as the database server may run as another.
    pub fn make(name: &str) -> Result<Self, Problem> {
        let path = env::temp_dir().join(format!("rollbook-{name}-{}", new_id()));
        let unmade = |source| Problem::File {
            action: "make",
            path: path.clone(),
            source,
        };
        fs::create_dir(&path).map_err(unmade)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).map_err(unmade)?;
        Ok(Self(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Whether it belongs to root, which is to say that we are root.
    pub fn is_of_root(&self) -> bool {
        fs::metadata(&self.0).is_ok_and(|metadata| metadata.uid() == 0)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed lies among the temporary files, where the system finds it.
        let _ = fs::remove_dir_all(&self.0);
    }
}
