//! Which kernel computes a product: the built-in rule, and what else there is for `kiln tune` to measure.

mod depthwise;

use std::fmt;
use std::str::FromStr;

use super::dispatch::{
    AdapterKind, Dispatch, LIB_ACTIVATION, LIB_CONVOLUTION, LIB_PRODUCT, LIB_TILE, MOST_WORKGROUPS, Module, Target,
    fold,
};
use crate::error::{Error, Result};

const DIRECT: &str = include_str!("../../shaders/matmul.wgsl");
const SUBGROUP: &str = include_str!("../../shaders/matmul_subgroup.wgsl");
const TILES: &str = include_str!("../../shaders/matmul_tiled.wgsl");
const MATRICES: &[&str] = &[LIB_ACTIVATION, LIB_TILE, LIB_PRODUCT];
const IMAGES: &[&str] = &[LIB_ACTIVATION, LIB_TILE, LIB_CONVOLUTION];

/// What the operands of a product are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// Matrices.
    Matrices,
    /// Images and the kernel of a convolution: the kernels of a product with other loads and stores.
    Images {
        /// Whether the channels and the filters of a group are multiples of four.
        fours: bool,
    },
    /// The same where the pixels that are made lie apart, as in one of the products that the gradient of strided images takes: what adds up
    /// parts of K writes pixels side by side, so that such a product stays in one piece.
    Scattered {
        /// Whether the channels and the filters of a group are multiples of four.
        fours: bool,
    },
    /// Images and the kernel of a convolution of each channel by itself. Rows and columns are those of the product of images whose
    /// columns are the channels of all groups; each column is made of one group alone.
    Depthwise {
        /// Whether each channel has one filter, and they are a multiple of four.
        fours: bool,
    },
}

impl Form {
    /// The module of each family, direct, by subgroups and tiled.
    const fn modules(self) -> [Module; 3] {
        let (stems, libs) = match self {
            Self::Matrices => (["matmul", "matmul_subgroup", "matmul_tiled"], MATRICES),
            Self::Images { .. } | Self::Scattered { .. } => (["conv", "conv_subgroup", "conv_tiled"], IMAGES),
            Self::Depthwise { .. } => return [depthwise::MODULE; 3],
        };
        let [direct, subgroup, tiled] = stems;
        [
            Module { stem: direct, source: DIRECT, libs },
            Module { stem: subgroup, source: SUBGROUP, libs },
            Module { stem: tiled, source: TILES, libs },
        ]
    }
}

/// A product as far as the choice of its kernel goes. As text `784x512x128:tn`: M, N, K, before them the number of products
/// where it is a stack, after them whether a and b are stored transposed (`t`) or not (`n`). That of a convolution has `conv` before it, or
/// `conv4` where channels and filters are multiples of four; one of those whose pixels lie apart `scattered` or `scattered4`, that of each
/// channel by itself `depthwise` or `depthwise4`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// What the operands are.
    pub form: Form,
    /// How many products there are, one but for stacks.
    pub stacks: usize,
    /// M, N and K.
    pub extents: [usize; 3],
    /// Whether a is stored (K, M), and b (N, K).
    pub transposed: [bool; 2],
}

/// A kernel, its settings, and the rows and columns of y that a workgroup makes. As text the entry point and the
/// settings, and `SPAN` where K is split: `tiled_8x8_vec4 BM=64 BN=64 BK=8`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    pub(crate) module: Module,
    pub(crate) entry: &'static str,
    pub(crate) settings: Vec<(&'static str, usize)>,
    pub(crate) tile: [usize; 2],
    /// Where K is split, how much of it is a part.
    pub(crate) span: Option<usize>,
}

/// The kernels without workgroup memory, and the rows and columns that an invocation of each makes.
const DIRECT_VEC4: &[(&str, usize)] = &[("direct_vec4_16x16", 16), ("direct_vec4", 8), ("direct_vec4_4x4", 4)];
const DIRECT_GUARDED: &[(&str, usize)] = &[("direct_guarded", 8), ("direct_guarded_4x4", 4)];

/// The kernels by tiles in workgroup memory: registers an invocation along either side, and BM, BN, BK of the workgroup.
/// At most 256 invocations, each of which brings one block of 4x4 a tile at most.
const TILED: &[(usize, [usize; 3])] = &[
    (4, [16, 32, 8]),
    (4, [32, 16, 8]),
    (4, [16, 128, 8]),
    (4, [128, 16, 8]),
    (4, [32, 32, 8]),
    (4, [32, 32, 16]),
    (4, [64, 32, 16]),
    (4, [32, 64, 16]),
    (4, [64, 64, 8]),
    (4, [64, 64, 16]),
    (8, [64, 64, 8]),
    (8, [128, 64, 8]),
    (8, [64, 128, 8]),
    (8, [128, 128, 8]),
    (8, [128, 128, 16]),
];

