//! Compiles the protos with a compiler written in Rust, so that no `protoc` is needed.

use std::{
    env,
    error::Error,
    fs, io,
    path::{Path, PathBuf},
};

use prost::Message as _;

fn main() -> Result<(), Box<dyn Error>> {
    compile("rollbook", "descriptors.binpb")?;
    compile("event_store", "kurrent.binpb")
}

/// Compiles what lies in a folder, and keeps what describes it.
fn compile(folder: &str, described: &str) -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={folder}");
    let descriptors = protox::compile(protos(Path::new(folder))?, ["."])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join(described), descriptors.encode_to_vec())?;
    let mut config = tonic_prost_build::Config::new();
    config.enable_type_names();
    tonic_prost_build::configure().compile_fds_with_config(descriptors, config)?;
    Ok(())
}

fn protos(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(protos(&path)?);
        } else {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
