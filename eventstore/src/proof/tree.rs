//! The tree: kept in tiles of 256 hashes, proved from them, and computed again by whoever has all the leaves.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use tlog_tiles::tile::Tile;
use tlog_tiles::tlog::{self, HashReader};

/// A hash of the tree.
pub type Hash = [u8; 32];

/// The height of a tile; it holds two to the power of it.
const HEIGHT: u8 = 8;
const WIDTH: usize = 1 << HEIGHT;
const HASH: usize = 32;

/// How far the tree reaches, and its root there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeHead {
    /// The number of events it holds: the first so many positions.
    pub size: u64,
    /// Its root.
    pub root: Hash,
}

/// A tree that is computed leaf by leaf, in memory that grows with the logarithm of its size.
#[derive(Clone, Debug, Default)]
pub struct RunningTree {
    size: u64,
    /// The roots of the full subtrees, the largest first.
    roots: Vec<Hash>,
}

impl RunningTree {
    /// Adds a leaf.
    pub fn push(&mut self, leaf: Hash) {
        let mut node = tlog::Hash(leaf);
        // Each trailing one of the size is a full subtree that the new one completes.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.roots.pop() {
                node = tlog::node_hash(tlog::Hash(left), node);
            }
        }
        self.roots.push(node.0);
        self.size += 1;
    }

    /// How many leaves were added.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The tree as it is now.
    #[must_use]
    pub fn head(&self) -> TreeHead {
        let mut roots = self.roots.iter().rev().map(|root| tlog::Hash(*root));
        let root = match roots.next() {
            None => tlog::EMPTY_HASH,
            Some(last) => roots.fold(last, |right, left| tlog::node_hash(left, right)),
        };
        TreeHead {
            size: self.size,
            root: root.0,
        }
    }
}

/// Whether a proof shows that the tree holds a leaf at a position.
#[must_use]
pub fn included(proof: &[Hash], head: &TreeHead, position: u64, leaf: &Hash) -> bool {
    let proof = proof.iter().copied().map(tlog::Hash).collect();
    let Some(index) = position.checked_sub(1).filter(|index| *index < head.size) else {
        return false;
    };
    let (root, leaf) = (tlog::Hash(head.root), tlog::Hash(*leaf));
    tlog::check_record(&proof, head.size, root, index, leaf).is_ok()
}

/// Whether a proof shows that a tree goes on from an older one without changing it.
#[must_use]
pub fn consistent(proof: &[Hash], older: &TreeHead, head: &TreeHead) -> bool {
    let proof = proof.iter().copied().map(tlog::Hash).collect();
    let (old, new) = (tlog::Hash(older.root), tlog::Hash(head.root));
    (1..=head.size).contains(&older.size)
        && tlog::check_tree(&proof, head.size, new, older.size, old).is_ok()
}

/// The name of a tile: its level and its number there.
pub(crate) type TileName = (u8, u64);

/// Where the tree grows: of each level the tile that is not full.
#[derive(Clone, Debug, Default)]
pub(crate) struct Frontier {
    size: u64,
    partial: Vec<Vec<u8>>,
}

/// What is to be stored for the tree to be larger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Growth {
    /// The size it had.
    pub(crate) from: u64,
    pub(crate) to: TreeHead,
    /// Tiles that are new or longer than before.
    pub(crate) tiles: BTreeMap<TileName, Vec<u8>>,
}

impl Frontier {
    /// The root of the tree of nothing.
    pub(crate) const EMPTY: Hash = tlog::EMPTY_HASH.0;

    /// The tiles that a frontier is made of, which hold something.
    pub(crate) fn names(size: u64) -> Vec<TileName> {
        levels(size)
            .filter(|level| width(size, *level) > 0)
            .map(|level| (level, at(size, level) >> HEIGHT))
            .collect()
    }

