//! Selectors of pods by label and namespace, matched as the API server and kube-scheduler do.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Labels of an object.
pub type Labels = BTreeMap<String, String>;

/// What a label must be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Match {
    /// It has one of the values.
    In(BTreeSet<String>),
    /// It has none of the values, or is absent.
    NotIn(BTreeSet<String>),
    /// It is present.
    Exists,
    /// It is absent.
    DoesNotExist,
}

impl Match {
    /// Whether a label with this value, or without any, meets it.
    #[must_use]
    pub fn accepts(&self, value: Option<&str>) -> bool {
        match (self, value) {
            (Self::In(values), Some(value)) => values.contains(value),
            (Self::NotIn(values), Some(value)) => !values.contains(value),
            (Self::Exists, Some(_)) | (Self::NotIn(_) | Self::DoesNotExist, None) => true,
            (Self::In(_) | Self::Exists, None) | (Self::DoesNotExist, Some(_)) => false,
        }
    }
}

/// A label selector: every expression must hold. Without expressions it selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LabelSelector(BTreeSet<(String, Match)>);

impl LabelSelector {
    /// Selects everything.
    #[must_use]
    pub fn everything() -> Self {
        Self::default()
    }

    /// Selects what carries all of `labels`.
    #[must_use]
    pub fn of_labels(labels: &Labels) -> Self {
        let mut made = Self::default();
        for (key, value) in labels {
            made.add(key, Match::In(BTreeSet::from([value.clone()])));
        }
        made
    }

    /// Adds an expression.
    pub fn add(&mut self, key: &str, expression: Match) {
        self.0.insert((key.to_owned(), expression));
    }

    /// Keys and what each must be, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Match)> {
        self.0.iter().map(|(key, expression)| (key.as_str(), expression))
    }

    /// Whether it selects an object with these labels.
    #[must_use]
    pub fn selects(&self, labels: &Labels) -> bool {
        self.iter().all(|(key, expression)| expression.accepts(labels.get(key).map(String::as_str)))
    }
}

impl fmt::Display for LabelSelector {
    /// As `kubectl --selector` writes it: `app=web,tier in (a, b),!canary`; `everything` without expressions.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("everything");
        }
        for (at, (key, expression)) in self.iter().enumerate() {
            if at > 0 {
                f.write_str(",")?;
            }
            let listed = |values: &BTreeSet<String>| values.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            match expression {
                Match::In(values) if values.len() == 1 => write!(f, "{key}={}", listed(values))?,
                Match::In(values) => write!(f, "{key} in ({})", listed(values))?,
                Match::NotIn(values) => write!(f, "{key} notin ({})", listed(values))?,
                Match::Exists => f.write_str(key)?,
                Match::DoesNotExist => write!(f, "!{key}")?,
            }
        }
        Ok(())
    }
}

/// Which pods a topology rule counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodSelector {
    /// Namespaces that it looks at; `None` is every namespace. A `namespaceSelector` is resolved against the cluster's namespaces
    /// before it comes here.
    pub namespaces: Option<BTreeSet<String>>,
    /// What the labels must be; `None` (a selector that is not given) selects no pod.
    pub labels: Option<LabelSelector>,
}

impl PodSelector {
    /// The pods that both count.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let namespaces = match (&self.namespaces, &other.namespaces) {
            (Some(a), Some(b)) => Some(a.intersection(b).cloned().collect()),
            (a, b) => a.clone().or_else(|| b.clone()),
        };
        let labels = match (&self.labels, &other.labels) {
            (Some(a), Some(b)) => Some(LabelSelector(a.0.union(&b.0).cloned().collect())),
            _ => None,
        };
        Self { namespaces, labels }
    }

    /// Whether it counts a pod of `namespace` with these labels.
    #[must_use]
    pub fn selects(&self, namespace: &str, labels: &Labels) -> bool {
        self.namespaces.as_ref().is_none_or(|namespaces| namespaces.contains(namespace))
            && self.labels.as_ref().is_some_and(|selector| selector.selects(labels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn set(values: &[&str]) -> BTreeSet<String> {
        values.iter().map(|value| (*value).to_owned()).collect()
    }

    #[test]
    fn expressions_mean_what_kubernetes_means() {
        let (with, other, without) = (labels(&[("app", "web")]), labels(&[("app", "db")]), labels(&[]));
        let cases = [
            (Match::In(set(&["web", "api"])), [true, false, false]),
            (Match::NotIn(set(&["web"])), [false, true, true]),
            (Match::Exists, [true, true, false]),
            (Match::DoesNotExist, [false, false, true]),
        ];
        for (expression, expected) in cases {
            let mut selector = LabelSelector::everything();
            selector.add("app", expression);
            assert_eq!([&with, &other, &without].map(|labels| selector.selects(labels)), expected, "{selector}");
        }
        assert!(LabelSelector::everything().selects(&without));
    }

    #[test]
    fn several_expressions_on_one_key_all_hold() {
        let mut selector = LabelSelector::everything();
        selector.add("app", Match::Exists);
        selector.add("app", Match::NotIn(set(&["web"])));
        assert!(!selector.selects(&labels(&[])));
        assert!(selector.selects(&labels(&[("app", "db")])));
    }

    #[test]
    fn both_selectors_must_count_a_pod() {
        let of = |namespaces: Option<&[&str]>, app: &str| PodSelector {
            namespaces: namespaces.map(set),
            labels: Some(LabelSelector::of_labels(&labels(&[("app", app)]))),
        };
        let both = of(None, "web").and(&of(Some(&["shop"]), "web"));
        assert!(both.selects("shop", &labels(&[("app", "web")])) && !both.selects("bank", &labels(&[("app", "web")])));
        let never = of(None, "web").and(&of(None, "db"));
        assert!(!never.selects("shop", &labels(&[("app", "web")])));
    }

    #[test]
    fn a_selector_that_is_not_given_selects_nothing() {
        let none = PodSelector { namespaces: None, labels: None };
        assert!(!none.selects("shop", &labels(&[])));
        let here = PodSelector { namespaces: Some(set(&["shop"])), labels: Some(LabelSelector::everything()) };
        assert!(here.selects("shop", &labels(&[])) && !here.selects("bank", &labels(&[])));
    }
}
