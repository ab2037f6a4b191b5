//! The check that every value in a rendered nginx configuration stayed what it was meant to be: one word, a part of
//! one, or one quoted text. The formatter can't see whether it prints between quotes; here the whole text is read as
//! nginx reads it, so that a template that forgot to quote, or quoted by hand, can't let a label end a directive.

use std::mem;

use minijinja::{OutputSpan, OutputSpanKind};

/// Where nginx is after the characters read so far.
///
/// <https://github.com/nginx/nginx/blob/master/src/core/ngx_conf_file.c>, `ngx_conf_read_token`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Before a word: only here do `"`, `'` and `#` mean something.
    Between,
    /// In a word without quotes.
    Word,
    /// In a quoted text.
    Quoted(char),
    /// Right behind a quoted text, where only a blank, `;`, `{` or `)` may follow.
    AfterQuoted,
    /// In a comment, until the end of the line.
    Comment,
}

struct Lexer {
    place: Place,
    /// True if a backslash takes the next character's meaning away.
    escaped: bool,
    /// True if a `$` was read, after which `{` opens no block.
    variable: bool,
    /// True if the name of a variable follows. That is another matter than `variable`: a backslash hides `$` from the
    /// reader of words, and not from the reader of variables.
    is_name: bool,
}

impl Lexer {
    fn step(&mut self, c: char) {
        self.is_name = self.place != Place::Comment && (c == '$' || c == '{' && self.is_name);
        if mem::take(&mut self.escaped) {
            return;
        }
        if mem::take(&mut self.variable) && c == '{' {
            self.variable = true;
            return;
        }
        self.place = match (self.place, c) {
            (Place::Comment, '\n') => Place::Between,
            (Place::Comment, _) => return,
            (Place::Quoted(quote), c) if c == quote => Place::AfterQuoted,
            (Place::Quoted(quote), _) => Place::Quoted(quote),
            (Place::Between, '#') => Place::Comment,
            (Place::Between, quote @ ('"' | '\'')) => Place::Quoted(quote),
            (_, ' ' | '\t' | '\r' | '\n' | ';' | '{') | (Place::Between, '}') => Place::Between,
            _ => Place::Word,
        };
        self.escaped = c == '\\';
        self.variable = c == '$';
    }

    /// Reads what stands in the template itself. Byte by byte: of other characters than ASCII's none means anything.
    fn text(&mut self, mut text: &str) {
        while !text.is_empty() {
            let end = match self.place {
                Place::Comment => text.find('\n').unwrap_or(text.len()),
                _ => text.find('#').map_or(text.len(), |at| at + 1),
            };
            let (now, later) = text.split_at(end.max(1));
            match self.place {
                // Nothing in it means anything.
                Place::Comment if end > 0 => {
                    (self.escaped, self.variable, self.is_name) = (false, false, false)
                }
                _ => now.bytes().for_each(|byte| self.step(char::from(byte))),
            }
            text = later;
        }
    }

    /// Reads a value; what it does that no value may, if anything.
    fn value(&mut self, text: &str) -> Option<&'static str> {
        let before = match self.place {
            _ if self.escaped => Some("stands behind a backslash"),
            _ if self.is_name => Some("would name a variable, standing behind a $"),
            Place::AfterQuoted => {
                Some("stands right behind a quoted text; put a blank between them")
            }
            _ => None,
        };
        let begin = self.place;
        let is_quoted = begin == Place::Between && text.starts_with(['"', '\'']);
        let mut problem = before;
        for c in text.chars() {
            problem = problem.or(match is_quoted {
                true if self.place == Place::AfterQuoted => {
                    Some("goes on behind the quotes that it brings along")
                }
                _ => meaning(begin, is_quoted, c),
            });
            self.step(c);
        }
        let open = is_quoted && self.place != Place::AfterQuoted;
        problem.or(open.then_some("opens quotes that it does not close"))
    }
}

