//! What a kernel launch is, as plain data that knows no wgpu: the gpu executor compiles it, `kiln plan` prints it and
//! the tests hold it against the shader.

use std::sync::Arc;

use super::tuning::Tuning;

/// A WGSL file and the shared functions it needs, which are put before it whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Module {
    /// The file's stem, under `shaders/` where it is one of Kiln's.
    pub stem: &'static str,
    /// The file's text.
    pub source: &'static str,
    /// The texts of the files of `shaders/lib/` that it calls.
    pub libs: &'static [&'static str],
}

impl Module {
    /// The module as it is compiled.
    pub fn text(&self) -> String {
        let text = self.libs.iter().chain([&self.source]).copied().collect::<Vec<_>>().join("\n");
        #[cfg(feature = "mutate")]
        let text = mutated(&text);
        text
    }
}

/// The text with a fault in it: what the file `original` in $KILN_MUTANT holds becomes what `mutant` holds.
#[cfg(feature = "mutate")]
fn mutated(text: &str) -> String {
    let Some(folder) = std::env::var_os("KILN_MUTANT") else { return text.into() };
    let part =
        |name| std::fs::read_to_string(std::path::Path::new(&folder).join(name)).expect("written by scripts/mutate");
    text.replace(&part("original"), &part("mutant"))
}

/// `shaders/lib/attention.wgsl`: the scores of attention.
pub const LIB_ATTENTION: &str = include_str!("../../shaders/lib/attention.wgsl");
/// `shaders/lib/recurrence.wgsl`: what a recurrence and its gradient share.
pub const LIB_RECURRENCE: &str = include_str!("../../shaders/lib/recurrence.wgsl");
/// `shaders/lib/tile.wgsl`: what the kernels of products share.
pub const LIB_TILE: &str = include_str!("../../shaders/lib/tile.wgsl");
/// `shaders/lib/convolution.wgsl`: where the operands of a convolution lie.
pub const LIB_CONVOLUTION: &str = include_str!("../../shaders/lib/convolution.wgsl");
/// `shaders/lib/product.wgsl`: where the operands of a product of matrices lie.
pub const LIB_PRODUCT: &str = include_str!("../../shaders/lib/product.wgsl");
/// `shaders/lib/activation.wgsl`: the activations and their gradients.
pub const LIB_ACTIVATION: &str = include_str!("../../shaders/lib/activation.wgsl");
/// `shaders/lib/reduction.wgsl`: how reductions are shared out.
pub const LIB_REDUCTION: &str = include_str!("../../shaders/lib/reduction.wgsl");
/// `shaders/lib/pool.wgsl`: windows over images.
pub const LIB_POOL: &str = include_str!("../../shaders/lib/pool.wgsl");
/// `shaders/lib/max_pool.wgsl`: the kernels of the largest under a window.
pub const LIB_MAX_POOL: &str = include_str!("../../shaders/lib/max_pool.wgsl");
/// `shaders/lib/average_pool.wgsl`: the kernels of the mean under a window.
pub const LIB_AVERAGE_POOL: &str = include_str!("../../shaders/lib/average_pool.wgsl");
/// `shaders/lib/best.wgsl`: where an extreme stands.
pub const LIB_BEST: &str = include_str!("../../shaders/lib/best.wgsl");
/// `shaders/lib/rows.wgsl`: what functions of whole rows know of one.
pub const LIB_ROWS: &str = include_str!("../../shaders/lib/rows.wgsl");
/// `shaders/lib/logarithm.wgsl`: logarithms that keep their digits near 1.
pub const LIB_LOGARITHM: &str = include_str!("../../shaders/lib/logarithm.wgsl");
/// `shaders/lib/broadcast.wgsl`: the places of operands that are broadcast together.
pub const LIB_BROADCAST: &str = include_str!("../../shaders/lib/broadcast.wgsl");
/// `shaders/lib/nan.wgsl`: whether a number is none.
pub const LIB_NAN: &str = include_str!("../../shaders/lib/nan.wgsl");
/// `shaders/lib/flushed.wgsl`: subnormals to zero.
pub const LIB_FLUSHED: &str = include_str!("../../shaders/lib/flushed.wgsl");
/// `shaders/lib/fill.wgsl`: what stands beyond the edges of images.
pub const LIB_FILL: &str = include_str!("../../shaders/lib/fill.wgsl");
/// `shaders/lib/normal.wgsl`: the normal distribution.
pub const LIB_NORMAL: &str = include_str!("../../shaders/lib/normal.wgsl");
/// `shaders/lib/grid.wgsl`: the index of an invocation in a grid that was folded to two dimensions.
pub const LIB_GRID: &str = include_str!("../../shaders/lib/grid.wgsl");

