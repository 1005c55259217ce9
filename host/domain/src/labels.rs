//! Labels: names and values, sorted, each name once.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A sorted set of names with one value each. Names with an empty value are
/// dropped: a missing label and an empty one mean the same, as in Prometheus.
///
/// Copies share their contents until one of them is changed: labels are copied
/// far more often than changed, from series to sample to evidence.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Labels(Arc<BTreeMap<String, String>>);

impl Labels {
    /// The value of a label.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Sets a label; an empty value removes it.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let (name, value) = (name.into(), value.into());
        let labels = Arc::make_mut(&mut self.0);
        if value.is_empty() {
            labels.remove(&name);
        } else {
            labels.insert(name, value);
        }
    }

    /// In the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(k, v)| (k.as_str(), v.as_str()))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Labels {
    /// Where a name stands twice, the last one counts.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        // Collected at once and not one by one: most senders sort their
        // labels, and then the tree is built without a search.
        let mut labels: BTreeMap<String, String> = pairs
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        labels.retain(|_, value| !value.is_empty());
        Self(Arc::new(labels))
    }
}

impl<'a> IntoIterator for &'a Labels {
    type Item = (&'a String, &'a String);
    type IntoIter = std::collections::btree_map::Iter<'a, String, String>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_values_are_no_labels_and_the_last_of_a_name_counts() {
        let labels: Labels = [("b", "1"), ("a", "2"), ("b", "3"), ("c", "")]
            .into_iter()
            .collect();
        let pairs: Vec<_> = labels.iter().collect();
        assert_eq!(pairs, [("a", "2"), ("b", "3")]);
        let emptied: Labels = [("a", "1"), ("a", "")].into_iter().collect();
        assert!(emptied.is_empty());
    }
}
