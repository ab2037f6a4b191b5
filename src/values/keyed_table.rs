//! A map in the order of its keys, of which an earlier version costs next to nothing to keep, and which quickly finds
//! the differences: versions share all that is the same.

use std::{
    borrow::Borrow, collections::BTreeMap, fmt, iter::FusedIterator, ops::Index, rc::Rc, slice,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Entries of one run at most: a change copies one run, and a comparison looks at one pointer for each run that is the
/// same.
const LONGEST: usize = 64;

/// Entries in a row, never none.
type Run<K, V> = Vec<(K, V)>;

/// A map as [`BTreeMap`] is one, with copies that share what they have in common. A copy costs one pointer, a change one run
/// of entries and the list of runs; [`changes`](Self::changes) skips what two versions share.
pub struct KeyedTable<K, V> {
    runs: Rc<Vec<Rc<Run<K, V>>>>,
    length: usize,
}

/// A key at which two versions differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableChange<'a, K, V> {
    /// The key.
    pub key: &'a K,
    /// The value before; none where the key was not there.
    pub before: Option<&'a V>,
    /// The value now; none where the key is not there any more.
    pub now: Option<&'a V>,
}

impl<K, V> KeyedTable<K, V> {
    /// Number of entries.
    pub fn len(&self) -> usize {
        self.length
    }

    /// True if there are no entries.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// True if this is a copy in which nothing was changed. Two tables with the same entries need not be copies.
    pub fn is_copy_of(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.runs, &other.runs) || self.is_empty() && other.is_empty()
    }

    /// The entries in the order of their keys.
    pub fn iter(&self) -> Entries<'_, K, V> {
        Entries {
            runs: self.runs.iter(),
            run: [].iter(),
            left: self.length,
        }
    }

    /// The keys in order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &K> + Clone {
        self.iter().map(|(key, _)| key)
    }

    /// The values in the order of their keys.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &V> + Clone {
        self.iter().map(|(_, value)| value)
    }
}

impl<K: Ord, V> KeyedTable<K, V> {
    /// The value of a key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.get_key_value(key).map(|(_, value)| value)
    }

    /// A key as it is in the table, and its value.
    pub fn get_key_value<Q: Ord + ?Sized>(&self, key: &Q) -> Option<(&K, &V)>
    where
        K: Borrow<Q>,
    {
        let run = self.runs.get(self.run_of(key))?;
        let at = place_in(run, key).ok()?;
        run.get(at).map(|(key, value)| (key, value))
    }

    /// True if there is such a key.
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.get_key_value(key).is_some()
    }

    /// The differences from an earlier version, in the order of the keys. Entries that both share are skipped without a
    /// look.
    pub fn changes<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = TableChange<'a, K, V>>
    where
        V: PartialEq,
    {
        let same = self.is_copy_of(before);
        Changes {
            before: Cursor::at(if same { &[] } else { &before.runs }),
            now: Cursor::at(if same { &[] } else { &self.runs }),
        }
    }

    /// The run in which a key is or would be; 0 where there is none.
    fn run_of<Q: Ord + ?Sized>(&self, key: &Q) -> usize
    where
        K: Borrow<Q>,
    {
        let begin_before = |run: &Rc<Run<K, V>>| {
            let first = run.first();
            first.is_some_and(|(first, _)| first.borrow() <= key)
        };
        self.runs.partition_point(begin_before).saturating_sub(1)
    }
}

/// Where a key is in a run, or would be.
fn place_in<K: Borrow<Q>, V, Q: Ord + ?Sized>(run: &Run<K, V>, key: &Q) -> Result<usize, usize> {
    run.binary_search_by(|(known, _)| known.borrow().cmp(key))
}

