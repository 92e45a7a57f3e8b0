//! Drives the real binary against a fake AWS that speaks the real protocols on the loopback interface: `fake/server.py`, which is
//! moto's EC2 with the pages, prices and faults that moto does not have.
//!
//! `fake/setup` installs it once into the user's cache. Where that cannot be done the tests fail and say why.
#![cfg(all(feature = "cli", feature = "aws"))]

mod alone;
mod commands;
#[cfg(feature = "controller")]
mod discovery;
mod fake;
mod faults;
#[cfg(feature = "controller")]
mod launches;
mod refreshes;
mod run;
mod source;
mod writes;
