//! Guards the shape of the source: rooms name only the rooms below them, and every file says what it is for.
//!
//! `docs/architecture.md` has the reasons. A rule that gets in the way is changed here and there, in the open.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Each room with the rooms that it may name.
const ROOMS: &[(&str, &[&str])] = &[
    ("adapters", &["domain", "planning"]),
    ("benchmark", &["adapters", "domain", "planning", "report", "solver"]),
    ("cli", &["adapters", "benchmark", "controllers", "domain", "planning", "report", "solver"]),
    ("controllers", &["adapters", "domain", "planning", "solver"]),
    ("domain", &[]),
    ("planning", &["domain", "solver"]),
    ("report", &["domain", "planning"]),
    ("solver", &[]),
];

/// Each foreign crate with the rooms that alone may name it.
const FENCED: &[(&str, &[&str])] = &[
    ("highs_sys", &["solver"]),
    ("good_lp", &["solver"]),
    ("k8s_openapi", &["adapters", "controllers"]),
    ("kube", &["adapters", "controllers"]),
    ("serde_saphyr", &["adapters"]),
    ("aws_config", &["adapters"]),
    ("aws_sdk_ec2", &["adapters"]),
    ("aws_sdk_eks", &["adapters"]),
    ("aws_sdk_iam", &["adapters"]),
    ("aws_sdk_pricing", &["adapters"]),
    ("aws_sdk_ssm", &["adapters"]),
    ("aws_smithy_async", &["adapters"]),
    ("tokio", &["adapters", "cli", "controllers"]),
    ("axum", &["controllers"]),
    ("prometheus_client", &["controllers"]),
    ("clap", &["cli", "controllers"]),
    ("indicatif", &["cli"]),
];

/// Rooms whose answers depend on their arguments alone.
const PURE: &[&str] = &["domain", "planning", "report", "solver"];

/// What would make an answer depend on anything else: clocks, environment, files, output.
const IMPURE: &[&str] =
    &["Instant::now", "SystemTime", "std::env", "std::fs", "std::net", "std::process", "stdin()", "stdout()", "stderr()"];

struct SourceFile {
    path: PathBuf,
    /// First folder (or file) below `src`.
    room: String,
    text: String,
}

impl SourceFile {
    /// Lines that are code, with their numbers.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(row, line)| (row + 1, line)).filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("a folder of the repository").map(|entry| entry.expect("an entry").path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files_below(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn sources() -> Vec<SourceFile> {
    let mut paths = Vec::new();
    files_below(&root().join("src"), &mut paths);
    paths
        .into_iter()
        .map(|path| {
            let relative = path.strip_prefix(root().join("src")).expect("it was found there").to_path_buf();
            let room = relative.components().next().expect("a file has a name").as_os_str().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path).expect("source is UTF-8");
            SourceFile { path: Path::new("src").join(relative), room, text }
        })
        .collect()
}

/// The words that follow `prefix` in a line of code.
fn words_after<'a>(line: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    line.match_indices(prefix).filter_map(move |(at, _)| {
        let starts_a_word = !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let rest = &line[at + prefix.len()..];
        starts_a_word.then(|| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or(""))
    })
}

fn assert_none(broken: &[String]) {
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

#[test]
fn rooms_name_only_the_rooms_below_them() {
    let mut broken = Vec::new();
    for file in sources() {
        let Some((room, below)) = ROOMS.iter().find(|(room, _)| *room == file.room) else { continue };
        for (row, line) in file.code() {
            for target in words_after(line, "crate::") {
                if target != *room && !below.contains(&target) {
                    broken.push(format!("{}:{row}: {room} -> {target}", file.path.display()));
                }
            }
        }
    }
    assert_none(&broken);
}

#[test]
fn the_verifier_names_only_the_domain() {
    let mut broken = Vec::new();
    for file in sources().iter().filter(|file| file.path.starts_with("src/planning") && is_verifier(&file.path)) {
        for (row, line) in file.code() {
            for target in words_after(line, "crate::").filter(|target| *target != "domain") {
                broken.push(format!("{}:{row}: the verifier -> {target}", file.path.display()));
            }
            if words_after(line, "super::super").next().is_some() {
                broken.push(format!("{}:{row}: the verifier reaches out of its folder", file.path.display()));
            }
        }
    }
    assert_none(&broken);
}

fn is_verifier(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str().to_string_lossy().starts_with("verifier"))
}