impl<K: Ord + Clone, V: Clone> KeyedTable<K, V> {
    /// Sets the value of a key; returns what it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let at = self.run_of(&key);
        let runs = Rc::make_mut(&mut self.runs);
        let Some(run) = runs.get_mut(at) else {
            runs.push(Rc::new(vec![(key, value)]));
            self.length += 1;
            return None;
        };
        let run = Rc::make_mut(run);
        match place_in(run, &key) {
            Ok(place) => {
                let entry = run.get_mut(place)?;
                return Some(std::mem::replace(&mut entry.1, value));
            }
            Err(place) => run.insert(place, (key, value)),
        }
        self.length += 1;
        if run.len() > LONGEST {
            // Those that come in order leave full runs behind.
            let keep = if at + 1 == runs.len() {
                LONGEST
            } else {
                LONGEST / 2
            };
            self.split(at, keep);
        }
        None
    }

    fn split(&mut self, at: usize, keep: usize) {
        let runs = Rc::make_mut(&mut self.runs);
        if let Some(run) = runs.get_mut(at) {
            let rest = Rc::make_mut(run).split_off(keep);
            runs.insert(at + 1, Rc::new(rest));
        }
    }

    /// Takes an entry out; returns what its value was.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let at = self.run_of(key);
        let place = place_in(self.runs.get(at)?, key).ok()?;
        let runs = Rc::make_mut(&mut self.runs);
        let run = Rc::make_mut(runs.get_mut(at)?);
        let (_, value) = run.remove(place);
        self.length -= 1;
        if run.is_empty() {
            runs.remove(at);
        }
        Some(value)
    }

    /// The value of a key, to be changed.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let at = self.run_of(key);
        let place = place_in(self.runs.get(at)?, key).ok()?;
        let run = Rc::make_mut(Rc::make_mut(&mut self.runs).get_mut(at)?);
        run.get_mut(place).map(|(_, value)| value)
    }

    /// Has at these keys what `other` has there, and what it has beyond. What is equal stays as it is, so that it goes on being
    /// shared.
    pub fn take_over<'k>(&mut self, other: &Self, keys: impl IntoIterator<Item = &'k K>)
    where
        K: 'k,
        V: PartialEq,
    {
        for key in keys {
            if !other.contains_key(key) {
                self.remove(key);
            }
        }
        for (key, value) in other {
            if self.get(key) != Some(value) {
                self.insert(key.clone(), value.clone());
            }
        }
    }

    /// All values, to be changed: nothing is shared afterwards.
    #[cfg(test)]
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        let runs = Rc::make_mut(&mut self.runs).iter_mut();
        runs.flat_map(|run| Rc::make_mut(run).iter_mut().map(|(_, value)| value))
    }

    /// Keeps those entries alone that this says yes to. Runs of which all are kept stay as they are.
    pub fn retain(&mut self, mut is_kept: impl FnMut(&K, &V) -> bool) {
        let gone: Vec<K> = self
            .iter()
            .filter(|(key, value)| !is_kept(key, value))
            .map(|(key, _)| key.clone())
            .collect();
        for key in gone {
            self.remove(&key);
        }
    }
}

/// The entries of a table in the order of their keys.
pub struct Entries<'a, K, V> {
    runs: slice::Iter<'a, Rc<Run<K, V>>>,
    run: slice::Iter<'a, (K, V)>,
    left: usize,
}

impl<K, V> Clone for Entries<'_, K, V> {
    fn clone(&self) -> Self {
        Self {
            runs: self.runs.clone(),
            run: self.run.clone(),
            left: self.left,
        }
    }
}

impl<'a, K, V> Iterator for Entries<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((key, value)) = self.run.next() {
                self.left -= 1;
                return Some((key, value));
            }
            self.run = self.runs.next()?.iter();
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<K, V> ExactSizeIterator for Entries<'_, K, V> {}
impl<K, V> FusedIterator for Entries<'_, K, V> {}

/// A place in a table, of which the run is known.
struct Cursor<'a, K, V> {
    runs: &'a [Rc<Run<K, V>>],
    /// In the first of them.
    at: usize,
}

impl<'a, K, V> Cursor<'a, K, V> {
    fn at(runs: &'a [Rc<Run<K, V>>]) -> Self {
        Self { runs, at: 0 }
    }

    fn entry(&self) -> Option<&'a (K, V)> {
        self.runs.first()?.get(self.at)
    }

    /// The run, where none of it was looked at yet.
    fn untouched(&self) -> Option<&'a Rc<Run<K, V>>> {
        self.runs.first().filter(|_| self.at == 0)
    }

    fn advance(&mut self) {
        self.at += 1;
        if self.runs.first().is_some_and(|run| run.len() <= self.at) {
            self.skip();
        }
    }

    fn skip(&mut self) {
        self.at = 0;
        self.runs = self.runs.get(1..).unwrap_or_default();
    }
}

struct Changes<'a, K, V> {
    before: Cursor<'a, K, V>,
    now: Cursor<'a, K, V>,
}

impl<'a, K: Ord, V: PartialEq> Iterator for Changes<'a, K, V> {
    type Item = TableChange<'a, K, V>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let (Some(before), Some(now)) = (self.before.untouched(), self.now.untouched())
                && Rc::ptr_eq(before, now)
            {
                self.before.skip();
                self.now.skip();
                continue;
            }
            let (before, now) = match (self.before.entry(), self.now.entry()) {
                (None, None) => return None,
                (Some(before), Some(now)) if before.0 < now.0 => (Some(before), None),
                (Some(before), Some(now)) if now.0 < before.0 => (None, Some(now)),
                each => each,
            };
            before.inspect(|_| self.before.advance());
            now.inspect(|_| self.now.advance());
            if let (Some(before), Some(now)) = (before, now)
                && before.1 == now.1
            {
                continue;
            }
            let (key, _) = before.or(now)?;
            return Some(TableChange {
                key,
                before: before.map(|(_, value)| value),
                now: now.map(|(_, value)| value),
            });
        }
    }
}

impl<K, V> Clone for KeyedTable<K, V> {
    fn clone(&self) -> Self {
        Self {
            runs: Rc::clone(&self.runs),
            length: self.length,
        }
    }
}

impl<K, V> Default for KeyedTable<K, V> {
    fn default() -> Self {
        Self {
            runs: Rc::default(),
            length: 0,
        }
    }
}

impl<K: Ord, V: PartialEq> PartialEq for KeyedTable<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.length == other.length && self.changes(other).next().is_none()
    }
}

