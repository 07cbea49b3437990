//! The graph of a crate's files: who names whom.
//!
//! A parent dispatches to its children and children share a leaf sibling; a child that names its parent, and any
//! other circle, makes a crate that can only be understood as a whole. Tests may look at everything.

use std::collections::{BTreeMap, BTreeSet};

use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};

use super::source::{Breach, SourceFile, is_for_tests};

/// A module by its path below the crate's root; the root itself is empty.
type Module = Vec<String>;

/// From a module to those it names, with the file and line of the first time.
type Graph = BTreeMap<Module, BTreeMap<Module, (String, usize)>>;

/// Finds children that name their parents, and circles, among the files of the crate in `folder`.
pub(crate) fn check(folder: &str, files: &[&SourceFile]) -> Vec<Breach> {
    let product: Vec<_> = files.iter().filter(|file| !file.is_test()).collect();
    let modules: BTreeSet<Module> = product.iter().map(|file| module_of(folder, &file.path)).collect();
    let mut graph = Graph::new();
    for file in &product {
        let from = module_of(folder, &file.path);
        let mut paths = Paths { inline: 0, found: Vec::new() };
        paths.visit_file(&file.tree);
        let edges = graph.entry(from.clone()).or_default();
        for (path, inline, line) in paths.found {
            if let Some(to) = resolve(&modules, &from, &path, inline).filter(|to| *to != from) {
                edges.entry(to).or_insert((file.path.clone(), line));
            }
        }
    }
    let mut breaches = parents(&mut graph);
    breaches.extend(circles(&graph));
    breaches
}

fn module_of(folder: &str, path: &str) -> Module {
    let inside = path.strip_prefix(folder).and_then(|rest| rest.strip_prefix("/src/")).unwrap_or(path);
    let inside = inside.strip_suffix(".rs").unwrap_or(inside);
    let inside = inside.strip_suffix("/mod").unwrap_or(inside);
    if inside == "lib" || inside == "main" {
        return Module::new();
    }
    inside.split('/').map(str::to_owned).collect()
}

/// The file that a path leads to: the longest beginning of it that is one.
fn resolve(modules: &BTreeSet<Module>, from: &Module, path: &[String], inline: usize) -> Option<Module> {
    let supers = path.iter().take_while(|segment| *segment == "super").count();
    let (base, rest) = match path.first().map(String::as_str) {
        Some("crate") => (Module::new(), &path[1..]),
        Some("self") if inline == 0 => (from.clone(), &path[1..]),
        Some("super") if supers > inline => {
            let up = (supers - inline).min(from.len());
            (from[..from.len() - up].to_vec(), &path[supers..])
        }
        _ => return None,
    };
    let full: Module = base.into_iter().chain(rest.iter().cloned()).collect();
    (0..=full.len()).rev().map(|length| full[..length].to_vec()).find(|prefix| modules.contains(prefix))
}

/// Takes the edges from children to their parents out of the graph, as breaches.
fn parents(graph: &mut Graph) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (from, edges) in graph {
        edges.retain(|to, (path, line)| {
            let is_parent = to.len() < from.len() && from.starts_with(to);
            if is_parent {
                let parent = if to.is_empty() { "the crate's root".to_owned() } else { to.join("::") };
                let what = format!(
                    "`{}` imports from its parent, {parent}; move what both need into a leaf beside it",
                    from.join("::")
                );
                breaches.push(Breach { rule: "child imports parent", path: path.clone(), line: *line, what });
            }
            !is_parent
        });
    }
    breaches
}

/// One breach per circle that a walk from each module in turn closes.
fn circles(graph: &Graph) -> Vec<Breach> {
    let mut walk = Walk { graph, done: BTreeSet::new(), trail: Vec::new(), breaches: Vec::new() };
    graph.keys().for_each(|module| walk.visit(module));
    walk.breaches
}

struct Walk<'g> {
    graph: &'g Graph,
    done: BTreeSet<&'g Module>,
    trail: Vec<&'g Module>,
    breaches: Vec<Breach>,
}