/// How much of K a launch takes at most. An invocation loops at most 9/8 times as often, for each BK of at least 8 and
/// within it for each of K, which has to be below 2^14; a multiple of every BK.
pub(crate) const DEEPEST: usize = 1 << 13;
/// Products of two numbers that a launch makes at most, where K can be cut so far. On a GPU that makes no more than 70 G of them a
/// second it takes half a second, and drivers end what takes two: nothing but products takes longer than its operands do to
/// be read.
pub(crate) const MOST_PRODUCTS: u64 = 1 << 35;
/// What a launch takes of K at least: less, and the sums are read and written as long as they are made.
pub(crate) const SHALLOWEST: usize = 1 << 9;
/// The second pass of a split K that is shorter takes as long as it saves.
const LONG: usize = 256;
/// A shorter part of K spends its time waiting for its first tile.
const LEAST_PART: usize = 64;

impl Problem {
    /// How much of K a launch takes.
    pub(crate) fn depth(&self) -> usize {
        let [m, n, _] = self.extents.map(|extent| extent as u64);
        let deep = (MOST_PRODUCTS / (m * n).max(1)).min(DEEPEST as u64) as usize;
        (deep / SHALLOWEST * SHALLOWEST).max(SHALLOWEST)
    }

    /// How many products a launch makes.
    pub(crate) fn stacks_at_once(&self) -> usize {
        let [m, n, k] = self.extents.map(|extent| extent as u64);
        (MOST_PRODUCTS / (m * n * k.min(self.depth() as u64)).max(1)).clamp(1, MOST_WORKGROUPS as u64) as usize
    }

    /// The kernels that compute it on an adapter, the built-in choice first.
    pub fn candidates(&self, target: &Target) -> Vec<Kernel> {
        let mut all = vec![self.built_in(target)];
        let mut add = |kernel: Kernel| {
            if !all.contains(&kernel) {
                all.push(kernel);
            }
        };
        let form = self.form;
        if let Form::Depthwise { fours } = form {
            self.channel_kernels(fours, target).into_iter().for_each(add);
            return all;
        }
        if self.fits_vec4() && target.subgroup_size == Some(8) {
            add(Kernel::subgroup(form));
        }
        for &(entry, tile) in if self.fits_vec4() { DIRECT_VEC4 } else { DIRECT_GUARDED } {
            // A GPU's subgroups have up to 64 lanes.
            let lanes = if target.kind == AdapterKind::Hardware { 64 } else { 8 };
            [1, 2, 4, 8].into_iter().for_each(|y| add(Kernel::direct(form, entry, tile, [lanes / y, y])));
        }
        for &(registers, tile) in TILED.iter().filter(|(_, tile)| tiled_bytes(*tile) <= target.workgroup_bytes) {
            let kernel = Kernel::tiled(self.form, registers, tile, self.fits_vec4());
            [2, 4, 8].into_iter().filter_map(|parts| self.split(&kernel, parts)).for_each(&mut add);
            add(kernel);
        }
        all
    }

    /// The kernel by rule, where nothing was measured.
    pub(crate) fn built_in(&self, target: &Target) -> Kernel {
        if let Form::Depthwise { fours } = self.form {
            return self.channel_kernel(fours, target);
        }
        match target.kind {
            AdapterKind::Hardware => self.tiled(target.workgroup_bytes),
            AdapterKind::Software => self.direct(target.subgroup_size),
        }
    }

    /// Whether the contiguous extents of all matrices are multiples of four.
    fn fits_vec4(&self) -> bool {
        if let Form::Images { fours } | Form::Scattered { fours } | Form::Depthwise { fours } = self.form {
            return fours;
        }
        let ([m, n, k], [trans_a, trans_b]) = (self.extents, self.transposed);
        let (a_row, b_row) = (if trans_a { m } else { k }, if trans_b { k } else { n });
        [a_row, b_row, n].iter().all(|extent| extent.is_multiple_of(4))
    }

