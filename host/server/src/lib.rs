//! The host: everything between the network and the rules.
//!
//! | modules | what they do |
//! |---|---|
//! | [`app`] | opens and connects everything; the only place that spawns |
//! | [`listener`], [`body`], [`ingress`], [`settled`] | requests come in |
//! | [`pump`], [`worker`], [`runner`], [`slots`], [`rehearsal`], [`lines`] | runs become decisions, or are only shown |
//! | [`sender`], [`outgoing`], [`egress`], [`guard`], [`echo`] | calls go out |
//! | [`capability`], [`reach`] | what a run may reach while it decides |
//! | [`directory`] | what is configured, ready for use |
//! | [`maintenance`], [`warming`] | what must happen some time |
//! | [`admin`], [`api`], [`fed`], [`spec`], [`cli`] | what people use and write |
//! | [`toolchain`], [`scripts`] | how plugins are built: in Rust; in JavaScript and Python |
//! | [`sample`] | events as providers send them, signed |
//! | [`demo`] | all of it at once, as a story that checks itself |
//! | [`dev`] | a host around the plugin that somebody is writing |
//! | [`timeline`] | how both are told |
//! | [`config`], [`datadir`], [`system`], [`telemetry`], [`shutdown`], [`under_way`] | the process and its surroundings |

pub mod activity;
pub mod admin;
pub mod api;
pub mod app;
pub mod body;
pub mod capability;
pub mod cli;
pub mod config;
pub mod datadir;
pub mod demo;
pub mod dev;
pub mod directory;
pub mod echo;
pub mod egress;
pub mod errands;
pub mod fed;
pub mod forwarded;
pub mod guard;
pub mod ingress;
pub mod insist;
pub mod keyring;
pub mod lines;
pub mod listener;
pub mod maintenance;
pub mod outgoing;
mod patience;
pub mod probe;
pub mod pump;
pub mod reach;
pub mod rehearsal;
pub mod rekeying;
pub mod removal;
pub mod runner;
pub mod sample;
pub mod scripts;
pub mod sender;
pub mod settled;
pub mod shutdown;
pub mod slots;
pub mod spec;
pub mod system;
pub mod telemetry;
pub mod timeline;
pub mod tls;
pub mod tokens;
pub mod toolchain;
pub mod turnstile;
pub mod under_way;
pub mod warming;
pub mod watch;
pub mod worker;

/// Memory is allocated by the threads that read requests and freed by the store's writer; glibc's allocator takes locks
/// and consolidates for that pattern, this one hands pages over.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The hidden command by which the program compiles one component, in a process of its own.
pub const COMPILE_COMMAND: &str = "compile-component";
