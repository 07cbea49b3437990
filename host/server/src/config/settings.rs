//! Every setting, once: key, kind, default and reason. Validation, `creel settings` and the documentation read this
//! table; a setting that is not here does not exist.
//!
//! The name in the environment is the key in upper case with `CREEL_` before it and `_` for the dot;
//! `CREEL_MASTER_KEY` is besides the table, because a key is no setting that a file should hold.

use creel_webhook::quota::UNLIMITED;

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
    /// Such URLs; in the environment separated by commas.
    Urls,
    /// Networks and addresses; in the environment separated by commas.
    Networks,
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
    setting("public_url", Kind::Url, "", "Base of the URLs that senders are given; some providers sign it. By default http:// (https:// with `ingress.tls`) and the address that `ingress.listen` came to."),
    setting("public_url_aliases", Kind::Urls, "", "Other bases that providers may know the host by, after a move or through a tunnel: what is signed for one of them is believed too, unless the source names URLs of its own."),
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

    setting("ingress.tls.certificate_file", Kind::Path, "", "Certificate in PEM, with its chain behind it; with it ingress speaks TLS 1.2 and 1.3. Read again every minute and on SIGHUP; what does not hold is told and not taken."),
    setting("ingress.tls.key_file", Kind::Path, "", "Private key of that certificate, in PEM without a password; readable by the host alone."),
    setting("ingress.trusted_proxies", Kind::Networks, "", "Networks of proxies that stand before the host: a request through them comes from the right-most address of `ingress.forwarded_header` that is not in these networks, and the cap on connections of one address is not theirs. Nobody else's headers are believed."),
    setting("ingress.forwarded_header", Kind::Word(&["x-forwarded-for", "forwarded"]), "x-forwarded-for", "The header that the trusted proxies maintain; the other one is what senders wrote."),

    setting("admin.listen", Kind::Listen, "127.0.0.1:8081", "Where the API is; on loopback unless `admin.allow_remote`."),
    setting("admin.allow_remote", Kind::Bool, "false", "Lets `admin.listen` be an address that others can reach; wants `admin.tls`, because keys and payloads pass there."),
    setting("admin.allow_plaintext", Kind::Bool, "false", "Lets a remote `admin.listen` go without `admin.tls`: where a proxy on the way or the network itself encrypts."),
    setting("admin.tls.certificate_file", Kind::Path, "", "Certificate of the API, like that of `ingress.tls`; `creel --ca-file` trusts one of one's own."),
    setting("admin.tls.key_file", Kind::Path, "", "Private key of that certificate."),

    bytes("store.bytes_max", MIB, 1_024 * 1_024 * GIB, "16 GiB", "Bytes that the store may hold; beyond it 503, and nothing that was acknowledged is lost."),
    count("tenant.pending_runs_max", 1, 10_000_000, "10000", "Runs of a tenant that may wait; beyond it its sources answer 429. A tenant's own limit goes before it."),
    bytes("tenant.components_bytes_max", MIB, 1_024 * GIB, "512 MiB", "Components that a tenant stores: thousands of Rust, 28 of Python. Versions that no active deployment uses leave for new ones, the oldest first."),
    count("destination.waiting_max", 1, 10_000_000, "100000", "Calls that may wait for one destination; beyond it the oldest end dead and can be replayed. A day of one call a second. A destination may ask for less."),
    count("tenant.body_days", 1, 3_650, "7", "Days for which the bodies of events, calls and answers are kept, unless a tenant keeps them shorter: what failed on a Friday is replayed in the week after it."),
    count("audit.days", 1, 3_650, "400", "Days for which it is kept who changed what and who read payloads: a year, and time to look at it."),
    count("tenant.record_days", 1, 3_650, "30", "Days for which everything else about an event is kept, unless a tenant keeps it shorter; bodies go with it. Questions come with the month's bill."),

    count("tenant.concurrent_runs_max", 0, 4_096, "0", "Runs of a tenant in the background at the same time; 0 is half of `runtime.concurrent_runs`. Whatever it is, no tenant holds more places than it leaves free."),
    count("tenant.fuel_per_second", 100_000, 1_000_000_000_000_000, "2000000000", "Fuel of a tenant per second, five seconds saved up; beyond it its runs wait. A processor of ordinary work: 500 events of a JavaScript handler, 10 000 of a Rust one. Its replies have as much again."),
    count("tenant.events_per_day", 0, UNLIMITED, "0", "Events of a tenant per day (UTC), unless it has a quota of its own; beyond it its sources answer 429 until midnight. 0 is no quota: what a tenant may use in a day is a matter of contract, the limits above keep the host well."),
    count("tenant.bytes_per_day", 0, UNLIMITED, "0", "Bytes of a tenant's bodies per day, in and out; beyond it its sources answer 429 until midnight. 0 is no quota, as for events."),
    count("tenant.runs_per_day", 0, UNLIMITED, "0", "Tries of a tenant's runs per day; beyond it they wait until midnight. 0 is no quota, as for events."),
    count("tenant.fuel_per_day", 0, UNLIMITED, "0", "Fuel of a tenant's runs per day; beyond it they wait until midnight. 0 is no quota, as for events."),
    count("tenant.deliveries_per_day", 0, UNLIMITED, "0", "Calls of a tenant that arrive per day; beyond it they wait until midnight. 0 is no quota, as for events."),
    count("tenant.uploads_per_minute", 1, 10_000, "30", "Components that a tenant may upload per minute: each takes seconds of the one compiler that all share."),

    count("runtime.fuel_max", 100_000, 1_000_000_000_000, "1000000000", "Fuel of one run, about one per instruction: half a second of ordinary work; handlers use under a million."),
    bytes("runtime.memory_bytes_max", MIB, 4 * GIB, "64 MiB", "Linear memory of one run; components of JavaScript and Python begin at 20 MiB."),
    millis("runtime.run_timeout_ms", 10, 10 * MINUTE, "10000", "Time of one run, look-ups included and waiting for a thread not."),
    bytes("runtime.log_bytes_max", 0, 16 * MIB, "64 KiB", "Log of one run; it is stored beside every event."),
    count("runtime.log_lines_max", 0, 100_000, "256", "Log lines of one run; more is read by nobody."),
    count("runtime.calls_max", 1, 10_000, "64", "Calls that one run may decide; a fan-out beyond that belongs behind one destination."),
    bytes("runtime.call_bytes_max", KIB, 25 * MIB, "1 MiB", "One call with headers and body; most APIs accept no more."),
    bytes("runtime.outcome_bytes_max", KIB, 25 * MIB, "8 MiB", "All calls and the reply of one run; they are stored in one transaction."),
    bytes("runtime.reply_bytes_max", KIB, 25 * MIB, "1 MiB", "A reply with headers and body; a caller waits for it."),

    count("ceiling.pending_runs_max", 1, 10_000_000, "1000000", "Most that a tenant's own `pending_runs_max` may be: a million runs are about 2 GB of the store."),
    count("ceiling.fuel_per_second", 100_000, 1_000_000_000_000_000, "100000000000", "Most that a tenant's own `fuel_per_second` may be: fifty processors."),
    count("ceiling.fuel_max", 100_000, 1_000_000_000_000, "20000000000", "Most that a tenant's own `fuel_max` may be: ten seconds of ordinary work."),
    bytes("ceiling.memory_bytes_max", MIB, 4 * GIB, "256 MiB", "Most that a tenant's own `memory_bytes_max` may be; so much address space is reserved for each of all runs."),
    millis("ceiling.run_timeout_ms", 10, 10 * MINUTE, "60000", "Most that a tenant's own `run_timeout_ms` may be; claims last as long."),
    bytes("ceiling.log_bytes_max", 0, 16 * MIB, "1 MiB", "Most that a tenant's own `log_bytes_max` may be; logs fill the store."),
    count("ceiling.log_lines_max", 0, 100_000, "10000", "Most that a tenant's own `log_lines_max` may be; logs fill the store."),
    count("ceiling.calls_max", 1, 10_000, "1000", "Most that a tenant's own `calls_max` may be; all of them are one transaction."),
    bytes("ceiling.call_bytes_max", KIB, 25 * MIB, "8 MiB", "Most that a tenant's own `call_bytes_max` may be; it is in memory while it is sent."),
    bytes("ceiling.outcome_bytes_max", KIB, 25 * MIB, "16 MiB", "Most that a tenant's own `outcome_bytes_max` may be; guests hand over at most 32 MiB at once."),
    bytes("ceiling.reply_bytes_max", KIB, 25 * MIB, "8 MiB", "Most that a tenant's own `reply_bytes_max` may be; it is in memory while a sender reads it."),
    count("ceiling.uploads_per_minute", 1, 10_000, "600", "Most that a tenant's own `uploads_per_minute` may be: ten small components per second."),

    count("runtime.concurrent_runs", 1, 4_096, "64", "Runs at the same time; each may take its tenant's `memory_bytes_max`."),
    count("runtime.reply_slots", 1, 4_096, "16", "Further runs for senders that wait for their answer; never taken by others. No tenant holds more of them than it leaves free."),
    count("runtime.guest_threads", 0, 1_024, "0", "Threads that plugins run on; 0 is one per processor. They never serve ingress."),
    count("runtime.fetches_max", 0, 1_000, "16", "Look-ups of one run: a caller's record, their last orders, a calendar; what needs more is a report, not a decision."),
    bytes("runtime.fetch_request_bytes_max", KIB, 16 * MIB, "64 KiB", "Path, headers and body of one look-up: a question, not an upload."),
    bytes("runtime.fetch_response_bytes_max", KIB, 16 * MIB, "256 KiB", "Headers and body of its answer; it is kept with the run, and somebody may wait for it."),
    millis("runtime.fetch_timeout_ms", 10, MINUTE, "3000", "Longest time for one look-up; less when the run has less left. Half of what the most impatient providers of calls give the whole answer."),
    bytes("runtime.component_bytes_max", 64 * KIB, 256 * MIB, "32 MiB", "Largest component that may be uploaded: one of Rust has 100 KB, of JavaScript 2 MB, of Python 19 MB."),
    bytes("runtime.in_flight_upload_bytes_max", MIB, 64 * GIB, "256 MiB", "Uploads in memory together, those that are being compiled included; beyond it 503. A tenant has one of them at a time, so eight send the largest at once."),
    bytes("runtime.code_bytes_max", MIB, 1_024 * GIB, "512 MiB", "Compiled code in memory, all tenants together: thousands of Rust components; besides, at most one for every four descriptors of the process and 4096. What was used longest ago leaves, and is loaded from the cache in milliseconds."),
    bytes("runtime.cache_bytes_max", MIB, 1_024 * GIB, "8 GiB", "Compiled code on disk. What was used longest ago leaves, never what is in memory, and is compiled again when it is needed; so no less than `runtime.code_bytes_max`."),
    millis("runtime.compile_deadline_ms", 100, 10 * MINUTE, "60000", "Longest time for the process that checks and compiles an upload; a component of Python takes 8 s."),
    bytes("runtime.compile_memory_bytes_max", 256 * MIB, 64 * GIB, "4 GiB", "Address space of that process; components of Python peak above 1 GiB."),

    bytes("state.key_bytes_max", 16, 4 * KIB, "512", "Longest key of a plugin's state: a URL or two ids fit, a document does not."),
    bytes("state.value_bytes_max", KIB, MIB, "64 KiB", "Longest value of it: a conversation's notes fit; what is larger belongs into a database."),
    count("state.keys_max", 1, 10_000_000, "100000", "Keys that one plugin may hold: one for each call of a busy week."),
    bytes("state.bytes_max", KIB, 64 * GIB, "64 MiB", "Keys and values that one plugin may hold: a hundred plugins fill less than half of `store.bytes_max`."),
    count("state.keys_per_run_max", 1, 10_000, "256", "Keys that one run may read, and as many that it may write: each is looked at again on the one thread that writes."),

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