/// What a shader's variable at the binding of the same position holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// The node's input of this index, read.
    Input(usize),
    /// The node's output of this index, written.
    Output(usize),
    /// The dispatch's [`Params`], as a uniform.
    Params,
    /// So many floats that one launch of a node leaves for the next of the same node. Nodes have them in turn: what a
    /// node finds there is no one's.
    Scratch(usize),
    /// The same in another buffer: for a launch that reads the one and writes the other.
    SecondScratch(usize),
}

impl Binding {
    /// What launches of a node hand to each other there, if they do: in which of the two buffers, and how many floats.
    pub fn scratch(self) -> Option<(usize, usize)> {
        match self {
            Self::Scratch(len) => Some((0, len)),
            Self::SecondScratch(len) => Some((1, len)),
            _ => None,
        }
    }
}

/// The fields of a shader's `Params` struct: names and 32-bit words in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Params(Vec<(&'static str, u32)>);

impl Params {
    /// No fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends an unsigned field.
    ///
    /// # Panics
    /// Where the number does not fit 32 bits: shape rules keep extents below that.
    #[must_use]
    pub fn u32(mut self, name: &'static str, value: usize) -> Self {
        self.0.push((name, u32::try_from(value).unwrap_or_else(|_| panic!("{name} = {value} passes 32 bits"))));
        self
    }

    /// Appends a signed field.
    ///
    /// # Panics
    /// Where the number does not fit 32 bits: shape rules keep extents below that.
    #[must_use]
    pub fn i32(mut self, name: &'static str, value: isize) -> Self {
        let word = i32::try_from(value).unwrap_or_else(|_| panic!("{name} = {value} passes 32 bits"));
        self.0.push((name, word.cast_unsigned()));
        self
    }

    /// Appends an unsigned array: a word each, all of this name.
    #[must_use]
    pub fn u32s(self, name: &'static str, values: &[usize]) -> Self {
        values.iter().fold(self, |params, &value| params.u32(name, value))
    }

    /// Appends a float field, rounded to f32.
    #[must_use]
    pub fn f32(mut self, name: &'static str, value: f64) -> Self {
        self.0.push((name, (value as f32).to_bits()));
        self
    }

    /// Appends the fields of another.
    #[must_use]
    pub fn and(mut self, more: &Self) -> Self {
        self.0.extend(&more.0);
        self
    }

    /// Names and words, in order.
    pub fn fields(&self) -> &[(&'static str, u32)] {
        &self.0
    }

    /// The struct's bytes, padded to a multiple of 16 as uniforms are.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut words: Vec<u32> = self.0.iter().map(|&(_, word)| word).collect();
        words.resize(words.len().next_multiple_of(4), 0);
        bytemuck::cast_slice(&words).to_vec()
    }
}

/// One launch of one kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Dispatch {
    /// The shader module.
    pub module: Module,
    /// The entry point.
    pub entry: &'static str,
    /// Values of `override` constants; those not named keep their default.
    pub constants: Vec<(&'static str, f64)>,
    /// What each binding holds, in binding order from 0.
    pub bindings: Vec<Binding>,
    /// The uniform.
    pub params: Params,
    /// Workgroups along x, y and z.
    pub workgroups: [u32; 3],
    /// How many times it is launched, each time the same: what differs it finds in what it left the time before. A plan does not grow
    /// by it. Neighbours of a node that are launched equally often take turns.
    pub repeats: usize,
}

