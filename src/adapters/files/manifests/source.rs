//! Where manifests come from: files, folders, standard input.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::adapters::files::manifests::document;
use crate::adapters::kube::cluster_view::error::InputError;
use crate::adapters::kube::cluster_view::objects::Objects;

/// YAML is held in memory while it is parsed; JSON is not, and has no limit.
const MAX_YAML_BYTES: u64 = 1 << 30;
/// Large enough that reading is not what takes the time.
const BUFFER_BYTES: usize = 1 << 18;

/// A place that manifests are read from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A file, or a folder: all `*.yaml`, `*.yml` and `*.json` below it, by name.
    Path(PathBuf),
    /// Text that is there already.
    Bytes {
        /// What errors call it.
        name: String,
        /// The text.
        bytes: Vec<u8>,
    },
}

impl Source {
    /// Reads `reader` to its end; errors will call it `name`.
    ///
    /// # Errors
    /// When reading fails.
    pub fn from_reader(name: &str, mut reader: impl Read) -> Result<Self, InputError> {
        let mut bytes = Vec::new();
        match reader.read_to_end(&mut bytes) {
            Ok(_) => Ok(Self::Bytes { name: name.to_owned(), bytes }),
            Err(error) => Err(unreadable(name, &error)),
        }
    }
}

fn unreadable(name: &str, error: &std::io::Error) -> InputError {
    InputError::of_file(name, format!("cannot be read: {error}"), "check the path and the permissions")
}

/// Reads the objects of `source` into `objects`, errors included.
pub(super) fn read(source: &Source, objects: &mut Objects) {
    match source {
        Source::Bytes { name, bytes } => read_text(name, bytes.as_slice(), objects),
        Source::Path(path) if path.is_dir() => read_folder(path, objects),
        Source::Path(path) => read_file(path, objects),
    }
}

fn read_folder(folder: &Path, objects: &mut Objects) {
    let name = folder.display().to_string();
    let mut files = Vec::new();
    if let Err(error) = find_manifests(folder, &mut files) {
        objects.errors.push(unreadable(&name, &error));
        return;
    }
    if files.is_empty() {
        let mend = "name a folder that holds *.yaml, *.yml or *.json";
        objects.errors.push(InputError::of_file(&name, "there are no manifests in this folder", mend));
    }
    files.sort();
    for file in files {
        read_file(&file, objects);
    }
}

/// Files below `folder` by their extension. Links to folders are not followed, or a loop of them would not end.
fn find_manifests(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            find_manifests(&path, found)?;
        } else if path.extension().is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known))
            && path.is_file()
        {
            found.push(path);
        }
    }
    Ok(())
}

fn read_file(path: &Path, objects: &mut Objects) {
    let name = path.display().to_string();
    match File::open(path) {
        Ok(file) => read_text(&name, file, objects),
        Err(error) => objects.errors.push(unreadable(&name, &error)),
    }
}

/// JSON when the first character is a bracket, YAML otherwise.
fn read_text(name: &str, text: impl Read, objects: &mut Objects) {
    let mut reader = BufReader::with_capacity(BUFFER_BYTES, text);
    match starts_with_bracket(&mut reader) {
        Ok(true) => document::read_json(name, reader, objects),
        Ok(false) => {
            let mut bytes = Vec::new();
            match reader.take(MAX_YAML_BYTES + 1).read_to_end(&mut bytes) {
                Err(error) => objects.errors.push(unreadable(name, &error)),
                Ok(read) if read as u64 > MAX_YAML_BYTES => {
                    let mend = "split the file, or give it as JSON (`kubectl get -o json`), which is read as a stream";
                    objects.errors.push(InputError::of_file(name, "more than 1 GiB of YAML", mend));
                }
                Ok(_) => match std::str::from_utf8(&bytes) {
                    Ok(text) => document::read_yaml(name, text, objects),
                    Err(error) => {
                        let line = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
                        objects.errors.push(not_utf8(name, &format!("line {line} is not UTF-8 text")));
                    }
                },
            }
        }
        Err(error) => objects.errors.push(unreadable(name, &error)),
    }
}

pub(super) fn not_utf8(name: &str, problem: &str) -> InputError {
    InputError::of_file(name, problem, "give manifests as plain UTF-8 text: not compressed, not UTF-16")
}

/// Whether the first character that is no blank opens a JSON value. What comes before it is skipped if so.
fn starts_with_bracket(reader: &mut impl BufRead) -> std::io::Result<bool> {
    let buffer = reader.fill_buf()?;
    let mark = if buffer.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    let Some(blanks) = buffer[mark..].iter().position(|byte| !byte.is_ascii_whitespace()) else { return Ok(false) };
    let bracket = matches!(buffer[mark + blanks], b'{' | b'[');
    if bracket {
        reader.consume(mark);
    }
    Ok(bracket)
}