    /// The frontier of a tree of this size out of its tiles; `None` where they are not whole.
    pub(crate) fn new(size: u64, mut tiles: BTreeMap<TileName, Vec<u8>>) -> Option<Self> {
        let mut partial = vec![Vec::new(); levels(size).count()];
        for (level, number) in Self::names(size) {
            let mut hashes = tiles.remove(&(level, number))?;
            let length = width(size, level) * HASH;
            if hashes.len() < length {
                return None;
            }
            hashes.truncate(length);
            *partial.get_mut(usize::from(level))? = hashes;
        }
        Some(Self { size, partial })
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Adds leaves; `None` where the tiles it stands on do not fit together.
    pub(crate) fn grow(&mut self, leaves: &[Hash]) -> Option<Growth> {
        let from = self.size;
        let mut tiles = BTreeMap::new();
        for leaf in leaves {
            self.push(*leaf, &mut tiles);
        }
        let grown = |level: &u8| at(from, *level) != at(self.size, *level);
        for level in levels(self.size).filter(grown) {
            let hashes = self.partial.get(usize::from(level))?;
            if !hashes.is_empty() {
                tiles.insert((level, at(self.size, level) >> HEIGHT), hashes.clone());
            }
        }
        let to = TreeHead {
            size: self.size,
            root: tlog::tree_hash(self.size, self).ok()?.0,
        };
        Some(Growth { from, to, tiles })
    }

    fn push(&mut self, leaf: Hash, full: &mut BTreeMap<TileName, Vec<u8>>) {
        self.size += 1;
        let mut hash = leaf;
        for level in 0_u8.. {
            let index = usize::from(level);
            if self.partial.len() <= index {
                self.partial.push(Vec::new());
            }
            let tile = &mut self.partial[index];
            tile.extend(hash);
            if tile.len() < WIDTH * HASH {
                break;
            }
            let hashes = std::mem::take(tile);
            hash = Tile::subtree_hash(&hashes).0;
            full.insert((level, (at(self.size, level) >> HEIGHT) - 1), hashes);
        }
    }
}

impl HashReader for Frontier {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog::Hash>, tlog::Error> {
        let read = |index: &u64| {
            let tile = Tile::from_index(HEIGHT, *index);
            let hashes = self.partial.get(usize::from(tile.level()));
            tile.hash_at_index(hashes.ok_or(tlog::Error::IndexesNotInTree)?, *index)
        };
        indexes.iter().map(read).collect()
    }
}

/// How many full tiles' worth of subtrees a level has.
fn at(size: u64, level: u8) -> u64 {
    size.checked_shr(u32::from(HEIGHT) * u32::from(level))
        .unwrap_or(0)
}

fn levels(size: u64) -> impl Iterator<Item = u8> {
    (0..8).take_while(move |level| at(size, *level) > 0)
}

/// How many hashes the last tile of a level has, where it is not full.
fn width(size: u64, level: u8) -> usize {
    // Less than a tile is wide.
    usize::try_from(at(size, level) % (1 << HEIGHT)).unwrap_or(0)
}

/// The nodes of a stored tree: asked once for what is needed, and once more when that was fetched.
#[derive(Debug, Default)]
pub(crate) struct Nodes {
    tiles: BTreeMap<TileName, Vec<u8>>,
    missing: RefCell<BTreeSet<TileName>>,
}

impl Nodes {
    /// The tiles that a question needed and that are not here.
    pub(crate) fn missing(&self) -> Vec<TileName> {
        self.missing.take().into_iter().collect()
    }

    pub(crate) fn add(&mut self, tiles: BTreeMap<TileName, Vec<u8>>) {
        self.tiles.extend(tiles);
    }

    /// The audit path of a position in the tree of this size.
    pub(crate) fn inclusion(&self, size: u64, position: u64) -> Option<Vec<Hash>> {
        plain(tlog::prove_record(size, position.checked_sub(1)?, self))
    }

    /// The proof that the tree of one size goes on from that of another.
    pub(crate) fn consistency(&self, from: u64, to: u64) -> Option<Vec<Hash>> {
        plain(tlog::prove_tree(to, from, self))
    }

    /// The root that the tree had at a size.
    pub(crate) fn root(&self, size: u64) -> Option<Hash> {
        Some(tlog::tree_hash(size, self).ok()?.0)
    }
}

fn plain(proof: Result<Vec<tlog::Hash>, tlog::Error>) -> Option<Vec<Hash>> {
    Some(proof.ok()?.into_iter().map(|hash| hash.0).collect())
}

impl HashReader for Nodes {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog::Hash>, tlog::Error> {
        let tile = |index: &u64| Tile::from_index(HEIGHT, *index);
        for index in indexes {
            let name = (tile(index).level(), tile(index).level_index());
            if !self.tiles.contains_key(&name) {
                self.missing.borrow_mut().insert(name);
            }
        }
        let read = |index: &u64| {
            let tile = tile(index);
            let hashes = self.tiles.get(&(tile.level(), tile.level_index()));
            tile.hash_at_index(hashes.ok_or(tlog::Error::IndexesNotInTree)?, *index)
        };
        indexes.iter().map(read).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sha2::{Digest as _, Sha256};

