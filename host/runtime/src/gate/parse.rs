//! What a component asks for and what it offers, checked against what there is.
//!
//! The allow-list is data. An import fits by package and interface name and by a compatible version, as the linker
//! sees it: the same `0.x` line. Whether the types fit as well is found out by linking.

use wasmparser::{ComponentExternalKind, ComponentTypeRef, DataKind, Parser, Payload, Validator, WasmFeatures};

use super::refusal::{Refusal, RefusedImport};

/// Packages on offer: name, version line, interfaces.
static OFFERED: [(&str, &str, &[&str]); 6] = [
    ("creel:plugin", "0.1.", &["types", "log", "config", "state", "fetch"]),
    (
        "wasi:cli",
        "0.2.",
        &[
            "environment",
            "exit",
            "stdin",
            "stdout",
            "stderr",
            "terminal-input",
            "terminal-output",
            "terminal-stdin",
            "terminal-stdout",
            "terminal-stderr",
        ],
    ),
    ("wasi:io", "0.2.", &["error", "poll", "streams"]),
    ("wasi:clocks", "0.2.", &["wall-clock", "monotonic-clock"]),
    ("wasi:random", "0.2.", &["random", "insecure", "insecure-seed"]),
    ("wasi:filesystem", "0.2.", &["types", "preopens"]),
];

/// What a component imports and exports at its outside.
#[derive(Debug, Default)]
pub(super) struct Surface {
    /// Names of imports.
    pub(super) imports: Vec<String>,
    /// Those among them that are no interfaces: bare functions, modules, types.
    bare: Vec<String>,
    /// Names of exported interfaces and functions.
    pub(super) exports: Vec<String>,
    /// Bytes that its modules, however deep, put into memories when they are instantiated.
    pub(super) data_bytes: u64,
}

/// Validates a component and reads its surface.
pub(super) fn surface(component: &[u8]) -> Result<Surface, Refusal> {
    let invalid = |error: wasmparser::BinaryReaderError| Refusal::Invalid(error.to_string());
    Validator::new_with_features(features()).validate_all(component).map_err(invalid)?;
    let mut surface = Surface::default();
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(component) {
        match payload.map_err(invalid)? {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section {
                    let import = import.map_err(invalid)?;
                    let name = import.name.name.to_owned();
                    if !matches!(import.ty, ComponentTypeRef::Instance(_)) {
                        surface.bare.push(name.clone());
                    }
                    surface.imports.push(name);
                }
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                for export in section {
                    let export = export.map_err(invalid)?;
                    if matches!(export.kind, ComponentExternalKind::Instance | ComponentExternalKind::Func) {
                        surface.exports.push(export.name.name.to_owned());
                    }
                }
            }
            Payload::DataSection(section) => {
                for data in section {
                    let data = data.map_err(invalid)?;
                    if matches!(data.kind, DataKind::Active { .. }) {
                        surface.data_bytes += data.data.len() as u64;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(surface)
}

/// What the engine runs.
fn features() -> WasmFeatures {
    let off = WasmFeatures::THREADS
        | WasmFeatures::SHARED_EVERYTHING_THREADS
        | WasmFeatures::MEMORY64
        | WasmFeatures::GC
        | WasmFeatures::EXCEPTIONS
        | WasmFeatures::LEGACY_EXCEPTIONS
        | WasmFeatures::CM_ASYNC;
    WasmFeatures::default().difference(off)
}

/// Compares a surface with what is offered and what is needed.
pub(super) fn check(surface: &Surface) -> Result<(), Refusal> {
    let refused: Vec<RefusedImport> = surface
        .imports
        .iter()
        .filter(|name| surface.bare.contains(name) || !offered(name))
        .map(|name| RefusedImport { name: name.clone(), advice: advice(name, surface.bare.contains(name)).into() })
        .collect();
    if !refused.is_empty() {
        return Err(Refusal::Imports(refused));
    }
    let handler = |name: &String| split(name) == Some(("creel:plugin", "handler", "0.1.0"));
    if !surface.exports.iter().any(handler) {
        return Err(Refusal::NoHandler(surface.exports.clone()));
    }
    Ok(())
}

/// `wasi:io/poll@0.2.6` as package, interface and version.
fn split(name: &str) -> Option<(&str, &str, &str)> {
    let (path, version) = name.split_once('@')?;
    let (package, interface) = path.split_once('/')?;
    Some((package, interface, version))
}

fn offered(name: &str) -> bool {
    let Some((package, interface, version)) = split(name) else { return false };
    OFFERED.iter().any(|(offer, line, interfaces)| {
        *offer == package && version.starts_with(line) && interfaces.contains(&interface)
    })
}

fn advice(name: &str, bare: bool) -> &'static str {
    if bare {
        return "only interfaces can be imported, not single functions, types or modules";
    }
    let Some((package, interface, _)) = split(name) else {
        return "an interface is imported as `package:name/interface@version`";
    };
    let known = OFFERED.iter().any(|(offer, _, interfaces)| *offer == package && interfaces.contains(&interface));
    match package {
        _ if known => "this version is not offered; rebuild against the offered one",
        "wasi:http" => "return calls in the outcome, or look up with `creel:plugin/fetch`; there is no direct HTTP",
        "wasi:sockets" => {
            "there are no sockets; look up with `creel:plugin/fetch`, and build Python with `--stub-wasi`"
        }
        "wasi:keyvalue" => "use `creel:plugin/state`",
        "wasi:config" | "wasi:runtime-config" => "use `creel:plugin/config`",
        "wasi:logging" => "use `creel:plugin/log`",
        "creel:plugin" => "no such interface in this release",
        _ => "unknown to this host; leave it out (for JavaScript and Python, build with `--stub-wasi`)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_fit_along_their_line() {
        for name in ["creel:plugin/log@0.1.0", "wasi:io/poll@0.2.0", "wasi:cli/terminal-stderr@0.2.12"] {
            assert!(offered(name), "{name}");
        }
        for name in ["creel:plugin/log@0.2.0", "wasi:io/poll@0.3.0", "wasi:io/poll", "wasi:http/types@0.2.0", "log"] {
            assert!(!offered(name), "{name}");
        }
        assert!(advice("wasi:io/poll@0.3.0", false).contains("version"));
        assert!(advice("wasi:sockets/tcp@0.2.0", false).contains("sockets"));
    }
}
