use std::{
    collections::BTreeMap,
    io::{self, IsTerminal},
};

use terminal_size::{Width, terminal_size_of};

use super::Call;
use crate::report::FindingState;

/// Colours for a terminal; none elsewhere.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Paint {
    is_on: bool,
}

impl Paint {
    /// A state, as wide as the widest.
    pub(super) fn state(self, state: FindingState) -> String {
        let code = match state {
            FindingState::Ok => "32",
            FindingState::Note => "2",
            FindingState::Problem => "1;31",
        };
        self.painted(code, &format!("{state:<7}"))
    }

    /// Something that is wrong.
    pub(super) fn wrong(self, text: &str) -> String {
        if text.is_empty() {
            String::new()
        } else {
            self.painted("31", text)
        }
    }

    fn painted(self, code: &str, text: &str) -> String {
        if self.is_on {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

impl Call {
    /// Colours on a terminal whose user has not said no.
    pub(super) fn paint(&self) -> Paint {
        Paint {
            is_on: io::stdout().is_terminal() && !refuses_colour(&self.environment),
        }
    }
}

/// True if the user has said no to colours.
///
/// <https://no-color.org/>
pub(super) fn refuses_colour(environment: &BTreeMap<String, String>) -> bool {
    environment
        .get("NO_COLOR")
        .is_some_and(|value| !value.is_empty())
}

/// The width of the terminal that results go to; nothing where they go elsewhere, and nothing is cut there.
pub(super) fn width() -> Option<usize> {
    terminal_size_of(io::stdout()).map(|(Width(columns), _)| usize::from(columns))
}