impl<K: Ord, V: Eq> Eq for KeyedTable<K, V> {}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for KeyedTable<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<Q: Ord + ?Sized, K: Ord + Borrow<Q>, V> Index<&Q> for KeyedTable<K, V> {
    type Output = V;

    /// # Panics
    /// Where there is no such key.
    fn index(&self, key: &Q) -> &V {
        self.get(key).expect("there is such a key")
    }
}

impl<K: Ord + Clone, V: Clone> Extend<(K, V)> for KeyedTable<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}

impl<K: Ord, V> From<BTreeMap<K, V>> for KeyedTable<K, V> {
    fn from(map: BTreeMap<K, V>) -> Self {
        let length = map.len();
        let mut entries = map.into_iter();
        let mut runs = Vec::with_capacity(length.div_ceil(LONGEST));
        for begin in (0..length).step_by(LONGEST) {
            let mut run = Vec::with_capacity(LONGEST.min(length - begin));
            run.extend(entries.by_ref().take(LONGEST));
            runs.push(Rc::new(run));
        }
        Self {
            runs: Rc::new(runs),
            length,
        }
    }
}

impl<K: Ord, V, const N: usize> From<[(K, V); N]> for KeyedTable<K, V> {
    fn from(entries: [(K, V); N]) -> Self {
        BTreeMap::from(entries).into()
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for KeyedTable<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        BTreeMap::from_iter(entries).into()
    }
}

impl<'a, K, V> IntoIterator for &'a KeyedTable<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = Entries<'a, K, V>;

    fn into_iter(self) -> Entries<'a, K, V> {
        self.iter()
    }
}

impl<K: Serialize, V: Serialize> Serialize for KeyedTable<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self)
    }
}

impl<'de, K: Deserialize<'de> + Ord, V: Deserialize<'de>> Deserialize<'de> for KeyedTable<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BTreeMap::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// Every table holds what a map holds, run by run.
    fn is_sound(table: &KeyedTable<u16, u8>, map: &BTreeMap<u16, u8>) -> Result<(), TestCaseError> {
        prop_assert!(table.iter().eq(map));
        prop_assert_eq!(table.len(), map.len());
        prop_assert!(
            table
                .runs
                .iter()
                .all(|run| (1..=LONGEST).contains(&run.len()))
        );
        Ok(())
    }

    proptest! {
        #![proptest_config(crate::values::chance::fixed(500))]
        #[test]
        fn it_is_a_map_and_tells_what_is_different_from_any_earlier_version(
            first in vec((0u16..600, 0u8..4), 0..500),
            steps in vec((0u16..600, proptest::option::of(0u8..4)), 0..60),
        ) {
            let before: BTreeMap<u16, u8> = first.into_iter().collect();
            let (mut map, earlier) = (before.clone(), KeyedTable::from(before.clone()));
            let mut table = earlier.clone();
            for (key, value) in steps {
                match value {
                    Some(value) => prop_assert_eq!(table.insert(key, value), map.insert(key, value)),
                    None => prop_assert_eq!(table.remove(&key), map.remove(&key)),
                }
                prop_assert_eq!(table.get(&key), map.get(&key));
            }
            is_sound(&table, &map)?;
            is_sound(&earlier, &before)?;
            let told: Vec<_> = table
                .changes(&earlier)
                .map(|change| (*change.key, change.before.copied(), change.now.copied()))
                .collect();
            let all: Vec<_> = (0..600)
                .map(|key| (key, before.get(&key).copied(), map.get(&key).copied()))
                .filter(|(_, before, now)| before != now)
                .collect();
            prop_assert_eq!(told, all);
            prop_assert_eq!(table == earlier, map == before);
            prop_assert_eq!(&table, &map.iter().map(|(key, value)| (*key, *value)).collect());
            table.retain(|key, _| key % 3 == 0);
            map.retain(|key, _| key % 3 == 0);
            is_sound(&table, &map)?;
        }
    }

    #[test]
    fn a_change_leaves_all_but_one_run_shared() {
        let before: KeyedTable<u32, u8> = (0..10_000).map(|key| (key, 0)).collect();
        let mut now = before.clone();
        assert!(now.is_copy_of(&before));
        *now.get_mut(&5000).expect("it is there") = 1;
        let pairs = before.runs.iter().zip(&*now.runs);
        let others = pairs.filter(|(before, now)| !Rc::ptr_eq(before, now));
        assert_eq!((before.runs.len(), others.count()), (157, 1));
        let changes: Vec<_> = now.changes(&before).collect();
        let (before, now) = (Some(&0), Some(&1));
        assert_eq!(
            changes,
            [TableChange {
                key: &5000,
                before,
                now
            }]
        );
    }

    #[test]
    fn it_is_written_and_read_as_a_map() {
        let table: KeyedTable<String, u8> = [("b".to_owned(), 2), ("a".to_owned(), 1)].into();
        let text = serde_json::to_string(&table).expect("text");
        assert_eq!(text, r#"{"a":1,"b":2}"#);
        let read: KeyedTable<String, u8> = serde_json::from_str(&text).expect("a map");
        assert_eq!(read, table);
    }
}
