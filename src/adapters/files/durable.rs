//! Files that survive whatever ends the program: written whole beside the place where they belong, flushed to the disk, then put there
//! in one step.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

/// Writes a file that is not there yet, and waits until the disk has it.
///
/// # Errors
/// What the operating system says; a file that is there already is left alone.
pub(super) fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Makes the entries of a folder survive a power cut.
///
/// # Errors
/// What the operating system says.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Puts `text` in the place of `path`, or leaves that as it is: a reader finds the old text or the new one. Only one process at a time
/// may do so to one path; `draft` is a path in the same folder that nobody else uses.
///
/// # Errors
/// What the operating system says.
pub(super) fn replace(path: &Path, draft: &Path, text: &str) -> io::Result<()> {
    match fs::remove_file(draft) {
        // What a program that was killed left.
        Ok(()) => {}
        Err(problem) if problem.kind() == io::ErrorKind::NotFound => {}
        Err(problem) => return Err(problem),
    }
    write_new(draft, text)?;
    fs::rename(draft, path)?;
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).map_or(Ok(()), sync_folder)
}