/// The meaning for nginx of a value's character that begins at this place, where it has one.
fn meaning(begin: Place, is_quoted: bool, c: char) -> Option<&'static str> {
    match (begin, c) {
        _ if c.is_control() => Some("holds a line break or another control character"),
        (Place::Comment, _) => None,
        (_, '$') => Some("holds a $, with which a variable begins"),
        _ if is_quoted => None,
        (Place::Quoted(_), '"' | '\'' | '\\') => Some(
            "holds a quote or a backslash inside quotes; write `| quote` and no quotes around it",
        ),
        (Place::Quoted(_), _) => None,
        (_, '"' | '\'') => {
            Some("brings quotes along inside a word; a quoted text must be a parameter of its own")
        }
        (_, ';' | '{' | '}' | '#' | '\\') => {
            Some("holds characters that mean something to nginx; write `| quote`")
        }
        _ if c.is_whitespace() => {
            Some("holds characters that mean something to nginx; write `| quote`")
        }
        _ => None,
    }
}

/// The first value that did not stay within one word or one quoted text, and how it left it.
pub(super) fn stray<'s>(
    output: &str,
    spans: &'s [OutputSpan],
) -> Option<(&'s OutputSpan, &'static str)> {
    let mut lexer = Lexer {
        place: Place::Between,
        escaped: false,
        variable: false,
        is_name: false,
    };
    spans.iter().find_map(|span| {
        let text = &output[span.output_range()];
        match span.kind() {
            OutputSpanKind::Expression => lexer.value(text).map(|problem| (span, problem)),
            _ => {
                lexer.text(text);
                None
            }
        }
    })
}

/// The first thing that is wrong with how directives and blocks end, with the template and the line where it begins.
/// Blocks of Lua are read by other rules: where there is one, nothing is said.
pub(super) fn misfit<'s>(
    output: &str,
    spans: &'s [OutputSpan],
) -> Option<(&'s OutputSpan, usize, &'static str)> {
    if output.contains("_by_lua_block") {
        return None;
    }
    let mut lexer = Lexer {
        place: Place::Between,
        escaped: false,
        variable: false,
        is_name: false,
    };
    // Where blocks were opened, and where the directive began that has not ended.
    let (mut open, mut begun) = (Vec::new(), None);
    for span in spans {
        let mut line = span.line();
        for c in output[span.output_range()].chars() {
            let is_plain = !lexer.escaped
                && matches!(
                    lexer.place,
                    Place::Between | Place::Word | Place::AfterQuoted
                );
            match c {
                '{' if is_plain && !lexer.variable => {
                    open.push((span, line));
                    begun = None;
                }
                ';' if is_plain => begun = None,
                '}' if is_plain && lexer.place == Place::Between => match (begun, open.pop()) {
                    (Some((span, line)), _) => return Some((span, line, UNENDED)),
                    (None, None) => return Some((span, line, "this } closes nothing")),
                    (None, Some(_)) => {}
                },
                _ => {}
            }
            lexer.step(c);
            if begun.is_none() && matches!(lexer.place, Place::Word | Place::Quoted(_)) {
                begun = Some((span, line));
            }
            line += usize::from(c == '\n' && span.kind() != OutputSpanKind::Expression);
        }
    }
    let unended = begun.map(|(span, line)| (span, line, UNENDED));
    unended.or_else(|| {
        open.last().map(|(span, line)| {
            (
                *span,
                *line,
                "the block that begins here is not closed by a }",
            )
        })
    })
}

