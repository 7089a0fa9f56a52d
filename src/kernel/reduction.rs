//! How kernels share out a reduction of x (outer, n, inner) over n: `shaders/lib/reduction.wgsl`. It follows from the
//! extents and the kind of adapter alone, and no invocation loops more than [`MOST_ROUNDS`] times in all its loops: Mesa's
//! llvmpipe ends an invocation's loops after 65,535 rounds, all counted together, and goes on with what it has by then.

use super::dispatch::{AdapterKind, Binding, Dispatch, Module, Params, Target};

/// Rounds of one loop over elements, or over parts. Kernels have three such loops at most, and shorter ones.
pub(crate) const MOST_ROUNDS: usize = 4096;

/// Elements of a part where an invocation of a software adapter has it alone. Sums of blocks of 32 keep their digits.
const SERIAL_SPAN: usize = 1024;

/// Invocations of a workgroup in which units are shared: GROUP in the shader.
const GROUP: usize = 256;

/// Invocations of a workgroup of a software adapter that keep numbers: a vector of the processor's has as many.
const FEW: usize = 8;

/// Memory that a workgroup has on every adapter.
const WORKGROUP_BYTES: usize = 16 << 10;

/// Workgroups that keep a GPU busy.
const MANY_GROUPS: usize = 128;

/// The shares of a reduction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shares {
    /// outer, n, inner
    extents: [usize; 3],
    /// Into how many parts n is cut: with more than one there is a second launch.
    pub parts: usize,
    /// Elements of a part, at most.
    span: usize,
    /// Invocations that share a unit, or none where each has a unit of its own.
    share: Option<usize>,
    /// How many outputs there are, where each is a unit whatever its parts.
    outputs: Option<usize>,
}

impl Shares {
    /// Those that suit a target.
    pub fn new(extents: [usize; 3], target: &Target) -> Self {
        match target.kind {
            AdapterKind::Hardware => Self::by_workgroups(extents),
            AdapterKind::Software => Self::by_invocations(extents),
        }
    }

    /// A unit an invocation, for software adapters: workgroup memory and barriers are slow there.
    fn by_invocations(extents: [usize; 3]) -> Self {
        let n = extents[1];
        if n > MOST_ROUNDS * MOST_ROUNDS {
            // Nothing else would end in time.
            return Self::cut(extents, n.div_ceil(MOST_ROUNDS * GROUP), Some(GROUP));
        }
        let parts = if n <= MOST_ROUNDS { 1 } else { n.div_ceil(SERIAL_SPAN).min(MOST_ROUNDS) };
        Self::cut(extents, parts, None)
    }

    /// Units shared in workgroups: a row, or the same rows of 16 columns, which are what memory gives at once.
    fn by_workgroups(extents: [usize; 3]) -> Self {
        let [outer, n, inner] = extents;
        let most = if inner == 1 { GROUP } else { 16 };
        let share = n.next_power_of_two().div_ceil(2).clamp(1, most);
        let groups = (outer * inner * share).div_ceil(GROUP).max(1);
        // Where outputs are few and long a second launch adds up parts; each lane has eight elements of one or more.
        let busy = (MANY_GROUPS / groups).min(n.div_ceil(8 * share));
        let parts = busy.clamp(1, MOST_ROUNDS).max(n.div_ceil(MOST_ROUNDS * share));
        Self::cut(extents, parts, Some(share))
    }

    fn cut(extents: [usize; 3], parts: usize, share: Option<usize>) -> Self {
        let span = extents[1].div_ceil(parts).max(1);
        Self { extents, parts: extents[1].div_ceil(span).max(1), span, share, outputs: None }
    }

    /// Those that suit a target, but for at most `most` parts.
    pub fn at_most(most: usize, extents: [usize; 3], target: &Target) -> Self {
        let shares = Self::new(extents, target);
        if shares.parts <= most { shares } else { Self::cut(extents, most.max(1), Some(GROUP)) }
    }

    /// Parts that an invocation has alone, on every adapter.
    pub fn alone(extents: [usize; 3]) -> Self {
        let parts = if extents[1] <= MOST_ROUNDS { 1 } else { extents[1].div_ceil(SERIAL_SPAN).min(MOST_ROUNDS) };
        Self::cut(extents, parts, None)
    }

    /// Those of the second launch, which reduces what the units of the first have left.
    pub fn second(&self, target: &Target) -> Self {
        let [outer, _, inner] = self.extents;
        Self::whole([outer, self.parts, inner], target)
    }

    /// Those of one launch, where n is known to be short enough: what a first launch has left.
    pub fn whole(extents: [usize; 3], target: &Target) -> Self {
        Self::cut(extents, 1, Self::new(extents, target).share)
    }

    /// Whether one launch does it.
    pub fn is_whole(&self) -> bool {
        self.parts == 1
    }

    /// Parts of outputs.
    pub fn units(&self) -> usize {
        let [outer, _, inner] = self.extents;
        self.outputs.unwrap_or(outer * self.parts * inner)
    }

