//! Words that all kinds share: entities, labels, severities, faults.

use faultline_domain::entity::Entity;
use faultline_domain::fault::{Fault, Retry};
use faultline_domain::labels::Labels;
use faultline_domain::signal::StatedSeverity;
use faultline_domain::text::steers;
use faultline_domain::time::Timestamp;

use crate::bindings::faultline::plugin::types as wit;

/// The most labels of one thing; what is beyond is dropped.
const LABELS_MAX: usize = 128;

/// The most bytes of a label's name, and of its value; what is longer is cut.
const LABEL_NAME_BYTES_MAX: usize = 256;
const LABEL_VALUE_BYTES_MAX: usize = 8 << 10;

/// The most entities of one thing; what is beyond is dropped.
const ENTITIES_MAX: usize = 64;

/// The most bytes of a title, a message, a link; what is longer is cut.
const TEXT_BYTES_MAX: usize = 2 << 10;

impl From<wit::Fault> for Fault {
    fn from(fault: wit::Fault) -> Self {
        Self {
            code: line(clip(fault.code, 64)),
            message: line(text(fault.message)),
            retry: match fault.retry {
                wit::Retry::Never => Retry::Never,
                wit::Retry::Later => Retry::Later,
                wit::Retry::AfterMs(millis) => Retry::AfterMs(millis),
            },
        }
    }
}

pub(crate) fn time(micros: u64) -> Timestamp {
    Timestamp::from_micros(micros)
}

pub(crate) fn severity(word: &str) -> StatedSeverity {
    let mut stated = StatedSeverity::from_word(word);
    stated.word = clip(stated.word, 64);
    stated
}

pub(crate) fn entity(raw: &wit::Entity) -> Result<Entity, Fault> {
    Entity::new(&raw.kind, &raw.name).map_err(|error| Fault::malformed(line(error.to_string())))
}

/// Entities, none twice.
pub(crate) fn entities(raw: &[wit::Entity]) -> Result<Vec<Entity>, Fault> {
    let mut entities = Vec::with_capacity(raw.len().min(ENTITIES_MAX));
    for raw in raw.iter().take(ENTITIES_MAX) {
        let entity = entity(raw)?;
        if !entities.contains(&entity) {
            entities.push(entity);
        }
    }
    Ok(entities)
}

pub(crate) fn labels(raw: Vec<wit::Attribute>) -> Labels {
    raw.into_iter()
        .take(LABELS_MAX)
        .filter(|attribute| !attribute.key.is_empty())
        .map(|attribute| {
            (
                clip(attribute.key, LABEL_NAME_BYTES_MAX),
                clip(attribute.value, LABEL_VALUE_BYTES_MAX),
            )
        })
        .collect()
}

pub(crate) fn text(raw: String) -> String {
    clip(raw, TEXT_BYTES_MAX)
}

/// On one line, as it stands in the host's log: a guest must not be able to
/// fake lines of others.
pub(crate) fn line(mut text: String) -> String {
    if text.contains(steers) {
        text = text.replace(steers, " ");
    }
    text
}

/// Cut at a boundary between characters.
pub(crate) fn clip(mut text: String, bytes_max: usize) -> String {
    if text.len() > bytes_max {
        let end = (0..=bytes_max)
            .rev()
            .find(|end| text.is_char_boundary(*end))
            .unwrap_or(0);
        text.truncate(end);
    }
    text
}

pub(crate) fn entity_to(entity: &Entity) -> wit::Entity {
    wit::Entity {
        kind: entity.kind().to_owned(),
        name: entity.name().to_owned(),
    }
}

pub(crate) fn labels_to(labels: &Labels) -> Vec<wit::Attribute> {
    labels
        .iter()
        .map(|(key, value)| wit::Attribute {
            key: key.to_owned(),
            value: value.to_owned(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_lines() {
        let fault = Fault::from(wit::Fault {
            code: "a\nb".to_owned(),
            message: "no\n2026-01-01T00:00:00Z ERROR host: \u{1b}[31mlies\u{85}\u{2028}\u{202e}"
                .to_owned(),
            retry: wit::Retry::Never,
        });
        assert_eq!(fault.code, "a b");
        assert_eq!(
            fault.message,
            "no 2026-01-01T00:00:00Z ERROR host:  [31mlies   "
        );
        let kind = wit::Entity {
            kind: "a/\nb".to_owned(),
            name: "c".to_owned(),
        };
        let fault = entity(&kind).expect_err("a slash");
        assert!(fault.message.contains("a/ b"), "{fault}");
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(clip("aé".to_owned(), 2), "a");
        assert_eq!(clip("aé".to_owned(), 3), "aé");
        assert_eq!(clip("é".to_owned(), 0), "");
    }
}
