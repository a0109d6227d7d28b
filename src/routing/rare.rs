//! A value that nearly every record lacks, in one word.
//!
//! There are many waiting tasks, and most of what can be known of a task is unknown while it waits. A [`Rare`] reads and
//! compares like the value itself; only what is there takes room, on the heap.

use std::hash::{Hash, Hasher};
use std::ops::{Deref, DerefMut};

/// A value that is its type's [`Unset::UNSET`] most of the time.
#[derive(Clone)]
pub struct Rare<T>(Option<Box<T>>);

/// A type with a value that stands for nothing known.
pub trait Unset: PartialEq + Sized + 'static {
    /// That value.
    const UNSET: &'static Self;
}

impl<T: PartialEq + 'static> Unset for Option<T> {
    const UNSET: &'static Self = &None;
}

impl<T: PartialEq + 'static> Unset for Vec<T> {
    const UNSET: &'static Self = &Self::new();
}

impl<T: Unset> Rare<T> {
    /// Nothing known.
    pub const UNSET: Self = Self(None);

    /// Replaces the value.
    pub fn set(&mut self, value: T) {
        *self = value.into();
    }
}

impl<T: Unset> From<T> for Rare<T> {
    fn from(value: T) -> Self {
        Self((value != *T::UNSET).then(|| Box::new(value)))
    }
}

impl<T: Unset> Deref for Rare<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_deref().unwrap_or(T::UNSET)
    }
}

impl<T: Unset + Clone> DerefMut for Rare<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_or_insert_with(|| Box::new(T::UNSET.clone()))
    }
}

impl<T: Unset + Clone> Rare<T> {
    /// Takes the value out.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.0.map_or_else(|| T::UNSET.clone(), |value| *value)
    }
}

// By the value: one that was changed back to nothing lies on the heap and is nothing all the same.
impl<T: Unset> PartialEq for Rare<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Unset + Eq> Eq for Rare<T> {}

impl<T: Unset + Hash> Hash for Rare<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl<T: Unset + std::fmt::Debug> std::fmt::Debug for Rare<T> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (**self).fmt(formatter)
    }
}

impl<T: Unset + serde::Serialize> serde::Serialize for Rare<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rare_value_takes_one_word_and_compares_by_what_it_is() {
        assert_eq!(size_of::<Rare<Vec<u64>>>(), size_of::<usize>());
        let mut list = Rare::from(vec![1_u64]);
        assert_ne!(list, Rare::UNSET);
        list.pop();
        assert_eq!(list, Rare::UNSET);
        assert_eq!(Rare::from(Some(7)).into_inner(), Some(7));
        assert_eq!(*Rare::from(None::<u64>), None);
    }
}
