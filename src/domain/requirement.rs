//! Requirements on node labels and their algebra, as Karpenter defines it (core v1.15.0, `pkg/scheduling/requirement.go`).
//!
//! A requirement is the set of values that a label may have: a finite set (`In`, and `DoesNotExist` as the empty set) or the
//! complement of one (`NotIn`, and `Exists` as the complement of nothing), cut by integer bounds (`Gt`, `Lt`, `Gte`, `Lte`).
//! Values that are not integers are outside every bound. Once the set is finite the bounds are applied and dropped.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;

use crate::domain::labels;

/// The operators of Kubernetes node selectors, and Karpenter's inclusive bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operator {
    /// The label has one of the values.
    In,
    /// The label has none of the values, or is absent.
    NotIn,
    /// The label is present.
    Exists,
    /// The label is absent.
    DoesNotExist,
    /// The label is an integer above the value.
    Gt,
    /// The label is an integer below the value.
    Lt,
    /// The label is an integer of at least the value.
    Gte,
    /// The label is an integer of at most the value.
    Lte,
}

impl Operator {
    /// The operator of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "In" => Self::In,
            "NotIn" => Self::NotIn,
            "Exists" => Self::Exists,
            "DoesNotExist" => Self::DoesNotExist,
            "Gt" => Self::Gt,
            "Lt" => Self::Lt,
            "Gte" => Self::Gte,
            "Lte" => Self::Lte,
            _ => return None,
        })
    }
}

/// Which values a label may have.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Requirement {
    complement: bool,
    values: BTreeSet<String>,
    at_least: Option<i64>,
    at_most: Option<i64>,
    /// How many distinct values the candidates of a node must cover (`minValues`), if given.
    pub min_values: Option<u32>,
}

impl Requirement {
    /// The requirement of `operator` and `values`.
    ///
    /// # Errors
    /// A bound (`Gt`, `Lt`, `Gte`, `Lte`) needs exactly one value that is an integer of at least 0; `In` and `NotIn` need at
    /// least one value; `Exists` and `DoesNotExist` take none. The error is a sentence about the values.
    pub fn new<S: AsRef<str>>(operator: Operator, values: &[S]) -> Result<Self, String> {
        let bound = || match values {
            [one] => match one.as_ref().parse::<i64>() {
                Ok(number) if number >= 0 => Ok(number),
                _ => Err(format!("`{}` is not an integer of at least 0", one.as_ref())),
            },
            _ => Err(format!("a bound takes exactly one value, not {}", values.len())),
        };
        let mut made = match operator {
            Operator::Exists | Operator::NotIn => Self::any(),
            _ => Self::none(),
        };
        match operator {
            Operator::In | Operator::NotIn if values.is_empty() => return Err("needs at least one value".to_owned()),
            Operator::Exists | Operator::DoesNotExist if !values.is_empty() => return Err("takes no values".to_owned()),
            Operator::In | Operator::NotIn => made.values = values.iter().map(|v| v.as_ref().to_owned()).collect(),
            Operator::Exists | Operator::DoesNotExist => {}
            Operator::Gt => made = Self { at_least: Some(bound()?.saturating_add(1)), ..Self::any() },
            Operator::Lt => made = Self { at_most: Some(bound()? - 1), ..Self::any() },
            Operator::Gte => made = Self { at_least: Some(bound()?), ..Self::any() },
            Operator::Lte => made = Self { at_most: Some(bound()?), ..Self::any() },
        }
        Ok(made)
    }

    /// Every value (`Exists`).
    #[must_use]
    pub fn any() -> Self {
        Self { complement: true, values: BTreeSet::new(), at_least: None, at_most: None, min_values: None }
    }

    /// No value (`DoesNotExist`).
    #[must_use]
    pub fn none() -> Self {
        Self { complement: false, ..Self::any() }
    }

    /// Exactly these values (`In`); none is `DoesNotExist`.
    #[must_use]
    pub fn one_of<I: IntoIterator<Item = S>, S: Into<String>>(values: I) -> Self {
        Self { values: values.into_iter().map(Into::into).collect(), ..Self::none() }
    }

    /// Whether `value` is allowed.
    #[must_use]
    pub fn has(&self, value: &str) -> bool {
        self.values.contains(value) != self.complement && self.within_bounds(value)
    }