    /// The kernel for software adapters: no workgroup memory, and 8 invocations, which are the lanes of their vectors.
    fn direct(&self, subgroup_size: Option<u32>) -> Kernel {
        /// Workgroups that give every core of a processor work.
        const ENOUGH: usize = 32;
        let ([m, n, k], vec4) = (self.extents, self.fits_vec4());
        let (entry, tile) = match (vec4, m) {
            (true, 0..=4) => ("direct_vec4_4x4", 4),
            (true, _) if m >= 16 && n >= 16 => ("direct_vec4_16x16", 16),
            (true, _) => ("direct_vec4", 8),
            (false, 0..=4) => ("direct_guarded_4x4", 4),
            (false, _) => ("direct_guarded", 8),
        };
        let groups = |kernel: &Kernel| m.div_ceil(kernel.tile[0]) * n.div_ceil(kernel.tile[1]);
        // Of the ways to lay out 8 invocations that which leaves the fewest idle at the edges.
        let direct =
            [8, 4, 2, 1].map(|x| Kernel::direct(self.form, entry, tile, [x, 8 / x])).into_iter().min_by_key(groups);
        let kernel = match direct {
            Some(direct) if tile < 16 || subgroup_size != Some(8) => direct,
            _ => Kernel::subgroup(self.form),
        };
        // Where the launches that a long K takes would each leave most cores idle, they are parts of one.
        let parts = k.div_ceil(DEEPEST).min(ENOUGH / (groups(&kernel) * self.stacks).max(1));
        self.split(&kernel, parts).unwrap_or(kernel)
    }

    /// The kernel for GPUs: of the tiles for a product's form the largest that still gives every core something to do.
    /// Where none does and K is long, it is split.
    fn tiled(&self, workgroup_bytes: usize) -> Kernel {
        // A large card has some hundred cores, and each wants two workgroups.
        const ENOUGH: usize = 256;
        let [m, n, k] = self.extents;
        let tiles = match (m, n) {
            (_, 0..=16) => &[(4, [128, 16, 8]), (4, [32, 16, 8])][..],
            (0..=16, _) => &[(4, [16, 128, 8]), (4, [16, 32, 8])],
            // Of tiles wider than y more than half would be made for nothing.
            (_, ..=32) => &[(4, [64, 32, 16]), (4, [32, 32, 16])],
            (_, ..=64) => &[(8, [128, 64, 8]), (8, [64, 64, 8]), (4, [32, 32, 16])],
            _ if workgroup_bytes >= 32 << 10 => &[(8, [128, 128, 16]), (8, [64, 64, 8]), (4, [32, 32, 16])],
            _ => &[(8, [128, 128, 8]), (8, [64, 64, 8]), (4, [32, 32, 16])],
        };
        let groups = |[bm, bn, _]: [usize; 3]| m.div_ceil(bm) * n.div_ceil(bn) * self.stacks;
        let smallest = tiles[tiles.len() - 1];
        let (registers, tile) = *tiles.iter().find(|(_, tile)| groups(*tile) >= ENOUGH).unwrap_or(&smallest);
        let kernel = Kernel::tiled(self.form, registers, tile, self.fits_vec4());
        let parts = (ENOUGH / groups(tile).max(1)).min(k / LEAST_PART);
        self.split(&kernel, parts).unwrap_or(kernel)
    }

    /// The kernel with K in so many parts; `None` where that is not worth a second pass, or a stack's, or of pixels that lie apart.
    fn split(&self, kernel: &Kernel, parts: usize) -> Option<Kernel> {
        let [.., k] = self.extents;
        let is_one = self.stacks == 1 && !matches!(self.form, Form::Scattered { .. });
        let splits = is_one && k >= LONG && (2..=k / LEAST_PART).contains(&parts);
        splits.then(|| Kernel { span: Some(k.div_ceil(parts).next_multiple_of(kernel.step())), ..kernel.clone() })
    }
}

/// Workgroup memory of two tiles of either operand.
fn tiled_bytes([bm, bn, bk]: [usize; 3]) -> usize {
    2 * 4 * (bm + bn) * bk
}

impl Kernel {
    /// The grid of a launch that makes so many products.
    pub(crate) fn workgroups(&self, problem: &Problem, stacks: usize) -> [u32; 3] {
        let ([m, n, _], [rows, columns]) = (problem.extents, self.tile);
        let tiles = [n.div_ceil(columns), m.div_ceil(rows), stacks];
        match problem.form {
            // A tile is an invocation's, and they are numbered.
            Form::Depthwise { .. } => fold(tiles.iter().product::<usize>().div_ceil(Dispatch::WIDTH).max(1)),
            _ => tiles.map(|tiles| tiles as u32),
        }
    }

    fn setting(&self, name: &str) -> Option<usize> {
        self.settings.iter().find(|(known, _)| *known == name).map(|&(_, value)| value)
    }

    /// What a part of K is a multiple of: BK, or what is loaded at once.
    fn step(&self) -> usize {
        self.setting("BK").unwrap_or(4)
    }

