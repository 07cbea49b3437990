//! Every setting, once: key, kind, default and reason. Validation, `creel settings` and the documentation read this
//! table; a setting that is not here does not exist.
//!
//! The name in the environment is the key in upper case with `CREEL_` before it and `_` for the dot;
//! `CREEL_MASTER_KEY` is besides the table, because a key is no setting that a file should hold.

/// What a setting's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A path; relative to the working directory.
    Path,
    /// `address:port`; port 0 lets the system choose.
    Listen,
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Count {
        /// Least.
        min: u64,
        /// Most.
        max: u64,
    },
    /// Bytes: a whole number, or a text such as `10 MiB`.
    Bytes {
        /// Least.
        min: u64,
        /// Most.
        max: u64,
    },
    /// Milliseconds, a whole number.
    Millis {
        /// Least.
        min: u64,
        /// Most.
        max: u64,
    },
    /// One of some words.
    Word(&'static [&'static str]),
    /// Any text.
    Text,
    /// An `http` or `https` URL.
    Url,
    /// Places that calls may go to besides the public internet; in the environment separated by commas.
    Places,
}

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Key in the file, dotted.
    pub key: &'static str,
    /// What its value is.
    pub kind: Kind,
    /// Its value when nobody sets it, written as in the environment; empty when it follows from others.
    pub default: &'static str,
    /// What it is, and why the default is what it is.
    pub doc: &'static str,
}

impl Setting {
    /// Its name in the environment.
    pub fn env(&self) -> String {
        format!("CREEL_{}", self.key.replace('.', "_").to_ascii_uppercase())
    }
}

const KIB: u64 = 1_024;
const MIB: u64 = 1_024 * KIB;
const GIB: u64 = 1_024 * MIB;
const MINUTE: u64 = 60_000;

