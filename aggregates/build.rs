//! Tells the domain what it looks like: a digest of its sources, which names the form of its states.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=src");
    let mut sources = Vec::new();
    gather(Path::new("src"), &mut sources)?;
    sources.sort();
    let mut digest = DefaultHasher::new();
    for source in sources {
        source.hash(&mut digest);
        fs::read(&source)?.hash(&mut digest);
    }
    println!("cargo:rustc-env=ROLLBOOK_DOMAIN={:016x}", digest.finish());
    Ok(())
}

fn gather(folder: &Path, sources: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            gather(&path, sources)?;
        } else {
            sources.push(path);
        }
    }
    Ok(())
}