    /// The settings that a pipeline is made for. How the invocations of a direct kernel lie is none of them: it is told when it runs, so
    /// that products of many shapes share a pipeline.
    pub(crate) fn constants(&self) -> Vec<(&'static str, f64)> {
        match [self.setting("WG_X"), self.setting("WG_Y")] {
            [Some(x), Some(y)] => vec![("LANES", (x * y) as f64)],
            _ => self.settings.iter().map(|&(name, value)| (name, value as f64)).collect(),
        }
    }

    /// The logarithm to base 2 of how many invocations of a direct kernel lie side by side.
    pub(crate) fn across(&self) -> usize {
        self.setting("WG_X").map_or(0, |x| x.ilog2() as usize)
    }

    fn subgroup(form: Form) -> Self {
        let [_, module, _] = form.modules();
        Self { module, entry: "subgroup_32x8", settings: vec![], tile: [32, 64], span: None }
    }

    fn direct(form: Form, entry: &'static str, tile: usize, [x, y]: [usize; 2]) -> Self {
        let [module, ..] = form.modules();
        Self { module, entry, settings: vec![("WG_X", x), ("WG_Y", y)], tile: [y * tile, x * tile], span: None }
    }

    fn tiled(form: Form, registers: usize, [bm, bn, bk]: [usize; 3], vec4: bool) -> Self {
        let [.., module] = form.modules();
        let entry = match (registers, vec4) {
            (8, true) => "tiled_8x8_vec4",
            (8, false) => "tiled_8x8_guarded",
            (_, true) => "tiled_4x4_vec4",
            (_, false) => "tiled_4x4_guarded",
        };
        let settings = vec![("BM", bm), ("BN", bn), ("BK", bk)];
        Self { module, entry, settings, tile: [bm, bn], span: None }
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.entry)?;
        self.settings.iter().try_for_each(|(name, value)| write!(f, " {name}={value}"))?;
        self.span.map_or(Ok(()), |span| write!(f, " SPAN={span}"))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ([m, n, k], [a, b]) = (self.extents, self.transposed.map(|t| if t { 't' } else { 'n' }));
        let stacks = if self.stacks == 1 { String::new() } else { format!("{}x", self.stacks) };
        let form = match self.form {
            Form::Matrices => "",
            Form::Images { fours: false } => "conv ",
            Form::Images { fours: true } => "conv4 ",
            Form::Scattered { fours: false } => "scattered ",
            Form::Scattered { fours: true } => "scattered4 ",
            Form::Depthwise { fours: false } => "depthwise ",
            Form::Depthwise { fours: true } => "depthwise4 ",
        };
        f.pad(&format!("{form}{stacks}{m}x{n}x{k}:{a}{b}"))
    }
}

impl FromStr for Problem {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refused = |what: &str| Error::argument("shape", format!("{text:?} {what}"));
        let forms = [
            ("conv ", Form::Images { fours: false }),
            ("conv4 ", Form::Images { fours: true }),
            ("scattered ", Form::Scattered { fours: false }),
            ("scattered4 ", Form::Scattered { fours: true }),
            ("depthwise ", Form::Depthwise { fours: false }),
            ("depthwise4 ", Form::Depthwise { fours: true }),
        ];
        let of_form = forms.into_iter().find_map(|(word, form)| Some((form, text.strip_prefix(word)?)));
        let (form, rest) = of_form.unwrap_or((Form::Matrices, text));
        let (extents, sides) = rest.split_once(':').unwrap_or((rest, "nn"));
        let sides = ["nn", "nt", "tn", "tt"].into_iter().zip(0..).find(|&(name, _)| name == sides);
        let numbers: Option<Vec<usize>> = extents.split('x').map(|n| n.parse().ok().filter(|&n| n > 0)).collect();
        let (stacks, extents) = match numbers.as_deref() {
            Some(&[m, n, k]) => (1, [m, n, k]),
            Some(&[stacks, m, n, k]) => (stacks, [m, n, k]),
            _ => (0, [0; 3]),
        };
        let Some((_, sides)) = sides.filter(|_| stacks > 0) else {
            return Err(refused(
                "is no product: give MxNxK, such as 128x512x784, or STACKxMxNxK for a stack of products, and after it \
                 :tn, :nt or :tt where a, b or both are stored transposed",
            ));
        };
        let [m, n, k] = extents;
        let small = |rows: usize, columns: usize| {
            let elements = rows.checked_mul(columns).and_then(|x| x.checked_mul(stacks));
            elements.is_some_and(|x| u32::try_from(x).is_ok())
        };
        // Of images a row of the product is no row of memory.
        if form == Form::Matrices && !(small(m, k) && small(k, n) && small(m, n)) {
            return Err(refused("has a side of more than 4,294,967,295 elements, which kernels count by 32 bits"));
        }
        Ok(Self { form, stacks, extents, transposed: [sides & 2 != 0, sides & 1 != 0] })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// As of a convolution to 64 channels: of a tile of 128 columns half would be thrown away.
    #[test]
    fn tiles_are_no_wider_than_the_product() {
        let hardware = Target::new(AdapterKind::Hardware);
        for (columns, tile) in [(32, [64, 32]), (33, [128, 64]), (64, [128, 64]), (65, [128, 128])] {
            let problem = Problem {
                form: Form::Images { fours: true },
                stacks: 1,
                extents: [1 << 17, columns, 288],
                transposed: [false; 2],
            };
            assert_eq!(problem.built_in(&hardware).tile, tile, "{columns} columns");
        }
    }

