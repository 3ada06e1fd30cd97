//! The lines of an export, read ahead on all processors and handed on in the order they stand in.

use std::io::{self, BufRead, Read as _};
use std::mem;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, available_parallelism};

use memchr::memchr_iter;
use uuid::Uuid;

use super::line::{Line, read};

/// About how many bytes are read at a time.
const PIECE: u64 = 1024 * 1024;
/// How many pieces each thread may be ahead of whoever takes them.
const AHEAD: usize = 2;

/// The lines of an export.
#[derive(Debug)]
pub struct Lines {
    pieces: Receiver<Receiver<Piece>>,
}

/// Lines that stand one behind the other.
#[derive(Debug)]
pub struct Piece {
    /// What they are, or what is wrong with them.
    pub lines: Vec<Result<Line, &'static str>>,
    /// Why nothing can be read behind them.
    pub broken: Option<io::Error>,
}

impl Lines {
    /// Begins to read an export of a log.
    ///
    /// # Errors
    /// Where no thread can be had.
    pub fn read(log_id: Uuid, text: Box<dyn BufRead + Send>) -> io::Result<Self> {
        let threads = available_parallelism().map_or(1, usize::from);
        let (pieces, received) = sync_channel(threads * AHEAD);
        let source = Arc::new(Mutex::new(Source {
            text,
            over: false,
            pieces,
        }));
        for _ in 0..threads {
            let source = Arc::clone(&source);
            // They end with the text, or as soon as nobody takes their pieces any more.
            thread::Builder::new().spawn(move || {
                while let Some(taken) = take(&source) {
                    taken.read(log_id);
                }
            })?;
        }
        Ok(Self { pieces: received })
    }
}

impl Iterator for Lines {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        let piece = self.pieces.recv().ok()?;
        // A thread that panics takes its piece with it.
        Some(piece.recv().unwrap_or_else(|_| Piece {
            lines: Vec::new(),
            broken: Some(io::Error::other("the thread that read it has ended")),
        }))
    }
}

/// What the threads share.
struct Source {
    text: Box<dyn BufRead + Send>,
    over: bool,
    /// Where each piece will come from, in the order of the text.
    pieces: SyncSender<Receiver<Piece>>,
}

/// A part of the text that is to be read by whoever took it.
struct Taken {
    text: Vec<u8>,
    broken: Option<io::Error>,
    piece: SyncSender<Piece>,
}

fn take(source: &Mutex<Source>) -> Option<Taken> {
    // Where a thread panicked while it had the source, lines are missing now, which is found at the end.
    source.lock().ok()?.take()
}

impl Source {
    fn take(&mut self) -> Option<Taken> {
        if self.over {
            return None;
        }
        let mut text = Vec::new();
        let broken = self.fill(&mut text).err();
        self.over = text.is_empty() || broken.is_some();
        if broken.is_some() {
            // Of its last line nobody knows whether it is whole.
            let whole = text.iter().rposition(|byte| *byte == b'\n');
            text.truncate(whole.map_or(0, |end| end + 1));
        } else if text.is_empty() {
            return None;
        }
        let (piece, received) = sync_channel(1);
        self.pieces.send(received).ok()?;
        Some(Taken {
            text,
            broken,
            piece,
        })
    }

    fn fill(&mut self, text: &mut Vec<u8>) -> io::Result<()> {
        let read = self.text.by_ref().take(PIECE).read_to_end(text)?;
        if read as u64 == PIECE {
            self.text.read_until(b'\n', text)?;
        }
        Ok(())
    }
}

impl Taken {
    fn read(mut self, log_id: Uuid) {
        let lines = if self.text.is_empty() {
            Vec::new()
        } else {
            if self.text.last() == Some(&b'\n') {
                self.text.pop();
            }
            let mut begin = 0;
            let ends = memchr_iter(b'\n', &self.text).chain([self.text.len()]);
            let lines =
                ends.map(|end| read(log_id, &self.text[mem::replace(&mut begin, end + 1)..end]));
            lines.collect()
        };
        let broken = self.broken;
        // Nobody waits for it where something was wrong before.
        let _ = self.piece.send(Piece { lines, broken });
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    /// Gives its bytes a few at a time, and then fails.
    struct Failing<'a>(&'a [u8]);

    impl io::Read for Failing<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.read(buffer)? {
                0 => Err(io::Error::other("the disk is gone")),
                read => Ok(read),
            }
        }
    }

    fn pieces(text: impl BufRead + Send + 'static) -> (usize, Vec<String>) {
        let (mut lines, mut broken) = (0, Vec::new());
        for piece in Lines::read(Uuid::nil(), Box::new(text)).unwrap() {
            lines += piece.lines.len();
            broken.extend(piece.broken.map(|error| error.to_string()));
        }
        (lines, broken)
    }

    #[test]
    fn every_line_of_a_text_is_read_however_it_ends() {
        let long = "x".repeat(usize::try_from(PIECE).unwrap());
        let texts = [
            (String::new(), 0),
            ("\n".to_owned(), 1),
            ("one".to_owned(), 1),
            ("one\n\nthree\n".to_owned(), 3),
            (format!("{long}\ntwo\n{long}{long}\nfour"), 4),
            ("a line\n".repeat(200_000), 200_000),
        ];
        for (text, lines) in texts {
            assert_eq!(pieces(io::Cursor::new(text)), (lines, Vec::new()));
        }
    }

    #[test]
    fn lines_before_an_error_are_read_and_the_one_it_cut_is_not() {
        static TEXT: &str = "one\ntwo\nthr";
        let text = BufReader::new(Failing(TEXT.as_bytes()));
        assert_eq!(pieces(text), (2, vec!["the disk is gone".to_owned()]));
    }
}