    fn within_bounds(&self, value: &str) -> bool {
        if self.at_least.is_none() && self.at_most.is_none() {
            return true;
        }
        value.parse::<i64>().is_ok_and(|number| {
            self.at_least.is_none_or(|least| number >= least) && self.at_most.is_none_or(|most| number <= most)
        })
    }

    /// The allowed values when they are finitely many (`In`, `DoesNotExist`).
    #[must_use]
    pub fn finite(&self) -> Option<&BTreeSet<String>> {
        (!self.complement).then_some(&self.values)
    }

    /// The values that it names: allowed ones of a finite set, excluded ones otherwise.
    #[must_use]
    pub fn named(&self) -> &BTreeSet<String> {
        &self.values
    }

    /// The inclusive integer bounds `(least, most)`.
    #[must_use]
    pub fn bounds(&self) -> (Option<i64>, Option<i64>) {
        (self.at_least, self.at_most)
    }

    /// Whether no value is allowed (`DoesNotExist`).
    #[must_use]
    pub fn is_none(&self) -> bool {
        !self.complement && self.values.is_empty()
    }

    /// Whether a node without the label satisfies it (`NotIn`, `DoesNotExist`).
    #[must_use]
    pub fn accepts_absence(&self) -> bool {
        self.is_none() || (self.complement && !self.values.is_empty() && self.at_least.is_none() && self.at_most.is_none())
    }

    /// The values that both allow; the larger `minValues`.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let min_values = self.min_values.max(other.min_values);
        let at_least = self.at_least.max(other.at_least);
        let at_most = match (self.at_most, other.at_most) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        if let (Some(least), Some(most)) = (at_least, at_most)
            && least > most
        {
            return Self { min_values, ..Self::none() };
        }
        let mut both = Self { complement: false, values: BTreeSet::new(), at_least, at_most, min_values };
        match (self.complement, other.complement) {
            (true, true) => {
                both.complement = true;
                both.values = self.values.union(&other.values).cloned().collect();
                return both;
            }
            (true, false) => both.values = other.values.difference(&self.values).cloned().collect(),
            (false, true) => both.values = self.values.difference(&other.values).cloned().collect(),
            (false, false) => both.values = self.values.intersection(&other.values).cloned().collect(),
        }
        let kept: BTreeSet<String> = both.values.iter().filter(|value| both.within_bounds(value)).cloned().collect();
        Self { values: kept, at_least: None, at_most: None, ..both }
    }

    /// Whether both allow some value, or both accept that the label is absent.
    #[must_use]
    pub fn intersects(&self, other: &Self) -> bool {
        !self.intersection(other).is_none() || (self.accepts_absence() && other.accepts_absence())
    }
}

impl fmt::Display for Requirement {
    /// `In [a, b]`, `NotIn [a]`, `Exists`, `DoesNotExist`, `Exists >= 3 <= 5`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listed = self.values.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        match (self.complement, self.values.is_empty()) {
            (true, true) => f.write_str("Exists")?,
            (true, false) => write!(f, "NotIn [{listed}]")?,
            (false, true) => f.write_str("DoesNotExist")?,
            (false, false) => write!(f, "In [{listed}]")?,
        }
        if let Some(least) = self.at_least {
            write!(f, " >= {least}")?;
        }
        if let Some(most) = self.at_most {
            write!(f, " <= {most}")?;
        }
        Ok(())
    }
}

/// Requirements by label key; several on one key are intersected.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Requirements(BTreeMap<String, Requirement>);

impl Requirements {
    /// No requirement.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One requirement `key In [value]` per label.
    #[must_use]
    pub fn from_labels(labels: &BTreeMap<String, String>) -> Self {
        let mut made = Self::new();
        for (key, value) in labels {
            made.add(key, Requirement::one_of([value.as_str()]));
        }
        made
    }

    /// Adds a requirement; the key is normalised, and what is there already is intersected.
    pub fn add(&mut self, key: &str, requirement: Requirement) {
        let key = labels::normalize(key);
        let joined = match self.0.get(key) {
            Some(present) => present.intersection(&requirement),
            None => requirement,
        };
        self.0.insert(key.to_owned(), joined);
    }

    /// Adds all of `other`.
    pub fn add_all(&mut self, other: &Self) {
        for (key, requirement) in &other.0 {
            self.add(key, requirement.clone());
        }
    }

