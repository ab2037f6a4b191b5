use super::{Call, Exit, Failure, pygen, setup};
use crate::{
    adapters::{clock::SystemClock, disk::Folders, engine::first_process_words},
    daemon::{BREATH, MISSED},
    ports::Clock,
    report::chain,
};

/// Reads one small file: health checks run for ever, and must cost nothing.
pub(super) fn run(call: &Call) -> Result<Exit, Failure> {
    // It keeps no state, and its container ends with it.
    if renders(&first_process_words()) {
        return Ok(Exit::Done);
    }
    let state = call.settings.state.clone();
    let breath = Folders::new(state.join("certificates"), state, setup::tell).last_breath();
    let now = SystemClock.now();
    let (exit, problem) = match breath {
        Ok(Some(last)) if now.since(last) <= BREATH * MISSED => return Ok(Exit::Done),
        Ok(Some(last)) => (Exit::Partly, format!("the daemon was last seen at {last}")),
        Ok(None) => (
            Exit::Partly,
            "no daemon has worked on this state yet".to_owned(),
        ),
        // One that turns puts it right within seconds.
        Err(error) => (Exit::Partly, chain(&error)),
    };
    tracing::error!("{problem}");
    Ok(exit)
}

/// True if the first process of our container, which has these words, is `render`, as such or by docker-pygen's command
/// line; an init may stand before it.
fn renders(words: &[String]) -> bool {
    let is_ours = |word: &String| word.rsplit('/').next() == Some("quaymaster");
    let Some(at) = words.iter().position(is_ours) else {
        return false;
    };
    let behind = || words[at + 1..].iter().map(String::as_str);
    behind().next() == Some("render") || pygen::is_pygen(behind())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_that_renders_is_healthy_as_long_as_it_runs() {
        for (words, expected) in [
            ("/quaymaster render --template t --watch", true),
            ("/quaymaster --template t --target o", true),
            ("/sbin/docker-init -- /quaymaster --signal a HUP", true),
            ("/quaymaster watch", false),
            ("/quaymaster --log=debug watch", false),
            ("/sbin/init", false),
            ("nginx --template t", false),
            ("", false),
        ] {
            let words: Vec<_> = words.split_whitespace().map(str::to_owned).collect();
            assert_eq!(renders(&words), expected, "{words:?}");
        }
    }
}
