//! `creel-bench`: what Creel costs, measured against a yardstick in the same run.
//!
//! One subcommand is one scenario and lives in one file. A scenario says what it measures and against what, prints the
//! facts of the machine that decide its figures, measures the two sides in turn, and ends with medians, their ratio
//! and PASS or FAIL; the process's exit status says the same. Single figures depend on the machine and its mood, the
//! ratio of alternating rounds hardly does.
//!
//! | file | what it holds |
//! |---|---|
//! | [`call`] | scenario: one plugin call, fresh instance against a reused one and native code |
//! | [`ingest`] | scenario: durable verified accepts against a handler that only verifies |
//! | [`pipeline`] | scenario: the whole way from request to call against a plain Node.js service |
//! | [`backlog`] | scenario: the pipeline over a full store against an empty one |
//! | [`recovery`] | scenario: kill -9 with a backlog, and the first accepted request after it |
//! | [`verify`] | scenario: believing one request, by scheme, against the hash alone |
//! | [`guest`] | the plugin of `call`: built, on bare wasmtime, and by hand in native Rust |
//! | [`host`] | a whole Creel host in a process of its own |
//! | [`yardstick`] | the bare axum handler in a process of its own |
//! | [`works`], [`filling`] | a whole host with plugin and destination, and the past that it is given |
//! | [`courier`] | sender and receiver of the whole way, and the time between them |
//! | [`node`] | the Node.js service of `pipeline` in a process of its own |
//! | [`load`] | the sender: keep-alive connections in a process of its own |
//! | [`child`] | processes that serve: this program again |
//! | [`machine`], [`disk`], [`stats`], [`verdict`] | facts, medians, and the end of a scenario |
//!
//! Everything is bounded in count and time and stays on the loopback interface.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod backlog;
mod call;
mod child;
mod courier;
mod disk;
mod filling;
mod guest;
mod host;
mod ingest;
mod load;
mod machine;
mod node;
mod pipeline;
mod recovery;
mod stats;
mod verdict;
mod verify;
mod works;
mod yardstick;

/// Measures Creel against yardsticks.
#[derive(Debug, Parser)]
#[command(name = "creel-bench")]
struct Cli {
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Debug, Subcommand)]
enum Scenario {
    /// One plugin call: a fresh instance, the same instance again, native code.
    Call(call::Options),
    /// Durable verified accepts per second against a handler that only verifies.
    Ingest(ingest::Options),
    /// Believing one request, by scheme, on 2 KB and 1 MB.
    Verify(verify::Options),
    /// The whole way of an event, from request to call, against a plain Node.js service.
    Pipeline(pipeline::Options),
    /// The pipeline over a million stored events, a tenth of them stuck, against an empty store.
    Backlog(backlog::Options),
    /// From kill -9 with a backlog to the first accepted request.
    Recovery(recovery::Options),
    /// A host that does everything, until standard input ends.
    #[command(hide = true)]
    ServeWorks(works::Options),
    /// A host, until standard input ends.
    #[command(hide = true)]
    ServeHost(host::Options),
    /// The yardstick of `ingest`, until standard input ends.
    #[command(hide = true)]
    ServeYardstick(yardstick::Options),
    /// Sends signed requests and counts the answers.
    #[command(hide = true)]
    Send(load::Options),
}

fn main() -> ExitCode {
    let result = match Cli::parse().scenario {
        Scenario::Call(options) => call::run(&options),
        Scenario::Ingest(options) => ingest::run(&options),
        Scenario::Verify(options) => verify::run(&options),
        Scenario::Pipeline(options) => pipeline::run(&options),
        Scenario::Backlog(options) => backlog::run(&options),
        Scenario::Recovery(options) => recovery::run(&options),
        Scenario::ServeWorks(options) => works::serve(&options).map(|()| true),
        Scenario::ServeHost(options) => host::serve(&options).map(|()| true),
        Scenario::ServeYardstick(options) => yardstick::serve(&options).map(|()| true),
        Scenario::Send(options) => load::run(&options).map(|()| true),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("creel-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
