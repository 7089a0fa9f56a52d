//! Choices of kernels that were measured on an adapter: what `kiln tune` writes and ops ask.

use std::collections::BTreeMap;
use std::fmt;

use crate::error::{Error, Result};

/// For a problem, such as a product of given extents, the kernel that was fastest on an adapter. As text, a line each:
/// the problem, a tab, the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tuning(BTreeMap<String, String>);

impl Tuning {
    /// The kernel chosen for a problem, where one was.
    pub fn choice(&self, problem: &str) -> Option<&str> {
        self.0.get(problem).map(String::as_str)
    }

    /// Chooses a kernel.
    pub fn choose(&mut self, problem: impl Into<String>, kernel: impl Into<String>) {
        self.0.insert(problem.into(), kernel.into());
    }

    /// How many problems have a choice.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was chosen.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The choices of a text; lines that begin with `#` are remarks.
    ///
    /// # Errors
    /// [`Error::Argument`] that shows the line which is none.
    pub fn parse(text: &str) -> Result<Self> {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let choice = |(i, line): (usize, &str)| match line.split_once('\t') {
            Some((problem, kernel)) if !kernel.is_empty() => Ok((problem.to_string(), kernel.to_string())),
            _ => {
                let message = format!("line {}, {line:?}, is not a problem, a tab and a kernel", i + 1);
                Err(Error::argument("tuning", message))
            }
        };
        lines.map(choice).collect::<Result<_>>().map(Self)
    }
}

impl fmt::Display for Tuning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(problem, kernel)| writeln!(f, "{problem}\t{kernel}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_choices_are_the_same_thing() {
        let mut tuning = Tuning::default();
        tuning.choose("matmul 2x3x4", "direct");
        tuning.choose("matmul 1x1x1", "tiled BM=64");
        assert_eq!(Tuning::parse(&format!("# remark\n{tuning}\n")).unwrap(), tuning);
        assert_eq!((tuning.choice("matmul 2x3x4"), tuning.choice("else")), (Some("direct"), None));
        let error = Tuning::parse("matmul 2x3x4\tdirect\nnonsense").unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("nonsense"), "{error}");
    }
}
