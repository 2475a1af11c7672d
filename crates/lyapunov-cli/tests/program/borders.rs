//! The floors of the program: every import points down, and no circle but that of a module with its children.
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// The rooms from the ground up: a file may import what is in its own room or in a lower one.
const FLOORS: [&str; 16] = [
    "text",
    "defaults",
    "terminal",
    "error",
    "data",
    "config",
    "setup",
    "measure",
    "sweep",
    "compare",
    "show",
    "reproduce",
    "commands",
    "cli",
    "lib",
    "main",
];

/// What a run leaves behind, of `lyapunov-runs`: below all rooms.
const GROUND: [&str; 9] = ["store", "folder", "lock", "manifest", "seal", "checkpoint", "stored", "faults", "export"];

/// Files of tests that see every room.
const ABOVE: [&str; 2] = ["mutations", "recorded"];

/// The files of the program by their modules, such as `show::plot::axis`, stripped of comments and of tests at the end.
fn sources() -> BTreeMap<String, String> {
    fn collect(folder: &Path, module: &str, found: &mut BTreeMap<String, String>) {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let inside = if module.is_empty() { name.clone() } else { format!("{module}::{name}") };
            if path.is_dir() {
                collect(&path, &inside, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let code: Vec<&str> = text.lines().map(|line| line.split("//").next().unwrap_or("")).collect();
                let code = code.join("\n");
                let code = code.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned();
                found.insert(if name == "mod" { module.to_owned() } else { inside }, code);
            }
        }
    }
    let mut found = BTreeMap::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut found);
    found.retain(|module, _| !module.split("::").any(|part| part == "tests"));
    found
}

/// The paths of a tree such as `a::{b, c::{d, self}}`.
fn flattened(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some((head, list)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap_or_default().trim();
        return vec![path.trim_end_matches("::self").to_owned()];
    };
    let items = first_level(list.rsplit_once('}').map_or(list, |(list, _)| list));
    let full = |item: &str| flattened(item).into_iter().map(|path| format!("{head}{path}")).collect::<Vec<_>>();
    let paths = items.into_iter().filter(|item| !item.trim().is_empty()).flat_map(full);
    paths.map(|path| path.trim_end_matches("::self").to_owned()).collect()
}

/// The items of a list, without those of the lists inside it.
fn first_level(list: &str) -> Vec<&str> {
    let (mut depth, mut start, mut items) = (0, 0, Vec::new());
    for (at, letter) in list.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    items.push(&list[start..]);
    items
}

/// The trees of every `use`, and whether others may use them from here.
fn uses(code: &str) -> Vec<(bool, String)> {
    let statements = code.split(';').filter_map(|statement| {
        let (before, tree) = statement.rsplit_once("use ")?;
        let begins = before.is_empty() || before.ends_with(['\n', ' ']);
        let public = before.trim_end().ends_with("pub");
        begins.then(|| (public, tree.replace('\n', " ")))
    });
    statements.collect()
}

/// A path from the root of the program, if it is one, from where it is written.
fn absolute(path: &str, module: &str, children: &BTreeSet<String>) -> Option<String> {
    let parent = |module: &str| module.rsplit_once("::").map_or(String::new(), |(parent, _)| parent.to_owned());
    let join = |module: &str, rest: &str| if module.is_empty() { rest.to_owned() } else { format!("{module}::{rest}") };
    if let Some(rest) = path.strip_prefix("crate::") {
        return Some(rest.to_owned());
    }
    if let Some(rest) = path.strip_prefix("self::") {
        return Some(join(module, rest));
    }
    if let Some(rest) = path.strip_prefix("super::") {
        let (mut base, mut rest) = (parent(module), rest);
        while let Some(further) = rest.strip_prefix("super::") {
            (base, rest) = (parent(&base), further);
        }
        return Some(join(&base, rest));
    }
    let child = join(module, path.split("::").next().unwrap_or_default());
    children.contains(&child).then(|| join(module, path))
}

