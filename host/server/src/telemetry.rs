//! What the host tells its operator: log lines on standard error and metrics for Prometheus.
//!
//! Log lines say one thing once, at the boundary where it is known, with fields; never a body, a secret or a
//! signature. Metrics have labels from small closed sets only: the words are `&'static str`, which a tenant's name or
//! a URL never is. Whoever wants to know about one tenant asks the API, which is scoped.

use std::fmt::Write as _;

use creel_webhook::record::FetchFailure;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter does not parse.
    #[error(
        "`log.filter` is `{filter}`, which is no filter ({reason}); write a level such as `info`, or `info,creel_server=debug`"
    )]
    Filter {
        /// What was set.
        filter: String,
        /// What is wrong.
        reason: String,
    },
    /// A subscriber was there before.
    #[error("logging was set up twice in one process; call `telemetry::install` once, in the composition root")]
    Twice,
}

/// Sends the process's log lines to standard error. Once per process: tests do without.
///
/// # Errors
/// [`TelemetryError`].
pub fn install(format: LogFormat, filter: &str) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(filter)
        .map_err(|error| TelemetryError::Filter { filter: filter.to_owned(), reason: error.to_string() })?;
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    }
    .map_err(|_| TelemetryError::Twice)
}

/// One label, `word`, from a closed set.
#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Verdict {
    verdict: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Class {
    class: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Told {
    result: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct What {
    what: &'static str,
}

/// The host's metrics, names prefixed `creel_`; clones count into the same.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: std::sync::Arc<Registry>,
    requests: Family<Outcome, Counter>,
    refusals: Family<Reason, Counter>,
    admin_refusals: Family<Reason, Counter>,
    runs: Family<Verdict, Counter>,
    deliveries: Family<Class, Counter>,
    look_ups: Family<Told, Counter>,
    commit_retries: Family<What, Counter>,
    runs_overtaken: Counter,
    runs_thrown_away: Counter,
    fuel: Counter,
    accept_seconds: Histogram,
    run_seconds: Histogram,
    delivery_seconds: Histogram,
    look_up_seconds: Histogram,
    runs_pending: Gauge,
    deliveries_pending: Gauge,
    waiting: Family<What, Gauge>,
    tenants_in_debt: Gauge,
}

impl Metrics {
    /// All of them, at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("creel");
        let (mut metrics, registry_slot) = (Metrics::unregistered(), &mut registry);
        metrics.register_counters(registry_slot);
        metrics.register_times_and_levels(registry_slot);
        metrics.registry = std::sync::Arc::new(registry);
        metrics
    }

    fn unregistered() -> Self {
        Metrics {
            registry: std::sync::Arc::default(),
            requests: Family::default(),
            refusals: Family::default(),
            admin_refusals: Family::default(),
            runs: Family::default(),
            deliveries: Family::default(),
            look_ups: Family::default(),
            commit_retries: Family::default(),
            runs_overtaken: Counter::default(),
            runs_thrown_away: Counter::default(),
            fuel: Counter::default(),
            // 250 µs (a commit on a fast disk) to 8 s (beyond what senders wait)
            accept_seconds: Histogram::new(exponential_buckets(0.000_25, 2.0, 16)),
            // 50 µs (the smallest plugin) to 1.6 s and beyond
            run_seconds: Histogram::new(exponential_buckets(0.000_05, 2.0, 16)),
            // 1 ms (a neighbour) to 33 s (beyond the longest timeout)
            delivery_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 16)),
            // the same: a look-up goes the way of a delivery
            look_up_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 16)),
            runs_pending: Gauge::default(),
            deliveries_pending: Gauge::default(),
            waiting: Family::default(),
            tenants_in_debt: Gauge::default(),
        }
    }

    fn register_counters(&self, registry: &mut Registry) {
        registry.register("requests", "Ingress requests by what became of them", self.requests.clone());
        registry.register("refusals", "Ingress requests that were refused, by reason", self.refusals.clone());
        registry.register(
            "admin_refusals",
            "Requests to the API from nobody who is known, by reason",
            self.admin_refusals.clone(),
        );
        registry.register("runs", "Runs by verdict", self.runs.clone());
        registry.register(
            "delivery_attempts",
            "Attempts at deliveries by class of the answer",
            self.deliveries.clone(),
        );
        registry.register("look_ups", "Look-ups of runs by what the plugin was told", self.look_ups.clone());
        registry.register(
            "commit_retries",
            "Commits of runs and deliveries that failed and were tried again",
            self.commit_retries.clone(),
        );
        registry.register(
            "runs_overtaken",
            "Tries of runs that were not committed because what they read had been written meanwhile",
            self.runs_overtaken.clone(),
        );
        registry.register(
            "runs_thrown_away",
            "Runs that began beside an accept which then stored nothing for them to decide",
            self.runs_thrown_away.clone(),
        );
        registry.register("fuel", "Fuel burnt by runs that were decided", self.fuel.clone());
    }

    fn register_times_and_levels(&self, registry: &mut Registry) {
        let mut seconds = |name, help, histogram: &Histogram| {
            registry.register_with_unit(name, help, Unit::Seconds, histogram.clone());
        };
        seconds("accept_duration", "Head read to answer written, ingress", &self.accept_seconds);
        seconds("run_duration", "Claim to verdict", &self.run_seconds);
        seconds("delivery_duration", "One attempt, connection to last byte kept", &self.delivery_seconds);
        seconds("look_up_duration", "One look-up that was granted, asked to answered", &self.look_up_seconds);
        registry.register("runs_pending", "Runs that wait to be decided", self.runs_pending.clone());
        registry.register(
            "deliveries_pending",
            "Deliveries that wait or are on their way",
            self.deliveries_pending.clone(),
        );
        registry.register(
            "waiting",
            "Runs that wait for a guest thread, senders that wait for a slot",
            self.waiting.clone(),
        );
        registry.register(
            "tenants_in_debt",
            "Tenants of which nothing is run because their fuel is used up",
            self.tenants_in_debt.clone(),
        );
    }

    /// An ingress request was answered; `outcome` is a word such as `accepted`, `duplicate`, `refused`, `replied`.
    pub fn request(&self, outcome: &'static str, seconds: f64) {
        self.requests.get_or_create(&Outcome { outcome }).inc();
        self.accept_seconds.observe(seconds);
    }

    /// An ingress request was refused; `reason` is a word such as `signature`, `too_old`, `too_large`, `quota`.
    pub fn refusal(&self, reason: &'static str) {
        self.refusals.get_or_create(&Reason { reason }).inc();
    }

    /// A request to the API was refused before it was known whose it is, or what it is about.
    pub fn admin_refusal(&self, reason: &'static str) {
        self.admin_refusals.get_or_create(&Reason { reason }).inc();
    }

    /// A run ended.
    pub fn run(&self, verdict: creel_webhook::run::Verdict, fuel: u64, seconds: f64) {
        self.runs.get_or_create(&Verdict { verdict: verdict.as_str() }).inc();
        self.fuel.inc_by(fuel);
        self.run_seconds.observe(seconds);
    }

    /// An attempt at a delivery ended.
    pub fn delivery(&self, class: creel_webhook::delivery::Class, seconds: f64) {
        self.deliveries.get_or_create(&Class { class: class_word(class) }).inc();
        self.delivery_seconds.observe(seconds);
    }

    /// A plugin was told what came of a look-up: an answer, or why there is none. One that was not granted took no time.
    pub fn look_up(&self, failure: Option<&FetchFailure>, seconds: Option<f64>) {
        self.look_ups.get_or_create(&Told { result: failure.map_or("answered", failure_word) }).inc();
        seconds.into_iter().for_each(|seconds| self.look_up_seconds.observe(seconds));
    }

    /// A run began beside its accept and was thrown away.
    pub fn thrown_away(&self) {
        self.runs_thrown_away.inc();
    }

    /// A run was overtaken by another of its plugin and runs again.
    pub fn overtaken(&self) {
        self.runs_overtaken.inc();
    }

    /// A commit failed and is tried again; `what` is `run` or `delivery`.
    pub fn commit_again(&self, what: &'static str) {
        self.commit_retries.get_or_create(&What { what }).inc();
    }

    /// Sets how many runs and deliveries wait.
    pub fn pending(&self, runs: u64, deliveries: u64) {
        self.runs_pending.set(i64::try_from(runs).unwrap_or(i64::MAX));
        self.deliveries_pending.set(i64::try_from(deliveries).unwrap_or(i64::MAX));
    }

    /// Sets how many runs wait for a guest thread, how many senders for a slot, and how many tenants for fuel.
    pub fn scheduling(&self, for_thread: usize, for_slot: usize, tenants_in_debt: u64) {
        for (what, count) in [("thread", for_thread), ("slot", for_slot)] {
            self.waiting.get_or_create(&What { what }).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        self.tenants_in_debt.set(i64::try_from(tenants_in_debt).unwrap_or(i64::MAX));
    }

    /// The text that Prometheus reads: `application/openmetrics-text; version=1.0.0; charset=utf-8`.
    pub fn render(&self) -> String {
        let mut text = String::new();
        if let Err(error) = prometheus_client::encoding::text::encode(&mut text, &self.registry) {
            text.clear();
            let _ = write!(text, "# metrics could not be written: {error}\n# EOF\n");
        }
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics::new()
    }
}

