//! Kernels that were measured to be the fastest on an adapter: what `kiln tune` writes and products ask.

use std::collections::BTreeMap;
use std::fmt;

use super::dispatch::Target;
use super::matmul::{Form, Kernel, Problem};

/// For products of given extents the kernel that was fastest on an adapter, where it is not the built-in one. As text a line
/// each: the problem, before it `matmul` where it is one of matrices, a tab, the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tuning(BTreeMap<Problem, Kernel>);

impl Tuning {
    /// The kernel chosen for a product, where one was.
    pub fn kernel(&self, problem: &Problem) -> Option<&Kernel> {
        self.0.get(problem)
    }

    /// All choices.
    pub fn iter(&self) -> impl Iterator<Item = (&Problem, &Kernel)> {
        self.0.iter()
    }

    /// How many products have a choice.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was chosen.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Chooses one of a product's candidates, or `None` for the built-in choice.
    pub(crate) fn choose(&mut self, problem: Problem, kernel: Option<Kernel>) {
        match kernel {
            Some(kernel) => self.0.insert(problem, kernel),
            None => self.0.remove(&problem),
        };
    }

    /// The choices of a text for an adapter; lines that begin with `#` are remarks.
    ///
    /// # Errors
    /// The line that is no choice, or none of this adapter's, in words.
    pub fn parse(text: &str, target: &Target) -> Result<Self, String> {
        let mut tuning = Self::default();
        let lines = text.lines().zip(1..).filter(|(line, _)| !line.is_empty() && !line.starts_with('#'));
        for (line, number) in lines {
            let refused = |what: String| format!("line {number}, {line:?}: {what}");
            let words = line.split_once('\t').filter(|(problem, _)| problem.contains(' '));
            let Some((problem, name)) = words else {
                let expected = "expected `matmul`, a product such as 128x512x784:nn, a tab and a kernel; or `conv`, `conv4`, \
                                `scattered`, `scattered4`, `depthwise` or `depthwise4` in place of `matmul`";
                return Err(refused(expected.into()));
            };
            let problem: Problem =
                problem.strip_prefix("matmul ").unwrap_or(problem).parse().map_err(|e| refused(format!("{e}")))?;
            let candidates = problem.candidates(target);
            let Some(kernel) = candidates.iter().find(|kernel| kernel.to_string() == name) else {
                let names: Vec<String> = candidates.iter().map(ToString::to_string).collect();
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                return Err(refused(format!("the kernel {}", crate::suggest::unknown(name, &names))));
            };
            if tuning.0.insert(problem, kernel.clone()).is_some() {
                return Err(refused("the product has a kernel already".into()));
            }
        }
        Ok(tuning)
    }
}

impl fmt::Display for Tuning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(problem, kernel)| {
            let matrices = if problem.form == Form::Matrices { "matmul " } else { "" };
            writeln!(f, "{matrices}{problem}\t{kernel}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::dispatch::AdapterKind;

    #[test]
    fn choices_and_their_text_are_the_same_thing() {
        for target in Target::all() {
            let mut tuning = Tuning::default();
            let convolutions = [
                "conv 4x676x32x9:nn",
                "conv4 9x64x5408:tn",
                "scattered 9x3x300:nt",
                "scattered4 9x4x512:nt",
                "depthwise 9x67x5408:tn",
                "depthwise4 676x32x9:nt",
            ];
            for text in ["128x512x784", "97x10x13:tt", "3x8x12x4:nt"].into_iter().chain(convolutions) {
                let problem: Problem = text.parse().unwrap();
                tuning.choose(problem, problem.candidates(&target).pop());
            }
            assert_eq!(tuning.len(), 9);
            assert_eq!(Tuning::parse(&format!("# remark\n\n{tuning}"), &target), Ok(tuning.clone()), "{target:?}");
            let one = "97x10x13:tt".parse().unwrap();
            tuning.choose(one, None);
            assert_eq!((tuning.len(), tuning.kernel(&one)), (8, None));
        }
    }

    #[test]
    fn lines_that_are_no_choice_are_named() {
        let target = Target::new(AdapterKind::Software);
        let right = "matmul 128x512x784:nn\tdirect_vec4 WG_X=8 WG_Y=1";
        assert_eq!(Tuning::parse(right, &target).map(|tuning| tuning.len()), Ok(1));
        for (line, parts) in [
            ("nonsense", ["\"nonsense\"", "a tab and a kernel"]),
            ("matmul 128x512x784:nn direct_vec4 WG_X=8 WG_Y=1", ["line 3", "a tab and a kernel"]),
            ("conv 1x1x1:nn\tdirect_vec4 WG_X=8 WG_Y=1", ["unknown", "direct_guarded WG_X=8 WG_Y=1"]),
            ("128x512x784:nn\tdirect_vec4 WG_X=8 WG_Y=1", ["line 3", "`matmul`"]),
            ("convolution 1x1x1:nn\tdirect_vec4", ["line 3", "MxNxK"]),
            ("matmul 0x1x1:nn\tdirect_vec4", ["\"0x1x1:nn\"", "MxNxK"]),
            ("matmul 4x4x4:nn\tdirect_vec5 WG_X=8 WG_Y=1", ["unknown", "did you mean \"direct_vec4 WG_X=8 WG_Y=1\""]),
            // Its extents are no multiples of four.
            ("matmul 5x7x3:nn\tdirect_vec4 WG_X=8 WG_Y=1", ["unknown", "direct_guarded WG_X=8 WG_Y=1"]),
            ("matmul 4x4x4:nn\tsubgroup_32x8", ["unknown", "tiled_4x4_vec4 BM=32 BN=32 BK=16"]),
            (right, ["line 3", "already"]),
        ] {
            let error = Tuning::parse(&format!("# remark\n{right}\n{line}\n"), &target).unwrap_err();
            assert!(error.contains("line 3") && parts.iter().all(|part| error.contains(part)), "{error}");
        }
    }
}
