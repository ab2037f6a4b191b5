//! Which templates take part in a text: one, and those that it includes, as far as their own texts show.

use std::collections::{BTreeMap, BTreeSet};

/// The first words of tags that name other templates.
const NAMING: [&str; 4] = ["include", "import", "from", "extends"];

/// The words that may follow a name in such a tag.
const AFTER_A_NAME: [&str; 6] = ["ignore", "with", "without", "as", "import", "if"];

/// The templates that take part in what `root` renders, itself among them. Where a name is put together while it is
/// rendered, it may be that of any.
pub(super) fn taking_part<'t>(
    root: &'t str,
    texts: &BTreeMap<&'t str, &'t str>,
) -> BTreeSet<&'t str> {
    let mut found = BTreeSet::from([root]);
    let mut open = vec![root];
    while let Some(text) = open
        .pop()
        .map(|name| texts.get(name).copied().unwrap_or_default())
    {
        for named in naming(text) {
            let others = texts
                .keys()
                .filter(|name| is_computed(named) || names(named, name));
            open.extend(others.filter(|name| found.insert(name)));
        }
    }
    found
}

/// The text behind the first word of each tag that names other templates.
fn naming(text: &str) -> impl Iterator<Item = &str> {
    text.split("{%").skip(1).filter_map(|rest| {
        let tag = rest
            .split("%}")
            .next()?
            .trim_start_matches(['-', '+'])
            .trim_start();
        NAMING.iter().find_map(|word| tag.strip_prefix(word))
    })
}

fn names(named: &str, name: &str) -> bool {
    ['"', '\'']
        .iter()
        .any(|quote| named.contains(&format!("{quote}{name}{quote}")))
}

/// True if a tag's text does not show which template it names.
fn is_computed(named: &str) -> bool {
    let bare: String = named.split(['"', '\'']).step_by(2).collect();
    let mut words = bare
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty());
    bare.contains(['~', '|', '+'])
        || words
            .next()
            .is_some_and(|word| !AFTER_A_NAME.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_template_names_takes_part_and_what_nobody_can_foresee_may() {
        for (text, expected) in [
            ("x", &["root"][..]),
            ("{% include \"a\" %}", &["a", "b", "root"]),
            ("{%- include 'a' ignore missing -%}", &["a", "b", "root"]),
            (
                "{% from \"c\" import one as two %}{% import 'd' as three %}",
                &["c", "d", "root"],
            ),
            ("{% extends \"c\" %}", &["c", "root"]),
            (
                "{% include [\"c\", \"d\"] ignore missing %}",
                &["c", "d", "root"],
            ),
            (
                "{% include \"c\" if host else \"d\" %}",
                &["c", "d", "root"],
            ),
            ("{% if \"c\" %}{% endif %} include \"c\"", &["root"]),
            ("{% include host %}", &["a", "b", "c", "d", "root"]),
            ("{% include \"c\" ~ host %}", &["a", "b", "c", "d", "root"]),
            ("{% include [\"c\", host] %}", &["a", "b", "c", "d", "root"]),
        ] {
            let each_other = [("a", "{% include \"b\" %}"), ("b", "{% include \"a\" %}")];
            let texts = [("root", text), ("c", ""), ("d", "")]
                .into_iter()
                .chain(each_other)
                .collect();
            assert_eq!(
                taking_part("root", &texts).into_iter().collect::<Vec<_>>(),
                expected,
                "{text}"
            );
        }
    }
}
