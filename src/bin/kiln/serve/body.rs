//! Bodies in JSON: records of a table, or numbers in lists.

use std::fmt;

use kiln::table::Value;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::Deserializer as Json;

/// One of something, or a list of it: an answer has the same form.
pub struct Asked<T> {
    pub all: T,
    pub is_list: bool,
}

/// A value for each name.
pub type Record = Vec<(String, Value)>;

/// A record, or a list of records.
pub fn records(body: &[u8]) -> Result<Asked<Vec<Record>>, String> {
    let asked = parsed(body, Records)?;
    if asked.all.is_empty() {
        return Err("the list is empty; send one record or more".into());
    }
    Ok(asked)
}

/// Numbers in lists within lists: all of them, and the shape.
pub fn numbers(body: &[u8]) -> Result<Numbers, String> {
    let mut numbers = Numbers::default();
    parsed(body, Nested { depth: 0, numbers: &mut numbers })?;
    Ok(numbers)
}

fn parsed<'b, S: DeserializeSeed<'b>>(body: &'b [u8], seed: S) -> Result<S::Value, String> {
    if body.trim_ascii().is_empty() {
        return Err("the body is empty; send JSON".into());
    }
    let mut json = Json::from_slice(body);
    let read = seed.deserialize(&mut json).and_then(|value| json.end().map(|()| value));
    read.map_err(|e| if e.is_data() { e.to_string() } else { format!("the body is no JSON: {e}") })
}

struct Records;

impl<'b> DeserializeSeed<'b> for Records {
    type Value = Asked<Vec<Record>>;

    fn deserialize<D: Deserializer<'b>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'b> Visitor<'b> for Records {
    type Value = Asked<Vec<Record>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record, such as {\"column\": 1}, or a list of records")
    }

    fn visit_map<A: MapAccess<'b>>(self, map: A) -> Result<Self::Value, A::Error> {
        Ok(Asked { all: vec![OneRecord.visit_map(map)?], is_list: false })
    }

    fn visit_seq<A: SeqAccess<'b>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut all = Vec::new();
        while let Some(record) = list.next_element_seed(OneRecord)? {
            all.push(record);
        }
        Ok(Asked { all, is_list: true })
    }
}

struct OneRecord;

impl<'b> DeserializeSeed<'b> for OneRecord {
    type Value = Record;

    fn deserialize<D: Deserializer<'b>>(self, json: D) -> Result<Record, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'b> Visitor<'b> for OneRecord {
    type Value = Record;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record, such as {\"column\": 1}")
    }

    fn visit_map<A: MapAccess<'b>>(self, mut map: A) -> Result<Record, A::Error> {
        let mut record = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value_seed(Field(&name))?;
            record.push((name, value));
        }
        Ok(record)
    }
}

/// The value of a column.
struct Field<'n>(&'n str);

impl<'b> DeserializeSeed<'b> for Field<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'b>>(self, json: D) -> Result<Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'b> Visitor<'b> for Field<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a number, a text or null in column {:?}", self.0)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Text(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Text(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Text(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Missing)
    }
}

/// Numbers in lists within lists.
#[derive(Default)]
pub struct Numbers {
    pub values: Vec<f32>,
    /// How many elements the lists have at each level.
    pub shape: Vec<usize>,
    /// At which level numbers stand, once one was seen.
    rank: Option<usize>,
    /// Of which levels a list was read to its end.
    known: Vec<bool>,
}

struct Nested<'n> {
    depth: usize,
    numbers: &'n mut Numbers,
}

impl Nested<'_> {
    fn number<E: serde::de::Error>(self, number: f64) -> Result<(), E> {
        let Self { depth, numbers } = self;
        if *numbers.rank.get_or_insert(depth) != depth {
            return Err(E::custom("numbers and lists stand side by side; a sample's lists are all as deep"));
        }
        if !(number as f32).is_finite() {
            return Err(E::custom(format!("{number} is beyond the range of numbers, which ends at 3.4e38")));
        }
        numbers.values.push(number as f32);
        Ok(())
    }
}

