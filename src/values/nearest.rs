/// Of the words that are known, the one that is most like `word`, if any is: what was meant by a slip of the finger.
pub fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let distance = |known: &str| strsim::damerau_levenshtein(known, word);
    known
        .into_iter()
        .min_by_key(|known| distance(known))
        .filter(|known| distance(known) <= 1 + known.len() / 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_understood_and_another_word_is_not() {
        for (word, expected) in [
            ("netwroks", Some("networks")),
            ("network", Some("networks")),
            ("idd", Some("id")),
            ("hosts", None),
        ] {
            assert_eq!(nearest(word, ["id", "networks"]), expected, "{word}");
        }
        assert_eq!(nearest("id", []), None);
    }
}
