//! One setting as text, and what it may be read as.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use super::SettingError;

/// The texts of a switch, the only two that Karpenter accepts.
pub(super) const YES: &str = "true";
/// See [`YES`].
pub(super) const NO: &str = "false";

/// Characters of a duration: as many hours as have one digit fewer are less than seconds can count.
const LONGEST_DURATION: usize = 16;

/// The text of the setting that `variable` names.
pub(super) struct Setting<'a> {
    variable: &'static str,
    text: &'a str,
}

impl<'a> Setting<'a> {
    /// A text that is blank counts as `default`: charts write variables that have no value.
    pub(super) fn new(variable: &'static str, given: &'a str, default: &'a str) -> Self {
        let text = if given.trim().is_empty() { default } else { given };
        Self { variable, text }
    }

    pub(super) fn error(&self, mend: impl Display) -> SettingError {
        SettingError { variable: self.variable, value: self.text.to_owned(), mend: mend.to_string() }
    }

    pub(super) fn switch(&self) -> Result<bool, SettingError> {
        self.one_of(&[(YES, true), (NO, false)])
    }

    pub(super) fn one_of<T: Copy>(&self, known: &[(&str, T)]) -> Result<T, SettingError> {
        known.iter().find(|(text, _)| *text == self.text).map(|(_, value)| *value).ok_or_else(|| {
            let (last, others) = known.split_last().expect("a choice has choices");
            let others: Vec<&str> = others.iter().map(|(text, _)| *text).collect();
            self.error(format_args!("it is {} or {}", others.join(", "), last.0))
        })
    }

    /// A number of at least `least`.
    pub(super) fn number<T: FromStr + PartialOrd + Display + Copy>(&self, least: T) -> Result<T, SettingError> {
        let number = self.text.parse::<T>().ok().filter(|number| *number >= least);
        number.ok_or_else(|| self.error(format_args!("it is a whole number, at least {least} and not too large")))
    }

    /// A duration as Go writes them, of at least `least`.
    pub(super) fn duration(&self, least: Duration) -> Result<Duration, SettingError> {
        let given = self.text.trim();
        // The parser would end the program over amounts that are negative or too large for it.
        let sound = given.len() <= LONGEST_DURATION && given.chars().all(|c| c.is_alphanumeric() || c == '.');
        let given = if sound { given.parse::<kube::core::Duration>().ok().map(Duration::from) } else { None };
        given.filter(|given| *given >= least).ok_or_else(|| {
            self.error(format_args!("it is a duration such as 100ms, 10s or 1m30s, at least {}s", least.as_secs_f64()))
        })
    }

    /// `None` where nothing was given.
    pub(super) fn optional(&self) -> Option<&'a str> {
        (!self.text.trim().is_empty()).then_some(self.text)
    }
}
