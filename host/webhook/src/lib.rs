//! The rules of Creel, as pure functions: value in, value out.
//!
//! Everything that decides lives here: what proves a request genuine, which events it carries, who is to run, what an
//! outcome turns into, when something is tried again and when it is given up. Nothing that acts lives here: there is no
//! runtime, no input or output, no clock and no randomness; time and entropy are arguments. That is what makes the
//! rules testable by table and by seed, and what lets the store, the server and the simulation share one truth.
//!
//! # Map
//!
//! | modules | what they answer |
//! |---|---|
//! | [`id`], [`clock`], [`secret`] | how things are named, timed and kept secret |
//! | [`tenant`], [`source`], [`plugin`], [`route`], [`destination`] | what people configure |
//! | [`request`], [`event`] | what arrives |
//! | [`mod@pointer`], [`tree`], [`excerpt`] | where something stands in it, and how much is read to find it |
//! | [`signature`], [`handshake`], [`identity`], [`preset`] | is it genuine, is it a greeting, what does it carry |
//! | [`catalogue`] | the same facts for people |
//! | [`outcome`], [`decision`], [`reply`] | what a handler said, and what follows from it |
//! | [`state`], [`record`] | what a plugin remembers, and what a run read from outside of itself |
//! | [`comparison`] | what another decision would change |
//! | [`run`], [`breach`] | how a run ended, and the limit that it would have gone beyond |
//! | [`delivery`], [`retry`], [`breaker`] | how calls leave, and when they wait |
//! | [`signing`], [`trace`] | what calls carry to prove themselves and to be found again |
//! | [`fetch`] | what a run may look up while it decides |
//! | [`followup`] | how the end of a call comes back |
//! | [`notice`] | what a tenant is told about its own things |
//! | [`bucket`], [`quota`] | how much of something is too much, at a time and on a day |

pub mod answer;
pub mod breach;
pub mod breaker;
pub mod bucket;
pub mod catalogue;
pub mod clock;
pub mod comparison;
pub mod decision;
pub mod delivery;
pub mod destination;
pub mod event;
pub mod excerpt;
pub mod fetch;
pub mod followup;
pub mod handshake;
pub mod id;
pub mod identity;
pub mod notice;
pub mod outcome;
pub mod plugin;
pub mod pointer;
pub mod preset;
pub mod provider;
pub mod quota;
pub mod record;
pub mod reply;
pub mod request;
pub mod retry;
pub mod route;
pub mod run;
pub mod secret;
pub mod signature;
pub mod signing;
pub mod source;
pub mod state;
pub mod tenant;
pub mod trace;
pub mod tree;
