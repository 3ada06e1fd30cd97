//! Compiles the protos with a compiler written in Rust, so that no `protoc` is needed.

use std::{
    env,
    error::Error,
    fs, io,
    path::{Path, PathBuf},
};

use prost::Message as _;
use prost_types::field_descriptor_proto::Type;
use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorSet};
use tonic_prost_build::Config;

/// The message that answers hold encoded.
const USER: &str = ".rollbook.v1.User";

/// The answers that hold it so: those to questions, which are many.
const TOLD: [&str; 4] = [
    "BatchGetUsersResponse",
    "FindUsersResponse",
    "GetUserResponse",
    "ListUsersResponse",
];

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let directory = compile("rollbook", &out.join("descriptors.binpb"))?;
    tonic_prost_build::configure()
        .build_server(false)
        .compile_fds_with_config(directory.clone(), named())?;
    serve(directory, &out.join("served"))?;
    let kurrent = compile("event_store", &out.join("kurrent.binpb"))?;
    tonic_prost_build::configure().compile_fds_with_config(kurrent, named())?;
    Ok(())
}

/// Compiles what lies in a folder, and keeps what describes it.
fn compile(folder: &str, described: &Path) -> Result<FileDescriptorSet, Box<dyn Error>> {
    println!("cargo::rerun-if-changed={folder}");
    let descriptors = protox::compile(protos(Path::new(folder))?, ["."])?;
    fs::write(described, descriptors.encode_to_vec())?;
    Ok(descriptors)
}

fn named() -> Config {
    let mut config = Config::new();
    config.enable_type_names();
    config
}

/// Generates the servers, with answers of their own where these hold users encoded: on the wire, a message in a field is the
/// bytes of its encoding.
fn serve(mut descriptors: FileDescriptorSet, out: &Path) -> Result<(), Box<dyn Error>> {
    let mut config = named();
    config.bytes(["."]);
    for file in &mut descriptors.file {
        let package = file.package().to_owned();
        if package != "rollbook.v1" {
            continue;
        }
        let mut shared: Vec<&str> = file
            .enum_type
            .iter()
            .map(EnumDescriptorProto::name)
            .collect();
        for message in &mut file.message_type {
            if TOLD.contains(&message.name()) {
                hold_encoded(message);
            } else {
                shared.push(message.name());
            }
        }
        for name in shared {
            config.extern_path(format!(".{package}.{name}"), format!("crate::v1::{name}"));
        }
    }
    fs::create_dir_all(out)?;
    tonic_prost_build::configure()
        .build_client(false)
        .out_dir(out)
        .compile_fds_with_config(descriptors, config)?;
    Ok(())
}

fn hold_encoded(message: &mut DescriptorProto) {
    for field in &mut message.field {
        if field.type_name() == USER {
            field.set_type(Type::Bytes);
            field.type_name = None;
        }
    }
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
