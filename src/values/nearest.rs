/// Of the words that are known, the one that is most like `word`; none where no one is like it.
pub fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let (distance, nearest) =
        known.map(|name| (strsim::damerau_levenshtein(name, word), name)).min_by_key(|(distance, _)| *distance)?;
    (distance <= 1 + nearest.len() / 3).then_some(nearest)
}
