//! Which file of `src/` imports which other, read from the text of the files.
use std::collections::{BTreeMap, BTreeSet};

/// A module by the parts of its path below `crate`.
pub(crate) type Module = Vec<String>;

/// Every file's module, and those whose items it names: where the items are declared, not where
/// they are re-exported. Tests at the end of a file do not count.
pub(crate) struct Imports {
    of: BTreeMap<Module, BTreeSet<Module>>,
}

/// A path that a file names.
struct Named {
    path: Vec<String>,
    is_reexported: bool,
}

impl Named {
    fn imported(&self) -> Self {
        Self {
            path: self.path.clone(),
            is_reexported: false,
        }
    }
}

impl Imports {
    /// Reads files, each with its path below `src/`.
    pub(crate) fn of(files: &[(String, String)]) -> Self {
        let texts: BTreeMap<Module, String> = files
            .iter()
            .map(|(path, text)| (module_of(path), without_comments_and_tests(text)))
            .collect();
        let named: BTreeMap<Module, Vec<Named>> = texts
            .iter()
            .map(|(module, text)| (module.clone(), named_in(text, module, &texts)))
            .collect();
        let imports = named.iter().map(|(module, paths)| {
            let used = paths.iter().filter(|it| !it.is_reexported);
            let mut used: BTreeSet<Module> =
                used.map(|it| declared_in(&it.path, &named, 0)).collect();
            used.remove(module);
            (module.clone(), used)
        });
        Self {
            of: imports.collect(),
        }
    }

    /// Every file with those that it imports.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Module, &BTreeSet<Module>)> {
        self.of.iter()
    }

    /// Files that import each other, directly or round a loop; none of them within `exempt`.
    pub(crate) fn loops(&self, exempt: &str) -> Vec<BTreeSet<Module>> {
        let counts = |it: &Module| it.first().is_none_or(|room| room != exempt);
        let mut loops: Vec<BTreeSet<Module>> = Vec::new();
        for module in self.of.keys().filter(|it| counts(it)) {
            if loops.iter().any(|found| found.contains(module)) {
                continue;
            }
            let forth = self.reached_from(module, &counts);
            let round: BTreeSet<Module> = forth
                .into_iter()
                .filter(|it| self.reached_from(it, &counts).contains(module))
                .collect();
            if round.len() > 1 {
                loops.push(round);
            }
        }
        loops
    }

    fn reached_from(&self, start: &Module, counts: &impl Fn(&Module) -> bool) -> BTreeSet<Module> {
        let mut reached = BTreeSet::new();
        let mut left = vec![start];
        while let Some(module) = left.pop() {
            for used in self.of.get(module).into_iter().flatten() {
                if counts(used) && reached.insert(used.clone()) {
                    left.push(used);
                }
            }
        }
        reached
    }
}

/// `http/routes/mod.rs` is `http::routes`; `lib.rs` is the crate itself.
fn module_of(path: &str) -> Module {
    let parts = path.trim_end_matches(".rs").split('/');
    let parts = parts.filter(|it| !matches!(*it, "mod" | "lib"));
    parts.map(str::to_owned).collect()
}

fn without_comments_and_tests(text: &str) -> String {
    let tests = ["mod tests {", "pub(super) mod tests {"];
    let ends = tests.map(|it| text.find(&format!("#[cfg(test)]\n{it}")));
    let end = ends.into_iter().flatten().min().unwrap_or(text.len());
    let lines = text[..end]
        .lines()
        .map(|line| line.split("//").next().unwrap());
    let code = lines.collect::<Vec<_>>().join("\n");
    // What a visibility names is not used.
    let mut parts = code.split("pub(in ");
    let mut kept = parts.next().unwrap().to_owned();
    for part in parts {
        kept.push_str("pub");
        kept.push_str(part.split_once(')').unwrap().1);
    }
    kept
}

/// Every path to a module of the crate, in `use` or in the code.
fn named_in(text: &str, module: &Module, all: &BTreeMap<Module, String>) -> Vec<Named> {
    let mut named = Vec::new();
    let mut code = String::new();
    let mut rest = text;
    while let Some((before, is_reexported, tree, behind)) = next_use(rest) {
        code.push_str(before);
        for path in leaves(tree, &[]) {
            let path = absolute(&path, module, all);
            named.extend(path.map(|path| Named {
                path,
                is_reexported,
            }));
        }
        rest = behind;
    }
    code.push_str(rest);
    // A re-exported name that the file's own code says, too, is imported as well.
    let words: BTreeSet<&str> = code.split(|it| !is_word(it)).collect();
    let said = |it: &&Named| it.path.last().is_some_and(|it| words.contains(it.as_str()));
    let imported: Vec<Named> = named.iter().filter(said).map(Named::imported).collect();
    named.extend(imported);
    for path in paths_in(&code) {
        let path = absolute(&path, module, all);
        named.extend(path.map(|path| Named {
            path,
            is_reexported: false,
        }));
    }
    named
}

