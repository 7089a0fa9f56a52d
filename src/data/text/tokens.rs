//! From a text to its tokens: standardized, split, joined to n-grams.

use std::borrow::Cow;

/// What is done to a text before it is split: Keras' `standardize`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standardize {
    /// Lower case, without punctuation.
    #[default]
    LowerAndStripPunctuation,
    /// Lower case. As in TensorFlow these are the letters A to Z: others stay as they are.
    Lower,
    /// Without punctuation: the 32 marks of ASCII.
    StripPunctuation,
}

crate::config::named!(Standardize:
    "lower_and_strip_punctuation" = LowerAndStripPunctuation, "lower" = Lower, "strip_punctuation" = StripPunctuation);

/// How a text becomes tokens: Keras' `split`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TextSplit {
    /// Words between white space: blanks, tabs and ends of lines. As in TensorFlow a blank beyond ASCII is a letter.
    #[default]
    Whitespace,
    /// Each Unicode scalar value: an `é` of two is two tokens.
    Character,
}

crate::config::named!(TextSplit: "whitespace" = Whitespace, "character" = Character);

impl Standardize {
    fn of(how: Option<Self>, text: &str) -> Cow<'_, str> {
        let Some(how) = how else { return text.into() };
        let mut text = text.to_string();
        if how != Self::StripPunctuation {
            text.make_ascii_lowercase();
        }
        if how != Self::Lower {
            text.retain(|c| !c.is_ascii_punctuation());
        }
        text.into()
    }
}

/// How many neighbours are one token.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Widths {
    /// 1 and more, up to this many.
    UpTo(usize),
    /// These.
    Of(Vec<usize>),
}

impl Widths {
    /// Whether there are some, each 1 or more.
    pub fn are_some(&self) -> bool {
        match self {
            Self::UpTo(most) => *most > 0,
            Self::Of(widths) => !widths.is_empty() && !widths.contains(&0),
        }
    }
}

/// How a text becomes tokens.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tokenizer {
    pub standardize: Option<Standardize>,
    pub split: Option<TextSplit>,
    /// `None`: tokens are what the text is split into.
    pub ngrams: Option<Widths>,
}

impl Tokenizer {
    /// Calls `each` with the tokens of a text, in their order.
    pub fn each(&self, text: &str, each: &mut dyn FnMut(&str)) {
        let text = Standardize::of(self.standardize, text);
        let Some(widths) = &self.ngrams else { return self.pieces(&text, each) };
        let mut pieces = Vec::new();
        self.pieces(&text, &mut |piece| pieces.push(piece.to_string()));
        let mut of_width = |width| pieces.windows(width).for_each(|ngram| each(&ngram.join(" ")));
        match widths {
            Widths::UpTo(most) => (1..=pieces.len().min(*most)).for_each(of_width),
            Widths::Of(widths) => widths.iter().copied().for_each(&mut of_width),
        }
    }

    fn pieces(&self, text: &str, each: &mut dyn FnMut(&str)) {
        match self.split {
            None => each(text),
            // A vertical tab, too, which is no white space of Rust's ASCII.
            Some(TextSplit::Whitespace) => {
                text.split([' ', '\t', '\n', '\x0b', '\x0c', '\r']).filter(|word| !word.is_empty()).for_each(each);
            }
            Some(TextSplit::Character) => text.chars().for_each(|c| each(c.encode_utf8(&mut [0; 4]))),
        }
    }

    /// What stands between tokens where they become a text again.
    pub fn separator(&self) -> &'static str {
        if self.split == Some(TextSplit::Character) && self.ngrams.is_none() { "" } else { " " }
    }
}
