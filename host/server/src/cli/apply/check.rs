//! What is wrong with a file beside what the host has: found before the first change, all at once.
//!
//! The host checks each thing when it is put, one after the other; a file whose last route is misspelt would be half
//! applied by then. What can be known from the file and from what the host has is therefore known here first; what only the host
//! knows it is asked ([`super::asking`]).

use std::collections::BTreeSet;

use creel_webhook::preset::preset;
use creel_webhook::route::{Mode, check_reply_routes};

use super::current::Current;
use crate::cli::manifest::Manifest;
use crate::spec::destination::{Use, secret_uses};
use crate::spec::fields::{Mistake, escape};
use crate::spec::notices;
use crate::spec::route::RouteSpec;
use crate::spec::secret::origin_of;

/// Every mistake, its pointer from the file's top.
pub(super) fn mistakes(wanted: &Manifest, now: &Current) -> Vec<Mistake> {
    let mut found = Found(Vec::new());
    found.names(wanted, now);
    found.origins(wanted);
    found.notices(wanted, now);
    found.replies(wanted, now);
    found.0
}

struct Found(Vec<Mistake>);

impl Found {
    fn add(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        self.0.push(Mistake::new(pointer, detail));
    }

    /// Names that neither the file nor the host knows.
    fn names(&mut self, wanted: &Manifest, now: &Current) {
        let secrets = both(now.secrets.iter().map(|one| &one.name), wanted.secrets.iter().map(|one| &one.name));
        let sources = both(now.sources.iter().map(|one| &one.name), wanted.sources.iter().map(|one| &one.name));
        let destinations =
            both(now.destinations.iter().map(|one| &one.name), wanted.destinations.iter().map(|one| &one.name));
        let plugins = both(now.plugins.iter().map(|one| &one.name), wanted.plugins.iter().map(|one| &one.name));
        for source in &wanted.sources {
            let at = format!("/sources/{}", escape(&source.name));
            if source.scheme.is_none() && preset(&source.preset).is_none() {
                let name = &source.preset;
                self.add(format!("{at}/preset"), format!("there is no preset `{name}`; `creel presets` lists them"));
            }
            for (index, secret) in source.secrets.iter().enumerate() {
                self.look(&format!("{at}/secrets/{index}"), "secret", secret, &secrets);
            }
        }
        for destination in &wanted.destinations {
            for Use { pointer, secret, .. } in secret_uses(destination) {
                self.look(&format!("{}{pointer}", at_destination(&destination.name)), "secret", secret, &secrets);
            }
        }
        if let Some(notices) = &wanted.notices {
            self.look("/notices/destination", "destination", &notices.destination, &destinations);
        }
        for plugin in &wanted.plugins {
            let at = format!("/plugins/{}/grants", escape(&plugin.name));
            for destination in plugin.grants.destinations.iter().chain(plugin.grants.fetch.keys()) {
                self.look(&at, "destination", destination, &destinations);
            }
        }
        for route in &wanted.routes {
            let at = format!("/routes/{}", escape(&route.name));
            self.look(&format!("{at}/source"), "source", &route.source, &sources);
            self.look(&format!("{at}/plugin"), "plugin", &route.plugin, &plugins);
        }
    }

    fn look(&mut self, at: &str, what: &str, name: &str, known: &BTreeSet<&str>) {
        if !known.contains(name) {
            let there = known.iter().copied().collect::<Vec<_>>().join(", ");
            let there = if there.is_empty() { "none" } else { &there };
            self.add(at, format!("there is no {what} `{name}` (there is: {there})"));
        }
    }

    /// Secrets of the file that destinations of the file may not be sent.
    fn origins(&mut self, wanted: &Manifest) {
        for destination in &wanted.destinations {
            for Use { pointer, secret: name, url } in secret_uses(destination) {
                let (secret, origin) = (wanted.secrets.iter().find(|one| one.name == name), origin_of(url));
                if let (Some(secret), Ok(origin)) = (secret, origin)
                    && !secret.origins.contains(&origin)
                {
                    let detail = format!(
                        "the secret `{name}` may not be sent to {origin}; add that to `origins` in [secrets.{name}]"
                    );
                    self.add(format!("{}{pointer}", at_destination(&destination.name)), detail);
                }
            }
        }
    }