/// Every import from file to file; what a module only passes on is taken from where it stands.
fn imports() -> BTreeMap<String, BTreeSet<String>> {
    let sources = sources();
    let modules: BTreeSet<String> = sources.keys().cloned().collect();
    let mut passed_on: BTreeMap<String, String> = BTreeMap::new();
    for (module, code) in &sources {
        for path in uses(code).iter().filter(|(public, _)| *public).flat_map(|(_, tree)| flattened(tree)) {
            if let Some(origin) = absolute(&path, module, &modules) {
                let name = origin.rsplit("::").next().unwrap_or_default();
                passed_on.insert(format!("{module}::{name}"), origin.clone());
            }
        }
    }
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (module, code) in &sources {
        let written = uses(code).into_iter().flat_map(|(_, tree)| flattened(&tree));
        let inline = code.match_indices("crate::").map(|(at, _)| {
            let path: String = code[at..].chars().take_while(|c| c.is_alphanumeric() || "_:".contains(*c)).collect();
            path
        });
        let inline = inline.filter(|path| !path.ends_with("::"));
        for path in written.chain(inline).filter_map(|path| absolute(&path, module, &modules)) {
            let mut path = path;
            // An item may stand two names deep, as in `module::Type::function`.
            let known = |path: &str| {
                let mut part = Some(path);
                // A module and an item may share a name: the module is meant where the path goes on.
                while let Some(name) = part.filter(|name| *name == path || !modules.contains(*name)) {
                    if let Some(origin) = passed_on.get(name) {
                        return Some(origin.clone());
                    }
                    part = name.rsplit_once("::").map(|(front, _)| front);
                }
                None
            };
            while let Some(origin) = known(&path).filter(|origin| !modules.contains(&path) && *origin != path) {
                path = origin;
            }
            let mut target = path.as_str();
            while !modules.contains(target) {
                match target.rsplit_once("::") {
                    Some((front, _)) => target = front,
                    None => break,
                }
            }
            if target != module {
                found.entry(module.clone()).or_default().insert(target.to_owned());
            }
        }
    }
    found
}

fn room(module: &str) -> &str {
    module.split("::").next().unwrap_or_default()
}

#[test]
fn every_file_has_a_floor() {
    for module in sources().keys() {
        let known = [&FLOORS[..], &GROUND[..], &ABOVE[..]].concat();
        assert!(known.contains(&room(module)), "{module} is in no room: give it a floor");
    }
}

#[test]
fn every_import_points_to_a_lower_floor() {
    let floor = |module: &str| FLOORS.iter().position(|known| *known == room(module));
    let mut upwards = Vec::new();
    for (module, targets) in imports() {
        // What stays behind of a run is below all; what sees every room is above all.
        let Some(here) = floor(&module) else { continue };
        upwards.extend(
            targets
                .iter()
                .filter(|target| floor(target).is_some_and(|there| there > here))
                .map(|t| format!("{module} -> {t}")),
        );
    }
    assert!(upwards.is_empty(), "imports that point upwards: {upwards:#?}");
}

#[test]
fn no_lower_room_imports_a_command() {
    for (module, targets) in imports() {
        let allowed = ["commands", "cli", "lib", "main"].contains(&room(&module));
        assert!(allowed || !targets.iter().any(|target| room(target) == "commands"), "{module} imports a command");
    }
}

/// A module with its children is one place: their imports of each other do not count, those among the children do.
#[test]
fn there_is_no_circle_among_files() {
    let family = |a: &str, b: &str| a.starts_with(&format!("{b}::")) || b.starts_with(&format!("{a}::"));
    let mut arrows = imports();
    arrows.retain(|module, _| !GROUND.contains(&room(module)) && !ABOVE.contains(&room(module)));
    for (module, targets) in &mut arrows {
        targets.retain(|target| !family(module, target) && !GROUND.contains(&room(target)));
    }
    // Take away what imports nothing that is left, until nothing or only circles are left.
    loop {
        let left: BTreeSet<String> = arrows.keys().cloned().collect();
        let before = left.len();
        arrows.retain(|_, targets| targets.iter().any(|target| left.contains(target)));
        if arrows.len() == before {
            break;
        }
    }
    assert!(arrows.is_empty(), "these files import each other in circles, or what does: {arrows:#?}");
}
