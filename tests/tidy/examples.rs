//! What authors of plugins read has an example that is run: every public item of the guest SDK, its methods and its modules.
//!
//! An example is a block of code in the documentation that `cargo test --doc` compiles and runs, so that none can be
//! wrong. Fields and variants are shown by their type's, what is hidden from the documentation by nobody's.

use syn::visit::{self, Visit};
use syn::{Attribute, Visibility};

use super::source::{Breach, SourceFile};

/// The library that authors depend on.
const SDK: &str = "guest-sdk/src/";

/// Files behind the library's doors: nothing in them is for authors.
const HIDDEN: &[&str] = &["guest-sdk/src/bindings.rs", "guest-sdk/src/export.rs"];

/// Where the attribute is made; it can run no example itself, because it may not depend on what it makes things for.
const MACROS: &str = "creel_guest_macros";

/// Public things without an example, in one file.
pub(crate) fn check(file: &SourceFile) -> Vec<Breach> {
    if !file.path.starts_with(SDK) || HIDDEN.contains(&file.path.as_str()) {
        return Vec::new();
    }
    let mut items = Items { file, breaches: Vec::new() };
    items.visit_file(&file.tree);
    items.breaches
}

/// Modules that authors see and that do not show what they are for. `files` are the SDK's.
pub(crate) fn check_modules(files: &[&SourceFile]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for file in files.iter().filter(|file| file.path.starts_with(SDK)) {
        let modules = file.tree.items.iter().filter_map(|item| match item {
            syn::Item::Mod(module) if is_shown(&module.vis, &module.attrs) => Some(module),
            _ => None,
        });
        for module in modules.filter(|module| module.content.is_none()) {
            let inside = file.path.strip_suffix(".rs").unwrap_or(&file.path);
            let folder = inside.strip_suffix("/lib").unwrap_or(inside);
            let path = format!("{folder}/{}.rs", module.ident);
            let Some(own) = files.iter().find(|file| file.path == path) else { continue };
            if !has_example(&own.tree.attrs) {
                breaches.push(own.breach("example", 1, "opens without an example of what the module is for"));
            }
        }
    }
    breaches
}

struct Items<'a> {
    file: &'a SourceFile,
    breaches: Vec<Breach>,
}

impl Items<'_> {
    fn look(&mut self, visibility: &Visibility, attributes: &[Attribute], name: &syn::Ident) {
        if is_shown(visibility, attributes) && !has_example(attributes) {
            self.miss(name);
        }
    }

    fn miss(&mut self, name: &syn::Ident) {
        let line = name.span().start().line;
        if !self.file.is_test_line(line) {
            let what = format!("`{name}` has no example; show in its documentation, in code that runs, how it is used");
            self.breaches.push(self.file.breach("example", line, what));
        }
    }
}

impl<'ast> Visit<'ast> for Items<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.look(&item.vis, &item.attrs, &item.sig.ident);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.look(&item.vis, &item.attrs, &item.sig.ident);
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.look(&item.vis, &item.attrs, &item.ident);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.look(&item.vis, &item.attrs, &item.ident);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.look(&item.vis, &item.attrs, &item.ident);
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.look(&item.vis, &item.attrs, &item.ident);
    }

    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        self.look(&item.vis, &item.attrs, &item.ident);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if item.content.is_some() {
            self.look(&item.vis, &item.attrs, &item.ident);
        }
        visit::visit_item_mod(self, item);
    }

    fn visit_item_macro(&mut self, item: &'ast syn::ItemMacro) {
        let exported = item.attrs.iter().any(|attribute| attribute.path().is_ident("macro_export"));
        if let Some(name) = item.ident.as_ref().filter(|_| exported && !has_example(&item.attrs)) {
            self.miss(name);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if let syn::UseTree::Path(path) = &item.tree
            && path.ident == MACROS
        {
            self.look(&item.vis, &item.attrs, &path.ident);
        }
    }
}

/// Whether authors see it.
fn is_shown(visibility: &Visibility, attributes: &[Attribute]) -> bool {
    let hidden = attributes.iter().any(|attribute| {
        attribute.path().is_ident("doc")
            && attribute.parse_args::<syn::Path>().is_ok_and(|argument| argument.is_ident("hidden"))
    });
    matches!(visibility, Visibility::Public(_)) && !hidden
}

/// Whether documentation holds a block of code that is run.
fn has_example(attributes: &[Attribute]) -> bool {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        syn::Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    });
    // Blocks open and close in turn; one that is marked `ignore`, `no_run`, `text` … is not run.
    let fences = lines.filter_map(|line| line.trim().strip_prefix("```").map(str::to_owned));
    fences.step_by(2).any(|mark| ["", "rust", "should_panic"].contains(&mark.as_str()))
}

#[cfg(test)]
mod planted {
    use super::*;

    fn parsed(path: &str, text: &str) -> SourceFile {
        SourceFile::parse(path, text).unwrap_or_else(|breach| panic!("{breach}"))
    }

    fn missing(text: &str) -> Vec<usize> {
        check(&parsed("guest-sdk/src/fine.rs", text)).into_iter().map(|breach| breach.line).collect()
    }

    #[test]
    fn what_is_shown_needs_an_example_that_runs() {
        assert_eq!(missing("/// Does.\n///\n/// ```\n/// f();\n/// ```\npub fn f() {}\n"), [0; 0]);
        assert_eq!(missing("/// Does.\npub fn f() {}\npub struct S;\npub enum E {}\n"), [2, 3, 4]);
        assert_eq!(missing("struct S;\nimpl S {\n    /// No.\n    pub fn f() {}\n    fn g() {}\n}\n"), [4]);
        for mark in ["ignore", "no_run", "text", "compile_fail"] {
            assert_eq!(missing(&format!("/// ```{mark}\n/// f();\n/// ```\npub fn f() {{}}\n")), [4], "{mark}");
        }
        assert_eq!(missing("pub(crate) fn f() {}\n#[doc(hidden)]\npub fn g() {}\n"), [0; 0]);
        assert_eq!(missing("#[macro_export]\nmacro_rules! m { () => {} }\nmacro_rules! n { () => {} }\n"), [2]);
        assert_eq!(missing("pub use creel_guest_macros::plugin;\npub use event::Event;\n"), [1]);
        assert_eq!(check(&parsed("host/store/src/fine.rs", "pub fn f() {}\n")), []);
    }

    #[test]
    fn modules_that_are_shown_open_with_one() {
        let library = parsed("guest-sdk/src/lib.rs", "pub mod shown;\nmod own;\n");
        let (shown, own) = (parsed("guest-sdk/src/shown.rs", "//! x\n"), parsed("guest-sdk/src/own.rs", "//! x\n"));
        let found = check_modules(&[&library, &shown, &own]);
        assert_eq!(found.iter().map(|breach| breach.path.as_str()).collect::<Vec<_>>(), ["guest-sdk/src/shown.rs"]);
        let better = parsed("guest-sdk/src/shown.rs", "//! x\n//!\n//! ```\n//! f();\n//! ```\n");
        assert_eq!(check_modules(&[&library, &better, &own]), []);
    }
}
