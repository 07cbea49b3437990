//! `creel tenant NAME --export DIR`: everything of a tenant that the API shows to whoever asks, as files of their own.
//!
//! | file | holds |
//! |---|---|
//! | `export.json` | whose, when, how much, and what was left out because the key may not see it |
//! | `tenant.json`, `quotas.json` | the tenant, and what it used today |
//! | `sources.json`, `routes.json`, `destinations.json`, `plugins.json`, `notices.json` | what is configured |
//! | `secrets.json`, `keys.json` | their names and places, never what is secret |
//! | `deployments/PLUGIN.json`, `components/DIGEST.wasm` | versions with settings and grants, and the uploads that are kept |
//! | `state/PLUGIN.jsonl` | what a plugin remembers: a key a line, its value in base64 |
//! | `events.jsonl`, `bodies/EVENT` | each event with runs, logs, calls and what was answered; the bytes of each body |
//! | `deliveries.jsonl` | each call with its history and what it sent; notices too |
//! | `runs.jsonl`, `refusals.json`, `audit.jsonl`, `usage.json` | as the API lists them; of use the last year |
//!
//! Payloads are in it when the key has the right to read them, and each reading is in the audit trail as always. Pages are
//! asked for and written one after the other, so nothing is held in memory, however much there is. It is no snapshot: what comes
//! in the meantime may be in it or not.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use creel_webhook::clock::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::client::{Client, ClientError, ClientResult};
use crate::api::List;

/// Items of one page: as many as the API gives at once.
const PAGE: u32 = 500;

/// Milliseconds of use that are asked for: a year, as much as the API tells at once.
const USAGE_MS: u64 = 365 * 24 * 60 * 60 * 1_000;

/// What was exported.
#[derive(Debug, Clone, Serialize)]
pub struct Exported {
    /// Whose.
    pub tenant: String,
    /// Where it is.
    pub directory: PathBuf,
    /// When it was begun, RFC 3339.
    pub begun_at: String,
    /// Events.
    pub events: u64,
    /// Runs.
    pub runs: u64,
    /// Calls.
    pub deliveries: u64,
    /// What the key may not see.
    pub left_out: BTreeSet<String>,
}

/// Writes what there is of a tenant into a new directory.
///
/// # Errors
/// When there is something in its place, it can't be written to, or the host can't be asked.
pub async fn export(client: &Client, tenant: &str, directory: &Path, now: Timestamp) -> anyhow::Result<Exported> {
    let about = client.tenant(tenant).about().await?;
    make(directory)?;
    let exported = Exported {
        tenant: tenant.to_owned(),
        directory: directory.to_owned(),
        begun_at: now.to_string(),
        events: 0,
        runs: 0,
        deliveries: 0,
        left_out: BTreeSet::new(),
    };
    let mut export = Export { client, prefix: client.tenant(tenant).prefix().to_owned(), exported };
    export.write("tenant.json", &serde_json::to_value(about)?)?;
    export.configuration().await?;
    export.plugins().await?;
    export.history().await?;
    let since = now.minus_ms(USAGE_MS).to_string();
    export.whole("usage", &format!("since={}", since.split('T').next().unwrap_or_default())).await?;
    export.write("export.json", &serde_json::to_value(&export.exported)?)?;
    Ok(export.exported)
}

/// A directory for the one who asks alone.
fn make(directory: &Path) -> anyhow::Result<()> {
    fs::DirBuilder::new().mode(0o700).create(directory).with_context(|| {
        format!("making the directory {}; name one that is not there yet, in one that is", directory.display())
    })
}

struct Export<'a> {
    client: &'a Client,
    prefix: String,
    exported: Exported,
}

