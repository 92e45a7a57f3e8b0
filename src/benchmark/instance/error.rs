//! Why an instance, or a suite of them, cannot be used.

use std::path::Path;

use crate::adapters::files::catalog::CatalogError;
use crate::adapters::files::commitments::CommitmentError;
use crate::adapters::files::manifests::InputErrors;

/// Why an instance, or a suite of them, cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstanceError {
    /// A file is not there, or not what it should be.
    #[error("{file}: {problem}\n  hint: {mend}")]
    File {
        /// Path of the file.
        file: String,
        /// What is wrong, with the field where there is one.
        problem: String,
        /// How to put it right.
        mend: String,
    },
    /// Its Kubernetes objects are wrong.
    #[error("{0}")]
    Objects(#[from] InputErrors),
    /// Its catalog is wrong.
    #[error("instance {instance}: catalog: {source}")]
    Catalog {
        /// Name of the instance.
        instance: String,
        /// What is wrong.
        source: Box<CatalogError>,
    },
    /// Its commitments are wrong.
    #[error("{0}")]
    Commitments(Box<CommitmentError>),
}

impl From<CommitmentError> for InstanceError {
    fn from(error: CommitmentError) -> Self {
        Self::Commitments(Box::new(error))
    }
}

impl InstanceError {
    /// An error of the catalog of an instance.
    pub(super) fn catalog(instance: &str, source: CatalogError) -> Self {
        Self::Catalog { instance: instance.to_owned(), source: Box::new(source) }
    }

    /// An error about `file`.
    pub(super) fn file(file: impl Into<String>, problem: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::File { file: file.into(), problem: problem.into(), mend: mend.into() }
    }

    /// An error of the operating system about `path`.
    pub(super) fn io(path: &Path, deed: &str, problem: &std::io::Error) -> Self {
        Self::file(path.display().to_string(), format!("cannot be {deed}: {problem}"), "check the path and the permissions")
    }
}