fn class_word(class: creel_webhook::delivery::Class) -> &'static str {
    use creel_webhook::delivery::Class;
    match class {
        Class::Delivered => "delivered",
        Class::Again => "again",
        Class::Dead => "dead",
        Class::Pause => "pause",
        Class::Disable => "disable",
        Class::Cut => "cut",
    }
}

fn failure_word(failure: &FetchFailure) -> &'static str {
    match failure {
        FetchFailure::Denied(_) => "denied",
        FetchFailure::Invalid(_) => "invalid",
        FetchFailure::Timeout => "timeout",
        FetchFailure::Unreachable(_) => "unreachable",
        FetchFailure::TooLarge(_) => "too_large",
    }
}

#[cfg(test)]
mod tests {
    use creel_webhook::{delivery, run};

    use super::*;

    #[test]
    fn what_was_counted_is_rendered() {
        let metrics = Metrics::new();
        metrics.request("accepted", 0.002);
        metrics.clone().request("accepted", 0.002);
        metrics.refusal("signature");
        metrics.run(run::Verdict::Fuel, 1_000, 0.1);
        metrics.delivery(delivery::Class::Again, 0.5);
        metrics.look_up(None, Some(0.02));
        metrics.look_up(Some(&FetchFailure::Denied(String::new())), None);
        metrics.pending(3, 4);
        metrics.scheduling(5, 6, 7);
        let text = metrics.render();
        for line in [
            "creel_requests_total{outcome=\"accepted\"} 2",
            "creel_refusals_total{reason=\"signature\"} 1",
            "creel_runs_total{verdict=\"fuel\"} 1",
            "creel_fuel_total 1000",
            "creel_delivery_attempts_total{class=\"again\"} 1",
            "creel_look_ups_total{result=\"answered\"} 1",
            "creel_look_ups_total{result=\"denied\"} 1",
            "creel_look_up_duration_seconds_count 1",
            "creel_accept_duration_seconds_count 2",
            "creel_runs_pending 3",
            "creel_waiting{what=\"thread\"} 5",
            "creel_tenants_in_debt 7",
        ] {
            assert!(text.lines().any(|found| found == line), "no `{line}` in\n{text}");
        }
        assert!(!text.contains("body_in_flight"), "a level that nobody sets would always say 0");
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn every_metric_is_explained_to_operators() {
        let page = include_str!("../../../docs/operating.md");
        for line in Metrics::new().render().lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let name = line.split(' ').next().expect("a name");
            let total = if line.ends_with(" counter") { "_total" } else { "" };
            assert!(page.contains(&format!("`{name}{total}`")), "docs/operating.md says nothing of `{name}{total}`");
        }
    }

    #[test]
    fn a_bad_filter_is_named() {
        let refusal = install(LogFormat::Text, "creel=[").unwrap_err().to_string();
        assert!(refusal.contains("`creel=[`") && refusal.contains("info"), "{refusal}");
    }
}
