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
        anstream::println!("{}", host(ingress, admin, file, changes));
    }

    /// One scene.
    pub(super) fn scene(&self, told: &ToldScene) {
        anstream::println!("{}", scene(self.began.elapsed().as_secs_f64(), told));
    }

    /// The end of the story.
    pub(super) fn summary(&self, told: &Told, json: bool) -> anyhow::Result<()> {
        anstream::println!("{}", summary(told));
        if json {
            println!("{}", serde_json::to_string(told)?);
        }
        Ok(())
    }

    /// What to try while the host serves on.
    pub(super) fn what_next(&self, admin: &str, key: &str, tenant: &str, told: &Told) {
        anstream::println!("{}", what_next(admin, key, tenant, told));
    }
}

fn host(ingress: &str, admin: &str, file: &Path, changes: usize) -> String {
    [
        timeline::step("host", &format!("webhooks at {ingress}, API at {admin}")),
        timeline::step("applied", &format!("{} ({changes} objects, through the API)", file.display())),
        String::new(),
        timeline::columns("sent"),
    ]
    .join("\n")
}

fn scene(at_s: f64, told: &ToldScene) -> String {
    let answer = format!("{} in {} ms", told.status, told.answered_ms);
    let mut lines = vec![timeline::row(at_s, told.title, &answer, told.problems.is_empty(), told.shows)];
    for run in &told.runs {
        lines.push(timeline::run(&run.plugin, run.verdict, run.fuel, run.cpu_us));
        lines.extend(run.asked.iter().map(|(destination, status)| timeline::asked(destination, *status)));
    }
    lines.extend(told.calls.iter().map(|call| timeline::call(&call.destination, call.state, call.attempts)));
    lines.extend(told.problems.iter().map(|problem| timeline::below(&format!("{BAD}{problem}{BAD:#}"))));
    lines.join("\n")
}

fn summary(told: &Told) -> String {
    let (style, words) = if told.ok {
        (GOOD, "everything that should have arrived did, and nothing else")
    } else {
        (BAD, "something is not as it should be")
    };
    let sum = format!(
        "\n  {style}{words}{style:#}: {} requests, {} runs, {} calls received",
        told.scenes.len(),
        told.scenes.iter().map(|scene| scene.runs.len()).sum::<usize>(),
        told.received.values().sum::<usize>()
    );
    let problems = told.problems.iter().map(|problem| format!("\n  {BAD}{problem}{BAD:#}"));
    std::iter::once(sum).chain(problems).collect()
}

fn what_next(admin: &str, key: &str, tenant: &str, told: &Told) -> String {
    let event = told.scenes.iter().find_map(|scene| scene.event.clone()).unwrap_or_default();
    let mut lines = vec![
        format!("\n  {BOLD}The host keeps serving; Ctrl-C ends it.{BOLD:#} In another terminal:\n"),
        format!("    export CREEL_URL={admin} CREEL_KEY={key} CREEL_TENANT={tenant}"),
    ];
    for (command, why) in [
        ("events".to_owned(), "what came in"),
        (format!("event {event}"), "the whole story of one event"),
        ("runs".to_owned(), "what plugins decided, at what cost"),
        ("deliveries".to_owned(), "what went out"),
    ] {
        lines.push(format!("    cargo run --release -- {command:<45} {DIM}# {why}{DIM:#}"));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use creel_webhook::run::Verdict;

    use super::super::told::{ToldCall, ToldRun};
    use super::*;

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    fn run(plugin: &str, verdict: Verdict, asked: &[(&str, Option<u16>)]) -> ToldRun {
        let asked = asked.iter().map(|(destination, status)| ((*destination).to_owned(), *status)).collect();
        let (plugin, reason) = (plugin.to_owned(), (verdict == Verdict::Fuel).then(|| "no end".to_owned()));
        ToldRun { plugin, verdict, reason, fuel: 1_025_220, cpu_us: 2_345, memory_bytes: 65_536, asked }
    }

    fn scene_of(title: &'static str, status: u16, runs: Vec<ToldRun>, shows: &'static str) -> ToldScene {
        ToldScene {
            title,
            source: "shop",
            shows,
            status,
            answered_ms: 7,
            event: (!runs.is_empty()).then(|| "evt_1".to_owned()),
            runs,
            calls: Vec::new(),
            problems: Vec::new(),
        }
    }

    fn call(destination: &str, attempts: u32) -> ToldCall {
        ToldCall { destination: destination.to_owned(), state: "delivered", attempts }
    }

    /// A story in which each kind of thing happens once.
    fn story() -> Told {
        let mut ended =
            scene_of("Vapi: end-of-call-report", 200, vec![run("call-ended", Verdict::Done, &[])], "it is tried again");
        ended.calls = vec![call("crm", 2), call("twilio", 1)];
        let asks = run("appointment", Verdict::Done, &[("crm", Some(200)), ("slots", None)]);
        let mut wrong = scene_of("Orders: a loop", 500, vec![run("loops", Verdict::Fuel, &[])], "it is cut");
        wrong.problems = vec!["answered 500 instead of 200".to_owned()];
        let scenes = vec![
            ended,
            scene_of("Vapi: tool-calls", 200, vec![asks], "a caller waits"),
            scene_of("GitHub: forged", 401, Vec::new(), "nothing is stored"),
            wrong,
        ];
        let received = [("crm".to_owned(), 1), ("crm (asked)".to_owned(), 1), ("twilio".to_owned(), 1)].into();
        Told { ok: true, scenes, received, turned_away: 1, problems: Vec::new() }
    }

    #[test]
    fn the_story_is_told_as_it_was() {
        let told = story();
        let before = host("http://127.0.0.1:1", "http://127.0.0.1:2", Path::new("demo/demo.toml"), 34);
        let scenes = told.scenes.iter().zip(1..).map(|(one, at)| scene(f64::from(at) / 3.0, one));
        let text: Vec<String> = std::iter::once(before).chain(scenes).chain([summary(&told)]).collect();
        insta::assert_snapshot!("the_story", plain(&text.join("\n")));
        let next = what_next("http://127.0.0.1:2", "creel_key", "demo", &told);
        insta::assert_snapshot!("what_next", plain(&next));
        let wrong = Told { ok: false, problems: vec!["the receiver got /a twice".to_owned()], ..told };
        insta::assert_snapshot!("a_story_gone_wrong", plain(&summary(&wrong)));
    }

    #[test]
    fn the_summary_for_programs_is_as_it_was() {
        let mut told = story();
        told.scenes.retain(|scene| scene.title.starts_with("Vapi"));
        insta::assert_snapshot!("for_programs", serde_json::to_string_pretty(&told).unwrap());
    }
}
