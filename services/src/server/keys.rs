//! The keys of a service: the master key, and the keys that tokens are signed and checked with.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use rollbook_eventstore::{MasterKey, sqlite};

use super::{Options, StartError, Store};
use crate::caller::{self, Minter};

pub(crate) const MASTER_KEY: &str = "master.key";
const TOKEN_KEY: &str = "token-key.pem";

/// Makes a directory that only its owner can look into, if it is not there.
pub(crate) fn private_dir(dir: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

/// The master key: the one given, or the one that the embedded default keeps, made on first start.
pub(super) fn master_key(options: &Options) -> Result<MasterKey, StartError> {
    if let Some(key) = &options.master_key {
        return Ok(key.clone());
    }
    match options.store {
        Store::Postgres { .. } => Err(StartError::NoMasterKey),
        Store::Embedded => {
            let path = options.data_dir.join(MASTER_KEY);
            if !path.exists() {
                // Another key would open nothing of what is there.
                if options.data_dir.join(sqlite::FILE).exists() {
                    return Err(StartError::MasterKeyLost(path.display().to_string()));
                }
                MasterKey::generate().write_new(&path)?;
            }
            Ok(MasterKey::from_file(&path)?)
        }
    }
}

/// The public keys that tokens are checked with.
pub(super) fn token_keys(options: &Options) -> Result<Vec<String>, StartError> {
    let mut keys = options.token_keys.clone();
    match options.store {
        Store::Embedded => {
            let pem = token_key_pem(&options.data_dir)?;
            keys.push(Minter::from_pem(&pem)?.public_pem().to_owned());
        }
        Store::Postgres { .. } if keys.is_empty() => return Err(StartError::NoTokenKey),
        Store::Postgres { .. } => {}
    }
    Ok(keys)
}

/// The private key that a data directory's tokens are signed with, made when it is not there.
///
/// # Errors
/// When it cannot be read or made.
pub fn token_key_pem(data_dir: &Path) -> Result<String, StartError> {
    let failed = |source| StartError::DataDir {
        directory: data_dir.display().to_string(),
        source,
    };
    private_dir(data_dir).map_err(failed)?;
    let path = data_dir.join(TOKEN_KEY);
    if !path.exists() {
        let pem = caller::generate_key_pem()?;
        match write_private(&path, pem.as_bytes()) {
            // Another process was faster: its key is the one.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            written => written.map_err(failed)?,
        }
    }
    fs::read_to_string(&path).map_err(failed)
}

/// Writes a file that only its owner can read, whole or not at all.
fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let made = path.with_extension(format!("{}.new", std::process::id()));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&made)?;
    file.write_all(content)?;
    file.sync_all()?;
    let linked = fs::hard_link(&made, path);
    fs::remove_file(&made)?;
    linked
}

#[cfg(test)]
mod tests {
    use rollbook_eventstore::Clock;

    use super::*;

    fn embedded(data_dir: &Path) -> Options {
        Options {
            listen: ([127, 0, 0, 1], 0).into(),
            data_dir: data_dir.to_owned(),
            store: Store::Embedded,
            master_key: None,
            next_master_key: None,
            token_keys: Vec::new(),
            tls: None,
            allow_plaintext: false,
            mail: None,
            hash_cost: crate::passwords::Cost::default(),
            views_from: None,
            clock: Clock::system(),
        }
    }

    #[test]
    fn a_lost_master_key_is_told_and_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let options = embedded(dir.path());
        assert!(master_key(&options).is_ok());
        fs::write(dir.path().join(sqlite::FILE), "a log").unwrap();
        fs::remove_file(dir.path().join(MASTER_KEY)).unwrap();
        let lost = master_key(&options).map(drop);
        assert!(matches!(lost, Err(StartError::MasterKeyLost(_))));
        assert!(!dir.path().join(MASTER_KEY).exists());
    }

    #[test]
    fn a_token_key_is_made_once_and_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let pem = token_key_pem(dir.path()).unwrap();
        assert_eq!(token_key_pem(dir.path()).unwrap(), pem);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(dir.path().join(TOKEN_KEY))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o077, 0);
        }
    }
}
