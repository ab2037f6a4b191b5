//! The program as a user runs it: the real engine, nginx and Pebble in containers, quaymaster from its image of one
//! file. What a client sees counts, and what the engine, the CA and the disk tell; of the log only the names of events.
//!
//! The images are made by `compose/images/build`; `QUAYMASTER_TEST_IMAGE` names another one of quaymaster itself.
#![expect(
    clippy::disallowed_methods,
    reason = "tests start the docker command, and wait no longer than they say"
)]
#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something is wrong, in its helpers, too"
)]

mod article;
mod certbot_helper;
mod chat;
mod client;
mod commands;
mod crowd;
mod docker;
mod down;
mod first;
mod flapping;
mod gateway;
mod granted;
mod haproxy;
mod hostile;
mod ipv6;
mod late;
mod listener;
mod log;
mod mail;
mod metrics;
mod mosquitto;
mod never_worse;
mod own_certificate;
mod planning;
mod progress;
mod quickstart;
mod readme;
mod renewal;
mod restart;
mod routes;
mod stack;
mod strangers;
mod trouble;
mod visits;
mod wildcard;
