//! Reads the attributes that a vocabulary mentions straight from their text, for one pass over many texts.
//!
//! Gives exactly what [`Document::read`] makes of the parsed text, without keeping the rest of it: whatever no path
//! leads to is skipped. A text that is no JSON has no attributes. Start with [`AttributeReader`].

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::document::Document;
use super::value::{Number, Value};
use super::vocabulary::{Segment, Slot, Vocabulary};

/// The paths of a vocabulary as a tree, made once for many texts.
#[derive(Debug)]
pub struct AttributeReader {
    root: Node,
    slots: usize,
}

/// Where paths part.
#[derive(Debug, Default)]
struct Node {
    /// The path that ends here.
    slot: Option<Slot>,
    keys: Vec<(Box<str>, Node)>,
    indices: Vec<(u32, Node)>,
}

impl Node {
    fn child(&mut self, segment: &Segment) -> &mut Self {
        match segment {
            Segment::Key(key) => under(&mut self.keys, key.clone()),
            Segment::Index(index) => under(&mut self.indices, *index),
        }
    }

    /// Forgets what was found here and below: of a key that comes twice, the last one counts.
    fn forget(&self, found: &mut [Option<Value>]) {
        if let Some(slot) = self.slot {
            found[slot.0 as usize] = None;
        }
        self.keys.iter().for_each(|(_, node)| node.forget(found));
        self.indices.iter().for_each(|(_, node)| node.forget(found));
    }
}

fn under<K: PartialEq>(children: &mut Vec<(K, Node)>, key: K) -> &mut Node {
    let at = children.iter().position(|(other, _)| *other == key).unwrap_or_else(|| {
        children.push((key, Node::default()));
        children.len() - 1
    });
    &mut children[at].1
}

impl AttributeReader {
    /// Prepares for the paths that `vocabulary` has now.
    pub fn new(vocabulary: &Vocabulary) -> Self {
        let mut root = Node::default();
        for (slot, path) in (0..).zip(vocabulary.paths()) {
            path.segments().iter().fold(&mut root, Node::child).slot = Some(Slot(slot));
        }
        Self { root, slots: vocabulary.len() }
    }

    /// Lays out the attributes in `text`.
    pub fn read(&self, text: &str) -> Document {
        let mut found = vec![None; self.slots];
        let mut json = serde_json::Deserializer::from_str(text);
        let whole = Seen { node: Some(&self.root), found: &mut found, listed: false };
        if whole.deserialize(&mut json).and_then(|_| json.end()).is_err() {
            found.fill(None);
        }
        Document::of_values(found)
    }
}

/// A value that is being read; it becomes what an array that holds it would show of it.
struct Seen<'a> {
    /// Where the paths are by now; none when no path leads here.
    node: Option<&'a Node>,
    found: &'a mut [Option<Value>],
    /// It stands in an array that is kept.
    listed: bool,
}

impl Seen<'_> {
    /// Puts the value where its path is kept, and hands it to the array that is kept.
    fn keep(self, value: Value) -> Value {
        let Some(slot) = self.node.and_then(|node| node.slot) else { return value };
        let for_list = if self.listed { value.clone() } else { Value::Null };
        self.found[slot.0 as usize] = Some(value);
        for_list
    }
}

impl<'de> DeserializeSeed<'de> for Seen<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seen<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(self.keep(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(self.keep(Value::Bool(value)))
    }

    #[expect(clippy::cast_precision_loss, reason = "the language has one kind of number")]
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(self.keep(Value::Number(Number(value as f64))))
    }

    #[expect(clippy::cast_precision_loss, reason = "the language has one kind of number")]
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(self.keep(Value::Number(Number(value as f64))))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(self.keep(Value::Number(Number(value))))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(self.keep(Value::Text(value.into())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let list_wanted = self.node.is_some_and(|node| node.slot.is_some());
        let mut list = Vec::new();
        for index in 0.. {
            let child = self.node.and_then(|node| node.indices.iter().find(|(at, _)| *at == index));
            if child.is_none() && !list_wanted {
                if elements.next_element::<IgnoredAny>()?.is_none() {
                    break;
                }
                continue;
            }
            let node = child.map(|(_, node)| node);
            match elements.next_element_seed(Seen { node, found: &mut *self.found, listed: list_wanted })? {
                Some(value) => list.push(value),
                None => break,
            }
        }
        if list_wanted {
            self.keep(Value::List(list.into()));
        }
        Ok(Value::Object)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let keys: &[_] = self.node.map_or(&[], |node| &node.keys);
        while let Some(child) = entries.next_key_seed(Key(keys))? {
            match child {
                Some(node) => {
                    node.forget(self.found);
                    entries.next_value_seed(Seen { node: Some(node), found: &mut *self.found, listed: false })?;
                }
                None => {
                    entries.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(self.keep(Value::Object))
    }
}

/// A key, and the node it leads to.
struct Key<'a>(&'a [(Box<str>, Node)]);

impl<'a, 'de> DeserializeSeed<'de> for Key<'a> {
    type Value = Option<&'a Node>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'a> Visitor<'_> for Key<'a> {
    type Value = Option<&'a Node>;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().find(|(name, _)| **name == *key).map(|(_, node)| node))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Expression, Place};
    use super::*;

    const PATHS: &str =
        "a == 1 OR a.b == 1 OR a[0] == 1 OR a[1].b == 1 OR b == 1 OR b.c.d == 1 OR b[2][0] == 1 OR c == 1";

    /// The same values at the same slots as the slow way has them.
    fn check(text: &str) {
        let mut vocabulary = Vocabulary::default();
        Expression::compile(PATHS, Place::Task, &mut vocabulary).unwrap();
        let expected = Document::read(&vocabulary, &serde_json::from_str(text).unwrap_or(serde_json::Value::Null));
        let found = AttributeReader::new(&vocabulary).read(text);
        for slot in (0..).take(vocabulary.len()).map(Slot) {
            assert_eq!(found.value(slot), expected.value(slot), "slot {slot:?} of {text}");
        }
        assert!(found.is_current(&vocabulary));
    }

    #[test]
    fn single_values_are_read_as_from_a_parsed_text() {
        for text in [
            "{}",
            r#"{"a":1,"b":"x","c":null}"#,
            r#"{"a":[1,{"b":2},[3]],"b":{"c":{"d":[1,"2",{},[]]}}}"#,
            r#"{"a":{"b":1},"a":5}"#,
            r#"{"a":5,"a":{"b":1}}"#,
            r#"{"b":[1,2,[7]],"b":{"c":1}}"#,
            r#"{"a":1e300,"b":-0.5,"c":18446744073709551615}"#,
            r#"{"\u0061":"\u00e9","c":true}"#,
            "[1,2]",
            "7",
            "{\"a\":1",
            "{\"a\":1}x",
            "",
        ] {
            check(text);
        }
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f32>().prop_map(|number| serde_json::Number::from_f64(number.into()).map_or(0.into(), Into::into)),
            "[a-c\"\\\\é]{0,3}".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::btree_map("[a-d]", inner, 0..4).prop_map(|map| map.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_value_is_read_as_from_a_parsed_text(value in json()) {
            check(&value.to_string());
        }
    }
}
