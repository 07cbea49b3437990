//! The attribute `#[creel_guest::plugin]`.
//!
//! It stands on a plugin's one function and leaves it as it is. Beside it, it puts
//!
//! - for WebAssembly: the exported entry point of the world `creel:plugin/plugin`, which calls the function;
//! - everywhere: a constant of the right function type, so that a wrong signature is reported at the function, in the
//!   author's words, and so that a private function counts as used when only unit tests call it.
//!
//! The macro reads no more than the function's name, so it needs no parser for Rust: it is built from the standard
//! library's token streams alone and adds nothing to a plugin's build.

use proc_macro::{TokenStream, TokenTree};

/// Makes a function the plugin's handler: `fn handle(event: Event) -> Result<Outcome, Failure>`.
///
/// The function may have any name. A crate has exactly one.
#[proc_macro_attribute]
pub fn plugin(arguments: TokenStream, item: TokenStream) -> TokenStream {
    if !arguments.is_empty() {
        return complaint("#[creel_guest::plugin] takes no arguments");
    }
    let Some(name) = function_name(&item) else {
        return complaint(
            "#[creel_guest::plugin] belongs on a function: fn handle(event: Event) -> Result<Outcome, Failure>",
        );
    };
    let glue = TEMPLATE.replace("HANDLER", &name);
    let mut output = item;
    output.extend(glue.parse::<TokenStream>().expect("the template is valid Rust"));
    output
}

/// What is added after the function. `HANDLER` stands for its name.
const TEMPLATE: &str = r#"
const _: ::creel_guest::Handler = HANDLER;
#[cfg(target_arch = "wasm32")]
const _: () = {
    struct Plugin;
    impl ::creel_guest::export::Guest for Plugin {
        fn handle(
            event: ::creel_guest::export::WireEvent,
        ) -> ::core::result::Result<::creel_guest::export::WireOutcome, ::creel_guest::export::WireFailure> {
            ::creel_guest::export::run(event, HANDLER)
        }
    }
    ::creel_guest::bindings::export_plugin!(Plugin with_types_in ::creel_guest::bindings);
};
"#;

/// The identifier after the first `fn` outside of brackets.
fn function_name(item: &TokenStream) -> Option<String> {
    let mut tokens = item.clone().into_iter();
    tokens.find(|token| matches!(token, TokenTree::Ident(word) if word.to_string() == "fn"))?;
    match tokens.next()? {
        TokenTree::Ident(name) => Some(name.to_string()),
        _ => None,
    }
}

fn complaint(text: &str) -> TokenStream {
    format!("::core::compile_error!({text:?});").parse().expect("a string literal is valid Rust")
}
