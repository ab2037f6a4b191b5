//! The program against a second real engine, which is killed, frozen, restarted and cut off; the one of this machine is
//! left alone. Needs root, as a second dockerd does, and the image of nginx that `compose/images/build` makes.
#![expect(
    clippy::disallowed_methods,
    reason = "tests start the program, the docker command and a dockerd"
)]
#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something is wrong, in its helpers, too"
)]

mod elsewhere;
mod engine;
mod gaps;
mod relay;
mod signals;
mod stage;
mod ways;