impl Export<'_> {
    /// The place of a file. What a host calls things is not believed: no name leads out of the directory.
    fn place(&self, file: &str) -> anyhow::Result<PathBuf> {
        let is_name = |part: &str| {
            !part.starts_with('.')
                && !part.is_empty()
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        };
        anyhow::ensure!(
            file.split('/').count() <= 2 && file.split('/').all(is_name),
            "the host names a thing `{}`",
            file.escape_debug()
        );
        Ok(self.exported.directory.join(file))
    }

    fn write(&self, file: &str, value: &Value) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(value)?;
        fs::write(self.place(file)?, text + "\n").with_context(|| format!("writing {file}"))
    }

    fn lines(&self, file: &str) -> anyhow::Result<BufWriter<File>> {
        Ok(BufWriter::new(File::create(self.place(file)?).with_context(|| format!("making {file}"))?))
    }

    /// What was asked for; nothing where the key may not see it or it is gone, which is noted.
    fn seen<T>(&mut self, what: &str, answer: ClientResult<T>) -> anyhow::Result<Option<T>> {
        match answer {
            Ok(value) => Ok(Some(value)),
            Err(ClientError::Refused(problem)) if problem.status == 403 => {
                self.exported.left_out.insert(format!("{what}: {}", problem.detail));
                Ok(None)
            }
            Err(ClientError::Refused(problem)) if matches!(problem.status, 404 | 410) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn get(&mut self, what: &str, rest: &str) -> anyhow::Result<Option<Value>> {
        let answer = self.client.get(&format!("{}/{rest}", self.prefix)).await;
        self.seen(what, answer)
    }

    /// A list that comes at once, or one thing, as a file of its name.
    async fn whole(&mut self, name: &str, query: &str) -> anyhow::Result<Value> {
        let answer = self.get(name, &format!("{name}?{query}")).await?.unwrap_or_default();
        let value = answer.get("items").cloned().unwrap_or(answer);
        self.write(&format!("{name}.json"), &value)?;
        Ok(value)
    }

    /// The next page of a list, and where the one after it begins.
    async fn page(
        &mut self,
        name: &str,
        by: &str,
        after: Option<&str>,
    ) -> anyhow::Result<(Vec<Value>, Option<String>)> {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("limit", &PAGE.to_string()).extend_pairs(after.map(|after| (by, after)));
        let answer = self.client.get::<List<Value>>(&format!("{}/{name}?{}", self.prefix, query.finish())).await;
        Ok(self.seen(name, answer)?.map_or_else(Default::default, |list| (list.items, list.next)))
    }

    async fn configuration(&mut self) -> anyhow::Result<()> {
        for name in ["sources", "routes", "destinations", "notices", "secrets", "keys", "quotas"] {
            self.whole(name, "").await?;
        }
        self.whole("refusals", &format!("limit={PAGE}")).await?;
        Ok(())
    }

    async fn plugins(&mut self) -> anyhow::Result<()> {
        for directory in ["deployments", "components", "state"] {
            make(&self.place(directory)?)?;
        }
        let plugins = self.whole("plugins", "").await?;
        for plugin in plugins.as_array().into_iter().flatten().filter_map(|plugin| plugin["name"].as_str()) {
            let deployments =
                self.get("deployments", &format!("plugins/{plugin}/deployments")).await?.unwrap_or_default();
            self.write(&format!("deployments/{plugin}.json"), &deployments["items"])?;
            let digests: BTreeSet<&str> = deployments["items"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|one| one["digest"].as_str())
                .collect();
            for digest in digests {
                let answer = self.client.tenant(&self.exported.tenant).component(plugin, digest).await;
                if let Some(bytes) = self.seen("components", answer)? {
                    let name = digest.trim_start_matches("sha256:");
                    fs::write(self.place(&format!("components/{name}.wasm"))?, bytes).context("writing a component")?;
                }
            }
            self.state(plugin).await?;
        }
        Ok(())
    }

    async fn state(&mut self, plugin: &str) -> anyhow::Result<()> {
        let mut file = self.lines(&format!("state/{plugin}.jsonl"))?;
        let (list, mut after) = (format!("plugins/{plugin}/state"), None);
        loop {
            let (keys, next) = self.page(&list, "after", after.as_deref()).await?;
            for mut key in keys {
                let name = key["key"].as_str().unwrap_or_default().to_owned();
                let value = self.client.tenant(&self.exported.tenant).state_value(plugin, &name).await;
                if let Some(value) = self.seen("values of state", value)? {
                    key["value_base64"] = STANDARD.encode(value).into();
                }
                writeln!(file, "{key}")?;
            }
            after = next;
            if after.is_none() {
                return Ok(file.flush()?);
            }
        }
    }

    async fn history(&mut self) -> anyhow::Result<()> {
        make(&self.place("bodies")?)?;
        self.exported.events = self.each("events", true).await?;
        self.exported.runs = self.each("runs", false).await?;
        self.exported.deliveries = self.each("deliveries", true).await?;
        self.each("audit", false).await?;
        Ok(())
    }

    /// A list page by page, a thing a line: as it is listed, or asked for one by one with all that there is of it.
    async fn each(&mut self, name: &str, one_by_one: bool) -> anyhow::Result<u64> {
        let mut file = self.lines(&format!("{name}.jsonl"))?;
        let (mut count, mut before) = (0, None);
        loop {
            let (items, next) = self.page(name, "before", before.as_deref()).await?;
            for item in items {
                count += 1;
                let id = item["id"].as_str().unwrap_or_default().to_owned();
                let whole =
                    if one_by_one { self.get(name, &format!("{name}/{id}")).await?.unwrap_or(item) } else { item };
                self.note_left_out(&whole);
                writeln!(file, "{whole}")?;
                if name == "events" {
                    self.body(&id).await?;
                }
            }
            before = next;
            if before.is_none() {
                file.flush()?;
                return Ok(count);
            }
        }
    }

    fn note_left_out(&mut self, item: &Value) {
        if let Some(why) = item["left_out"].as_str() {
            self.exported.left_out.insert(format!("payloads: {why}"));
        }
    }

    /// The bytes of an event that are still kept.
    async fn body(&mut self, event: &str) -> anyhow::Result<()> {
        let answer = self.client.tenant(&self.exported.tenant).event_body(event).await;
        if let Some(bytes) = self.seen("bodies", answer)? {
            fs::write(self.place(&format!("bodies/{event}"))?, bytes).context("writing a body")?;
        }
        Ok(())
    }
}

/// What was done, for people.
pub fn told(exported: &Exported) -> String {
    let Exported { tenant, directory, events, runs, deliveries, left_out, .. } = exported;
    let mut text = format!("{tenant} is in {}: {events} events, {runs} runs, {deliveries} calls", directory.display());
    for what in left_out {
        text.push_str(&format!("\nleft out: {}", super::plain::lines(what)));
    }
    text
}