#[test]
fn the_folders_of_the_source_are_the_rooms() {
    let found: BTreeSet<String> = sources().into_iter().map(|file| file.room).filter(|room| !room.ends_with(".rs")).collect();
    let known: BTreeSet<String> = ROOMS.iter().map(|(room, _)| (*room).to_owned()).collect();
    assert_eq!(found, known, "a new folder needs a row in ROOMS and in docs/architecture.md");
}

#[test]
fn the_guide_has_a_row_for_every_room() {
    let guide = std::fs::read_to_string(root().join("docs/architecture.md")).expect("the guide is there");
    for (room, _) in ROOMS {
        assert!(guide.contains(&format!("| `src/{room}/` |")), "docs/architecture.md says nothing about src/{room}/");
    }
}

#[test]
fn foreign_crates_stay_behind_their_fence() {
    let mut broken = Vec::new();
    for file in sources() {
        for (row, line) in file.code() {
            for (name, rooms) in FENCED {
                let named = words_after(line, &format!("{name}::")).next().is_some();
                // `crate::adapters::kube::` is a module of ours.
                let ours = line.contains(&format!("adapters::{name}::"));
                if named && !ours && !rooms.contains(&file.room.as_str()) {
                    broken.push(format!("{}:{row}: only {} may name {name}", file.path.display(), rooms.join(" and ")));
                }
            }
        }
    }
    assert_none(&broken);
}

#[test]
fn pure_rooms_touch_nothing_outside() {
    let mut broken = Vec::new();
    for file in sources().iter().filter(|file| PURE.contains(&file.room.as_str())) {
        for (row, line) in file.code() {
            for pattern in IMPURE.iter().filter(|pattern| line.contains(**pattern)) {
                broken.push(format!("{}:{row}: {} is pure and names {pattern}", file.path.display(), file.room));
            }
        }
    }
    assert_none(&broken);
}

#[test]
fn files_say_what_they_are_for_and_imports_are_plain() {
    let mut broken = Vec::new();
    let mut files: Vec<(PathBuf, String)> = sources().into_iter().map(|file| (file.path, file.text)).collect();
    for folder in ["tests", "benches"] {
        let mut paths = Vec::new();
        if root().join(folder).is_dir() {
            files_below(&root().join(folder), &mut paths);
        }
        files.extend(paths.into_iter().map(|path| {
            let text = std::fs::read_to_string(&path).expect("source is UTF-8");
            (path.strip_prefix(root()).expect("it was found there").to_path_buf(), text)
        }));
    }
    for (path, text) in &files {
        let path = path.display();
        if !text.starts_with("//! ") {
            broken.push(format!("{path}:1: does not open with `//!`"));
        }
        // Spelled in two parts so that this file does not break its own rule.
        for (pattern, rule) in
            [(concat!("super::", "super"), "reaches two rooms up"), (concat!("use crate::", "{"), "nests at the root")]
        {
            for (row, _) in
                text.lines().enumerate().filter(|(_, line)| line.contains(pattern) && !line.trim_start().starts_with("//"))
            {
                if !path.to_string().ends_with("architecture.rs") {
                    broken.push(format!("{path}:{}: {rule}: `{pattern}`", row + 1));
                }
            }
        }
    }
    assert_none(&broken);
}

#[test]
fn words_are_found_after_a_whole_prefix_only() {
    let found: Vec<&str> = words_after("use crate::domain::x; my_crate::solver; (crate::cli)", "crate::").collect();
    assert_eq!(found, ["domain", "cli"]);
}