    /// Notices of the file that nobody could tell from others'.
    fn notices(&mut self, wanted: &Manifest, now: &Current) {
        let to = wanted.notices.as_ref().or(now.notices.as_ref()).map(|notices| &notices.destination);
        let to = to.and_then(|name| wanted.destinations.iter().find(|one| one.name == *name));
        if let Some(detail) = to.and_then(notices::objection) {
            let to = to.map(|one| at_destination(&one.name)).unwrap_or_default();
            self.add(to, format!("the tenant's notices go to it, and {detail}"));
        }
    }

    /// Routes of which two would answer one sender.
    fn replies(&mut self, wanted: &Manifest, now: &Current) {
        let stays = |one: &&RouteSpec| wanted.routes.iter().all(|own| own.name != one.name);
        let stay = now.routes.iter().map(|one| &one.spec).filter(stays);
        let all: Vec<&RouteSpec> = stay.chain(&wanted.routes).filter(|one| one.mode == Mode::Reply).collect();
        for (place, route) in all.iter().enumerate() {
            let before = all[..place].iter().filter(|one| one.source == route.source);
            let both = before.chain([route]).map(|one| (one.name.as_str(), &one.pattern));
            if let Err(error) = check_reply_routes(both) {
                self.add(format!("/routes/{}/pattern", escape(&route.name)), error.to_string());
            }
        }
    }
}

fn at_destination(name: &str) -> String {
    format!("/destinations/{}", escape(name))
}

fn both<'a>(there: impl Iterator<Item = &'a String>, wanted: impl Iterator<Item = &'a String>) -> BTreeSet<&'a str> {
    there.chain(wanted).map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::cli::manifest::read;

    fn told(text: &str) -> String {
        let Ok(wanted) = read(Path::new("creel.toml"), text.to_owned(), &|_| None) else {
            panic!("the file is well formed")
        };
        wanted.written.wrong(mistakes(&wanted, &Current::default())).to_string()
    }

    #[test]
    fn every_unknown_name_is_told_at_once_with_its_line() {
        let told = told(
            r#"
            tenant = "acme"
            [sources.github]
            preset = "gihub"
            secrets = ["nosuch"]
            [destinations.crm]
            url = "https://crm.example"
            auth = { type = "bearer", secret = "token" }
            [routes.r]
            source = "githb"
            plugin = "helo"
        "#,
        );
        for part in [
            "creel.toml:4: sources.github.preset: there is no preset `gihub`",
            "creel.toml:5: sources.github.secrets.0: there is no secret `nosuch` (there is: none)",
            "creel.toml:8: destinations.crm.auth.secret: there is no secret `token`",
            "creel.toml:10: routes.r.source: there is no source `githb` (there is: github)",
            "creel.toml:11: routes.r.plugin: there is no plugin `helo` (there is: none)",
        ] {
            assert!(told.contains(part), "{part} in {told}");
        }
    }

    #[test]
    fn what_the_host_would_refuse_only_half_way_is_told_first() {
        let told = told(
            r#"
            [secrets.token]
            value = "0123456789abcdef"
            origins = ["https://elsewhere.example"]
            [destinations.crm]
            url = "https://crm.example/v1"
            auth = { type = "bearer", secret = "token" }
            [notices]
            destination = "crm"
            [routes.one]
            source = "s"
            plugin = "p"
            pattern = "call.*"
            mode = "reply"
            [routes.two]
            source = "s"
            plugin = "p"
            mode = "reply"
        "#,
        );
        for part in [
            "creel.toml:7: destinations.crm.auth.secret: the secret `token` may not be sent to https://crm.example",
            "creel.toml:5: destinations.crm: the tenant's notices go to it",
            "creel.toml:15: routes.two.pattern: the reply routes `one` and `two`",
        ] {
            assert!(told.contains(part), "{part} in {told}");
        }
    }
}