const UNENDED: &str = "the directive that begins here does not end with a ;";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::render::Templates;

    #[test]
    fn directives_and_blocks_end() {
        let told = |text: &str| {
            let users = [("nginx/site.conf".to_owned(), Ok(text.to_owned()))].into();
            Templates::with(&users)
                .faults()
                .next()
                .map(ToString::to_string)
        };
        for (text, problem) in [
            (
                "server {\n    listen 80;\n",
                "line 1: the block that begins here is not closed by a }",
            ),
            (
                "server {\n    listen 80\n}\n",
                "line 2: the directive that begins here does not end with a ;",
            ),
            ("server {\n}\n}\n", "line 3: this } closes nothing"),
            (
                "# mine\nlisten {{ http_port }}",
                "line 2: the directive that begins here does not end with a ;",
            ),
        ] {
            assert_eq!(
                told(text),
                Some(format!("template nginx/site.conf, {problem}")),
                "{text}"
            );
        }
        for text in [
            "",
            "# server {\n",
            "map $a ${b} {\n    '' '{';\n    ~^\\{ \"}\";\n}\n",
            "server { location / { content_by_lua_block { if a then b() end } } }",
            "{% for route in routes %}\nlocation {{ route.path | quote }}{}\n{% endfor %}\n",
            // Good for sites that somebody serves, and the user may have no others.
            "proxy_pass http://{% for route in routes if route.servers %}{{ route.upstream }};{% endfor %}",
        ] {
            assert_eq!(told(text), None, "{text}");
        }
    }

    fn rendered(template: &str, value: &str) -> Result<String, String> {
        Templates::new([("nginx/t", template)])
            .and_then(|templates| templates.render("nginx/t", &json!({ "x": value, "port": 80 })))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_value_may_be_a_word_a_part_of_one_or_a_quoted_text() {
        for (template, value, expected) in [
            (
                "server_name {{ x }};",
                "shop.example",
                "server_name shop.example;",
            ),
            ("listen [::]:{{ port }};", "", "listen [::]:80;"),
            (
                "upstream app_{{ x }} {}",
                "shop.example",
                "upstream app_shop.example {}",
            ),
            (
                "return 200 {{ x | quote }};",
                r#"a "b" \ ; }"#,
                r#"return 200 "a \"b\" \\ ; }";"#,
            ),
            ("return 200 {{ x | quote }};", "", r#"return 200 "";"#),
            ("if (-f {{ x | quote }}) {}", "/a b", r#"if (-f "/a b") {}"#),
            (
                "root \"/srv/{{ x }}/www\";",
                "shop",
                "root \"/srv/shop/www\";",
            ),
            ("root '/srv/{{ x }}';", "shop", "root '/srv/shop';"),
            (
                "# for {{ x | comment }}\nlisten 80;",
                "it's; { $x",
                "# for it's; { $x\nlisten 80;",
            ),
            (
                "return 301 https://$host/{{ x }};",
                "a",
                "return 301 https://$host/a;",
            ),
            ("a ${b}{{ x }};", "c", "a ${b}c;"),
            ("# ${{ x }}\na b;", "c", "# $c\na b;"),
            (
                "# \"\na {{ x }}; # '\nb {{ x }};",
                "c",
                "# \"\na c; # '\nb c;",
            ),
            ("a \"don't\" b{{ x }};", "c", "a \"don't\" bc;"),
            ("a b#{{ x }};", "c", "a b#c;"),
            ("a \\\"{{ x }};", "c", "a \\\"c;"),
            (
                "location ~ \"^/x{2}$\" { return 200 {{ x | quote }}; }",
                "; }",
                "location ~ \"^/x{2}$\" { return 200 \"; }\"; }",
            ),
            (
                "{% macro at(port) %}127.0.0.1:{{ port }}{% endmacro %}listen {{ at(port) }};",
                "",
                "listen 127.0.0.1:80;",
            ),
        ] {
            assert_eq!(
                rendered(template, value),
                Ok(expected.to_owned()),
                "{template}"
            );
        }
    }

    /// Each leaves its place in the configuration of one of these templates, if nobody looks.
    #[test]
    fn no_value_leaves_its_place() {
        let attempts = [
            // Like hosts, printed as they are.
            ("server_name {{ x }};", "shop.example; }"),
            ("server_name {{ x }};", "shop.example;return 200 own;"),
            ("server_name {{ x }};", "shop.example\n}"),
            ("server_name {{ x }};", "$host"),
            ("server_name {{ x }};", "a #"),
            ("server_name a{{ x }};", "{"),
            ("server_name {{ x }};", "\"a"),
            // Like paths.
            ("location {{ x }} { }", "/ { return 200; } location /b"),
            ("location {{ x }} { }", "/\u{a0}/"),
            ("root /srv/{{ x }};", "a\\"),
            ("root /srv/{{ x }};", "a\tb"),
            ("root /srv/\\{{ x }};", "n"),
            // Quoted by hand.
            ("root \"{{ x }}\";", "a\"; include /etc/passwd; #"),
            ("root '{{ x }}';", "a'; include /etc/passwd; #"),
            ("root \"{{ x | comment }}\";", "a\"; include /etc/passwd; #"),
            ("root \"{{ x | comment }}\";", "$request_uri"),
            ("root \"{{ x | comment }}\";", "a\\"),
            // Quoted twice: what is between the inner quotes stands outside.
            ("root \"{{ x | quote }}\";", "a; include /etc/passwd; #"),
            ("root '{{ x | quote }}';", "a'; include /etc/passwd; #"),
            // Quotes inside a word mean nothing to nginx.
            (
                "add_header X y{{ x | quote }};",
                "a; include /etc/passwd; #",
            ),
            (
                "add_header X y={{ x | quote }};",
                "a; include /etc/passwd; #",
            ),
            (
                "add_header X \\{{ x | quote }};",
                "a; include /etc/passwd; #",
            ),
            (
                "add_header X ${{ x | quote }};",
                "a; include /etc/passwd; #",
            ),
            (
                "add_header X \"a\"{{ x | quote }};",
                "a; include /etc/passwd; #",
            ),
            (
                "return 200 {{ x | quote }}{{ x | quote }};",
                "a; include /etc/passwd; #",
            ),
            // A filter meant for comments, elsewhere.
            ("server_name {{ x | comment }};", "a; include /etc/passwd"),
            (
                "server_name {{ x | comment }};",
                "\"a\" b; include /etc/passwd",
            ),
            ("server_name {{ x | comment }};", "\"a"),
            ("server_name {{ x | comment }};", "\"a$b\""),
            (
                "server_name {{ ['b', x] | words }};",
                "a; include /etc/passwd",
            ),
            (
                "server_name {{ [x] | words }};",
                "it's; include /etc/passwd",
            ),
            ("server_name {{ [x] | words }};", "$host"),
            // Comments end with the line, and not by a backslash.
            ("# for {{ x | comment }}\n", "a\nlisten 81;"),
            ("# \\\nserver_name {{ x | comment }};", "a; b"),
            // Values that become names of variables.
            ("return 200 ${{ x }};", "ssl_client_cert"),
            ("return 200 \"${{ x }}\";", "ssl_client_cert"),
            ("return 200 ${{ '{' }}{{ x }};", "ssl_client_cert"),
            ("return 200 $\u{7b}{{ x }}};", "ssl_client_cert"),
            ("return 200 \"$\u{7b}{{ x }}}\";", "ssl_client_cert"),
            ("return 200 \\${{ x }};", "ssl_client_cert"),
            ("return 200 {{ x | comment }};", "\"\\$ssl_client_cert\""),
            // By way of captured text, which minijinja calls safe.
            ("{% set y %}\"{{ x }}\" b;{% endset %}a {{ y }}", "c"),
            (
                "{% macro m(x) %}\"{{ x | quote }}\"{% endmacro %}a {{ m(x) }};",
                "; include /etc/passwd; #",
            ),
            (
                "{% filter comment %}{{ x | comment }}{% endfilter %}",
                "a; b",
            ),
            ("{% set y %}{{ x | comment }}{% endset %}a {{ y }};", "a; b"),
        ];
        for (template, value) in attempts {
            let told =
                rendered(template, value).expect_err(&format!("{template} lets {value:?} out"));
            assert!(told.starts_with("template nginx/t, line "), "{told}");
            assert!(!told.contains("passwd"), "{told}");
        }
    }

    #[test]
    fn a_value_that_strays_is_told_with_the_line_that_printed_it() {
        let told = rendered("listen 80;\n# note\nroot \"{{ x | quote }}\";\n", "a b")
            .expect_err("it is quoted twice");
        assert_eq!(
            told,
            "template nginx/t, line 3: this value holds a quote or a backslash inside quotes; write `| quote` and no \
             quotes around it"
        );
    }

    #[test]
    fn command_plans_are_no_nginx() {
        let templates =
            Templates::new([("command-plan.txt", "{{ x | words }}")]).expect("it is sound");
        let line = templates.render("command-plan.txt", &json!({"x": ["a", "b;c"]}));
        assert_eq!(line, Ok("a 'b;c'".to_owned()));
    }
}