    /// What adds up parts of K would write them where other pixels belong.
    #[test]
    fn sums_of_pixels_that_lie_apart_are_not_split() {
        for target in Target::all() {
            let spans = |text: &str| {
                let problem: Problem = text.parse().unwrap();
                problem.candidates(&target).iter().filter(|kernel| kernel.span.is_some()).count()
            };
            assert!(spans("conv4 9x4x512:nt") > 0 && spans("conv 9x3x512:nt") > 0, "{target:?}");
            assert_eq!([spans("scattered4 9x4x512:nt"), spans("scattered 9x3x512:nt")], [0, 0], "{target:?}");
        }
    }

    #[test]
    fn a_direct_kernel_is_one_pipeline_however_its_invocations_lie() {
        for (text, tiles) in [("128x512x784", DIRECT_VEC4.len()), ("97x10x13:tt", DIRECT_GUARDED.len())] {
            for target in Target::all() {
                let direct = |kernel: &Kernel| kernel.entry.starts_with("direct_");
                let candidates = text.parse::<Problem>().unwrap().candidates(&target);
                let all: Vec<_> =
                    candidates.into_iter().filter(direct).map(|k| format!("{} {:?}", k.entry, k.constants())).collect();
                let pipelines: BTreeSet<&String> = all.iter().collect();
                assert_eq!((all.len(), pipelines.len()), (4 * tiles, tiles), "{text} {target:?}");
            }
        }
    }

    #[test]
    fn candidates_are_distinct_and_the_built_in_choice_is_the_first() {
        for text in ["128x512x784", "784x512x128:tn", "97x10x13:tt", "1x1x1", "3x8x12x4:nt", "conv4 9x64x5408:tn"] {
            let problem: Problem = text.parse().unwrap();
            for target in Target::all() {
                let all: Vec<String> = problem.candidates(&target).iter().map(ToString::to_string).collect();
                let mut distinct = all.clone();
                distinct.sort();
                distinct.dedup();
                assert_eq!((all.len(), &all[0]), (distinct.len(), &problem.built_in(&target).to_string()), "{all:?}");
                let families = ["direct_", "tiled_"].map(|f| all.iter().filter(|name| name.starts_with(f)).count());
                assert!(families.iter().all(|&count| count > 7), "{all:?}");
                let subgroup = all.iter().any(|name| name == "subgroup_32x8");
                assert_eq!(subgroup, problem.fits_vec4() && target.subgroup_size == Some(8), "{problem} {target:?}");
            }
        }
    }

    #[test]
    fn problems_and_their_text_are_the_same_thing() {
        for (text, stacks, extents, transposed) in [
            ("128x512x784:nn", 1, [128, 512, 784], [false, false]),
            ("7x5x3:tn", 1, [7, 5, 3], [true, false]),
            ("8x7x5x3:nt", 8, [7, 5, 3], [false, true]),
        ] {
            let problem = Problem { form: Form::Matrices, stacks, extents, transposed };
            assert_eq!((problem.to_string().as_str(), text.parse::<Problem>().unwrap()), (text, problem));
        }
        assert_eq!("4x5x6".parse::<Problem>().unwrap().to_string(), "4x5x6:nn");
        for text in ["", "4x5", "4x5x0", "4x5x-6", "4x5x6x7x8", "4x5x6:xy", "4x5x6:", "4 x 5 x 6"] {
            let error = text.parse::<Problem>().unwrap_err().to_string();
            assert!(error.contains(&format!("{text:?}")) && error.contains("MxNxK"), "{error}");
        }
        for text in ["70000x70000x1", "99999999999999x99999999999999x2", "9x30000x30000x4", "99999999999999999999x1x1"]
        {
            assert!(text.parse::<Problem>().is_err(), "{text}");
        }
    }
}
