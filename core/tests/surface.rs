//! What core offers, as a listing that is checked in: `surface.txt`. A change of it is seen in a diff,
//! and meant.
//!
//! The listing is made from the sources: what `lib.rs` re-exports, and what its public modules hold, with
//! public fields, variants, methods, and the traits that are implemented by hand or derived. What is
//! `#[doc(hidden)]` is nobody's to use, and not listed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use syn::{Attribute, Fields, ImplItem, Item, ItemImpl, TraitItem, Type, UseTree, Visibility};

#[test]
fn the_public_surface_is_the_one_that_is_written_down() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = root.join("tests/surface.txt");
    let found = listing(&root.join("src"));
    if std::env::var_os("WRITE_SURFACE").is_some() {
        fs::write(&file, &found).expect("the listing can be written");
    }
    let written = fs::read_to_string(&file).unwrap_or_default();
    let (written, found): (Vec<_>, Vec<_>) = (written.lines().collect(), found.lines().collect());
    let only = |these: &[&str], those: &[&str], mark: &str| {
        let those: BTreeSet<_> = those.iter().collect();
        let differing = these.iter().filter(|line| !those.contains(line));
        differing
            .map(|line| format!("{mark} {line}\n"))
            .collect::<String>()
    };
    assert!(
        written == found,
        "core's public surface has changed; where that is meant, write it down: \
         WRITE_SURFACE=1 cargo test -p actionproxy-core --test surface\n{}{}",
        only(&written, &found, "-"),
        only(&found, &written, "+"),
    );
}

fn listing(src: &Path) -> String {
    let lib = parse(&src.join("lib.rs"));
    let mut public = Public::default();
    let mut items = Vec::new();
    for item in lib.items {
        match &item {
            Item::Use(item) if is_public(&item.vis) && !is_hidden(&item.attrs) => {
                public.add(&item.tree, &mut Vec::new());
            }
            Item::Mod(item) if is_public(&item.vis) && !is_hidden(&item.attrs) => {
                public.modules.push(item.ident.to_string());
            }
            Item::Mod(_) | Item::Use(_) => {}
            _ => items.push((String::new(), item)),
        }
    }
    for file in files(src) {
        let module = module_of(src, &file);
        let parsed = parse(&file).items.into_iter();
        items.extend(parsed.map(|item| (module.clone(), item)));
    }
    // First the names, since an implementation may stand in another file.
    for (module, item) in &items {
        if let Some((vis, name)) = named(item)
            && is_public(vis)
            && public.modules.contains(module)
        {
            public.names.insert(name);
        }
    }
    let mut blocks: Vec<String> = items
        .into_iter()
        .filter_map(|(module, item)| Some(printed(public.part(&module, item)?)))
        .collect();
    let foreign = public.foreign.iter();
    blocks.extend(foreign.map(|path| format!("pub use {path};\n")));
    blocks.sort();
    blocks.join("\n")
}

/// What can be reached from outside.
#[derive(Default)]
struct Public {
    /// Of core's own items.
    names: BTreeSet<String>,
    /// Paths into other crates.
    foreign: BTreeSet<String>,
    modules: Vec<String>,
}

