//! Quaymaster watches a Docker engine, reads from container labels which names need certificates and who serves them,
//! obtains and renews those certificates, renders the configuration of the proxy that is already there, makes it reload
//! by a signal, and proves on a new connection that what is new is served.
//!
//! ```text
//!  Docker event ┐
//!  file changed ├─ wake ─▶ observe ──▶ desire ──▶ plan ──▶ execute ─┐
//!  SIGHUP, time │          facts       meaning    actions   effects │
//!  work done    ┘             ▲         (pure)     (pure)           │
//!                             └──── what was done is seen again ────┘
//! ```
//!
//! The modules are the arrows of that picture:
//!
//! | room | what lives there |
//! | --- | --- |
//! | [`values`] | newtypes that can't be wrong: names, times, digests |
//! | [`observe`] | facts: bearers of labels, certificates on disk, what is installed, what was tried |
//! | [`desire`] | the label table; what labels ask for, and complaints about what can't be followed |
//! | [`render`] | templates, strictly: nothing reaches a configuration unquoted |
//! | [`plan`] | what has to be done, why, and when to look again; command plans |
//! | [`execute`] | one function an action, in the order that keeps what works working |
//! | [`ports`] | the outside as the line sees it, its errors, and when each may be tried again |
//! | [`adapters`] | the only sockets, files, HTTP, clocks: engine, CA, disk, probe, the user's templates |
//! | [`report`] | events as they happen, and the status document |
//! | `watching` | an engine, followed; what counts after a gap |
//! | [`daemon`] | the loop and nothing else |
//! | [`generate`] | the command `render`, and the outputs of `watch`: the same watching for templates alone |
//! | [`settings`], [`cli`] | arguments to settings, to ports, to a command |
//!
//! To read it in the data's way: `daemon`, `plan`, `desire`, `execute`, `adapters`. `tests/it/guard.rs` holds the rooms
//! that each room may use.
//!
//! A first certificate takes three turns that nobody wrote down as a sequence: configuration that differs is deployed
//! (port 80 and the challenge), then a missing certificate is obtained, then configuration differs again, because it
//! can have its TLS server now. A crash between any two resumes by itself.

pub mod adapters;
pub mod cli;
pub mod daemon;
pub mod desire;
pub mod execute;
pub mod generate;
pub mod observe;
pub mod plan;
pub mod ports;
pub mod render;
pub mod report;
pub mod settings;
pub mod values;
mod watching;

#[cfg(test)]
mod fixtures;
// As those who include the fixtures name it.
#[cfg(test)]
extern crate self as quaymaster;
