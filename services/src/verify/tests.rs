//! Whatever is done to an export of 200 events, the position where it was done is named.

use rollbook_eventstore::proof::{CheckpointKey, TreeKeeper};
use rollbook_eventstore::{
    Append, Clock, Log, MasterKey, Metadata, NewEvent, ReadQuery, StreamAppend, StreamId, sqlite,
};
use serde_json::json;
use uuid::Uuid;

use super::*;

const EVENTS: u64 = 200;

/// A log as it was exported, and a checkpoint that an auditor kept from before.
struct Exported {
    log_id: Uuid,
    lines: Vec<Vec<u8>>,
    checkpoint: Checkpoint,
    kept: Checkpoint,
    /// One account of it, as its own auditor has it.
    account: Account,
}

struct Account {
    lines: Vec<Line>,
    checkpoint: Checkpoint,
    kept: Checkpoint,
}

/// Commits of one to three events of two accounts, with personal values and reasons, some of them erased.
async fn write(log: &Log) {
    let mut written = 0;
    for stream in 0_u64.. {
        let events = (1 + stream % 3).min(EVENTS - written);
        let event = |number: u64| NewEvent {
            event_type: "UserNoted".to_owned(),
            event_version: "1".to_owned(),
            payload: json!({"UserNoted": {
                "name": {"$personal": format!("Zoë \"{stream}\"\n")},
                "list": [number, null, true, {"a/b~c": "\u{1}ü"}],
            }}),
        };
        let append = Append {
            streams: vec![StreamAppend {
                stream: StreamId::new("user", format!("0190-{stream}")),
                account_id: ["acme", "umbra"][usize::from(stream % 5 == 0)].to_owned(),
                expected_revision: 0,
                events: (0..events).map(event).collect(),
                forget: stream % 7 == 0,
            }],
            metadata: Metadata {
                actor: "anna".to_owned(),
                service: "tests".to_owned(),
                reason: (stream % 4 == 0).then(|| "because".to_owned()),
                ..Metadata::default()
            },
            ..Append::default()
        };
        log.append(append).await.unwrap();
        written += events;
        if written == EVENTS {
            break;
        }
    }
}

async fn exported() -> Exported {
    let folder = tempfile::tempdir().unwrap();
    let opened = sqlite::open(folder.path(), MasterKey::generate(), Clock::system()).await;
    let log = opened.unwrap();
    write(&log).await;
    TreeKeeper::new(log.clone()).catch_up().await.unwrap();
    let head = log.tree(EVENTS).await.unwrap();
    let older = TreeHead {
        size: 120,
        root: log.tree_root(120).await.unwrap().unwrap(),
    };
    let key = CheckpointKey::parse(&log.checkpoint_key().unwrap()).unwrap();
    let signed = |head| key.open(&log.sign_checkpoint(head, None).unwrap()).unwrap();
    let everything = ReadQuery::default();
    let events = log.provable(&everything, u64::MAX, false).await.unwrap();
    let line = |event| write_line(log.id(), event, None).unwrap().into_bytes();
    let of_account = async |head: TreeHead| {
        let end = log.account_end("acme", head.size).await.unwrap();
        key.open(&log.sign_checkpoint(&head, Some(&end)).unwrap())
            .unwrap()
    };
    let own = events.iter().filter(|event| event.account_id == "acme");
    let positions: Vec<_> = own.clone().map(|event| event.position).collect();
    let proofs = log.inclusion_proofs(EVENTS, &positions).await.unwrap();
    let account = Account {
        lines: own
            .cloned()
            .zip(proofs)
            .map(|(event, proof)| Line::of(event, proof))
            .collect(),
        checkpoint: of_account(head).await,
        kept: of_account(older).await,
    };
    let exported = Exported {
        account,
        log_id: log.id(),
        lines: events.iter().map(line).collect(),
        checkpoint: signed(&head),
        kept: signed(&older),
    };
    log.close().await;
    exported
}

impl Exported {
    fn verifier(&self) -> Verifier {
        let kept = vec![self.kept.clone()];
        Verifier::new(Scope::Log, self.checkpoint.clone(), kept).unwrap()
    }

