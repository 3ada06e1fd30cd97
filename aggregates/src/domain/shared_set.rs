//! A sorted set that is cheap to copy: copies share what neither has changed.
//!
//! A command copies the aggregate that it decides on, and some sets of a user grow to hundreds of thousands. Keys stand in
//! sorted chunks; a change copies one chunk and the list of chunks, and what changed between two copies is found by looking
//! at the chunks that they do not share.

use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How many keys a chunk has at most.
const CHUNK: usize = 256;

type Chunk<K> = Arc<Vec<K>>;

/// A sorted set that is cheap to copy.
#[derive(Clone)]
pub struct SharedSet<K> {
    /// None of them is empty; each begins above where the one before ends.
    chunks: Arc<Vec<Chunk<K>>>,
}

impl<K> SharedSet<K> {
    /// How many keys it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.len()).sum()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// The keys, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = &K> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }
}

impl<K: Ord> SharedSet<K> {
    /// Whether it has this key.
    #[must_use]
    pub fn contains(&self, key: &K) -> bool {
        self.find(key).is_some_and(|(_, place)| place.is_ok())
    }

    /// The keys that the other has not. Takes as long as there are keys in chunks that the two do not share.
    pub fn difference<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a K> {
        let shared: HashSet<*const Vec<K>> = other.chunks.iter().map(Arc::as_ptr).collect();
        self.chunks
            .iter()
            .filter(move |chunk| !shared.contains(&Arc::as_ptr(chunk)))
            .flat_map(|chunk| chunk.iter())
            .filter(|key| !other.contains(key))
    }

    /// The chunk that a key belongs to, and its place there or where it would stand; nothing where there is no chunk.
    fn find(&self, key: &K) -> Option<(usize, Result<usize, usize>)> {
        let above = self
            .chunks
            .partition_point(|chunk| chunk.first().is_some_and(|first| first <= key));
        let index = above.saturating_sub(1);
        Some((index, self.chunks.get(index)?.binary_search(key)))
    }
}

impl<K: Ord + Clone> SharedSet<K> {
    /// Adds a key; answers whether it is new.
    pub fn insert(&mut self, key: K) -> bool {
        let (index, place) = match self.find(&key) {
            Some((_, Ok(_))) => return false,
            Some((index, Err(place))) => (index, place),
            None => {
                Arc::make_mut(&mut self.chunks).push(Arc::new(vec![key]));
                return true;
            }
        };
        let chunks = Arc::make_mut(&mut self.chunks);
        let chunk = Arc::make_mut(&mut chunks[index]);
        let last = place == chunk.len();
        chunk.insert(place, key);
        if chunk.len() > CHUNK {
            // Keys that come in their order fill chunk after chunk.
            let rest = chunk.split_off(if last { CHUNK } else { CHUNK / 2 });
            chunks.insert(index + 1, Arc::new(rest));
        }
        true
    }

    /// Adds a key that is most likely the largest.
    fn push(&mut self, key: K) {
        let largest = self.chunks.last().and_then(|chunk| chunk.last());
        if largest.is_some_and(|largest| *largest >= key) {
            self.insert(key);
            return;
        }
        let chunks = Arc::make_mut(&mut self.chunks);
        if let Some(chunk) = chunks.last_mut().filter(|chunk| chunk.len() < CHUNK) {
            Arc::make_mut(chunk).push(key);
        } else {
            let mut chunk = Vec::with_capacity(CHUNK);
            chunk.push(key);
            chunks.push(Arc::new(chunk));
        }
    }

    /// Removes a key; answers whether it was there.
    pub fn remove(&mut self, key: &K) -> bool {
        let Some((index, Ok(place))) = self.find(key) else {
            return false;
        };
        let chunks = Arc::make_mut(&mut self.chunks);
        let chunk = Arc::make_mut(&mut chunks[index]);
        chunk.remove(place);
        if chunk.is_empty() {
            chunks.remove(index);
        } else {
            join(chunks, index);
            join(chunks, index.saturating_sub(1));
        }
        true
    }
}