impl Public {
    fn add(&mut self, tree: &UseTree, path: &mut Vec<String>) {
        match tree {
            UseTree::Path(tree) => {
                path.push(tree.ident.to_string());
                self.add(&tree.tree, path);
                path.pop();
            }
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.add(tree, path)),
            UseTree::Name(name) => {
                let name = name.ident.to_string();
                match path.first().map(String::as_str) {
                    Some("serde_json") => {
                        path.push(name);
                        self.foreign.insert(path.join("::"));
                        path.pop();
                    }
                    _ => {
                        self.names.insert(name);
                    }
                }
            }
            UseTree::Rename(_) | UseTree::Glob(_) => panic!("re-export names, each by itself"),
        }
    }

    /// What is public of an item, if anything is.
    fn part(&self, module: &str, mut item: Item) -> Option<Item> {
        if let Item::Impl(item) = item {
            return self.part_of_impl(item).map(Item::Impl);
        }
        let (vis, name) = named(&item)?;
        let is_at_the_root = module.is_empty();
        if !is_public(vis) || !(is_at_the_root || self.names.contains(&name)) {
            return None;
        }
        match &mut item {
            Item::Struct(item) => {
                keep_attributes(&mut item.attrs);
                keep_public(&mut item.fields);
            }
            Item::Enum(item) => {
                keep_attributes(&mut item.attrs);
                for variant in &mut item.variants {
                    variant.attrs.clear();
                    without_attributes(&mut variant.fields);
                }
            }
            Item::Trait(item) => {
                item.attrs.clear();
                for item in &mut item.items {
                    if let TraitItem::Fn(method) = item {
                        method.attrs.clear();
                        if let Some(body) = &mut method.default {
                            body.stmts.clear();
                        }
                    }
                }
            }
            Item::Const(item) => item.attrs.clear(),
            Item::Fn(item) => {
                item.attrs.clear();
                item.block.stmts.clear();
            }
            Item::Type(item) => item.attrs.clear(),
            _ => return None,
        }
        Some(item)
    }

    /// Public methods and constants, or the bare fact that a trait is implemented.
    fn part_of_impl(&self, mut item: ItemImpl) -> Option<ItemImpl> {
        let Type::Path(path) = &*item.self_ty else {
            // For every type: of a trait of core's.
            let name = item.trait_.as_ref()?.0.segments.last()?.ident.to_string();
            return self.names.contains(&name).then(|| emptied(item));
        };
        let name = path.path.segments.last()?.ident.to_string();
        let is_generic = item
            .generics
            .type_params()
            .any(|p| p.ident == name.as_str());
        // Of those that pass a trait of core's on.
        let is_box = name == "Box";
        if !(self.names.contains(&name) || is_generic || is_box) {
            return None;
        }
        if item.trait_.is_some() {
            return Some(emptied(item));
        }
        item.attrs.clear();
        item.items.retain_mut(|item| match item {
            ImplItem::Fn(method) => {
                let is_kept = is_public(&method.vis) && !is_hidden(&method.attrs);
                method.attrs.clear();
                method.block.stmts.clear();
                is_kept
            }
            ImplItem::Const(constant) => {
                constant.attrs.clear();
                is_public(&constant.vis)
            }
            _ => false,
        });
        (!item.items.is_empty()).then_some(item)
    }
}

fn emptied(mut item: ItemImpl) -> ItemImpl {
    item.attrs.clear();
    item.items.clear();
    item
}

fn printed(item: Item) -> String {
    prettyplease::unparse(&syn::File {
        shebang: None,
        frontmatter: None,
        attrs: Vec::new(),
        items: vec![item],
    })
}

fn named(item: &Item) -> Option<(&Visibility, String)> {
    let (vis, ident) = match item {
        Item::Struct(item) => (&item.vis, &item.ident),
        Item::Enum(item) => (&item.vis, &item.ident),
        Item::Trait(item) => (&item.vis, &item.ident),
        Item::Const(item) => (&item.vis, &item.ident),
        Item::Type(item) => (&item.vis, &item.ident),
        Item::Fn(item) => (&item.vis, &item.sig.ident),
        _ => return None,
    };
    Some((vis, ident.to_string()))
}

fn is_public(vis: &Visibility) -> bool {
    matches!(vis, Visibility::Public(_))
}

fn is_hidden(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let inner = attribute.parse_args::<syn::Ident>();
        attribute.path().is_ident("doc") && inner.is_ok_and(|inner| inner == "hidden")
    })
}

/// Those that say something to who uses the type.
fn keep_attributes(attributes: &mut Vec<Attribute>) {
    attributes.retain(|attribute| {
        let path = attribute.path();
        path.is_ident("derive") || path.is_ident("non_exhaustive")
    });
}

/// Public fields; a comment would be lost, so private ones are told by one field of that name.
fn keep_public(fields: &mut Fields) {
    without_attributes(fields);
    let private: syn::Field = syn::parse_quote!(_private: ());
    match fields {
        Fields::Named(fields) => {
            let all = std::mem::take(&mut fields.named);
            let count = all.len();
            fields.named = all.into_iter().filter(|f| is_public(&f.vis)).collect();
            if fields.named.len() < count {
                fields.named.push(private);
            }
        }
        Fields::Unnamed(unnamed) => {
            for field in &mut unnamed.unnamed {
                if !is_public(&field.vis) {
                    field.ty = syn::parse_quote!(_);
                }
            }
        }
        Fields::Unit => {}
    }
}

fn without_attributes(fields: &mut Fields) {
    fields.iter_mut().for_each(|field| field.attrs.clear());
}

fn parse(file: &Path) -> syn::File {
    let text = fs::read_to_string(file).expect("a source");
    syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

/// `a::b` of `src/a/b.rs` or `src/a/b/mod.rs`.
fn module_of(src: &Path, file: &Path) -> String {
    let relative = file
        .strip_prefix(src)
        .expect("it lies there")
        .with_extension("");
    let mut parts: Vec<_> = relative.iter().map(|p| p.to_string_lossy()).collect();
    if parts.last().is_some_and(|last| last == "mod") {
        parts.pop();
    }
    parts.join("::")
}

/// All but `lib.rs`.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("the sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("src/lib.rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}
