/// The word that is most like another, if any is: what was meant by a slip of the finger.
pub fn nearest<'a>(words: impl IntoIterator<Item = &'a str>, other: &str) -> Option<&'a str> {
    let distance = |word: &str| strsim::damerau_levenshtein(word, other);
    words.into_iter().min_by_key(|word| distance(word)).filter(|word| distance(word) <= 1 + word.len() / 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_understood_and_another_word_is_not() {
        for (other, expected) in
            [("netwroks", Some("networks")), ("network", Some("networks")), ("idd", Some("id")), ("hosts", None)]
        {
            assert_eq!(nearest(["id", "networks"], other), expected, "{other}");
        }
        assert_eq!(nearest([], "id"), None);
    }
}