impl<'b> DeserializeSeed<'b> for Nested<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'b>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'b> Visitor<'b> for Nested<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.depth == 0 { "a list of numbers, or of such lists" } else { "a number or a list" })
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        self.number(value as f64)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        self.number(value as f64)
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        self.number(value)
    }

    fn visit_seq<A: SeqAccess<'b>>(self, mut list: A) -> Result<(), A::Error> {
        let Self { depth, numbers } = self;
        if numbers.shape.len() == depth {
            numbers.shape.push(0);
            numbers.known.push(false);
        }
        if numbers.rank.is_some_and(|rank| rank <= depth) {
            return Err(A::Error::custom("numbers and lists stand side by side; a sample's lists are all as deep"));
        }
        let mut count = 0;
        while list.next_element_seed(Nested { depth: depth + 1, numbers: &mut *numbers })?.is_some() {
            count += 1;
        }
        if count == 0 {
            return Err(A::Error::custom("a list is empty; send numbers"));
        }
        if numbers.known[depth] && numbers.shape[depth] != count {
            let before = numbers.shape[depth];
            let message = format!("lists side by side have {before} and {count} elements; a sample's have as many");
            return Err(A::Error::custom(message));
        }
        (numbers.shape[depth], numbers.known[depth]) = (count, true);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_one_or_a_list() {
        let asked = records(br#"{"a": 1, "b": "x", "c": null, "d": 1.5, "e": true}"#).unwrap();
        let text = |text: &str| Value::Text(text.into());
        let wanted =
            [("a", text("1")), ("b", text("x")), ("c", Value::Missing), ("d", Value::Number(1.5)), ("e", text("true"))];
        assert_eq!(asked.all, [wanted.map(|(name, value)| (name.to_string(), value)).to_vec()]);
        assert!(!asked.is_list);
        let asked = records(br#" [{"a": 1}, {}] "#).unwrap();
        assert_eq!((asked.all.len(), asked.all[1].len(), asked.is_list), (2, 0, true));
        for (body, part) in [
            (&br#"{"a": 1"#[..], "the body is no JSON: EOF while parsing an object at line 1 column 7"),
            (br#"{"a": [1]}"#, "expected a number, a text or null in column \"a\" at line 1"),
            (b"[1]", "integer `1`, expected a record, such as {\"column\": 1}"),
            (b"7", "expected a record, such as {\"column\": 1}, or a list of records"),
            (b"[]", "the list is empty"),
            (b" \n", "the body is empty"),
            (br#"{"a": 1} {"a": 2}"#, "the body is no JSON: trailing characters"),
            (b"\xff", "the body is no JSON"),
        ] {
            let error = records(body).map(|_| ()).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn numbers_have_the_shape_of_their_lists() {
        let found = numbers(b"[[1, 2.5, -3], [4, 5, 6]]").unwrap();
        assert_eq!((found.shape, found.values), (vec![2, 3], vec![1.0, 2.5, -3.0, 4.0, 5.0, 6.0]));
        for (body, part) in [
            (&b"[[1, 2], [3]]"[..], "lists side by side have 2 and 1 elements"),
            (b"[1, [2]]", "numbers and lists stand side by side"),
            (b"[[2], 1]", "numbers and lists stand side by side"),
            (b"[[]]", "a list is empty"),
            (b"[\"1\"]", "string \"1\", expected a number or a list"),
            (b"{}", "expected a list of numbers, or of such lists"),
            (b"[1e39]", "beyond the range"),
            (b"[1,", "the body is no JSON: EOF"),
        ] {
            let error = numbers(body).map(|_| ()).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        let deep = "[".repeat(100_000);
        assert!(numbers(deep.as_bytes()).is_err_and(|e| e.contains("recursion limit")));
    }
}
