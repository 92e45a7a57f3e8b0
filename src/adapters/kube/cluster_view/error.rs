//! What is wrong with the input, in words that name the place and the mend.

use std::fmt;

use crate::adapters::kube::convert::FieldError;

/// How many errors are collected before reading stops.
pub(in crate::adapters) const MAX_ERRORS: usize = 20;

/// One thing that is wrong with the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputError {
    /// Path of the file, or `standard input`.
    pub file: String,
    /// `Deployment shop/cart`, or `document 3` where the object has no name.
    pub object: Option<String>,
    /// Path within the object: `spec.template.spec.containers[0].resources.requests.cpu`.
    pub field: Option<String>,
    /// What is wrong, with the value.
    pub problem: String,
    /// How to put it right.
    pub mend: String,
}

impl InputError {
    /// An error about a whole file.
    pub(in crate::adapters) fn of_file(file: &str, problem: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { file: file.to_owned(), object: None, field: None, problem: problem.into(), mend: mend.into() }
    }

    /// An error about an object, or a field of it where `error` names one.
    pub(in crate::adapters) fn of_object(file: &str, object: &str, error: FieldError) -> Self {
        Self {
            file: file.to_owned(),
            object: Some(object.to_owned()),
            field: Some(error.field).filter(|field| !field.is_empty()),
            problem: error.problem,
            mend: error.mend,
        }
    }
}

impl fmt::Display for InputError {
    /// `FILE: OBJECT: FIELD: problem`, and the hint on a line of its own.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.file)?;
        for part in [&self.object, &self.field].into_iter().flatten() {
            write!(f, "{part}: ")?;
        }
        write!(f, "{}\n  hint: {}", self.problem, self.mend)
    }
}

impl std::error::Error for InputError {}

/// Everything that is wrong with the input, in input order; never empty, at most 20.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputErrors(pub(in crate::adapters) Vec<InputError>);

impl InputErrors {
    /// The errors.
    #[must_use]
    pub fn as_slice(&self) -> &[InputError] {
        &self.0
    }
}

impl fmt::Display for InputErrors {
    /// One error after the other; the last line says when there may be more.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{error}")?;
        }
        if self.0.len() >= MAX_ERRORS {
            write!(f, "\n(stopped after {MAX_ERRORS} errors)")?;
        }
        Ok(())
    }
}

impl std::error::Error for InputErrors {}

impl From<InputError> for InputErrors {
    fn from(error: InputError) -> Self {
        Self(vec![error])
    }
}
