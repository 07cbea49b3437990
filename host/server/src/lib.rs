//! The host: the edge where Creel meets sockets, files, clocks and randomness, and the parts that drive the store.

pub mod body;
pub mod config;
pub mod datadir;
pub mod egress;
pub mod guard;
pub mod listener;
pub mod shutdown;
pub mod system;
pub mod telemetry;
