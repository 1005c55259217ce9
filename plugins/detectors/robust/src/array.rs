//! Writing and reading arrays of any length with `serde`, which by itself knows
//! those of up to 32 items only. For `#[serde(with = "...")]`.
//!
//! Arrays and not vectors, since detectors hold many thousands of them, and
//! what lies in one piece costs the cache and the translation of addresses
//! less. They are written as tuples: the length is part of the type.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Writes the items.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer, T: Serialize, const N: usize>(
    items: &[T; N],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut tuple = serializer.serialize_tuple(N)?;
    for item in items {
        tuple.serialize_element(item)?;
    }
    tuple.end()
}

/// Reads as many items as the type says.
///
/// # Errors
/// Those of the deserializer, and if there are fewer items.
pub fn deserialize<'de, D: Deserializer<'de>, T, const N: usize>(
    deserializer: D,
) -> Result<[T; N], D::Error>
where
    T: Deserialize<'de> + Copy + Default,
{
    struct Items<T, const N: usize>(PhantomData<T>);

    impl<'de, T: Deserialize<'de> + Copy + Default, const N: usize> Visitor<'de> for Items<T, N> {
        type Value = [T; N];

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{N} items")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<[T; N], A::Error> {
            let mut array = [T::default(); N];
            for (index, item) in array.iter_mut().enumerate() {
                *item = items
                    .next_element()?
                    .ok_or_else(|| A::Error::invalid_length(index, &self))?;
            }
            Ok(array)
        }
    }

    deserializer.deserialize_tuple(N, Items(PhantomData))
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Long(#[serde(with = "super")] [u16; 40]);

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Longer(#[serde(with = "super")] [u16; 41]);

    #[test]
    fn is_read_as_it_was_written() {
        let long = Long(std::array::from_fn(|index| {
            u16::try_from(index).unwrap_or(0)
        }));
        let bytes = postcard::to_allocvec(&long).expect("it can be written");
        assert_eq!(bytes.len(), 40);
        assert_eq!(postcard::from_bytes::<Long>(&bytes), Ok(long));
        assert!(postcard::from_bytes::<Longer>(&bytes).is_err());
    }
}
