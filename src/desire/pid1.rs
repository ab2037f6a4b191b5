//! The effect of a signal on a container's first process, as far as its command shows it.

use std::path::Path;

use crate::observe::Bearer;

/// Shells that stay in front of the server that they start, unless the command says `exec`.
const SHELLS: &[&str] = &["sh", "dash", "ash", "bash", "zsh", "ksh", "busybox"];

/// The reason why a signal to the first process of this container would not reach its server: a shell keeps it for
/// itself, or ends by it under an init. `None` where nothing speaks against it; a script that the command starts can't
/// be looked into.
pub(super) fn swallows_signals(bearer: &Bearer) -> Option<String> {
    let script = shell_script(&bearer.command)?;
    let last = last_command(script)?;
    if last.split_whitespace().next() == Some("exec") {
        return None;
    }
    let shell = Path::new(&bearer.command[0]).file_name()?.to_string_lossy();
    // Bash gives way to a command that stands alone; other shells don't.
    if shell == "bash" && script.trim() == last && !script.contains(['$', '`', '(']) {
        return None;
    }
    Some(match bearer.init {
        true => {
            format!(
                "its first process is an init with `{shell} -c` behind it, and a signal would end the container"
            )
        }
        false => format!("its first process is `{shell} -c`, which keeps signals for itself"),
    })
}

/// The last command of a script: what stands behind the last separator that no quotes hide.
fn last_command(script: &str) -> Option<&str> {
    let (mut quote, mut is_escaped) = (None, false);
    let separates = |c: char| {
        let is_plain = !is_escaped && quote.is_none();
        match (c, quote) {
            _ if is_escaped => is_escaped = false,
            ('\\', None | Some('"')) => is_escaped = true,
            ('\'' | '"', None) => quote = Some(c),
            (_, Some(open)) if c == open => quote = None,
            _ => {}
        }
        is_plain && matches!(c, '\n' | ';' | '&' | '|')
    };
    script
        .split(separates)
        .map(str::trim)
        .filter(|command| !command.is_empty())
        .last()
}

/// The script of `sh -c SCRIPT`.
fn shell_script(command: &[String]) -> Option<&str> {
    let program = Path::new(command.first()?).file_name()?.to_str()?;
    if !SHELLS.contains(&program) {
        return None;
    }
    let flag = command
        .iter()
        .position(|word| word.starts_with('-') && !word.starts_with("--") && word.contains('c'))?;
    command.get(flag + 1).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desire::tests::container;

    fn told(init: bool, command: &[&str]) -> Option<String> {
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        swallows_signals(&Bearer {
            command,
            init,
            ..container("proxy", 3)
        })
    }

    #[test]
    fn a_shell_in_front_of_the_server_is_recognised() {
        for command in [
            &["sh", "-c", "nginx -g 'daemon off;'"][..],
            &["/bin/sh", "-ec", "prepare\nnginx -g 'daemon off;'"],
            &["bash", "-c", "prepare && nginx"],
            &["sh", "-c", "nginx; sleep infinity"],
            &["busybox", "sh", "-c", "nginx"],
        ] {
            assert!(
                told(false, command).is_some_and(|told| told.contains("keeps signals")),
                "{command:?}"
            );
            assert!(
                told(true, command).is_some_and(|told| told.contains("end the container")),
                "{command:?}"
            );
        }
    }

    #[test]
    fn a_server_or_a_shell_that_gives_way_is_not_suspected() {
        for command in [
            &["nginx", "-g", "daemon off;"][..],
            &["/docker-entrypoint.sh", "nginx", "-c", "x"],
            &["sh", "-c", "prepare && exec nginx -g 'daemon off;'"],
            &[
                "sh",
                "-c",
                "rm x; exec nginx -g \"daemon off; pid \\\"x\\\";\";\n",
            ],
            &["bash", "-c", "nginx -g daemon-off"],
            &["sh", "/start.sh"],
            &["sh", "-c"],
            &[],
        ] {
            assert_eq!(told(false, command), None, "{command:?}");
            assert_eq!(told(true, command), None, "{command:?}");
        }
    }
}
