//! Python's literals, as far as the headers of `.npy` files have them.

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    None,
    Bool(bool),
    /// A whole number; those of Python 2 may end in L.
    Int(i128),
    Text(String),
    /// A tuple or a list.
    Items(Vec<Literal>),
    /// A dict whose keys are texts.
    Dict(Vec<(String, Literal)>),
}

/// Items within items: more have no header.
const DEEPEST: usize = 16;

impl Literal {
    /// The value that a text is, with blanks around it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut rest = Rest(text.trim_start());
        let value = rest.value(0)?;
        if rest.0.is_empty() { Ok(value) } else { Err(rest.refused("the end")) }
    }

    /// What a dict has under a key.
    pub fn get(&self, key: &str) -> Option<&Self> {
        let Self::Dict(entries) = self else { return None };
        entries.iter().find(|(known, _)| known == key).map(|(_, value)| value)
    }
}

/// What is still to be parsed; no blanks before it.
struct Rest<'t>(&'t str);

impl Rest<'_> {
    fn refused(&self, expected: &str) -> String {
        let found: String = self.0.chars().take(12).collect();
        format!("its header is no dict of Python's: expected {expected}, found {found:?}")
    }

    /// Whether it began with this, which is passed over.
    fn skip(&mut self, text: &str) -> bool {
        let Some(rest) = self.0.strip_prefix(text) else { return false };
        self.0 = rest.trim_start();
        true
    }

    fn value(&mut self, depth: usize) -> Result<Literal, String> {
        if depth > DEEPEST {
            return Err("its header has too many brackets".into());
        }
        if let Some(text) = self.text()? {
            return Ok(Literal::Text(text));
        }
        let words = [("None", Literal::None), ("True", Literal::Bool(true)), ("False", Literal::Bool(false))];
        if let Some((_, value)) = words.into_iter().find(|(word, _)| self.skip(word)) {
            return Ok(value);
        }
        if self.skip("(") {
            return self.items(")", depth);
        }
        if self.skip("[") {
            return self.items("]", depth).map(|items| match items {
                Literal::Items(items) => Literal::Items(items),
                one => Literal::Items(vec![one]),
            });
        }
        if self.skip("{") { self.entries(depth) } else { self.int() }
    }

    /// A tuple's or a list's, up to the bracket; one value in round brackets without a comma is itself.
    fn items(&mut self, end: &str, depth: usize) -> Result<Literal, String> {
        let mut items = Vec::new();
        while !self.skip(end) {
            items.push(self.value(depth + 1)?);
            if self.skip(",") {
                continue;
            }
            if !self.skip(end) {
                return Err(self.refused("a comma"));
            }
            return Ok(if items.len() == 1 { items.remove(0) } else { Literal::Items(items) });
        }
        Ok(Literal::Items(items))
    }

    fn entries(&mut self, depth: usize) -> Result<Literal, String> {
        let mut entries = Vec::new();
        while !self.skip("}") {
            let key = self.text()?.ok_or_else(|| self.refused("a key in quotes"))?;
            if !self.skip(":") {
                return Err(self.refused("a colon"));
            }
            entries.push((key, self.value(depth + 1)?));
            if !self.skip(",") && !self.0.starts_with('}') {
                return Err(self.refused("a comma"));
            }
        }
        Ok(Literal::Dict(entries))
    }

    /// A text in quotes, if there is one: Python 2 marks some by b or u.
    fn text(&mut self) -> Result<Option<String>, String> {
        let body = self.0.strip_prefix(['b', 'u']).unwrap_or(self.0);
        let Some(quote) = body.chars().next().filter(|first| ['\'', '"'].contains(first)) else { return Ok(None) };
        let (mut text, mut chars) = (String::new(), body[1..].chars());
        loop {
            match chars.next().ok_or_else(|| self.refused("a closing quote"))? {
                '\\' => text.extend(chars.next()),
                end if end == quote => break,
                other => text.push(other),
            }
        }
        self.0 = chars.as_str().trim_start();
        Ok(Some(text))
    }

    fn int(&mut self) -> Result<Literal, String> {
        let sign = usize::from(self.0.starts_with(['-', '+']));
        let digits = self.0[sign..].find(|c: char| !c.is_ascii_digit()).unwrap_or(self.0.len() - sign);
        let (number, _) = self.0.split_at(sign + digits);
        let value = number.parse().map_err(|_| self.refused("a value"))?;
        let rest = &self.0[sign + digits..];
        self.0 = rest.strip_prefix(['L', 'l']).unwrap_or(rest).trim_start();
        Ok(Literal::Int(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_read_as_python_reads_them() {
        let ints = |ints: &[i128]| Literal::Items(ints.iter().map(|&int| Literal::Int(int)).collect());
        for (text, value) in [
            ("(64L, 4L)", ints(&[64, 4])),
            ("( 3 , )", ints(&[3])),
            ("(3)", Literal::Int(3)),
            ("[3]", ints(&[3])),
            ("()", ints(&[])),
            (" -12\n", Literal::Int(-12)),
            ("u'a\\'b'", Literal::Text("a'b".into())),
            ("\"it's\"", Literal::Text("it's".into())),
            ("None", Literal::None),
        ] {
            assert_eq!(Literal::parse(text), Ok(value), "{text}");
        }
        let dict = Literal::parse("{ \"a\" :True,'b': [('x', '<f4'), (\"y\", '<i8')] , }\n").unwrap();
        assert_eq!((dict.get("a"), dict.get("c")), (Some(&Literal::Bool(true)), None));
        assert!(matches!(dict.get("b"), Some(Literal::Items(fields)) if fields.len() == 2));
    }

    #[test]
    fn what_is_no_literal_is_refused() {
        let deep = "(".repeat(100_000);
        let large = "9".repeat(50);
        for text in [
            "",
            "{",
            "{'a'",
            "{'a':",
            "{'a': 1 'b': 2}",
            "{1: 2}",
            "(1 2)",
            "'a",
            "x",
            "-",
            "1 2",
            "'\\",
            &deep,
            &large,
        ] {
            assert!(Literal::parse(text).is_err(), "{text:.20}");
        }
    }
}
