//! What every story needs: a whole host in this process, somebody who sends, somebody who receives.
//!
//! A test opens a [`host::Host`] on a directory of its own and speaks to it over HTTP only: webhooks to the ingress,
//! everything else to the admin API. A story ends with `host.finish()`, which fails when work is left over; a host
//! that is dropped without it fails the test too.
//!
//! Nothing sleeps: [`wait::until`] asks again and again until something holds, and fails with the last thing that it
//! saw when that takes too long.

pub(crate) mod authority;
pub(crate) mod command;
pub(crate) mod dev;
pub(crate) mod guests;
pub(crate) mod host;
pub(crate) mod process;
pub(crate) mod receiver;
pub(crate) mod sender;
pub(crate) mod tenant;
pub(crate) mod wait;
pub(crate) mod way;
pub(crate) mod wire;
pub(crate) mod written;