const fn setting(key: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Setting {
    Setting { key, kind, default, doc }
}

const fn count(key: &'static str, min: u64, max: u64, default: &'static str, doc: &'static str) -> Setting {
    setting(key, Kind::Count { min, max }, default, doc)
}

const fn bytes(key: &'static str, min: u64, max: u64, default: &'static str, doc: &'static str) -> Setting {
    setting(key, Kind::Bytes { min, max }, default, doc)
}

const fn millis(key: &'static str, min: u64, max: u64, default: &'static str, doc: &'static str) -> Setting {
    setting(key, Kind::Millis { min, max }, default, doc)
}

/// All settings, in the order in which people read about them.
#[rustfmt::skip]
pub const SETTINGS: &[Setting] = &[
    setting("data_dir", Kind::Path, "creel-data", "Directory of everything that is kept; one process at a time."),
    setting("public_url", Kind::Url, "", "Base of the URLs that senders are given; some providers sign it. By default http:// and the address that `ingress.listen` came to."),
    setting("master_key.file", Kind::Path, "", "File of the key that seals secrets. By default `master.key` in the data directory; CREEL_MASTER_KEY goes before it."),

    setting("ingress.listen", Kind::Listen, "127.0.0.1:8080", "Where webhooks arrive."),
    millis("ingress.header_timeout_ms", 100, MINUTE, "10000", "Longest time for a request's head and for an idle connection: no sender needs a tenth of it."),
    millis("ingress.body_timeout_ms", 100, 10 * MINUTE, "20000", "Longest time for a request's body: 10 MiB at 4 Mbit/s."),
    count("ingress.connections_max", 1, 1_000_000, "4096", "Connections at a time; each may hold a descriptor and 128 KiB."),
    count("ingress.connections_per_address_max", 1, 1_000_000, "512", "Connections at a time from one IPv4 address or IPv6 /64; raise it to `ingress.connections_max` behind a proxy."),
    bytes("ingress.body_bytes_max", KIB, 25 * MIB, "10 MiB", "Longest body; a source may ask for less. Transcripts stay far below; GitHub sends up to 25 MiB, the ceiling."),
    bytes("ingress.in_flight_body_bytes_max", MIB, 64 * GIB, "256 MiB", "Bodies in memory together; beyond it 503."),
    bytes("ingress.headers_bytes_max", KIB, 256 * KIB, "32 KiB", "Longest head of a request; providers send at most 8 KiB."),
    count("ingress.headers_max", 8, 1_000, "128", "Most headers of a request; behind proxies 40 is usual."),
    count("ingress.refusals_burst", 1, 1_000_000, "100", "Requests of one sender that a source refuses in a row; beyond it 429 before anything is verified. A wrong secret shows in the first few. A source refuses eight senders' worth."),
    count("ingress.refusals_per_second", 1, 10_000, "5", "Requests of one sender that a source may go on refusing per second: a flood costs 5 hashes of a body, and whoever was mended is served within 200 ms."),

    setting("admin.listen", Kind::Listen, "127.0.0.1:8081", "Where the API is; on loopback unless `admin.allow_remote`."),
    setting("admin.allow_remote", Kind::Bool, "false", "Lets `admin.listen` be an address that others can reach; put TLS before it."),

    bytes("store.bytes_max", MIB, 1_024 * 1_024 * GIB, "16 GiB", "Bytes that the store may hold; beyond it 503, and nothing that was acknowledged is lost."),
    count("tenant.pending_runs_max", 1, 10_000_000, "10000", "Runs of a tenant that may wait; beyond it its sources answer 429. A tenant's own limit goes before it."),
    count("destination.waiting_max", 1, 10_000_000, "100000", "Calls that may wait for one destination; beyond it the oldest end dead and can be replayed. A day of one call a second. A destination may ask for less."),
    count("tenant.body_days", 1, 3_650, "7", "Days for which the bodies of events, calls and answers are kept, unless a tenant keeps them shorter: what failed on a Friday is replayed in the week after it."),
    count("tenant.record_days", 1, 3_650, "30", "Days for which everything else about an event is kept, unless a tenant keeps it shorter; bodies go with it. Questions come with the month's bill."),

    count("runtime.fuel_max", 100_000, 1_000_000_000_000, "1000000000", "Fuel of one run, about one per instruction: half a second of ordinary work; handlers use under a million."),
    bytes("runtime.memory_bytes_max", MIB, 4 * GIB, "64 MiB", "Linear memory of one run; components of JavaScript and Python begin at 20 MiB."),
    millis("runtime.run_timeout_ms", 10, 10 * MINUTE, "10000", "Wall clock of one run, look-ups included."),
    count("runtime.concurrent_runs", 1, 4_096, "64", "Runs at the same time; each may take `runtime.memory_bytes_max`."),
    count("runtime.reply_slots", 1, 4_096, "16", "Further runs for senders that wait for their answer; never taken by others."),
    count("runtime.guest_threads", 0, 1_024, "0", "Threads that plugins run on; 0 is one per processor. They never serve ingress."),
    bytes("runtime.component_bytes_max", 64 * KIB, 256 * MIB, "16 MiB", "Largest component that may be uploaded."),
    millis("runtime.compile_deadline_ms", 100, 10 * MINUTE, "60000", "Longest time for the process that checks and compiles an upload; a component of Python takes 8 s."),
    bytes("runtime.compile_memory_bytes_max", 256 * MIB, 64 * GIB, "4 GiB", "Address space of that process; components of Python peak above 1 GiB."),

    setting("egress.allow", Kind::Places, "", "Networks, addresses and names that calls may go to besides the public internet, such as `10.1.0.0/16`, `127.0.0.1:9000`, `*.svc.cluster.local`."),
    setting("egress.https_only", Kind::Bool, "true", "Plain http goes only to what `egress.allow` names."),
    count("sender.concurrency", 1, 10_000, "128", "Calls on their way at the same time, all destinations together."),
    bytes("sender.response_bytes_max", 0, 16 * MIB, "64 KiB", "Bytes of a receiver's answer that are kept: enough to see what it complains about."),

    millis("shutdown_timeout_ms", 0, 10 * MINUTE, "15000", "How long requests, runs and calls are given to end when the process is asked to stop; then they are cut and given back. With the seconds that this takes, less than the 30 s of Kubernetes."),
    setting("log.format", Kind::Word(&["text", "json"]), "text", "How log lines look."),
    setting("log.filter", Kind::Text, "info", "Which log lines: a level, or `info,creel_server=debug`."),
];

/// The setting of a key.
pub fn find(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

/// The known word nearest to `word`, if one is near enough to be meant.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let (distance, best) = known.into_iter().map(|known| (distance(word, known), known)).min()?;
    (distance <= best.len().max(word.len()) / 3 + 1).then_some(best)
}

/// Edit distance (Levenshtein) of two short words.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, left) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(left != *right);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_names_are_unique_and_every_setting_has_a_reason() {
        let keys: std::collections::BTreeSet<_> = SETTINGS.iter().map(Setting::env).collect();
        assert_eq!(keys.len(), SETTINGS.len());
        for setting in SETTINGS {
            assert!(setting.doc.len() > 15 && setting.doc.ends_with('.'), "{}", setting.key);
        }
    }

    #[test]
    fn the_nearest_key_is_suggested_and_a_far_one_is_not() {
        let keys = || SETTINGS.iter().map(|setting| setting.key);
        assert_eq!(nearest("ingress.listn", keys()), Some("ingress.listen"));
        assert_eq!(nearest("log.level_of_detail_in_words", keys()), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