    /// The requirement on `key`, if there is one.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Requirement> {
        self.0.get(labels::normalize(key))
    }

    /// Removes the requirement on `key`.
    pub fn remove(&mut self, key: &str) -> Option<Requirement> {
        self.0.remove(labels::normalize(key))
    }

    /// Keys and requirements, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Requirement)> {
        self.0.iter().map(|(key, requirement)| (key.as_str(), requirement))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether every key that both name has a common value (or may be absent in both).
    #[must_use]
    pub fn intersects(&self, other: &Self) -> bool {
        self.first_conflict(other).is_none()
    }

    /// The first key, in key order, on which `other` has no value in common with this.
    #[must_use]
    pub fn first_conflict<'a>(&self, other: &'a Self) -> Option<&'a str> {
        other.0.iter().find_map(|(key, wanted)| {
            let here = self.0.get(key)?;
            (!here.intersects(wanted)).then_some(key.as_str())
        })
    }

    /// Whether a node with these requirements satisfies `wanted`: as [`Self::intersects`], and every key of `wanted` is defined
    /// here unless absence satisfies it or the label is well known.
    #[must_use]
    pub fn compatible(&self, wanted: &Self) -> bool {
        self.first_undefined(wanted).is_none() && self.intersects(wanted)
    }

    /// The first key of `wanted`, in key order, that is neither defined here, nor well known, nor satisfied by absence.
    #[must_use]
    pub fn first_undefined<'a>(&self, wanted: &'a Self) -> Option<&'a str> {
        wanted.0.iter().find_map(|(key, requirement)| {
            let open = !self.0.contains_key(key) && !labels::is_well_known(key) && !requirement.accepts_absence();
            open.then_some(key.as_str())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(operator: Operator, values: &[&str]) -> Requirement {
        Requirement::new(operator, values).expect("the values of this test are valid")
    }

    #[test]
    fn intersections_follow_the_table() {
        use Operator::{DoesNotExist, Exists, Gt, Gte, In, Lt, Lte, NotIn};
        let cases = [
            (make(In, &["a", "b"]), make(In, &["b", "c"]), "In [b]"),
            (make(In, &["a"]), make(In, &["b"]), "DoesNotExist"),
            (make(In, &["a", "b"]), make(NotIn, &["b"]), "In [a]"),
            (make(NotIn, &["a"]), make(NotIn, &["b"]), "NotIn [a, b]"),
            (make(Exists, &[]), make(In, &["a"]), "In [a]"),
            (make(Exists, &[]), make(DoesNotExist, &[]), "DoesNotExist"),
            (make(Gt, &["2"]), make(Lt, &["6"]), "Exists >= 3 <= 5"),
            (make(Gte, &["2"]), make(Lte, &["2"]), "Exists >= 2 <= 2"),
            (make(Gt, &["5"]), make(Lt, &["6"]), "DoesNotExist"),
            (make(Gt, &["2"]), make(In, &["1", "3", "x"]), "In [3]"),
            (make(NotIn, &["4"]), make(Gt, &["2"]), "NotIn [4] >= 3"),
        ];
        for (a, b, expected) in cases {
            assert_eq!(a.intersection(&b).to_string(), expected, "{a} with {b}");
            assert_eq!(b.intersection(&a).to_string(), expected, "{b} with {a}");
        }
    }

    #[test]
    fn a_custom_label_must_be_defined_and_a_well_known_one_need_not() {
        let empty = Requirements::new();
        let mut custom = Requirements::new();
        custom.add("team", Requirement::one_of(["a"]));
        let mut zone = Requirements::new();
        zone.add("failure-domain.beta.kubernetes.io/zone", Requirement::one_of(["us-east-1a"]));
        assert!(!empty.compatible(&custom));
        assert!(empty.compatible(&zone));
        assert!(zone.get(labels::ZONE).is_some());
        let mut absent = Requirements::new();
        absent.add("team", make(Operator::NotIn, &["a"]));
        assert!(empty.compatible(&absent));
    }

    #[test]
    fn bounds_need_one_whole_number() {
        for values in [vec![], vec!["1", "2"], vec!["x"], vec!["-1"], vec!["1.5"], vec!["99999999999999999999"]] {
            assert!(Requirement::new(Operator::Gt, &values).is_err(), "{values:?}");
        }
    }
}
