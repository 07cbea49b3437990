//! Routes, by the names of what they bind.

use creel_webhook::event::TypePattern;
use creel_webhook::route::{Late, Mode};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fields::{Fields, Mistake};

/// What people configure of a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RouteSpec {
    /// Its name, unique in the tenant.
    pub name: String,
    /// Name of the source.
    pub source: String,
    /// Which types it takes; all by default.
    pub pattern: TypePattern,
    /// Name of the plugin.
    pub plugin: String,
    /// Whether the sender waits; it does not by default.
    pub mode: Mode,
    /// What becomes of a late run's calls.
    pub late: Late,
}

/// Reads a route.
///
/// # Errors
/// All mistakes with their pointers.
pub fn read(name: &str, document: Value) -> Result<RouteSpec, Vec<Mistake>> {
    let mut fields = Fields::of(document);
    let name = fields.name(name);
    let source = fields.required::<String>("source");
    let pattern = fields.or("pattern", TypePattern::any());
    let plugin = fields.required::<String>("plugin");
    let mode = fields.or("mode", Mode::Ack);
    let late = fields.or("late", Late::Drop);
    let spec = source.zip(plugin).map(|(source, plugin)| RouteSpec { name, source, pattern, plugin, mode, late });
    fields.done(spec)
}
