//! Questions that somebody has to answer before anything is done: on a terminal alone.

use std::io::{self, BufRead, IsTerminal, Write};

use clap::{Arg, ArgAction};

use super::{Call, Failure};

/// The flag that stands for every yes.
pub(super) fn yes() -> Arg {
    let arg = Arg::new("yes").long("yes").action(ArgAction::SetTrue);
    arg.help("do it without asking; required where there is no terminal")
}

/// Asks for consent. `what` is the sentence before the question.
///
/// # Errors
/// When nobody can be asked, and `--yes` is not there.
pub(super) fn is_given(call: &Call, what: &str, question: &str) -> Result<bool, Failure> {
    if call.options.get_flag("yes") {
        return Ok(true);
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::Usage(format!(
            "{what} Nothing was done: this question needs a terminal; without one, add --yes"
        )));
    }
    let mut asked = io::stderr().lock();
    write!(asked, "{what}\n{question} [y/N] ")
        .and_then(|()| asked.flush())
        .map_err(Failure::Output)?;
    let mut answer = String::new();
    // A terminal that closes has answered nothing.
    let read = io::stdin().lock().read_line(&mut answer);
    let is_yes = read.is_ok() && is_yes(&answer);
    if !is_yes {
        writeln!(asked, "nothing was done").map_err(Failure::Output)?;
    }
    Ok(is_yes)
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_yes_is_yes() {
        for (answer, expected) in [
            ("y\n", true),
            ("YES\n", true),
            ("\n", false),
            ("", false),
            ("n\n", false),
            ("yesterday\n", false),
        ] {
            assert_eq!(is_yes(answer), expected, "{answer:?}");
        }
    }
}
