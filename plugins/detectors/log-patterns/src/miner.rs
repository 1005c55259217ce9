//! From lines to the kinds of lines that a program writes.
//!
//! A fixed-depth tree in the manner of Drain (He, Zhu, Zheng and Lyu, "Drain:
//! An Online Log Parsing Approach with Fixed Depth Tree", ICWS 2017) groups
//! lines by their first words and merges what is similar enough. This does the
//! same with two differences. Lines are grouped by the marks in them, so that a
//! variable at the beginning of a line does no harm. And similarity alone does
//! not merge: a place is taken for a variable only once several different words
//! were seen there, since lines that differ in one word only often say
//! opposite things. (That the number of different words tells variables from
//! constants is the observation of Brain: Yu et al., "Brain: Log Parsing with
//! Bidirectional Parallel Tree", 2023.)
//!
//! Nearly all lines have the very tokens of an earlier one and are found by
//! their hash.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use serde::{Deserialize, Serialize};

use crate::scan::{Kind, Token, hashes, scan, shape};
use crate::template::Template;

/// The most skeletons whose kind is remembered, for each template that may be.
const KNOWN_SKELETONS_PER_TEMPLATE: usize = 8;
/// The most templates of one shape that a new one is compared with.
const SIBLINGS_MAX: usize = 128;
/// The most different ways to merge a new line with others that are tried, the
/// simplest first. With fewer than this nothing is lost on real logs; without a
/// bound, lines made for it would cost milliseconds each.
const MERGES_MAX: usize = 24;
/// When there is no more room, this share of the templates is dropped.
const DROP_SHARE: usize = 16;
/// The room for templates in bytes of their saved form, for each that may be:
/// who writes long lines gets fewer of them.
const TEMPLATE_BYTES_MEAN: usize = 256;

/// At least this share of the words must be the same for two lines to be of
/// one kind.
const SAME_WORDS_MIN: f64 = 0.5;
/// From here on two lines are alike in nearly all.
const SAME_WORDS_HIGH: f64 = 0.75;
/// How many different lines, alike in nearly all, it takes until the one word
/// that they differ in is a variable.
const DIFFERENT_IN_ONE: usize = 4;
/// As many, if they differ in several words or are less alike.
const DIFFERENT: usize = 8;
/// As many, if what they differ in is a number at the end of a name, or is
/// known to be a variable in one of them.
const DIFFERENT_IN_NUMBER: usize = 2;
/// What one of them knows to be a variable counts only if they are so alike.
const SAME_WORDS_KNOWN: f64 = 0.7;

/// Names a template among those of one miner. Never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct TemplateId(pub(crate) u64);

/// What a line turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    /// The index of its kind among [`Miner::kinds`], until the next line.
    pub(crate) slot: usize,
    /// If it is the first of its kind: whether it differs in a word or two
    /// from a kind that is known.
    pub(crate) new: Option<Novelty>,
}

/// How new a kind of line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Novelty {
    /// Nothing like it was seen.
    Unlike,
    /// It is much like another one.
    Variant,
}

/// A kind of line, and what else is kept for it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Mined<T> {
    pub(crate) id: TemplateId,
    pub(crate) template: Template,
    /// The event time of its last line.
    pub(crate) last: u64,
    pub(crate) rest: T,
}

/// What can be kept for a kind of line.
pub(crate) trait Keep: Default {
    /// Takes over from a kind that turned out to be the same one.
    fn absorb(&mut self, other: Self);
}

impl Keep for () {
    fn absorb(&mut self, (): Self) {}
}

/// The kinds of lines of one source.
#[derive(Debug, Clone, Deserialize)]
#[serde(from = "Saved<T>")]
pub(crate) struct Miner<T> {
    /// In order of their ids, which is that of their age.
    kinds: Vec<Mined<T>>,
    next_id: u64,
    forgotten: Forgotten,
    /// From here on all is made anew when a state is read.
    bytes: usize,
    by_shape: HashMap<u64, Vec<TemplateId>, Spread>,
    known: HashMap<u64, TemplateId, Spread>,
    tokens: Vec<Token>,
}

/// The kinds that had to make room for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Forgotten {
    /// How many.
    pub(crate) kinds: u64,
    /// The latest event time of a line of theirs: what was not seen since then
    /// may have been forgotten, and need not be new.
    pub(crate) until: u64,
}

/// What of a miner is kept.
#[derive(Serialize, Deserialize)]
struct Saved<T> {
    kinds: Vec<Mined<T>>,
    next_id: u64,
    forgotten: Forgotten,
}

impl<T> From<Saved<T>> for Miner<T> {
    fn from(saved: Saved<T>) -> Self {
        let mut miner = Self {
            kinds: saved.kinds,
            next_id: saved.next_id,
            forgotten: saved.forgotten,
            bytes: 0,
            by_shape: HashMap::default(),
            known: HashMap::default(),
            tokens: Vec::new(),
        };
        miner.index();
        miner
    }
}

impl<T: Serialize> Serialize for Miner<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.kinds, self.next_id, self.forgotten).serialize(serializer)
    }
}

