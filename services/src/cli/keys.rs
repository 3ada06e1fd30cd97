//! `rollbook keys`: makes the master key, has another take its place, and makes the pair that tokens are signed and checked with.

mod rotate;

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use rollbook_eventstore::MasterKey;

use super::{
    client::{Client, ClientFlags},
    output::print,
    problem::Problem,
};
use crate::caller::{self, Minter};

/// The private key that tokens are signed with, in a data directory and where `keys token` puts it.
pub const TOKEN_KEY: &str = "token-key.pem";
const TOKEN_PUBLIC_KEY: &str = "token-key.pub.pem";

/// The keys of a service.
#[derive(Args, Debug)]
pub struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Subcommand, Debug)]
enum KeysCommand {
    /// Make a master key, which all personal data is sealed under: keep a copy where backups cannot reach it
    New {
        /// The file to write; it must not be there yet
        file: PathBuf,
    },
    /// Make the pair of keys for tokens: token-key.pem signs (`rollbook token`), token-key.pub.pem checks (`rollbook serve`)
    Token {
        /// The directory to write them to; neither may be there yet
        #[arg(long, value_name = "DIR")]
        out_dir: PathBuf,
    },
    /// Wrap everything under the next master key while the service serves; the former one can be destroyed then
    Rotate {
        #[command(flatten)]
        client: ClientFlags,
    },
}

/// Runs a command about keys.
pub async fn run(args: KeysArgs) -> Result<(), Problem> {
    match args.command {
        KeysCommand::New { file } => {
            let key = MasterKey::generate();
            key.write_new(&file)
                .map_err(|source| Problem::failed("make the master key", source))?;
            print(&format!("wrote {}", file.display()))
        }
        KeysCommand::Token { out_dir } => token_keys(&out_dir),
        KeysCommand::Rotate { client } => rotate::run(&Client::connect(client).await?).await,
    }
}

fn token_keys(directory: &Path) -> Result<(), Problem> {
    let failed = |source| Problem::failed("make the keys for tokens", source);
    let private = caller::generate_key_pem().map_err(failed)?;
    let minter = Minter::from_pem(&private).map_err(failed)?;
    let unwritten = |source| Problem::File {
        action: "write to",
        path: directory.to_owned(),
        source,
    };
    fs::create_dir_all(directory).map_err(unwritten)?;
    for (name, text, mode) in [
        (TOKEN_KEY, private.as_str(), 0o600),
        (TOKEN_PUBLIC_KEY, minter.public_pem(), 0o644),
    ] {
        write_new(&directory.join(name), text, mode)?;
    }
    Ok(())
}

fn write_new(path: &Path, text: &str, mode: u32) -> Result<(), Problem> {
    let unwritten = |source| Problem::File {
        action: "write",
        path: path.to_owned(),
        source,
    };
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .map_err(unwritten)?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(unwritten)?;
    print(&format!("wrote {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn token_keys_are_written_once_and_the_private_one_for_its_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        token_keys(directory.path()).unwrap();
        let private = directory.path().join(TOKEN_KEY);
        assert_eq!(
            fs::metadata(&private).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let minter = Minter::from_pem(&fs::read_to_string(&private).unwrap()).unwrap();
        let public = fs::read_to_string(directory.path().join(TOKEN_PUBLIC_KEY)).unwrap();
        assert_eq!(minter.public_pem(), public);
        assert!(matches!(
            token_keys(directory.path()),
            Err(Problem::File { .. })
        ));
    }
}
