//! What a log source is called, and whether it is the same as before.

use faultline_sdk::LogSource;

use crate::hash::identity;

/// The most bytes of a source's label, as it stands in titles.
const LABEL_BYTES_MAX: usize = 200;

/// Attributes that are left out of titles: they say where something ran, which
/// is the same for all sources of an entity. All attributes stay with the
/// source, and so with the alert.
const PLACE_KEYS: [&str; 7] = [
    "deployment.environment",
    "deployment.environment.name",
    "env",
    "environment",
    "host.name",
    "job",
    "service.namespace",
];

/// What a source without an entity is called.
const NAMELESS: &str = "unnamed source";

/// `service/checkout{pod="a"}`.
pub(crate) fn label(source: &LogSource) -> String {
    let (mut label, name) = match &source.entity {
        Some(entity) => (entity.to_string(), entity.name.as_str()),
        None => (NAMELESS.to_owned(), ""),
    };
    let attributes: Vec<String> = source
        .attributes
        .iter()
        .filter(|attribute| {
            attribute.value != name && !PLACE_KEYS.contains(&attribute.key.as_str())
        })
        .map(|attribute| format!("{}={:?}", attribute.key, attribute.value))
        .collect();
    if !attributes.is_empty() {
        label = format!("{label}{{{}}}", attributes.join(","));
    }
    if label.len() > LABEL_BYTES_MAX {
        label.truncate(label.floor_char_boundary(LABEL_BYTES_MAX));
        label.push('…');
    }
    label
}

/// Of entity and attributes: whether a source that is announced again is the
/// same one.
pub(crate) fn identity_of(source: &LogSource) -> u64 {
    let attributes = source
        .attributes
        .iter()
        .flat_map(|attribute| [attribute.key.as_str(), attribute.value.as_str()]);
    // An entity has no empty part: none cannot be mistaken for one.
    let entity = source.entity.as_ref().map_or(["", ""], |entity| {
        [entity.kind.as_str(), entity.name.as_str()]
    });
    identity(entity.into_iter().chain(attributes))
}

/// The beginning of a text.
pub(crate) fn cut(text: &str, bytes_max: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes_max))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use faultline_sdk::Entity;

    use super::*;

    #[test]
    fn a_label_says_what_tells_sources_apart() {
        let source = LogSource::new(Entity::new("service", "cart"))
            .with_attribute("service.name", "cart")
            .with_attribute("host.name", "node-7")
            .with_attribute("pod", "cart-x");
        assert_eq!(label(&source), "service/cart{pod=\"cart-x\"}");
        let other = LogSource::new(Entity::new("service", "cart"));
        assert_eq!(label(&other), "service/cart");
        assert_ne!(identity_of(&source), identity_of(&other));
        let nameless = LogSource::new(None).with_attribute("unit", "cron");
        assert_eq!(label(&nameless), "unnamed source{unit=\"cron\"}");
        assert_ne!(identity_of(&nameless), identity_of(&LogSource::new(None)));
    }

    #[test]
    fn labels_and_texts_are_cut_between_characters() {
        let long = LogSource::new(Entity::new("service", "é".repeat(300)));
        assert!(label(&long).len() <= LABEL_BYTES_MAX + '…'.len_utf8());
        assert_eq!(cut("aé", 2), "a");
        assert_eq!(cut("aé", 100), "aé");
    }
}
