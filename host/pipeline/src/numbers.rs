//! Sets of numbers that are given from 0 on without gaps.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A bit for each number. It is written as the list of the numbers, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Numbers(Vec<u64>);

impl Numbers {
    /// Adds a number. False if it was there.
    pub(crate) fn insert(&mut self, number: u32) -> bool {
        let (word, bit) = (number as usize / 64, 1_u64 << (number % 64));
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        let is_new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        is_new
    }

    fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        (0..).zip(&self.0).flat_map(|(place, word): (u32, &u64)| {
            (0..64)
                .filter(move |bit| word >> bit & 1 == 1)
                .map(move |bit| place * 64 + bit)
        })
    }
}

impl FromIterator<u32> for Numbers {
    fn from_iter<I: IntoIterator<Item = u32>>(numbers: I) -> Self {
        let mut set = Self::default();
        for number in numbers {
            set.insert(number);
        }
        set
    }
}

impl Serialize for Numbers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Counted first: some formats write lengths before contents.
        let numbers: Vec<u32> = self.iter().collect();
        numbers.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Numbers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let numbers = Vec::<u32>::deserialize(deserializer)?;
        Ok(numbers.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn is_a_set_and_is_written_as_one() {
        let mut numbers = Numbers::default();
        let given = [5, 0, 63, 64, 5, 1_000];
        let news = given.map(|number| numbers.insert(number));
        assert_eq!(news, [true, true, true, true, false, true]);
        let set: BTreeSet<u32> = given.into_iter().collect();
        let written = postcard::to_allocvec(&numbers).expect("it can be written");
        assert_eq!(Ok(&written), postcard::to_allocvec(&set).as_ref());
        assert_eq!(postcard::from_bytes(&written), Ok(numbers));
    }
}
