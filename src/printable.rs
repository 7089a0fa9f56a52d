//! Text of files as a terminal may have it.

use std::borrow::Cow;

/// Marks that turn the direction of what stands behind them, and what some terminals take for the end of a line.
const UNSEEN: [char; 14] = [
    '\u{200e}', '\u{200f}', '\u{2028}', '\u{2029}', '\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}', '\u{202e}',
    '\u{2066}', '\u{2067}', '\u{2068}', '\u{2069}', '\u{feff}',
];

/// The text with control characters, and others that show nothing but change what is shown, escaped as in Rust: a terminal
/// would obey them. Names that come out of files, of columns, classes and layers, are shown by this.
///
/// ```
/// assert_eq!(kiln::io::printable("\u{1b}[31mred"), r"\u{1b}[31mred");
/// assert_eq!(kiln::io::printable("Käfer"), "Käfer");
/// ```
pub fn printable(text: &str) -> Cow<'_, str> {
    let unseen = |c: char| c.is_control() || UNSEEN.contains(&c);
    if !text.contains(unseen) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::new();
    for c in text.chars() {
        if unseen(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    Cow::Owned(shown)
}
