//! The launches of a product: of matrices, and of a convolution's images, whose kernels are the same.

use std::ops::Range;

use super::epilogue::Epilogue;
use super::{Binding, Dispatch, Io, Module, Params, Target, sum};
use crate::kernel::dispatch::{LIB_ACTIVATION, LIB_GRID, LIB_PRODUCT, LIB_TILE};
use crate::kernel::matmul::{Form, Kernel, Problem};
use crate::kernel::reduction::Shares;

const SPLIT_MODULE: Module = Module {
    stem: "matmul_split",
    source: include_str!("../../shaders/matmul_split.wgsl"),
    libs: &[LIB_GRID, LIB_ACTIVATION, LIB_TILE, LIB_PRODUCT],
};

/// A product that is to be launched.
pub(super) struct Launches<'a> {
    pub io: &'a Io,
    pub problem: Problem,
    /// What the shader's uniform has behind the fields of every product.
    pub params: Params,
    /// Constants beside those of the kernel.
    pub constants: Vec<(&'static str, f64)>,
    pub epilogue: Epilogue,
}

impl Launches<'_> {
    /// By the kernel that was chosen for it on an adapter.
    pub fn of(&self, target: &Target) -> Vec<Dispatch> {
        let Problem { stacks, .. } = self.problem;
        let kernel = self.kernel(target);
        if kernel.span.is_some() {
            return self.in_parts(&kernel, target);
        }
        let at_once = self.problem.stacks_at_once();
        let ranges = (0..stacks).step_by(at_once).map(|first| first..stacks.min(first + at_once));
        ranges.flat_map(|stacks| self.along_k(&kernel, stacks, self.epilogue)).collect()
    }

    /// By that kernel where a, b and y of a single product are at these places, and not the node's inputs and its output: K stays in one
    /// piece, since nothing more is known to be free.
    pub fn at(&self, [a, b, y]: [Binding; 3], target: &Target) -> Vec<Dispatch> {
        let kernel = Kernel { span: None, ..self.kernel(target) };
        let mut launches = self.along_k(&kernel, 0..1, self.epilogue);
        for launch in &mut launches {
            let last = launch.bindings.len() - 1;
            (launch.bindings[0], launch.bindings[1], launch.bindings[last]) = (a, y, b);
        }
        launches
    }

    fn kernel(&self, target: &Target) -> Kernel {
        target.tuning.kernel(&self.problem).cloned().unwrap_or_else(|| self.problem.built_in(target))
    }

    /// The launches that make these products, or parts of K: one for each [`Problem::depth`] of K, of which each adds to what is
    /// there and the last has the epilogue.
    fn along_k(&self, kernel: &Kernel, stacks: Range<usize>, epilogue: Epilogue) -> Vec<Dispatch> {
        let [.., k] = self.problem.extents;
        let span = kernel.span.unwrap_or(k).max(1);
        let depth = self.problem.depth();
        let launch = |start: usize| {
            let epilogue = if start + depth < span { Epilogue::None } else { epilogue };
            let launch = self.launch(kernel, stacks.clone(), start..start + depth, epilogue);
            if start == 0 { launch } else { launch.constant("ADD", true) }
        };
        (0..span).step_by(depth).map(launch).collect()
    }

    /// One of these launches, that for a range of K.
    fn launch(&self, kernel: &Kernel, stacks: Range<usize>, deep: Range<usize>, epilogue: Epilogue) -> Dispatch {
        let [trans_a, trans_b] = self.problem.transposed;
        let extras = epilogue.bindings();
        let bindings =
            [&[Binding::Input(0), Binding::Output(0), Binding::Params][..], &extras, &[Binding::Input(1)]].concat();
        let Kernel { module, entry, .. } = *kernel;
        let constants = [kernel.constants(), self.constants.clone()].concat();
        let workgroups = kernel.workgroups(&self.problem, stacks.len());
        let params = self.fields(kernel, &stacks, &deep).and(&self.params);
        let launch = Dispatch { module, entry, constants, bindings, params, workgroups, repeats: 1 }
            .constant("TRANS_A", trans_a)
            .constant("TRANS_B", trans_b)
            .constant("STACKED", self.problem.stacks > 1);
        epilogue.specialise(launch)
    }

    /// What the uniform of every product begins with.
    fn fields(&self, kernel: &Kernel, stacks: &Range<usize>, deep: &Range<usize>) -> Params {
        let [m, n, k] = self.problem.extents;
        let params = Params::new().u32("m", m).u32("n", n).u32("k", k);
        let params = params.u32("first", stacks.start).u32("stacks", stacks.end);
        let params = params.u32("span", kernel.span.unwrap_or(k)).u32("start", deep.start).u32("depth", deep.len());
        params.u32("across", kernel.across())
    }

    /// The launches of a product whose K is split: its parts, which are a stack of what y is, and their sum.
    fn in_parts(&self, kernel: &Kernel, target: &Target) -> Vec<Dispatch> {
        let [m, n, k] = self.problem.extents;
        let parts = k.div_ceil(kernel.span.unwrap_or(k));
        let scratch = Binding::Scratch(parts * m * n);
        let of_parts = |mut launch: Dispatch| {
            launch.bindings[1] = scratch;
            launch.constant("SPLIT", true)
        };
        let launches = self.along_k(kernel, 0..parts, Epilogue::None);
        let mut launches: Vec<Dispatch> = launches.into_iter().map(of_parts).collect();
        if let Form::Depthwise { .. } = self.problem.form {
            // They are many, and nothing follows.
            let shares = Shares::whole([1, parts, m * n], target);
            launches.push(shares.launch(&sum::kernel(), [scratch, Binding::Output(0)], 1.0));
            return launches;
        }
        let bindings = [&[scratch, Binding::Output(0), Binding::Params][..], &self.epilogue.bindings()].concat();
        let params = self.fields(kernel, &(0..parts), &(0..self.problem.depth()));
        let sum = Dispatch::over(SPLIT_MODULE, "add_parts", self.io, params, m * n.div_ceil(4));
        launches.push(self.epilogue.specialise(Dispatch { bindings, ..sum }));
        launches
    }
}
