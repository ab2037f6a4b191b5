//! `quaymaster render`: users' own templates, over what `docker inspect` printed and on the real engine.
#![expect(
    clippy::disallowed_methods,
    reason = "tests start the program and the docker command, in true time"
)]
#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something is wrong, in its helpers, too"
)]

mod checked;
mod docker_gen;
mod drop_in;
mod limits;
mod outputs;
mod pygen;
mod real;
mod recorded;
mod sources;
