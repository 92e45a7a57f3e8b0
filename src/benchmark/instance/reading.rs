//! Documents from files and back, and their digest.
//!
//! An instance is known by the SHA-256 of its canonical text: JSON without blanks, the keys of every object in the order of their bytes, a line
//! feed at the end. Whether the file is compressed makes no difference to it.

use std::io::Read as _;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::benchmark::instance::{FORMAT, InstanceDocument, InstanceError};

/// How a file that zstd compressed begins.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// An instance that is larger than this when it is unpacked is something else, and is not read.
const LARGEST: u64 = 1 << 30;
/// High enough that instances of many like objects shrink to a few KiB.
const COMPRESSION_LEVEL: i32 = 19;

impl InstanceDocument {
    /// The instance in the file `path`, plain or compressed with zstd.
    ///
    /// # Errors
    /// A file that cannot be read, or is no instance.
    pub fn read(path: &Path) -> Result<Self, InstanceError> {
        let bytes = std::fs::read(path).map_err(|problem| InstanceError::io(path, "read", &problem))?;
        Self::from_bytes(&path.display().to_string(), &bytes)
    }

    /// The instance in `bytes`, plain or compressed with zstd; errors call it `name`.
    ///
    /// # Errors
    /// When it is no instance, with the field that is wrong.
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self, InstanceError> {
        let document: Self = parse(name, &unpacked(name, bytes)?, FORMAT, "an instance")?;
        document.check_names(name)?;
        Ok(document)
    }

    /// Refuses names that are none; errors are about `file`.
    pub(super) fn check_names(&self, file: &str) -> Result<(), InstanceError> {
        let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        for (field, text) in [("name", &self.name), ("family", &self.family)] {
            if text.is_empty() || !plain(text) {
                let mend = "write lowercase letters, digits and `-`";
                return Err(InstanceError::file(file, format!("{field}: `{text}` is no name"), mend));
            }
        }
        Ok(())
    }

    /// The canonical text.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        canonical(self)
    }

    /// SHA-256 of the canonical text, in hexadecimal.
    #[must_use]
    pub fn sha256(&self) -> String {
        digest(&self.to_bytes())
    }
}

/// SHA-256 in hexadecimal.
pub(super) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// JSON without blanks, keys in the order of their bytes, a line feed at the end.
pub(super) fn canonical(document: &impl Serialize) -> Vec<u8> {
    let mut value = serde_json::to_value(document).expect("an instance has string keys and finite numbers alone");
    // Nothing to do unless another crate of the build has serde_json keep the order of insertion.
    value.sort_all_objects();
    let mut bytes = value.to_string().into_bytes();
    bytes.push(b'\n');
    bytes
}

/// `bytes` as zstd packs them.
///
/// # Errors
/// When there is no memory for it.
pub(super) fn packed(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    zstd::encode_all(bytes, COMPRESSION_LEVEL)
}

/// `bytes`, unpacked if they are packed.
pub(super) fn unpacked(name: &str, bytes: &[u8]) -> Result<Vec<u8>, InstanceError> {
    if !bytes.starts_with(&ZSTD_MAGIC) {
        return Ok(bytes.to_vec());
    }
    let mend = "was it cut off while it was written?";
    let broken = |problem: std::io::Error| InstanceError::file(name, format!("cannot be unpacked: {problem}"), mend);
    let mut text = Vec::new();
    zstd::Decoder::new(bytes).and_then(|decoder| decoder.take(LARGEST + 1).read_to_end(&mut text)).map_err(broken)?;
    if text.len() as u64 > LARGEST {
        return Err(InstanceError::file(name, "holds more than 1 GiB", "give an instance or a plan"));
    }
    Ok(text)
}

/// A document of the version `format`. The version is looked at first: a document of another fails for that and not for its fields.
pub(super) fn parse<T: DeserializeOwned>(name: &str, text: &[u8], format: &str, what: &str) -> Result<T, InstanceError> {
    let value: Value = serde_json::from_slice(text).map_err(|problem| {
        InstanceError::file(name, format!("not valid JSON: {problem}"), format!("give {what}, plain or compressed with zstd"))
    })?;
    match value.get("format").and_then(Value::as_str) {
        Some(found) if found == format => {}
        Some(found) => {
            let mend = format!("this program reads {format}");
            return Err(InstanceError::file(name, format!("format: is `{found}`"), mend));
        }
        None => {
            let mend = format!("give {what}; it begins with \"format\": \"{format}\"");
            return Err(InstanceError::file(name, "format: is missing", mend));
        }
    }
    serde_path_to_error::deserialize(value).map_err(|problem| {
        let path = problem.path().to_string();
        let place = if path == "." { String::new() } else { format!("{path}: ") };
        InstanceError::file(name, format!("{place}{}", problem.inner()), "docs/benchmark-instances.md has the fields")
    })
}
