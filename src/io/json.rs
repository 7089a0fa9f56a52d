//! JSON, <https://www.rfc-editor.org/rfc/rfc8259>, as files' headers have it: to and from [`Setting`].

use std::fmt::Write as _;

use crate::config::Setting;

/// Lists and maps within each other: no header needs as many, and each takes some of the stack.
const MOST_DEPTH: usize = 256;
/// Values of a description that another program made of a model, at most: a number of two bytes takes some tens in memory, and a layer is
/// some hundred values.
const MOST_VALUES: usize = 1 << 18;

/// The value of a document, and where it cannot be read: the byte and what was expected there. A name that stands twice in
/// a map is refused.
pub(crate) fn parse(text: &str) -> Result<Setting, String> {
    parse_within(text, usize::MAX)
}

/// [`parse`] of Keras' description of a model, which has a bounded number of values. Kiln's own files have no bound: what was trained,
/// with as many words or epochs as may be, is read again.
pub(crate) fn parse_of_keras(text: &str) -> Result<Setting, String> {
    parse_within(text, MOST_VALUES)
}

fn parse_within(text: &str, most: usize) -> Result<Setting, String> {
    let mut parser = Parser { text, at: 0, most, values: 0 };
    let value = parser.value(0)?;
    match parser.peek() {
        None => Ok(value),
        Some(_) => Err(parser.expected("the end")),
    }
}

struct Parser<'a> {
    text: &'a str,
    /// The next byte; always at a character's start.
    at: usize,
    /// Values that there may be.
    most: usize,
    /// Those that were begun.
    values: usize,
}

impl Parser<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn expected(&self, what: &str) -> String {
        match self.rest().chars().next() {
            Some(found) => format!("byte {}: expected {what}, found {found:?}", self.at),
            None => format!("byte {}: expected {what}, found the end", self.at),
        }
    }

    /// The next byte after white space.
    fn peek(&mut self) -> Option<u8> {
        self.at += self.rest().len() - self.rest().trim_start_matches([' ', '\t', '\n', '\r']).len();
        self.rest().bytes().next()
    }

    /// Whether `token` comes next; it is taken then.
    fn takes(&mut self, token: &str) -> bool {
        self.peek();
        let comes = self.rest().starts_with(token);
        self.at += if comes { token.len() } else { 0 };
        comes
    }

    fn value(&mut self, depth: usize) -> Result<Setting, String> {
        if depth > MOST_DEPTH {
            return Err(self.expected("less than so many lists within each other"));
        }
        self.values += 1;
        if self.values > self.most {
            return Err(format!("byte {}: has more than {} values", self.at, self.most));
        }
        match self.peek() {
            Some(b'{') => self.map(depth),
            Some(b'[') => {
                let mut values = Vec::new();
                self.items("[", "]", |parser| {
                    values.push(parser.value(depth + 1)?);
                    Ok(())
                })?;
                Ok(Setting::List(values))
            }
            Some(b'"') => Ok(Setting::Text(self.string()?)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ if self.takes("null") => Ok(Setting::Null),
            _ if self.takes("true") => Ok(Setting::Bool(true)),
            _ if self.takes("false") => Ok(Setting::Bool(false)),
            _ => Err(self.expected("a value")),
        }
    }

    fn map(&mut self, depth: usize) -> Result<Setting, String> {
        let mut entries: Vec<(String, Setting)> = Vec::new();
        let mut names = std::collections::HashSet::new();
        self.items("{", "}", |parser| {
            parser.peek();
            let name = parser.string()?;
            if !names.insert(name.clone()) {
                return Err(format!("byte {}: {name:?} stands there twice", parser.at));
            }
            if !parser.takes(":") {
                return Err(parser.expected("':'"));
            }
            entries.push((name, parser.value(depth + 1)?));
            Ok(())
        })?;
        Ok(Setting::Map(entries))
    }

    /// What stands between two brackets, with commas between.
    fn items(
        &mut self,
        open: &str,
        close: &str,
        mut item: impl FnMut(&mut Self) -> Result<(), String>,
    ) -> Result<(), String> {
        assert!(self.takes(open), "the caller has seen {open}");
        if self.takes(close) {
            return Ok(());
        }
        loop {
            item(self)?;
            if self.takes(close) {
                return Ok(());
            }
            if !self.takes(",") {
                return Err(self.expected(&format!("',' or '{close}'")));
            }
        }
    }

    fn string(&mut self) -> Result<String, String> {
        if !self.rest().starts_with('"') {
            return Err(self.expected("'\"'"));
        }
        self.at += 1;
        let mut text = String::new();
        loop {
            let Some(c) = self.rest().chars().next() else { return Err(self.expected("'\"'")) };
            if c < ' ' {
                return Err(self.expected("a character that is escaped"));
            }
            self.at += c.len_utf8();
            match c {
                '"' => return Ok(text),
                '\\' => text.push(self.escaped()?),
                c => text.push(c),
            }
        }
    }

    /// What a backslash, which is behind, and the next characters stand for.
    fn escaped(&mut self) -> Result<char, String> {
        let Some(c) = self.rest().chars().next() else { return Err(self.expected("an escape")) };
        let plain = match c {
            '"' | '\\' | '/' => c,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                self.at += 1;
                return self.utf_16();
            }
            _ => return Err(self.expected("an escape")),
        };
        self.at += 1;
        Ok(plain)
    }

    /// A character by its UTF-16 code: four hexadecimal digits, or twice as many with `\u` between.
    fn utf_16(&mut self) -> Result<char, String> {
        let mut units = vec![self.unit()?];
        if (0xd800..0xdc00).contains(&units[0]) && self.rest().starts_with("\\u") {
            self.at += 2;
            units.push(self.unit()?);
        }
        let mut decoded = char::decode_utf16(units);
        match (decoded.next(), decoded.next()) {
            (Some(Ok(c)), None) => Ok(c),
            _ => Err(format!("byte {}: half of a UTF-16 pair stands alone", self.at)),
        }
    }

    fn unit(&mut self) -> Result<u16, String> {
        let digits = self.rest().get(..4).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        let Some(digits) = digits else { return Err(self.expected("four hexadecimal digits")) };
        let unit = u16::from_str_radix(digits, 16).expect("they are hexadecimal");
        self.at += 4;
        Ok(unit)
    }

    fn number(&mut self) -> Result<Setting, String> {
        let end = self.rest().find(|c: char| !matches!(c, '-' | '+' | '.' | 'e' | 'E' | '0'..='9'));
        let number = &self.rest()[..end.unwrap_or(self.rest().len())];
        let digits = number.strip_prefix('-').unwrap_or(number);
        let whole = &digits[..digits.find(['.', 'e', 'E']).unwrap_or(digits.len())];
        let after_point = digits.split_once('.').map(|(_, rest)| rest.split(['e', 'E']).next().unwrap_or(rest));
        // Rust reads more than JSON has: 01, 1., .5, +1.
        let strict = !whole.is_empty()
            && whole.bytes().all(|b| b.is_ascii_digit())
            && (whole == "0" || !whole.starts_with('0'))
            && after_point != Some("");
        let float = number.parse::<f64>().ok().filter(|x| strict && x.is_finite());
        let Some(float) = float else { return Err(self.expected("a number")) };
        // A whole number has no -0.
        let whole = number.parse().ok().filter(|_| number != "-0");
        let value = whole.map_or(Setting::Float(float), Setting::Int);
        self.at += number.len();
        Ok(value)
    }
}

