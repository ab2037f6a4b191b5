//! Lines for servers that answer challenges by the thumbprint of an account's key.

/// Such lines, for people to copy: the token that was asked for, a dot, and the thumbprint. What is no token is left to
/// the lines that follow.
///
/// <https://www.rfc-editor.org/rfc/rfc8555#section-8.3>
pub(super) fn server_lines(thumbprint: &str) -> String {
    format!(
        "  haproxy  before any redirect of the frontend at port 80:\n{}\n  nginx    in each server at port 80:\n{}\n",
        haproxy(thumbprint),
        nginx(thumbprint)
    )
}

fn haproxy(thumbprint: &str) -> String {
    format!(
        r#"http-request return status 200 content-type text/plain lf-string "%[path,field(4,/)].{thumbprint}" if {{ path_reg ^/\.well-known/acme-challenge/[A-Za-z0-9_-]+$ }}"#
    )
}

fn nginx(thumbprint: &str) -> String {
    format!(
        r#"location ~ "^/\.well-known/acme-challenge/(?<token>[A-Za-z0-9_-]+)$" {{ default_type text/plain; return 200 $token.{thumbprint}; }}"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_are_those_of_the_docs_which_are_tried_with_the_servers() {
        let docs = include_str!("../../docs/servers.md");
        for line in [haproxy("THUMBPRINT"), nginx("THUMBPRINT")] {
            assert!(docs.lines().any(|it| it.trim() == line), "{line}");
            assert!(server_lines("THUMBPRINT").contains(&line));
        }
    }
}