impl<'g> Walk<'g> {
    fn visit(&mut self, module: &'g Module) {
        if self.done.contains(module) {
            return;
        }
        self.trail.push(module);
        for (to, (path, line)) in self.graph.get(module).into_iter().flatten() {
            match self.trail.iter().position(|seen| *seen == to) {
                Some(start) => {
                    let names = self.trail[start..].iter().chain([&to]).map(|module| module.join("::"));
                    let circle = names.collect::<Vec<_>>().join(" -> ");
                    let what = format!("closes the circle {circle}; move what they share to a floor below both");
                    self.breaches.push(Breach { rule: "circle", path: path.clone(), line: *line, what });
                }
                None => self.visit(to),
            }
        }
        self.trail.pop();
        self.done.insert(module);
    }
}

/// Every path that begins with `crate`, `self` or `super`, with the depth of inline modules around it and its line.
struct Paths {
    inline: usize,
    found: Vec<(Vec<String>, usize, usize)>,
}

impl Paths {
    fn add(&mut self, path: Vec<String>, line: usize) {
        self.found.push((path, self.inline, line));
    }

    fn add_tree(&mut self, before: &[String], tree: &syn::UseTree) {
        let with = |name: &syn::Ident| before.iter().cloned().chain([name.to_string()]).collect::<Vec<_>>();
        match tree {
            syn::UseTree::Path(path) => self.add_tree(&with(&path.ident), &path.tree),
            syn::UseTree::Name(name) => self.add(with(&name.ident), name.span().start().line),
            syn::UseTree::Rename(name) => self.add(with(&name.ident), name.span().start().line),
            syn::UseTree::Glob(glob) => self.add(before.to_vec(), glob.span().start().line),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.add_tree(before, tree)),
        }
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_for_tests(&item.attrs) {
            self.inline += 1;
            visit::visit_item_mod(self, item);
            self.inline -= 1;
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.add_tree(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.add(segments, path.span().start().line);
        visit::visit_path(self, path);
    }

    /// `pub(super)` shows something to the parent; it takes nothing from it.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    /// Exported macros live at the crate's root wherever they are written.
    fn visit_macro(&mut self, _: &'ast syn::Macro) {}
}

#[cfg(test)]
mod planted {
    use super::*;

    fn rules(files: &[(&str, &str)]) -> Vec<(&'static str, String)> {
        let parse = |(name, text): &(&str, &str)| {
            let text = format!("//! x\n{text}");
            SourceFile::parse(&format!("host/x/src/{name}.rs"), &text).unwrap_or_else(|breach| panic!("{breach}"))
        };
        let files: Vec<SourceFile> = files.iter().map(parse).collect();
        let breaches = check("host/x", &files.iter().collect::<Vec<_>>());
        breaches.into_iter().map(|breach| (breach.rule, breach.path)).collect()
    }

    #[test]
    fn a_tree_passes() {
        let files = [
            ("lib", "pub mod a; pub mod b; pub use b::B;"),
            ("a", "mod leaf; mod one; use self::one::One; pub(crate) use crate::b::B;"),
            ("a/one", "use super::leaf::Leaf; use crate::b; pub(super) struct One;"),
            ("a/leaf", "mod inner { use super::Leaf; } #[cfg(test)] mod tests { use crate::a::A; }"),
            ("b", "fn f() { let _ = std::mem::size_of::<B>(); }"),
            ("b/tests", "use crate::a::A;"),
        ];
        assert_eq!(rules(&files), []);
    }

    #[test]
    fn planted_circles_are_found() {
        let circle = |files: &[(&str, &str)]| rules(files).into_iter().map(|(rule, _)| rule).collect::<Vec<_>>();
        assert_eq!(circle(&[("a", "use crate::b::B;"), ("b", "use crate::{a::A, c};"), ("c", "")]), ["circle"]);
        let three = [("a", "use crate::b::B;"), ("b", "fn f() { crate::c::f(); }"), ("c", "type A = crate::a::A;")];
        assert_eq!(circle(&three), ["circle"]);
        let twins = [("a", ""), ("a/x", "use super::y::Y;"), ("a/y", "use crate::a::x::X;")];
        assert_eq!(circle(&twins), ["circle"]);
    }

    #[test]
    fn planted_children_of_their_parents_are_found() {
        let parent = |text| rules(&[("lib", ""), ("a", "use self::x::X;"), ("a/x", text)]);
        for text in
            ["use super::A;", "use crate::a::A;", "use super::*;", "fn f() -> super::A { A }", "use crate::Root;"]
        {
            assert_eq!(parent(text), [("child imports parent", "host/x/src/a/x.rs".to_owned())], "{text}");
        }
    }
}
