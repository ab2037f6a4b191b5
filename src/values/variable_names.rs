use std::fmt;

/// Which variables of environments may be seen: by their names, in which `*` stands for any characters. It has to say more
/// than `*`, since among all variables there are always secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VariableNames(Vec<String>);

impl VariableNames {
    /// Reads names and patterns, separated by commas or blanks.
    ///
    /// # Errors
    /// What is wrong with one of them, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let words = text
            .split([',', ' ', '\t', '\n', '\r'])
            .filter(|word| !word.is_empty());
        let mut names = Vec::new();
        for word in words {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "_*".contains(c);
            if !word.chars().all(is_plain) {
                return Err(format!(
                    "{word:?} is not the name of a variable; such a name has letters, digits, _ and *"
                ));
            }
            if word.bytes().all(|byte| byte == b'*') {
                let problem = "* alone would show every variable, secrets too; name those that templates need";
                return Err(problem.to_owned());
            }
            names.push(word.to_owned());
        }
        Ok(Self(names))
    }

    /// True if the variable of this name may be seen. Case counts, as it does in environments.
    pub fn have(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| fits(pattern, name))
    }
}

impl fmt::Display for VariableNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

/// True if a name fits a pattern.
fn fits(pattern: &str, name: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let Some(last) = pieces.next_back() else {
        return rest.is_empty();
    };
    for piece in pieces {
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_variables_that_are_named_are_seen() {
        let names = VariableNames::parse("PORT, PUBLIC_* A*B*C").expect("they are names");
        for (name, is_seen) in [
            ("PORT", true),
            ("PORTS", false),
            ("port", false),
            ("PUBLIC_", true),
            ("PUBLIC_URL", true),
            ("MY_PUBLIC_URL", false),
            ("AxBxC", true),
            ("ABC", true),
            ("AC", false),
            ("ABCD", false),
            ("", false),
        ] {
            assert_eq!(names.have(name), is_seen, "{name}");
        }
        assert!(!VariableNames::default().have("PORT"));
        assert!(!VariableNames::parse("").expect("it is empty").have(""));
    }

    #[test]
    fn one_pattern_for_everything_is_refused() {
        for (text, problem) in [
            ("*", "* alone"),
            ("PORT **", "* alone"),
            ("A-B", "\"A-B\" is not the name of a variable"),
            ("$X", "\"$X\" is not the name of a variable"),
        ] {
            let told = VariableNames::parse(text).expect_err("it is refused");
            assert!(told.contains(problem), "{told}");
        }
    }
}