impl<T> Default for Miner<T> {
    fn default() -> Self {
        Saved {
            kinds: Vec::new(),
            next_id: 0,
            forgotten: Forgotten::default(),
        }
        .into()
    }
}

impl<T> Miner<T> {
    /// The kinds known, oldest first.
    pub(crate) fn kinds(&self) -> &[Mined<T>] {
        &self.kinds
    }

    /// What is kept for each of them.
    pub(crate) fn kinds_mut(&mut self) -> &mut [Mined<T>] {
        &mut self.kinds
    }

    /// The kind of this id, unless it was dropped or turned out to be another.
    pub(crate) fn get(&self, id: TemplateId) -> Option<&Mined<T>> {
        self.slot(id).and_then(|slot| self.kinds.get(slot))
    }

    /// The kinds that were dropped for want of room.
    pub(crate) fn forgotten(&self) -> Forgotten {
        self.forgotten
    }

    fn slot(&self, id: TemplateId) -> Option<usize> {
        self.kinds.binary_search_by_key(&id, |kind| kind.id).ok()
    }

    /// Makes the look-ups anew.
    fn index(&mut self) {
        self.known.clear();
        self.by_shape.clear();
        self.bytes = self.kinds.iter().map(|kind| kind.template.bytes()).sum();
        for kind in &self.kinds {
            self.by_shape
                .entry(shape(kind.template.kinds()))
                .or_default()
                .push(kind.id);
        }
    }
}

impl<T: Keep> Miner<T> {
    /// Finds the kind of a line. At most so many kinds are kept.
    pub(crate) fn find(&mut self, line: &str, time: u64, most: usize) -> Found {
        let mut tokens = std::mem::take(&mut self.tokens);
        scan(line.as_bytes(), &mut tokens);
        let found = self.find_tokens(line, &tokens, time, most);
        self.tokens = tokens;
        if let Some(kind) = self.kinds.get_mut(found.slot) {
            kind.last = kind.last.max(time);
        }
        found
    }

    fn find_tokens(&mut self, line: &str, tokens: &[Token], time: u64, most: usize) -> Found {
        let hashes = hashes(tokens);
        if let Some(slot) = self
            .known
            .get(&hashes.skeleton)
            .and_then(|id| self.slot(*id))
        {
            return Found { slot, new: None };
        }
        let found = match self.matching(hashes.shape, tokens) {
            Some(slot) => Found { slot, new: None },
            None => self.add(line, tokens, hashes.shape, time, most),
        };
        if self.known.len() >= most.saturating_mul(KNOWN_SKELETONS_PER_TEMPLATE) {
            self.known.clear();
        }
        if let Some(kind) = self.kinds.get(found.slot) {
            self.known.insert(hashes.skeleton, kind.id);
        }
        found
    }

    /// The oldest kind that matches: whichever is remembered by its hash must
    /// be what a search finds, or a reloaded miner would differ.
    fn matching(&self, shape: u64, tokens: &[Token]) -> Option<usize> {
        self.by_shape
            .get(&shape)?
            .iter()
            .filter_map(|id| self.slot(*id))
            .find(|slot| self.kinds[*slot].template.matches(tokens))
    }

    /// Adds a kind, or finds that it is what others are too.
    fn add(&mut self, line: &str, tokens: &[Token], shape: u64, time: u64, most: usize) -> Found {
        let siblings = self.siblings(shape);
        let merge = merge(&siblings, tokens);
        if let Merge::Into { places, members } = merge {
            return Found {
                slot: self.unite(&members, &places),
                new: None,
            };
        }
        let template = Template::of_line(line, tokens);
        self.make_room(template.bytes(), most);
        self.bytes += template.bytes();
        let id = TemplateId(self.next_id);
        self.next_id += 1;
        self.by_shape.entry(shape).or_default().push(id);
        self.kinds.push(Mined {
            id,
            template,
            last: time,
            rest: T::default(),
        });
        let novelty = match merge {
            Merge::Alike => Novelty::Variant,
            _ => Novelty::Unlike,
        };
        Found {
            slot: self.kinds.len() - 1,
            new: Some(novelty),
        }
    }

    /// The youngest kinds of this shape, oldest of them first.
    fn siblings(&self, shape: u64) -> Vec<&Mined<T>> {
        let ids = self.by_shape.get(&shape).map_or(&[][..], Vec::as_slice);
        ids[ids.len().saturating_sub(SIBLINGS_MAX)..]
            .iter()
            .filter_map(|id| self.get(*id))
            .collect()
    }

    /// Makes one kind of several, the oldest, that varies at these places.
    fn unite(&mut self, members: &[TemplateId], places: &[usize]) -> usize {
        let Some((oldest, others)) = members.split_first() else {
            return 0;
        };
        for id in others {
            if let (Some(slot), Some(into)) = (self.slot(*id), self.slot(*oldest)) {
                let other = self.kinds.remove(slot);
                let kept = &mut self.kinds[into];
                kept.last = kept.last.max(other.last);
                kept.rest.absorb(other.rest);
            }
        }
        let slot = self.slot(*oldest).unwrap_or(0);
        self.kinds[slot].template.vary_at(places);
        // What was remembered may be of this kind now.
        self.index();
        slot
    }

