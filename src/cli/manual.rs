use clap_complete::Shell;
use clap_mangen::Man;

use super::{Call, Exit, Failure, command_line::command, print};

/// The shells that completions can be had for.
pub(super) const SHELLS: &[&str] = &["bash", "zsh", "fish"];

/// Prints what makes a shell complete our command line.
pub(super) fn completions(call: &Call) -> Result<Exit, Failure> {
    let shell = match call.options.get_one::<String>("shell").map(String::as_str) {
        Some("zsh") => Shell::Zsh,
        Some("fish") => Shell::Fish,
        _ => Shell::Bash,
    };
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command(), "quaymaster", &mut text);
    print(&String::from_utf8_lossy(&text))?;
    Ok(Exit::Done)
}

/// Prints the page of the manual, or that of one command.
pub(super) fn man(call: &Call) -> Result<Exit, Failure> {
    let mut root = command();
    root.build();
    let page = match call.options.get_one::<String>("command") {
        None => root,
        Some(name) => {
            let found = root.find_subcommand(name).cloned();
            let found =
                found.ok_or_else(|| Failure::Usage(format!("there is no command {name}")))?;
            let title = format!("quaymaster-{name}");
            found.display_name(title)
        }
    };
    let mut text = Vec::new();
    Man::new(page).render(&mut text).map_err(Failure::Output)?;
    print(&String::from_utf8_lossy(&text))?;
    Ok(Exit::Done)
}