/// The next `use …;` at the beginning of a line: what is before it, whether it re-exports, its
/// tree, and what is behind it.
fn next_use(text: &str) -> Option<(&str, bool, &str, &str)> {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let word = line.trim_start();
        let is_reexported = word.starts_with("pub");
        let word = match word.strip_prefix("pub") {
            Some(rest) if rest.starts_with('(') => rest.split_once(") ").map_or("", |it| it.1),
            Some(rest) => rest.trim_start(),
            None => word,
        };
        if let Some(tree) = word.strip_prefix("use ") {
            let begin = at + line.len() - tree.len();
            let end = begin + text[begin..].find(';')?;
            return Some((
                &text[..at],
                is_reexported,
                &text[begin..end],
                &text[end + 1..],
            ));
        }
        at += line.len();
    }
    None
}

/// The paths of a use tree.
fn leaves(tree: &str, before: &[String]) -> Vec<Vec<String>> {
    let tree = tree.trim();
    let Some(open) = tree.find('{') else {
        let path = tree.split(" as ").next().unwrap();
        let parts = path.split("::").map(|it| it.trim().to_owned());
        let mut path = before.to_vec();
        path.extend(parts.filter(|it| it != "self" || before.is_empty()));
        return vec![path];
    };
    let mut head = before.to_vec();
    let parts = tree[..open].split("::").map(str::trim);
    head.extend(parts.filter(|it| !it.is_empty()).map(str::to_owned));
    let inside = &tree[open + 1..tree.rfind('}').unwrap()];
    let (mut depth, mut begin, mut all) = (0, 0, Vec::new());
    for (at, sign) in inside.char_indices() {
        match sign {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                all.extend(leaves(&inside[begin..at], &head));
                begin = at + 1;
            }
            _ => {}
        }
    }
    if !inside[begin..].trim().is_empty() {
        all.extend(leaves(&inside[begin..], &head));
    }
    all
}

fn is_word(it: char) -> bool {
    it.is_alphanumeric() || it == '_'
}

/// Paths in code: words with `::` between them.
fn paths_in(code: &str) -> Vec<Vec<String>> {
    let is_part = |it: char| is_word(it) || it == ':';
    let words = code.split(|it| !is_part(it));
    let paths = words.filter(|it| it.contains("::") && !it.starts_with(':'));
    let parts = paths.map(|it| it.split("::").filter(|part| !part.is_empty()));
    parts.map(|it| it.map(str::to_owned).collect()).collect()
}

/// A path from the crate's root on; none for a path to another crate.
fn absolute(
    path: &[String],
    module: &Module,
    all: &BTreeMap<Module, String>,
) -> Option<Vec<String>> {
    let first = path.first()?.as_str();
    let mut base = module.clone();
    let mut rest = path;
    match first {
        "crate" => return Some(path[1..].to_vec()),
        "self" => rest = &path[1..],
        "super" => {
            while rest.first().is_some_and(|it| it == "super") {
                base.pop()?;
                rest = &rest[1..];
            }
        }
        _ => {
            let mut child = module.clone();
            child.push(first.to_owned());
            all.contains_key(&child).then_some(())?;
        }
    }
    base.extend(rest.iter().cloned());
    Some(base)
}

/// The module that declares what a path names, behind any re-exports.
fn declared_in(path: &[String], named: &BTreeMap<Module, Vec<Named>>, depth: usize) -> Module {
    let longest = (0..=path.len()).rev();
    let mut modules = longest.map(|length| path[..length].to_vec());
    let module = modules
        .find(|it| named.contains_key(it))
        .unwrap_or_default();
    let Some(item) = path.get(module.len()) else {
        return module;
    };
    let reexports = named.get(&module).into_iter().flatten();
    let mut origin = reexports.filter(|it| it.is_reexported && it.path.last() == Some(item));
    match origin.next().filter(|it| it.path != path && depth < 6) {
        Some(origin) => declared_in(&origin.path, named, depth + 1),
        None => module,
    }
}
