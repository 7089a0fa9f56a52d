//! Records: values by the names of a table's columns.

/// A value of a record.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number; in a column of words its text is the word.
    Number(f64),
    /// A word, or a number as text: what would stand in a file.
    Text(String),
    /// Nothing is known of it.
    Missing,
}

macro_rules! numbers {
    ($($t:ty),*) => {$(
        impl From<$t> for Value {
            fn from(number: $t) -> Self {
                Self::Number(number.into())
            }
        }
    )*};
}
numbers!(f64, f32, i32, u32);

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Missing, Into::into)
    }
}

impl Value {
    /// As a file would have it: an empty field is missing.
    fn field(self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text,
            Self::Missing => String::new(),
        }
    }
}

/// A record's names and fields.
pub(super) fn fields<N: Into<String>, V: Into<Value>>(
    record: impl IntoIterator<Item = (N, V)>,
) -> Vec<(String, String)> {
    record.into_iter().map(|(name, value)| (name.into(), value.into().field())).collect()
}
