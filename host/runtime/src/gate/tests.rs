//! What passes the gate and what does not, and why.

use bytes::Bytes;
use creel_webhook::plugin::Digest;

use super::compile::Compiler;
use super::inspection::{glance, inspect};
use super::refusal::{Refusal, RefusedImport};
use crate::limits::Limits;
use crate::testing::{Bench, EMPTY, guest};

fn refusal(bytes: impl Into<Bytes>) -> Refusal {
    inspect(&bytes.into(), &Limits::default()).expect_err("it is refused")
}

fn component(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

#[test]
fn a_core_module_with_a_type_is_wrapped() {
    let upload = guest("", EMPTY);
    let inspected = inspect(&upload, &Limits::default()).unwrap();
    assert!(inspected.wrapped);
    assert_eq!(inspected.digest, Digest::of(&upload), "the digest is that of the upload");
    let again = inspect(&inspected.component, &Limits::default()).unwrap();
    assert!(!again.wrapped);
    assert_eq!(again.component, inspected.component);
}

#[test]
fn a_module_of_wasip1_gets_the_adapter() {
    let import = r#"(import "wasi_snapshot_preview1" "random_get" (func (param i32 i32) (result i32)))"#;
    let inspected = inspect(&guest(import, EMPTY), &Limits::default()).unwrap();
    assert!(inspected.imports.iter().any(|name| name.starts_with("wasi:random/random@0.2.")), "{inspected:?}");
}

#[test]
fn what_is_no_webassembly_is_told_apart() {
    assert_eq!(refusal("hello"), Refusal::NotWasm);
    assert_eq!(refusal(""), Refusal::NotWasm);
    assert_eq!(refusal(wat::parse_str("(module)").unwrap()), Refusal::NoComponentType);
    let limits = Limits { component_bytes_max: 4, ..Limits::default() };
    let refusal = inspect(&Bytes::from_static(b"hello"), &limits).unwrap_err();
    assert_eq!(refusal, Refusal::TooBig { bytes: 5, bytes_max: 4 });
    assert!(refusal.to_string().contains("component_bytes_max is 4"));
}

#[tokio::test]
async fn machine_code_is_refused_by_name() {
    let compiled = Compiler::in_process().compile(guest("", EMPTY)).await.unwrap();
    assert_eq!(glance(compiled.code(), &Limits::default()), Err(Refusal::Precompiled));
}

#[test]
fn every_import_that_is_not_offered_is_named_with_advice() {
    let text = r#"(component
        (import "wasi:http/outgoing-handler@0.2.0" (instance))
        (import "wasi:io/poll@0.2.6" (instance))
        (import "acme:db/sql@1.0.0" (instance))
        (import "now" (func)))"#;
    let Refusal::Imports(refused) = refusal(component(text)) else { panic!("imports are refused") };
    let names: Vec<_> = refused.iter().map(|import: &RefusedImport| import.name.as_str()).collect();
    assert_eq!(names, ["wasi:http/outgoing-handler@0.2.0", "acme:db/sql@1.0.0", "now"]);
    let shown = Refusal::Imports(refused).to_string();
    assert!(shown.contains("creel:plugin/fetch") && shown.contains("only interfaces can be imported"), "{shown}");
}

#[test]
fn a_component_without_a_handler_is_refused() {
    let text = r#"(component (instance $i) (export "wasi:cli/run@0.2.0" (instance $i)))"#;
    let refusal = refusal(component(text));
    assert_eq!(refusal, Refusal::NoHandler(vec!["wasi:cli/run@0.2.0".into()]));
    assert!(refusal.to_string().contains("it exports wasi:cli/run@0.2.0"));
}

#[test]
fn features_that_do_not_exist_here_are_refused() {
    for module in [
        "(module (memory 1 1 shared))",
        "(module (memory i64 1))",
        "(module (type (struct)))",
        "(module (tag) (func (throw 0)))",
    ] {
        let text = format!("(component (core {}))", module.strip_prefix('(').unwrap().strip_suffix(')').unwrap());
        let refusal = refusal(component(&text));
        assert!(matches!(refusal, Refusal::Invalid(_)), "{module}: {refusal}");
    }
}

#[tokio::test]
async fn types_that_do_not_fit_are_found_by_linking() {
    let text = r#"(component
        (import "creel:plugin/log@0.1.0" (instance $log (export "write" (func (param "message" string)))))
        (instance $i)
        (export "creel:plugin/handler@0.1.0" (instance $i)))"#;
    let error = Bench::new().registry.admit(Bytes::from(component(text)), &Limits::default()).await.unwrap_err();
    let shown = error.to_string();
    assert!(shown.starts_with("this component does not fit the host") && shown.contains("log"), "{shown}");
}

#[tokio::test]
async fn a_component_of_too_many_parts_is_refused() {
    let memories = "(core instance (instantiate $memory))".repeat(9);
    let text = format!(
        "(component (core module $memory (memory 1)) {memories} (instance $i)
        (export \"creel:plugin/handler@0.1.0\" (instance $i)))"
    );
    let error = Bench::new().registry.admit(Bytes::from(component(&text)), &Limits::default()).await.unwrap_err();
    assert!(error.to_string().contains("needs more room than a run has"), "{error}");
}