/// Makes one chunk of a chunk and the next where both have few keys.
fn join<K: Clone>(chunks: &mut Vec<Chunk<K>>, index: usize) {
    let few = |pair: &[Chunk<K>]| pair[0].len() + pair[1].len() <= CHUNK / 2;
    if chunks.get(index..index + 2).is_some_and(few) {
        let next = chunks.remove(index + 1);
        Arc::make_mut(&mut chunks[index]).extend(next.iter().cloned());
    }
}

impl<K> Default for SharedSet<K> {
    fn default() -> Self {
        Self {
            chunks: Arc::default(),
        }
    }
}

impl<K: Ord + Clone> FromIterator<K> for SharedSet<K> {
    fn from_iter<I: IntoIterator<Item = K>>(keys: I) -> Self {
        let mut set = Self::default();
        for key in keys {
            set.push(key);
        }
        set
    }
}

impl<K: PartialEq> PartialEq for SharedSet<K> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.chunks, &other.chunks) || self.iter().eq(other.iter())
    }
}

impl<K: Eq> Eq for SharedSet<K> {}

impl<K: fmt::Debug> fmt::Debug for SharedSet<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl<K: Serialize> Serialize for SharedSet<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Some forms need to be told how many there are.
        let keys: Vec<&K> = self.iter().collect();
        keys.serialize(serializer)
    }
}

impl<'de, K: Deserialize<'de> + Ord + Clone> Deserialize<'de> for SharedSet<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Keys(PhantomData))
    }
}

struct Keys<K>(PhantomData<K>);

impl<'de, K: Deserialize<'de> + Ord + Clone> Visitor<'de> for Keys<K> {
    type Value = SharedSet<K>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a set")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut keys: A) -> Result<Self::Value, A::Error> {
        let mut set = SharedSet::default();
        while let Some(key) = keys.next_element()? {
            set.push(key);
        }
        Ok(set)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn filled(keys: impl IntoIterator<Item = u32>) -> SharedSet<u32> {
        keys.into_iter().collect()
    }

    #[test]
    fn a_copy_that_is_changed_shares_all_chunks_but_one() {
        let before = filled(0..10_000);
        let mut after = before.clone();
        after.insert(20_000);
        after.remove(&0);
        let shared = after
            .chunks
            .iter()
            .filter(|chunk| before.chunks.iter().any(|other| Arc::ptr_eq(chunk, other)));
        assert_eq!(shared.count() + 2, before.chunks.len());
        assert_eq!(after.difference(&before).collect::<Vec<_>>(), [&20_000]);
        assert_eq!(before.difference(&after).collect::<Vec<_>>(), [&0]);
    }

    #[test]
    fn chunks_that_are_nearly_empty_are_joined() {
        let mut set = filled(0..10_000);
        for key in (0..10_000).filter(|key| key % 100 != 0) {
            set.remove(&key);
        }
        assert_eq!(set.len(), 100);
        assert!(set.chunks.len() < 10, "{}", set.chunks.len());
    }

    proptest! {
        #[test]
        fn it_is_a_set(changes in proptest::collection::vec((any::<bool>(), 0..2_000_u32), 0..3_000)) {
            let (mut set, mut model) = (SharedSet::default(), BTreeSet::new());
            let half = changes.len() / 2;
            let mut at_half = (set.clone(), model.clone());
            for (number, (add, key)) in changes.into_iter().enumerate() {
                if number == half {
                    at_half = (set.clone(), model.clone());
                }
                if add {
                    prop_assert_eq!(set.insert(key), model.insert(key));
                } else {
                    prop_assert_eq!(set.remove(&key), model.remove(&key));
                }
            }
            prop_assert!(set.iter().eq(model.iter()));
            prop_assert_eq!((set.len(), set.is_empty()), (model.len(), model.is_empty()));
            prop_assert!((0..2_000).all(|key| set.contains(&key) == model.contains(&key)));
            prop_assert!(at_half.0.iter().eq(at_half.1.iter()), "a copy does not change");
            prop_assert!(set.difference(&at_half.0).eq(model.difference(&at_half.1)));
            let text = serde_json::to_string(&set).unwrap();
            prop_assert_eq!(serde_json::from_str::<SharedSet<u32>>(&text).unwrap(), set);
        }
    }
}
