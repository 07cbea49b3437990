//! The host: everything between the network and the rules.
//!
//! | modules | what they do |
//! |---|---|
//! | [`app`] | opens and connects everything; the only place that spawns |
//! | [`listener`], [`body`], [`ingress`] | requests come in |
//! | [`pump`], [`worker`], [`runner`], [`rehearsal`] | runs become decisions, or are only shown |
//! | [`sender`], [`egress`], [`guard`] | calls go out |
//! | [`directory`] | what is configured, ready for use |
//! | [`maintenance`] | what must happen some time |
//! | [`admin`], [`api`], [`spec`], [`cli`] | what people use and write |
//! | [`toolchain`] | how plugins are built |
//! | [`sample`] | events as providers send them, signed |
//! | [`demo`] | all of it at once, as a story that checks itself |
//! | [`config`], [`datadir`], [`system`], [`telemetry`], [`shutdown`] | the process and its surroundings |

pub mod activity;
pub mod admin;
pub mod api;
pub mod app;
pub mod body;
pub mod cli;
pub mod config;
pub mod datadir;
pub mod demo;
pub mod directory;
pub mod egress;
pub mod errands;
pub mod guard;
pub mod ingress;
pub mod insist;
pub mod listener;
pub mod maintenance;
pub mod pump;
pub mod rehearsal;
pub mod runner;
pub mod sample;
pub mod sender;
pub mod shutdown;
pub mod spec;
pub mod system;
pub mod telemetry;
pub mod toolchain;
pub mod watch;
pub mod worker;

/// Memory is allocated by the threads that read requests and freed by the store's writer; glibc's allocator takes locks
/// and consolidates for that pattern, this one hands pages over.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The hidden command by which the program compiles one component, in a process of its own.
pub const COMPILE_COMMAND: &str = "compile-component";