    fn feed(&self, verifier: &mut Verifier, line: &[u8]) -> Result<(), Fault> {
        let expected = verifier.expected();
        match line::read(self.log_id, line) {
            Ok(line) => verifier.check(&line),
            Err(what) => fault(expected, what),
        }
    }

    fn verify(&self, lines: &[Vec<u8>]) -> Result<(), Fault> {
        let mut verifier = self.verifier();
        for line in lines {
            self.feed(&mut verifier, line)?;
        }
        verifier.finish()
    }

    /// The event of a line.
    fn event(&self, index: usize) -> ProvableEvent {
        line::read(self.log_id, &self.lines[index]).unwrap().event
    }

    /// A line as an adversary writes it, who computes what follows from the change as well.
    fn forged(&self, mut event: ProvableEvent) -> Vec<u8> {
        event.leaf = Some(event.content().hash());
        write_line(self.log_id, &event, None).unwrap().into_bytes()
    }
}

#[tokio::test]
async fn r63_a_log_that_nobody_touched_is_found_to_be_true() {
    let log = exported().await;
    assert_eq!(log.lines.len(), 200);
    assert_eq!(log.verify(&log.lines), Ok(()));
    let text = std::io::Cursor::new(log.lines.join(&b'\n'));
    let mut verifier = log.verifier();
    for piece in Lines::read(log.log_id, Box::new(text)).unwrap() {
        for line in piece.lines {
            verifier.check(&line.unwrap()).unwrap();
        }
        assert!(piece.broken.is_none());
    }
    assert_eq!(verifier.finish(), Ok(()));
}

#[tokio::test]
async fn r63_no_byte_of_a_log_can_be_changed_and_its_position_is_named() {
    let log = exported().await;
    let mut verifier = log.verifier();
    let mut flips = 0;
    for (line, position) in log.lines.iter().zip(1_u64..) {
        for index in 0..line.len() {
            // One that makes another letter of a letter, and one that makes a capital of it.
            for flip in [0x01, 0x20] {
                let mut changed = line.clone();
                changed[index] ^= flip;
                let found = log.feed(&mut verifier.clone(), &changed);
                let text = String::from_utf8_lossy(&changed);
                let found = found.expect_err(&text);
                assert_eq!((found.position, found.up_to), (position, None), "{text}");
                flips += 1;
            }
        }
        log.feed(&mut verifier, line).unwrap();
    }
    assert!(flips > 200 * 2 * 400, "{flips}");
}

#[tokio::test]
async fn r63_events_cannot_be_swapped_removed_inserted_or_cut_off() {
    let log = exported().await;
    let named = |lines: &[Vec<u8>], position: usize, what: &str| {
        let found = log.verify(lines).expect_err(what);
        let named = (found.position, found.up_to);
        assert_eq!(named, (position as u64, None), "{what}: {found}");
    };
    for index in 0..log.lines.len() {
        let position = index + 1;
        let mut lines = log.lines.clone();
        lines.remove(index);
        named(&lines, position, "removed");
        let mut lines = log.lines.clone();
        lines.insert(index, log.lines[199 - index].clone());
        named(&lines, position, "inserted");
        let mut lines = log.lines.clone();
        lines.truncate(index);
        named(&lines, position, "cut off");
        let mut lines = log.lines.clone();
        lines.swap(index, (index + 7) % 200);
        named(&lines, position.min((index + 7) % 200 + 1), "swapped");
    }
}

#[tokio::test]
async fn r63_an_event_that_stands_at_anothers_place_is_named() {
    let log = exported().await;
    for index in 0..199 {
        // What two events say is swapped, where they stand is not: as with columns of a table.
        let (one, two) = (log.event(index), log.event(index + 1));
        let mut lines = log.lines.clone();
        for (place, from, to) in [(index, &two, &one), (index + 1, &one, &two)] {
            let moved = ProvableEvent {
                position: to.position,
                commit_position: to.commit_position,
                leaf: to.leaf,
                ..from.clone()
            };
            lines[place] = write_line(log.log_id, &moved, None).unwrap().into_bytes();
        }
        let found = log.verify(&lines).unwrap_err();
        assert_eq!(found.position, index as u64 + 1, "{found}");
    }
}

