//! Names that a file uses and that nothing bears: found before the first change, all at once.
//!
//! The host checks each thing when it is put, one after the other; a file whose last route is misspelt would be half
//! applied by then. What can be known from the file and from what the host has is therefore known here first.

use std::collections::BTreeSet;

use creel_webhook::preset::preset;

use crate::cli::manifest::Manifest;

/// Every use of a name that neither the file nor the host knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the file uses names that nothing bears; nothing was changed:\n  {}", .0.join("\n  "))]
pub struct Unknown(pub Vec<String>);

/// The names that the host has already.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) secrets: BTreeSet<String>,
    pub(super) sources: BTreeSet<String>,
    pub(super) destinations: BTreeSet<String>,
    pub(super) plugins: BTreeSet<String>,
}

/// Checks the names that a file uses against those that it defines and those that are there.
pub(super) fn names(wanted: &Manifest, known: &Known) -> Result<(), Unknown> {
    let with = |known: &BTreeSet<String>, own: Vec<&str>| -> BTreeSet<String> {
        known.iter().cloned().chain(own.into_iter().map(str::to_owned)).collect()
    };
    let secrets = with(&known.secrets, wanted.secrets.iter().map(|one| one.name.as_str()).collect());
    let sources = with(&known.sources, wanted.sources.iter().map(|one| one.name.as_str()).collect());
    let destinations = with(&known.destinations, wanted.destinations.iter().map(|one| one.name.as_str()).collect());
    let plugins = with(&known.plugins, wanted.plugins.iter().map(|one| one.name.as_str()).collect());
    let mut unknown = Unknown(Vec::new());
    for source in &wanted.sources {
        if source.scheme.is_none() && preset(&source.preset).is_none() {
            unknown.0.push(format!(
                "sources.{}: there is no preset `{}`; `creel presets` lists them",
                source.name, source.preset
            ));
        }
        let used = source.secrets.iter().map(String::as_str);
        unknown.look(&format!("sources.{}", source.name), "secret", used, &secrets);
    }
    for destination in &wanted.destinations {
        unknown.look(&format!("destinations.{}", destination.name), "secret", destination.secret_names(), &secrets);
    }
    if let Some(notices) = &wanted.notices {
        unknown.look("notices", "destination", std::iter::once(notices.destination.as_str()), &destinations);
    }
    for plugin in &wanted.plugins {
        let grants = &plugin.grants;
        let used = grants.destinations.iter().chain(grants.fetch.keys()).map(String::as_str);
        unknown.look(&format!("plugins.{}", plugin.name), "destination", used, &destinations);
    }
    for route in &wanted.routes {
        let at = format!("routes.{}", route.name);
        unknown.look(&at, "source", std::iter::once(route.source.as_str()), &sources);
        unknown.look(&at, "plugin", std::iter::once(route.plugin.as_str()), &plugins);
    }
    if unknown.0.is_empty() { Ok(()) } else { Err(unknown) }
}

impl Unknown {
    fn look<'a>(&mut self, at: &str, what: &str, used: impl Iterator<Item = &'a str>, known: &BTreeSet<String>) {
        for name in used.filter(|name| !known.contains(*name)) {
            let there =
                if known.is_empty() { "none".to_owned() } else { known.iter().cloned().collect::<Vec<_>>().join(", ") };
            self.0.push(format!("{at}: there is no {what} `{name}` (there is: {there})"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::manifest::read;
    use std::path::Path;

    #[test]
    fn every_unknown_name_is_told_at_once() {
        let text = r#"
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
        "#;
        let Ok(wanted) = read(text, Path::new("."), &|_| None) else { panic!("the file is well formed") };
        let known = Known { plugins: ["hello".to_owned()].into(), ..Known::default() };
        let told = names(&wanted, &known).unwrap_err().to_string();
        for part in [
            "`gihub`",
            "secret `nosuch`",
            "secret `token`",
            "source `githb` (there is: github)",
            "`helo` (there is: hello)",
        ] {
            assert!(told.contains(part), "{part} in {told}");
        }
    }

    #[test]
    fn what_the_host_has_may_be_used() {
        let text = "tenant = \"acme\"\n[routes.r]\nsource = \"github\"\nplugin = \"hello\"\n";
        let Ok(wanted) = read(text, Path::new("."), &|_| None) else { panic!("the file is well formed") };
        let known =
            Known { sources: ["github".to_owned()].into(), plugins: ["hello".to_owned()].into(), ..Known::default() };
        assert_eq!(names(&wanted, &known), Ok(()));
    }
}
