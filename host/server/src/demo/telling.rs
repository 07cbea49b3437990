//! How the demo speaks: a timeline for people, one object for machines.

use std::path::Path;
use std::time::Instant;

use crate::timeline::{self, BAD, BOLD, DIM, GOOD};

use super::told::{Told, ToldScene};

/// Prints what happens. Colour is left out where the output is no terminal.
pub(super) struct Voice {
    began: Instant,
}

impl Voice {
    #[allow(clippy::disallowed_methods, reason = "the timeline shows the time that a person waited")]
    pub(super) fn new() -> Self {
        Voice { began: Instant::now() }
    }

    /// The first line.
    pub(super) fn title(&self) {
        anstream::println!("{BOLD}Creel demo{BOLD:#}  signed webhooks in, sandboxed plugins decide, calls go out\n");
    }

    /// A step of the preparation.
    pub(super) fn step(&self, what: &str, line: &str) {
        anstream::println!("{}", timeline::step(what, line));
    }

    /// Where the host is, and how the table is read.
    #[allow(clippy::disallowed_methods, reason = "the timeline begins here")]
    pub(super) fn host(&mut self, ingress: &str, admin: &str, file: &Path, changes: usize) {
        self.began = Instant::now();
        self.step("host", &format!("webhooks at {ingress}, API at {admin}"));
        self.step("applied", &format!("{} ({changes} objects, through the API)", file.display()));
        anstream::println!("\n{}", timeline::columns("sent"));
    }

    /// One scene.
    pub(super) fn scene(&self, told: &ToldScene) {
        let answer = format!("{} in {} ms", told.status, told.answered_ms);
        let (at, is_well) = (self.began.elapsed().as_secs_f64(), told.problems.is_empty());
        anstream::println!("{}", timeline::row(at, told.title, &answer, is_well, told.shows));
        for run in &told.runs {
            anstream::println!("{}", timeline::run(&run.plugin, run.verdict, run.fuel, run.cpu_us));
            for (destination, status) in &run.asked {
                anstream::println!("{}", timeline::asked(destination, *status));
            }
        }
        for call in &told.calls {
            anstream::println!("{}", timeline::call(&call.destination, call.state, call.attempts));
        }
        for problem in &told.problems {
            anstream::println!("{}", timeline::below(&format!("{BAD}{problem}{BAD:#}")));
        }
    }

    /// The end of the story.
    pub(super) fn summary(&self, told: &Told, json: bool) -> anyhow::Result<()> {
        let (style, words) = if told.ok {
            (GOOD, "everything that should have arrived did, and nothing else")
        } else {
            (BAD, "something is not as it should be")
        };
        anstream::println!(
            "\n  {style}{words}{style:#}: {} requests, {} runs, {} calls received",
            told.scenes.len(),
            told.scenes.iter().map(|scene| scene.runs.len()).sum::<usize>(),
            told.received.values().sum::<usize>()
        );
        for problem in &told.problems {
            anstream::println!("  {BAD}{problem}{BAD:#}");
        }
        if json {
            println!("{}", serde_json::to_string(told)?);
        }
        Ok(())
    }

    /// What to try while the host serves on.
    pub(super) fn what_next(&self, admin: &str, key: &str, tenant: &str, told: &Told) {
        let event = told.scenes.iter().find_map(|scene| scene.event.clone()).unwrap_or_default();
        anstream::println!("\n  {BOLD}The host keeps serving; Ctrl-C ends it.{BOLD:#} In another terminal:\n");
        anstream::println!("    export CREEL_URL={admin} CREEL_KEY={key} CREEL_TENANT={tenant}");
        for (command, why) in [
            ("events".to_owned(), "what came in"),
            (format!("event {event}"), "the whole story of one event"),
            ("runs".to_owned(), "what plugins decided, at what cost"),
            ("deliveries".to_owned(), "what went out"),
        ] {
            anstream::println!("    cargo run --release -- {command:<45} {DIM}# {why}{DIM:#}");
        }
    }
}
