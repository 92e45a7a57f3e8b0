//! Where the user's own files are (XDG Base Directory Specification).

use std::path::PathBuf;

/// The folder of this program in the one that `variable` names, or else in `below_home` of the user's home; `None` for a user without
/// a home.
pub(super) fn folder(variable: &str, below_home: &str) -> Option<PathBuf> {
    // The specification says to disregard a relative path.
    let given = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || std::env::home_dir().filter(|home| home.is_absolute()).map(|home| home.join(below_home));
    Some(given.or_else(home)?.join("supercargo"))
}
