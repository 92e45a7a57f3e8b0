//! Loading manifests: what is understood, what is left out, and what every mistake is answered with.

mod company;
mod custom_resources;
mod loading;
mod mistakes;
mod overlays;
mod volumes;

use supercargo::adapters::files::manifests::{InputErrors, Loaded, Source, load};

/// Loads text as if it came from standard input.
fn load_text(text: impl Into<Vec<u8>>) -> Result<Loaded, InputErrors> {
    load(&[Source::Bytes { name: "standard input".to_owned(), bytes: text.into() }])
}
