//! Go's templates, as docker-gen takes them: they are recognised, and no more.

/// The remedy.
pub(super) const REMEDY: &str = "this is a Go template, as docker-gen takes them, and templates here are Jinja2's: for \
                                 `{{ range $c := $ }}{{ $c.Name }}{{ end }}` write `{% for c in containers %}{{ c.name }}\
                                 {% endfor %}`; docs/coming-from.md has docker-gen's functions and data with what to \
                                 write for each";

/// Words that stand first in a tag of Go's, and never in one of Jinja2's.
const FIRST: &[&str] = &[
    "range", "if", "else", "end", "with", "define", "template", "block",
];

/// True if a text that Jinja2 can't read is a Go template.
pub(super) fn is_go(text: &str) -> bool {
    let tags = text.split("{{").skip(1);
    let mut tags = tags.map(|tag| tag.split("}}").next().unwrap_or_default());
    tags.any(|tag| {
        let tag = tag.trim_matches(['-', ' ', '\t', '\n']);
        let first = tag.split_whitespace().next().unwrap_or_default();
        let of_go = |word: &str| word.starts_with(['.', '$']);
        FIRST.contains(&first) || tag.starts_with("/*") || tag.split([' ', '(', '\t']).any(of_go)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_go_template_is_told_from_one_that_has_a_mistake() {
        for (text, expected) in [
            (
                "{{ range $host, $containers := groupBy $ \"Env.VIRTUAL_HOST\" }}",
                true,
            ),
            ("{{range .}}{{.Name}}{{end}}", true),
            ("{{- with $x -}}", true),
            ("{{/* a comment */}}", true),
            ("x {{ json . }}", true),
            ("{{ (index .Labels \"x\") }}", true),
            ("{{ end }}", true),
            ("{{ c.name", false),
            ("{% for c in containers %}{{ c..name }}", false),
            ("{% if %}", false),
            ("costs $1 {{ 'a' b }}", false),
        ] {
            assert_eq!(is_go(text), expected, "{text}");
        }
    }
}
