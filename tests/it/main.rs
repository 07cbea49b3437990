//! Tests of the host through its public doors, in reading order.

/// A host's admin API in a directory of its own, for the modules below.
mod desk;

/// The admin API: who may, what is refused and how, what is never shown.
mod admin;

/// `creel apply` through the client over a real socket: plan, carry out, plan again.
mod apply;