    /// The launch of a kernel over units, each of which may leave something in y.
    pub fn launch(&self, kernel: &Kernel, [x, y]: [Binding; 2], scale: f64) -> Dispatch {
        let [_, n, inner] = self.extents;
        let params = Params::new()
            .u32("units", self.units())
            .u32("n", n)
            .u32("inner", inner)
            .u32("span", self.span)
            .u32("parts", self.parts)
            .f32("scale", scale);
        let bindings = [&[x, y, Binding::Params], &kernel.own[..]].concat();
        let Kernel { module, entries: [alone, shared], .. } = *kernel;
        let launch = match self.share {
            None => Dispatch::of(module, alone, bindings, params, self.units().div_ceil(Dispatch::WIDTH)),
            Some(share) => Dispatch::of(module, shared, bindings, params, (self.units() * share).div_ceil(GROUP))
                .constant("SHARE", share as u32),
        };
        kernel.constants.iter().fold(launch, |launch, &(name, value)| launch.constant(name, value))
    }

    /// A launch that goes over the numbers of its units twice, as its module keeps numbers of `bytes` between: of each invocation as
    /// many as workgroup memory holds. Invocations that have a unit alone do it by the entry `alone`, few to a workgroup.
    pub fn keeping(&self, launch: Dispatch, alone: &'static str, bytes: usize) -> Dispatch {
        if self.share.is_none() && self.span < 8 * FEW {
            // So few numbers cost less than small workgroups do.
            return launch;
        }
        let (keepers, stats) = if self.share.is_some() { (GROUP, GROUP * 16) } else { (FEW, 0) };
        let most = (WORKGROUP_BYTES - stats - 16) / (keepers * bytes);
        let kept = most.min(self.span.div_ceil(self.share.unwrap_or(1)));
        let launch = match self.share {
            Some(_) => launch,
            None => {
                let Dispatch { module, constants, bindings, params, .. } = launch;
                Dispatch { constants, ..Dispatch::of(module, alone, bindings, params, self.units().div_ceil(FEW)) }
            }
        };
        launch.constant("KEPT", kept as u32).constant("KEEPERS", keepers as u32)
    }

    /// The launches of a kernel that needs what is known of all parts, which another leaves: `left` floats a part.
    pub fn launches(
        &self,
        x: Binding,
        (first, left): (&Kernel, usize),
        second: &Kernel,
        target: &Target,
    ) -> Vec<Dispatch> {
        if self.is_whole() {
            return vec![self.launch(second, [x, x], 1.0)];
        }
        let parts = Binding::Scratch(left * self.units());
        let first = self.launch(first, [x, parts], 1.0);
        let mut of_all = *self;
        if second.each_output {
            of_all.share = self.second(target).share;
            let [outer, _, inner] = self.extents;
            of_all.outputs = Some(outer * inner);
        }
        let second = of_all.launch(second, [x, parts], 1.0).constant("PARTED", 1).constant("WHOLE", second.each_output);
        vec![first, second]
    }
}

/// A kernel that reduces, in its two forms.
#[derive(Clone, Debug)]
pub(crate) struct Kernel {
    pub module: Module,
    /// The entry where an invocation has a unit alone, and that where several share one.
    pub entries: [&'static str; 2],
    /// What it binds behind what is reduced, what is left of parts, and the parameters.
    pub own: Vec<Binding>,
    pub constants: Vec<(&'static str, f64)>,
    /// Whether it makes one thing of an output, and nothing of each of its parts.
    pub each_output: bool,
}

impl Kernel {
    pub fn new(module: Module, entries: [&'static str; 2], own: Vec<Binding>) -> Self {
        Self { module, entries, own, constants: Vec::new(), each_output: false }
    }

    pub fn constant(mut self, name: &'static str, value: impl Into<f64>) -> Self {
        self.constants.push((name, value.into()));
        self
    }

    pub fn each_output(self) -> Self {
        Self { each_output: true, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_n_and_loops_are_short() {
        for target in [AdapterKind::Hardware, AdapterKind::Software].map(Target::new) {
            for n in [0, 1, 2, 31, 100, 4096, 4097, 70_000, 1 << 20, (1 << 24) + 1, 1 << 30] {
                for (outer, inner) in [(1, 1), (1, 512), (70_000, 1), (3, 70_000)] {
                    let shares = Shares::new([outer, n, inner], &target);
                    let Shares { parts, span, share, .. } = shares;
                    assert!(parts * span >= n && (parts - 1) * span < n.max(1), "{shares:?}");
                    let lanes = share.unwrap_or(1);
                    assert!(span.div_ceil(lanes) <= MOST_ROUNDS, "{shares:?}");
                    let second = shares.second(&target);
                    assert!(parts.div_ceil(second.share.unwrap_or(1)) <= MOST_ROUNDS, "{shares:?} {second:?}");
                    assert!(parts.div_ceil(lanes) <= MOST_ROUNDS, "{shares:?}");
                }
            }
        }
    }
}
