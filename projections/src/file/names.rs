//! What the files of a view are called: by its version and a generation, which is one more each time it is made anew.

use std::path::{Path, PathBuf};

use crate::view::View;
use crate::views::ViewError;

/// The file of a generation of the present version.
pub(crate) fn path<V: View>(folder: &Path, generation: u32) -> PathBuf {
    folder.join(format!("{}{generation}.sqlite", prefix::<V>()))
}

/// Where a copy is received before it is one of the files.
pub(crate) fn arriving<V: View>(folder: &Path) -> PathBuf {
    folder.join(format!("{}arriving", prefix::<V>()))
}

/// Where a copy is made to be sent.
pub(crate) fn leaving<V: View>(folder: &Path, copy: u64) -> PathBuf {
    folder.join(format!("{}leaving-{copy}", prefix::<V>()))
}

fn prefix<V: View>() -> String {
    format!("{}-v{}.", V::NAME, V::VERSION)
}

/// The generations of the present version that there are files of, the last first.
pub(super) fn generations<V: View>(folder: &Path) -> Result<Vec<u32>, ViewError> {
    let mut found: Vec<u32> = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(ViewError::Folder)? {
        let name = entry.map_err(ViewError::Folder)?.file_name();
        let generation = name
            .to_str()
            .and_then(|name| name.strip_prefix(&prefix::<V>()))
            .and_then(|name| name.strip_suffix(".sqlite"))
            .and_then(|generation| generation.parse::<u32>().ok());
        found.extend(generation);
    }
    found.sort_unstable_by(|a, b| b.cmp(a));
    Ok(found)
}

/// Removes every other file of the view, of whatever version: what they hold of people would never be erased.
pub(super) fn remove_others<V: View>(folder: &Path, kept: Option<&Path>) -> Result<(), ViewError> {
    let of_view = format!("{}-v", V::NAME);
    let kept = kept.map(files);
    for entry in std::fs::read_dir(folder).map_err(ViewError::Folder)? {
        let file = entry.map_err(ViewError::Folder)?.path();
        let name = file.file_name().and_then(|name| name.to_str());
        let is_of_view = name
            .and_then(|name| name.strip_prefix(&of_view))
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        if is_of_view && !kept.iter().flatten().any(|kept| *kept == file) {
            std::fs::remove_file(&file).map_err(ViewError::Folder)?;
        }
    }
    Ok(())
}

/// Removes a file with its write-ahead log.
pub(crate) fn remove(path: &Path) -> Result<(), ViewError> {
    for file in files(path) {
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(ViewError::Folder(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// A file, its write-ahead log and that log's index.
fn files(path: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|suffix| {
        let mut file = path.as_os_str().to_owned();
        file.push(suffix);
        file.into()
    })
}
