//! The program killed before every call to the system that can leave something half-done, and with disks that fail at
//! every such call: it is started again, and has to end where an undisturbed run ends.
#![expect(
    clippy::disallowed_methods,
    reason = "tests start the program, nginx and strace"
)]
#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something is wrong, in its helpers, too"
)]

mod end;
mod engine;
mod faults;
mod gate;
mod judge;
mod kills;
mod nginx;
mod run;
mod scenario;
mod spoil;
mod watching;
mod world;