/// A document of one line.
pub(crate) fn write(value: &Setting) -> String {
    let mut text = String::new();
    append(&mut text, value);
    text
}

fn append(text: &mut String, value: &Setting) {
    match value {
        Setting::Null => text.push_str("null"),
        Setting::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
        Setting::Int(value) => write!(text, "{value}").expect("a string takes all"),
        // JSON has no infinity and no NaN.
        Setting::Float(value) if !value.is_finite() => quote(text, &value.to_string()),
        // The shortest digits that are read as this number again.
        Setting::Float(value) => write!(text, "{value:?}").expect("a string takes all"),
        Setting::Text(value) => quote(text, value),
        Setting::List(values) => {
            text.push('[');
            for (i, value) in values.iter().enumerate() {
                text.push_str(if i > 0 { "," } else { "" });
                append(text, value);
            }
            text.push(']');
        }
        Setting::Map(entries) => {
            text.push('{');
            for (i, (name, value)) in entries.iter().enumerate() {
                text.push_str(if i > 0 { "," } else { "" });
                quote(text, name);
                text.push(':');
                append(text, value);
            }
            text.push('}');
        }
    }
}

fn quote(text: &mut String, value: &str) {
    text.push('"');
    for c in value.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            c if c < ' ' => write!(text, "\\u{:04x}", u32::from(c)).expect("a string takes all"),
            c => text.push(c),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use rand::Rng as _;

    use super::*;
    use crate::random::stream;

    const SEED: u64 = 23;

    fn serde(text: &str) -> Option<serde_json::Value> {
        serde_json::from_str(text).ok()
    }

    /// As serde_json has it; `None` where that has no such number.
    fn as_serde(value: &Setting) -> Option<serde_json::Value> {
        Some(match value {
            Setting::Null => serde_json::Value::Null,
            Setting::Bool(value) => (*value).into(),
            Setting::Int(value) => i64::try_from(*value).ok()?.into(),
            Setting::Float(value) => (*value).into(),
            Setting::Text(text) => text.as_str().into(),
            Setting::List(values) => values.iter().map(as_serde).collect::<Option<Vec<_>>>()?.into(),
            Setting::Map(entries) => {
                let entries = entries.iter().map(|(name, value)| Some((name.clone(), as_serde(value)?)));
                serde_json::Value::Object(entries.collect::<Option<_>>()?)
            }
        })
    }

    fn random_text(rng: &mut impl rand::Rng) -> String {
        let some = ['a', '"', '\\', '\n', '\u{1}', 'ä', '愛', '😀', '/', ' '];
        let count = rng.next_u32() % 6;
        (0..count).map(|_| some[rng.next_u32() as usize % some.len()]).collect()
    }

    fn random(rng: &mut impl rand::Rng, depth: u32) -> Setting {
        match rng.next_u32() % if depth < 3 { 7 } else { 5 } {
            0 => Setting::Null,
            1 => Setting::Bool(rng.next_u32().is_multiple_of(2)),
            2 => Setting::Int(i128::from(rng.next_u64() as i64 >> (rng.next_u32() % 64))),
            3 => Some(f64::from_bits(rng.next_u64())).filter(|x| x.is_finite()).unwrap_or(0.5).into(),
            4 => Setting::Text(random_text(rng)),
            5 => {
                let count = rng.next_u32() % 4;
                Setting::List((0..count).map(|_| random(rng, depth + 1)).collect())
            }
            _ => {
                let count = rng.next_u32() % 4;
                Setting::Map((0..count).map(|i| (format!("{i}{}", random_text(rng)), random(rng, depth + 1))).collect())
            }
        }
    }

    #[test]
    fn a_document_of_kilns_may_have_any_number_of_values() {
        let text = format!("[{}1]", "1,".repeat(MOST_VALUES));
        assert!(parse(&text).is_ok());
        assert!(parse_of_keras(&text).unwrap_err().contains("has more than 262144 values"));
    }

    #[test]
    fn what_is_written_is_read_again_by_this_reader_and_by_serde_json() {
        println!("seed {SEED}");
        let mut rng = stream(SEED, "json", 0);
        for _ in 0..2000 {
            let value = random(&mut rng, 0);
            let text = write(&value);
            assert_eq!(parse(&text).as_ref(), Ok(&value), "{text}");
            let read = serde(&text).expect(&text);
            assert_eq!(Some(&read), as_serde(&value).as_ref(), "{text}");
            // What that one writes, in its own form and order.
            let pretty = serde_json::to_string_pretty(&read).unwrap();
            assert_eq!(as_serde(&parse(&pretty).expect(&pretty)), Some(read), "{pretty}");
        }
    }

    #[test]
    fn what_serde_json_refuses_is_refused() {
        println!("seed {SEED}");
        let mut rng = stream(SEED, "json", 1);
        let bytes = br#"{}[]",:\ue+-.0123456789tfnalsr "#;
        let (mut refused, mut taken) = (0, 0);
        for _ in 0..20_000 {
            let mut text = write(&random(&mut rng, 0)).into_bytes();
            for _ in 0..1 + rng.next_u32() % 3 {
                let at = rng.next_u32() as usize % (text.len() + 1);
                let byte = bytes[rng.next_u32() as usize % bytes.len()];
                match rng.next_u32() % 3 {
                    0 => text.insert(at, byte),
                    1 if at < text.len() => text[at] = byte,
                    _ if at < text.len() => drop(text.remove(at)),
                    _ => {}
                }
            }
            let Ok(text) = String::from_utf8(text) else { continue };
            match (parse(&text), serde(&text)) {
                (Ok(value), Some(read)) => {
                    taken += 1;
                    // A number may be beyond i64 here.
                    assert!(as_serde(&value).is_none_or(|value| value == read), "{text}");
                }
                (Err(_), None) => refused += 1,
                // serde_json takes the last of two values of a name.
                (Err(e), Some(_)) => assert!(e.contains("twice"), "{text}: {e}"),
                (Ok(_), None) => panic!("{text} was taken"),
            }
        }
        assert!(refused > 5000 && taken > 1000, "{refused} refused, {taken} taken: too few of one kind");
    }

    #[test]
    fn errors_name_the_byte() {
        for (text, parts) in [
            ("", ["byte 0", "a value, found the end"]),
            (r#"{"a" 1}"#, ["byte 5", "expected ':', found '1'"]),
            ("[1, 01]", ["byte 4", "a number"]),
            ("[1 2]", ["byte 3", "',' or ']'"]),
            (r#""\ud800x""#, ["byte 7", "half of a UTF-16 pair"]),
            (r#"{"a":1,"a":2}"#, ["\"a\"", "twice"]),
            ("1 1", ["byte 2", "the end"]),
        ] {
            let e = parse(text).unwrap_err();
            assert!(parts.iter().all(|part| e.contains(part)), "{text}: {e}");
        }
        assert!(parse(&"[".repeat(100_000)).unwrap_err().contains("lists within each other"));
    }
}