    /// Drops kinds until there is room for another one of this size.
    fn make_room(&mut self, bytes: usize, most: usize) {
        let room = most.saturating_mul(TEMPLATE_BYTES_MEAN);
        while !self.kinds.is_empty()
            && (self.kinds.len() >= most || self.bytes.saturating_add(bytes) > room)
        {
            self.drop_oldest();
        }
    }

    /// Drops those that were not seen for longest.
    fn drop_oldest(&mut self) {
        let mut by_time: Vec<(u64, TemplateId)> =
            self.kinds.iter().map(|kind| (kind.last, kind.id)).collect();
        by_time.sort_unstable();
        by_time.truncate(self.kinds.len().div_ceil(DROP_SHARE));
        let Some(&(latest, _)) = by_time.last() else {
            return;
        };
        self.forgotten.kinds += u64::try_from(by_time.len()).unwrap_or(u64::MAX);
        self.forgotten.until = self.forgotten.until.max(latest);
        self.kinds
            .retain(|kind| by_time.binary_search(&(kind.last, kind.id)).is_err());
        self.index();
    }
}

/// What a new line and its siblings amount to.
#[derive(Debug, PartialEq, Eq)]
enum Merge {
    /// It is unlike all of them.
    Unlike,
    /// It is much like one of them.
    Alike,
    /// They are one kind, that varies at these places.
    Into {
        places: Vec<usize>,
        members: Vec<TemplateId>,
    },
}

/// Compares a new line with templates of its shape.
fn merge<T>(siblings: &[&Mined<T>], tokens: &[Token]) -> Merge {
    let mut alike = false;
    let mut candidates: Vec<Vec<usize>> = Vec::new();
    let mut places = Vec::new();
    for sibling in siblings {
        if !sibling.template.differs(tokens, &mut places) || places.is_empty() {
            continue;
        }
        let same = same_words(tokens, &places);
        if same < SAME_WORDS_MIN {
            continue;
        }
        alike |= places.len() <= 2 && same >= SAME_WORDS_HIGH;
        if !candidates.contains(&places) {
            candidates.push(places.clone());
        }
    }
    candidates.sort_by_key(Vec::len);
    for places in candidates.into_iter().take(MERGES_MAX) {
        let members: Vec<&&Mined<T>> = siblings
            .iter()
            .filter(|sibling| sibling.template.is_same_but_at(tokens, &places))
            .collect();
        if members.len() + 1 >= different_needed(tokens, &places, &members) {
            return Merge::Into {
                places,
                members: members.iter().map(|member| member.id).collect(),
            };
        }
    }
    if alike { Merge::Alike } else { Merge::Unlike }
}

/// The share of words that are the same, of those that could be: variables
/// say nothing. 0 if no word is the same.
fn same_words(tokens: &[Token], places: &[usize]) -> f64 {
    let is_word = |token: &Token| token.kind.is_word();
    let words = tokens.iter().filter(|token| is_word(token)).count();
    let differ = places
        .iter()
        .filter(|place| tokens.get(**place).is_some_and(is_word))
        .count();
    #[expect(clippy::cast_precision_loss, reason = "at most TOKENS_MAX")]
    let same = (words - differ) as f64;
    let different = places.len();
    #[expect(clippy::cast_precision_loss, reason = "at most TOKENS_MAX")]
    let different = different as f64;
    same / (same + different)
}

/// How many different lines it takes until these places are variables.
fn different_needed<T>(tokens: &[Token], places: &[usize], members: &[&&Mined<T>]) -> usize {
    let at = |member: &Mined<T>, place: usize| member.template.kinds().get(place).copied();
    let numbers = places.iter().all(|place| {
        let Some(Kind::Numbered(_, stem)) = tokens.get(*place).map(|token| token.kind) else {
            return false;
        };
        members.iter().all(
            |member| matches!(at(member, *place), Some(Kind::Numbered(_, other)) if other == stem),
        )
    });
    let same = same_words(tokens, places);
    let known = same >= SAME_WORDS_KNOWN
        && places.iter().all(|place| {
            tokens
                .get(*place)
                .is_some_and(|token| token.kind == Kind::Variable)
                || members
                    .iter()
                    .any(|member| at(member, *place) == Some(Kind::Variable))
        });
    if numbers || known {
        DIFFERENT_IN_NUMBER
    } else if places.len() == 1 && same >= SAME_WORDS_HIGH {
        DIFFERENT_IN_ONE
    } else {
        DIFFERENT
    }
}

/// Keys are hashes already.
#[derive(Debug, Default, Clone)]
pub(crate) struct HashAsIs(u64);

type Spread = BuildHasherDefault<HashAsIs>;

impl Hasher for HashAsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = crate::hash::mix(self.0, number);
    }
}

#[cfg(test)]
mod tests;
