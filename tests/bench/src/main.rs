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
//! | [`neighbour`] | scenario: a victim beside four attackers against the same alone |
//! | [`serve`] | scenario: a synchronous reply against the same component behind bare axum |
//! | [`devloop`] | scenario: from a save to the verdict in `creel dev`, against the build alone |
//! | [`density`] | scenario: thousands of distinct components in one process |
//! | [`verify`] | scenario: believing one request, by scheme, against the hash alone |
//! | [`guest`] | the plugin of `call`: built, on bare wasmtime, and by hand in native Rust |
//! | [`sandbox`] | the product's sandbox without a host around it |
//! | [`host`] | a whole Creel host in a process of its own |
//! | [`yardstick`] | the bare axum handler in a process of its own |
//! | [`quarter`], [`attack`] | the host of `neighbour`, and those who attack it |
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

mod attack;
mod backlog;
mod call;
mod child;
mod courier;
mod density;
mod devloop;
mod disk;
mod filling;
mod guest;
mod host;
mod ingest;
mod load;
mod machine;
mod neighbour;
mod node;
mod pipeline;
mod quarter;
mod recovery;
mod sandbox;
mod serve;
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
    /// Thousands of distinct components: memory, cold starts, and the rate over many.
    Density(density::Options),
    /// Believing one request, by scheme, on 2 KB and 1 MB.
    Verify(verify::Options),
    /// The whole way of an event, from request to call, against a plain Node.js service.
    Pipeline(pipeline::Options),
    /// The pipeline over a million stored events, a tenth of them stuck, against an empty store.
    Backlog(backlog::Options),
    /// From kill -9 with a backlog to the first accepted request.
    Recovery(recovery::Options),
    /// A victim's events beside four attackers, against the same events alone.
    Neighbour(neighbour::Options),
    /// A plugin's reply with both commits, against the same component behind bare axum.
    Serve(serve::Options),
    /// From a save to the verdict in `creel dev`, against the build alone.
    Devloop(devloop::Options),
    /// The development host of `devloop`, until it has told its runs.
    #[command(hide = true)]
    ServeDev(devloop::Serve),
    /// A host that does everything, until standard input ends.
    #[command(hide = true)]
    ServeWorks(works::Options),
    /// The host of `density`, which measures itself.
    #[command(hide = true)]
    ServeCrowd(density::crowd::Options),
    /// The host of `neighbour`, until standard input ends.
    #[command(hide = true)]
    ServeQuarter(quarter::Options),
    /// Compiles one component: what the host has a child do.
    #[command(hide = true)]
    CompileComponent,
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
    // The clients want a TLS provider even where they only speak plain HTTP to the loopback interface.
    rustls::crypto::ring::default_provider().install_default().ok();
    let result = match Cli::parse().scenario {
        Scenario::Call(options) => call::run(&options),
        Scenario::Ingest(options) => ingest::run(&options),
        Scenario::Density(options) => density::run(&options),
        Scenario::Verify(options) => verify::run(&options),
        Scenario::Pipeline(options) => pipeline::run(&options),
        Scenario::Backlog(options) => backlog::run(&options),
        Scenario::Recovery(options) => recovery::run(&options),
        Scenario::Neighbour(options) => neighbour::run(&options),
        Scenario::Serve(options) => serve::run(&options),
        Scenario::Devloop(options) => devloop::run(&options),
        Scenario::ServeDev(options) => devloop::serve(&options).map(|()| true),
        Scenario::ServeQuarter(options) => quarter::serve(&options).map(|()| true),
        Scenario::CompileComponent => Ok(creel_runtime::gate::compile::child_main() == 0),
        Scenario::ServeWorks(options) => works::serve(&options).map(|()| true),
        Scenario::ServeCrowd(options) => density::crowd::serve(&options).map(|()| true),
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
