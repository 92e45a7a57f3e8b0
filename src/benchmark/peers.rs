//! Solvers that are programs of others: a folder with `peer.json` each, found by looking, not by a list in the code.
//!
//! A peer that is not installed is a result too: its records say so, with what would install it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::benchmark::process::Program;
use crate::benchmark::solvers::BuiltIn;

/// The file that makes a folder a peer.
pub const FILE: &str = "peer.json";

/// What a peer says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PeerDocument {
    /// How records and the command line call it: lowercase letters, digits and `-`.
    pub name: String,
    /// What it is, in a few words.
    pub title: String,
    /// The program and its arguments. A program with a `/` in its name is meant from the peer's folder, in which it runs.
    pub command: Vec<String>,
    /// The command that installs it, from the folder of the project.
    pub setup: String,
    /// Version, for records of runs that give no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// A peer and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// What it says of itself.
    pub document: PeerDocument,
    /// Its folder.
    pub folder: PathBuf,
}

/// Why the peers of a folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeerError {
    /// A folder or a file cannot be read.
    #[error("{}: cannot be read: {source}\n  hint: give the folder that holds a folder for each peer", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is no description of a peer.
    #[error("{}: {problem}\n  hint: docs/benchmark.md says what a peer.json has", path.display())]
    Document {
        /// The file.
        path: PathBuf,
        /// Field and fault.
        problem: String,
    },
}

impl Peer {
    /// The peers in the folders of `folder`, by name; none where there is no such folder.
    ///
    /// # Errors
    /// What cannot be read or is no peer, and names that are there twice or belong to a built-in solver.
    pub fn find(folder: &Path) -> Result<Vec<Self>, PeerError> {
        let unreadable = |path: &Path| {
            let path = path.to_owned();
            move |source| PeerError::Unreadable { path, source }
        };
        if !folder.exists() {
            return Ok(Vec::new());
        }
        let mut folders = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(unreadable(folder))? {
            folders.push(entry.map_err(unreadable(folder))?.path());
        }
        folders.sort();
        let mut found: Vec<Self> = Vec::new();
        for folder in folders.into_iter().filter(|folder| folder.join(FILE).is_file()) {
            let path = folder.join(FILE);
            let text = std::fs::read(&path).map_err(unreadable(&path))?;
            let document = parse(&text).map_err(|problem| PeerError::Document { path: path.clone(), problem })?;
            if found.iter().any(|other| other.document.name == document.name) {
                let problem = format!("name: another peer is called `{}` too", document.name);
                return Err(PeerError::Document { path, problem });
            }
            found.push(Self { document, folder });
        }
        found.sort_by(|a, b| a.document.name.cmp(&b.document.name));
        Ok(found)
    }

    /// What is started to ask it; `None` when its program is not there.
    #[must_use]
    pub fn program(&self) -> Option<Program> {
        let (name, arguments) = self.document.command.split_first()?;
        let folder = self.folder.canonicalize().ok()?;
        let name = if name.contains('/') {
            let path = folder.join(name);
            path.is_file().then(|| path.display().to_string())?
        } else {
            name.clone()
        };
        let command = std::iter::once(name).chain(arguments.iter().cloned()).collect();
        Some(Program { command, folder })
    }

    /// What would install it.
    #[must_use]
    pub fn not_installed(&self) -> String {
        format!("not installed: `{}` installs it", self.document.setup)
    }
}

fn parse(text: &[u8]) -> Result<PeerDocument, String> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let document: PeerDocument =
        serde_path_to_error::deserialize(&mut reader).map_err(|problem| format!("{}: {}", problem.path(), problem.inner()))?;
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if document.name.is_empty() || !document.name.bytes().all(plain) {
        return Err(format!("name: `{}` is no name; write lowercase letters, digits and `-`", document.name));
    }
    if BuiltIn::parse(&document.name).is_some() {
        return Err(format!("name: `{}` is a built-in solver; give the peer a name of its own", document.name));
    }
    if document.command.is_empty() {
        return Err("command: is empty; give the program and its arguments".to_owned());
    }
    Ok(document)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(folder: &Path, name: &str, text: &str) {
        std::fs::create_dir(folder.join(name)).expect("a folder");
        std::fs::write(folder.join(name).join(FILE), text).expect("a file");
    }

    const GOOD: &str = r#"{"name": "echo", "title": "An echo", "command": ["./run"], "setup": "make", "version": "1"}"#;

    #[test]
    fn folders_with_a_description_are_peers() {
        let folder = tempfile::tempdir().expect("a folder");
        peer(folder.path(), "b", GOOD);
        peer(folder.path(), "a", &GOOD.replace("\"echo\"", "\"zeta\"").replace("./run", "sh"));
        std::fs::create_dir(folder.path().join("shared")).expect("a folder");
        let found = Peer::find(folder.path()).expect("they are peers");
        let names: Vec<&str> = found.iter().map(|peer| peer.document.name.as_str()).collect();
        assert_eq!(names, ["echo", "zeta"]);
        assert_eq!(found[0].program(), None, "its program is not there");
        assert!(found[0].not_installed().contains("`make`"));
        assert!(found[1].program().is_some_and(|program| program.command == ["sh"]));
        std::fs::write(folder.path().join("b/run"), "").expect("a file");
        let program = found[0].program().expect("now it is there");
        assert!(program.command[0].ends_with("b/./run") && Path::new(&program.command[0]).is_absolute(), "{program:?}");
        assert_eq!(Peer::find(&folder.path().join("none")).expect("nothing is no fault"), []);
    }

    #[test]
    fn faults_name_file_and_field() {
        for (text, expected) in [
            (GOOD.replace("\"echo\"", "\"E cho\""), "name: `E cho`"),
            (GOOD.replace("\"echo\"", "\"first-fit\""), "is a built-in solver"),
            (GOOD.replace("[\"./run\"]", "[]"), "command: is empty"),
            (GOOD.replace("\"setup\"", "\"set_up\""), "set_up"),
        ] {
            let folder = tempfile::tempdir().expect("a folder");
            peer(folder.path(), "a", &text);
            let problem = Peer::find(folder.path()).expect_err(expected).to_string();
            assert!(problem.contains(expected) && problem.contains("a/peer.json"), "{problem}");
        }
        let folder = tempfile::tempdir().expect("a folder");
        peer(folder.path(), "a", GOOD);
        peer(folder.path(), "b", GOOD);
        assert!(Peer::find(folder.path()).expect_err("twice").to_string().contains("another peer"));
    }
}
