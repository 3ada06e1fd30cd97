//! Compressed files: written in members or frames of which each can be read alone, and read by what they hold, whatever they are
//! called.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write as _};
use std::path::Path;

use clap::ValueEnum;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

/// How a compressed file begins.
const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

const BUFFER: usize = 1 << 20;

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Packing {
    /// gzip (RFC 1952), which every tool reads.
    Gzip,
    /// Zstandard (RFC 8878), which is smaller and faster.
    Zstd,
}

/// A piece of a file as it is written: compressed where that is wanted.
///
/// # Errors
/// Where it cannot be compressed.
pub fn packed(text: Vec<u8>, packing: Option<Packing>) -> io::Result<Vec<u8>> {
    match packing {
        None => Ok(text),
        Some(Packing::Gzip) => {
            let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(&text)?;
            encoder.finish()
        }
        Some(Packing::Zstd) => {
            let level = zstd::DEFAULT_COMPRESSION_LEVEL;
            let mut encoder = zstd::Encoder::new(Vec::new(), level)?;
            encoder.include_checksum(true)?;
            encoder.write_all(&text)?;
            encoder.finish()
        }
    }
}

/// The text of a file that may be compressed.
///
/// # Errors
/// Where it cannot be opened.
pub fn open(path: &Path) -> io::Result<Box<dyn BufRead + Send>> {
    let mut file = BufReader::with_capacity(BUFFER, File::open(path)?);
    let start = file.fill_buf()?;
    let text: Box<dyn Read + Send> = if start.starts_with(&GZIP) {
        Box::new(MultiGzDecoder::new(file))
    } else if start.starts_with(&ZSTD) {
        Box::new(zstd::Decoder::with_buffer(file)?)
    } else {
        return Ok(Box::new(file));
    };
    Ok(Box::new(BufReader::with_capacity(BUFFER, text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r63_pieces_are_read_as_one_text_however_they_are_compressed_and_called() {
        for packing in [None, Some(Packing::Gzip), Some(Packing::Zstd)] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("log.gz");
            let pieces = ["one\n", "two\n"].map(|text| packed(text.into(), packing).unwrap());
            std::fs::write(&path, pieces.concat()).unwrap();
            let mut text = String::new();
            open(&path).unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, "one\ntwo\n");
            if packing.is_some() {
                // Cut off within the second piece.
                let cut = pieces.concat().len() - 3;
                std::fs::write(&path, &pieces.concat()[..cut]).unwrap();
                let read = open(&path).unwrap().read_to_string(&mut text);
                assert!(read.is_err(), "{packing:?}");
            }
        }
    }
}