impl Dispatch {
    /// A launch over `invocations` elements in workgroups of [`Dispatch::WIDTH`], folded to two dimensions where
    /// one would pass the 65,535 workgroups that devices allow. Bindings are inputs, outputs, params.
    pub fn over(module: Module, entry: &'static str, io: &super::Io, params: Params, invocations: usize) -> Self {
        let inputs = (0..io.inputs.len()).map(Binding::Input);
        let bindings = inputs.chain((0..io.outputs.len()).map(Binding::Output)).chain([Binding::Params]).collect();
        Self::of(module, entry, bindings, params, invocations.div_ceil(Self::WIDTH))
    }

    /// A launch of so many workgroups, folded as those of [`Dispatch::over`].
    pub fn of(module: Module, entry: &'static str, bindings: Vec<Binding>, params: Params, workgroups: usize) -> Self {
        Self { module, entry, constants: Vec::new(), bindings, params, workgroups: fold(workgroups.max(1)), repeats: 1 }
    }

    /// Invocations a workgroup of the one-dimensional kernels.
    pub const WIDTH: usize = 64;

    /// Floats that it and the node's other launches hand to each other.
    pub fn scratch(&self) -> usize {
        self.bindings.iter().filter_map(|binding| binding.scratch()).map(|(_, len)| len).sum()
    }

    /// Its kernel's name: shader and entry point.
    pub fn kernel(&self) -> String {
        format!("{}/{}", self.module.stem, self.entry)
    }

    /// Launches it so many times.
    #[must_use]
    pub fn repeated(mut self, repeats: usize) -> Self {
        self.repeats = repeats;
        self
    }

    /// Sets an `override` constant.
    #[must_use]
    pub fn constant(mut self, name: &'static str, value: impl Into<f64>) -> Self {
        self.constants.push((name, value.into()));
        self
    }
}

/// Workgroups along one axis of a grid that every device allows.
pub const MOST_WORKGROUPS: usize = 65_535;

/// A grid of at least `workgroups` workgroups, no dimension over [`MOST_WORKGROUPS`].
pub(crate) fn fold(workgroups: usize) -> [u32; 3] {
    let rows = workgroups.div_ceil(MOST_WORKGROUPS);
    let columns = workgroups.div_ceil(rows);
    assert!(rows <= MOST_WORKGROUPS, "{workgroups} workgroups are more than a grid holds");
    [columns as u32, rows as u32, 1]
}

/// The kind of adapter that kernels are chosen for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AdapterKind {
    /// A GPU: workgroup memory is fast, thousands of invocations run at once.
    Hardware,
    /// A processor that runs shaders: workgroup memory and barriers are slow.
    Software,
}

/// What an op may know of the device when it chooses its kernels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// GPU or software.
    pub kind: AdapterKind,
    /// How many lanes every subgroup has, where kernels can exchange values within one and that is known.
    pub subgroup_size: Option<u32>,
    /// Bytes of workgroup memory that a workgroup can have.
    pub workgroup_bytes: usize,
    /// Kernels that were measured on it.
    pub tuning: Arc<Tuning>,
}

impl Target {
    /// A kind of adapter that nothing more is known of: it has the workgroup memory that each has.
    pub fn new(kind: AdapterKind) -> Self {
        Self { kind, subgroup_size: None, workgroup_bytes: 16 << 10, tuning: Arc::default() }
    }

    /// One of each that some op has kernels of its own for.
    pub fn all() -> [Self; 4] {
        let [hardware, software] = [AdapterKind::Hardware, AdapterKind::Software].map(Self::new);
        let larger = Self { workgroup_bytes: 32 << 10, ..hardware.clone() };
        [hardware, larger, software.clone(), Self { subgroup_size: Some(8), ..software }]
    }

    /// Whether an adapter that is `other` can run the kernels for this one.
    pub fn runs_on(&self, other: &Self) -> bool {
        self.workgroup_bytes <= other.workgroup_bytes
            && (self.subgroup_size.is_none() || self.subgroup_size == other.subgroup_size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_fold_at_the_limit() {
        assert_eq!(fold(1), [1, 1, 1]);
        assert_eq!(fold(65_535), [65_535, 1, 1]);
        for n in [65_536, 65_537, 200_001, 1 << 24] {
            let [x, y, z] = fold(n);
            assert!(x <= 65_535 && y <= 65_535 && z == 1 && (x as usize) * (y as usize) >= n, "{n}: {x} {y}");
        }
    }
}