#[tokio::test]
async fn r63_an_event_with_another_time_is_named() {
    let log = exported().await;
    for index in 0..200 {
        for seconds in [-100_000, -1, 1, 100_000] {
            let mut event = log.event(index);
            event.recorded_at += chrono::TimeDelta::seconds(seconds);
            let mut lines = log.lines.clone();
            lines[index] = write_line(log.log_id, &event, None).unwrap().into_bytes();
            let found = log.verify(&lines).unwrap_err();
            assert_eq!(found.position, index as u64 + 1, "{found}");
        }
    }
}

#[tokio::test]
async fn r63_who_computes_every_hash_again_is_caught_between_two_checkpoints() {
    let log = exported().await;
    for index in [0, 5, 119, 120, 150, 199] {
        let mut event = log.event(index);
        event.payload = event.payload.replace("null", "false");
        let mut lines = log.lines.clone();
        lines[index] = log.forged(event);
        let found = log.verify(&lines).unwrap_err();
        let (first, last) = if index < 120 { (1, 120) } else { (121, 200) };
        assert_eq!(
            (found.position, found.up_to),
            (first, Some(last)),
            "{found}"
        );
    }
}

#[tokio::test]
async fn r63_a_log_that_is_shorter_or_another_than_what_was_kept_is_refused() {
    let log = exported().await;
    let shorter = Verifier::new(Scope::Log, log.kept.clone(), vec![log.checkpoint.clone()]);
    assert_eq!(shorter.unwrap_err().position, 121);
    let other = Checkpoint {
        log_id: Uuid::nil(),
        ..log.kept.clone()
    };
    let other = Verifier::new(Scope::Log, log.checkpoint.clone(), vec![other]);
    assert!(other.unwrap_err().what.contains("another log"));
}

#[tokio::test]
async fn r63_nothing_of_an_account_can_be_left_out_or_put_in() {
    let Account {
        lines,
        checkpoint,
        kept,
    } = exported().await.account;
    let verify = |lines: &[Line], checkpoint: &Checkpoint, kept: &Checkpoint| {
        let scope = Scope::Account("acme".to_owned());
        let mut verifier = Verifier::new(scope, checkpoint.clone(), vec![kept.clone()])?;
        lines.iter().try_for_each(|line| verifier.check(line))?;
        verifier.finish()
    };
    assert_eq!(verify(&lines, &checkpoint, &kept), Ok(()));
    for index in 0..lines.len() {
        let position = lines[index].event.position;
        let mut fewer = lines.clone();
        fewer.remove(index);
        let found = verify(&fewer, &checkpoint, &kept).unwrap_err();
        let next = match lines.get(index + 1) {
            Some(next) => next.event.position,
            None => lines[index - 1].event.position + 1,
        };
        assert_eq!(found.position, next, "{found}");
        // An event that was never in the tree, however well it was made.
        let mut other = lines.clone();
        other[index].event.event_type = "UserPraised".to_owned();
        let content = other[index].event.content().hash();
        other[index].event.leaf = Some(content);
        other[index].content = content;
        let found = verify(&other, &checkpoint, &kept).unwrap_err();
        assert_eq!(
            (found.position, found.what.as_str()),
            (position, "its proof does not lead to the checkpoint")
        );
    }
    // Who signs that the account has fewer events than they signed before is caught by what was kept.
    let end = kept.account.clone().unwrap();
    let mut shorter = checkpoint.clone();
    shorter.account = Some(end.clone());
    let mut longer = kept.clone();
    longer.account = checkpoint.account.clone();
    let there = usize::try_from(end.events).unwrap();
    let found = verify(&lines[..there], &shorter, &longer).unwrap_err();
    assert!(
        found.what.starts_with("missing: the account has"),
        "{found}"
    );
    // Or that another event was the last one then.
    let mut moved = kept.clone();
    moved.account = Some(rollbook_eventstore::proof::AccountEnd {
        last_leaf: [7; 32],
        ..end
    });
    let found = verify(&lines, &checkpoint, &moved).unwrap_err();
    assert_eq!(found.position, lines[there - 1].event.position);
}