    use super::*;

    fn leaf(number: u64) -> Hash {
        tlog::record_hash(&number.to_be_bytes()).0
    }

    /// RFC 6962, 2.1, word by word.
    fn root_of(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Sha256::digest(b"").into(),
            [leaf] => *leaf,
            leaves => {
                let left = leaves.len().next_power_of_two() / 2;
                let mut hash = Sha256::new_with_prefix([1]);
                hash.update(root_of(&leaves[..left]));
                hash.update(root_of(&leaves[left..]));
                hash.finalize().into()
            }
        }
    }

    #[test]
    fn r63_a_tree_computed_leaf_by_leaf_has_the_root_of_the_rfc() {
        let mut tree = RunningTree::default();
        let mut leaves = Vec::new();
        for number in 0..600 {
            assert_eq!(tree.head().root, root_of(&leaves));
            tree.push(leaf(number));
            leaves.push(leaf(number));
        }
    }

    /// Everything that was stored, as a home has it.
    fn grown(steps: &[usize]) -> (BTreeMap<TileName, Vec<u8>>, Vec<TreeHead>) {
        let mut tiles = BTreeMap::new();
        let mut heads: Vec<TreeHead> = Vec::new();
        let mut number = 0;
        for step in steps {
            let size = heads.last().map_or(0, |head| head.size);
            // As after a restart: from what is stored alone.
            let mut frontier = Frontier::new(size, tiles.clone()).unwrap();
            let leaves: Vec<_> = (0..*step as u64).map(|more| leaf(number + more)).collect();
            number += *step as u64;
            let growth = frontier.grow(&leaves).unwrap();
            assert_eq!((growth.from, growth.to.size), (size, number));
            tiles.extend(growth.tiles);
            heads.push(growth.to);
        }
        (tiles, heads)
    }

    #[test]
    fn r63_a_tree_of_three_levels_of_tiles_proves_its_events() {
        let (tiles, heads) = grown(&[65_000, 900, 1]);
        let nodes = Nodes {
            tiles,
            ..Nodes::default()
        };
        let [older, _, head] = heads[..] else {
            panic!()
        };
        for position in [1, 256, 257, 65_000, 65_536, 65_537, 65_901] {
            let proof = nodes.inclusion(head.size, position).unwrap();
            assert!(included(&proof, &head, position, &leaf(position - 1)));
        }
        let proof = nodes.consistency(older.size, head.size).unwrap();
        assert!(consistent(&proof, &older, &head));
        assert_eq!(nodes.root(older.size), Some(older.root));
        assert!(nodes.missing().is_empty());
    }

    #[test]
    fn r63_what_is_missing_is_asked_for_once() {
        let (tiles, heads) = grown(&[700]);
        let mut nodes = Nodes::default();
        assert!(nodes.inclusion(700, 5).is_none());
        let missing = nodes.missing();
        assert!(!missing.is_empty() && nodes.missing().is_empty());
        let wanted = |name: &TileName| missing.contains(name);
        nodes.add(tiles.into_iter().filter(|(name, _)| wanted(name)).collect());
        let proof = nodes.inclusion(700, 5).unwrap();
        assert!(included(&proof, &heads[0], 5, &leaf(4)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        #[test]
        fn r63_however_it_grew_a_tree_proves_every_event_and_every_earlier_size(
            steps in prop::collection::vec(1_usize..300, 1..6),
        ) {
            let (tiles, heads) = grown(&steps);
            let nodes = Nodes { tiles, ..Nodes::default() };
            let head = *heads.last().unwrap();
            let leaves: Vec<_> = (0..head.size).map(leaf).collect();
            prop_assert_eq!(head.root, root_of(&leaves));
            for position in 1..=head.size {
                let proof = nodes.inclusion(head.size, position).unwrap();
                prop_assert!(included(&proof, &head, position, &leaf(position - 1)));
                prop_assert!(!included(&proof, &head, position, &leaf(position)));
                prop_assert!(!included(&proof, &head, position % head.size + 1, &leaf(position - 1)) || head.size == 1);
            }
            for older in &heads {
                let proof = nodes.consistency(older.size, head.size).unwrap();
                prop_assert!(consistent(&proof, older, &head));
                let other = TreeHead { root: leaf(7), ..*older };
                prop_assert!(!consistent(&proof, &other, &head));
            }
        }
    }
}
