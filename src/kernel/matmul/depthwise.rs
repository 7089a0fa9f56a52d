//! The kernels of a convolution of each channel by itself, `shaders/conv_depthwise.wgsl`: which is chosen, and what else there is.

use super::{DEEPEST, Kernel, LEAST_PART, Problem};
use crate::kernel::dispatch::{AdapterKind, LIB_ACTIVATION, LIB_CONVOLUTION, LIB_GRID, LIB_TILE, Module, Target};

pub(super) const MODULE: Module = Module {
    stem: "conv_depthwise",
    source: include_str!("../../../shaders/conv_depthwise.wgsl"),
    libs: &[LIB_GRID, LIB_ACTIVATION, LIB_TILE, LIB_CONVOLUTION],
};

/// Parts of the pixels that a kernel's gradient is made of, at most.
const MOST_PARTS: usize = 1024;

impl Problem {
    /// Invocations that keep an adapter busy.
    fn enough(target: &Target) -> usize {
        match target.kind {
            AdapterKind::Hardware => 1 << 14,
            AdapterKind::Software => 1 << 11,
        }
    }

    /// Invocations of a launch of this kernel without parts.
    fn invocations(&self, kernel: &Kernel) -> usize {
        let ([m, n, _], [rows, columns]) = (self.extents, kernel.tile);
        m.div_ceil(rows) * n.div_ceil(columns)
    }

    /// The kernel by rule: several pixels an invocation where these are enough; for the kernel's gradient as many parts.
    pub(super) fn channel_kernel(&self, fours: bool, target: &Target) -> Kernel {
        if self.transposed[0] {
            let whole = Kernel::of_taps(fours);
            let parts = Self::enough(target).div_ceil(self.invocations(&whole).max(1));
            return self.in_channel_parts(whole, parts);
        }
        let several = Kernel::of_pixels(fours, 4);
        if self.invocations(&several) >= Self::enough(target) { several } else { Kernel::of_pixels(fours, 1) }
    }

    /// All there are.
    pub(super) fn channel_kernels(&self, fours: bool, target: &Target) -> Vec<Kernel> {
        if !self.transposed[0] {
            return [1, 4].map(|pixels| Kernel::of_pixels(fours, pixels)).to_vec();
        }
        let whole = Kernel::of_taps(fours);
        let usual = Self::enough(target).div_ceil(self.invocations(&whole).max(1));
        [usual / 4, usual / 2, 2 * usual, 4 * usual].map(|parts| self.in_channel_parts(whole.clone(), parts)).to_vec()
    }

    /// The kernel with the pixels in so many parts, as far as they are long and short enough.
    fn in_channel_parts(&self, kernel: Kernel, parts: usize) -> Kernel {
        let [.., pixels] = self.extents;
        let parts = parts.min(pixels / LEAST_PART).clamp(1, MOST_PARTS).max(pixels.div_ceil(DEEPEST)).max(1);
        Kernel { span: (parts > 1).then(|| pixels.div_ceil(parts)), ..kernel }
    }
}

impl Kernel {
    /// So many pixels an invocation, of four channels.
    fn of_pixels(fours: bool, pixels: usize) -> Self {
        let entry = match (pixels, fours) {
            (1, true) => "pixel_vec4",
            (1, false) => "pixel_guarded",
            (_, true) => "pixels_vec4",
            (_, false) => "pixels_guarded",
        };
        Self { module: MODULE, entry, settings: vec![], tile: [pixels, 4], span: None }
    }

    /// Three taps of four channels an invocation, of a part of the pixels.
    fn of_taps(fours: bool) -> Self {
        let entry = if fours { "taps_vec4" } else { "taps_guarded" };
        Self { module: MODULE, entry, settings: vec![], tile: [3, 4], span: None }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Form;
    use super::*;

    #[test]
    fn parts_cover_the_pixels_and_none_is_longer_than_an_invocation_loops() {
        for target in Target::all() {
            for pixels in [0, 1, 63, 64, 1_000, 8_193, 100_352, 1 << 24] {
                for [taps, filters] in [[9, 64], [9, 1024], [1, 3], [49, 5]] {
                    let form = Form::Depthwise { fours: filters % 4 == 0 };
                    let transposed = [true, false];
                    let problem = Problem { form, stacks: 1, extents: [taps, filters, pixels], transposed };
                    for kernel in problem.candidates(&target) {
                        let span = kernel.span.unwrap_or(pixels);
                        let parts = pixels.div_ceil(span.max(1));
                        assert!(
                            span <= DEEPEST && parts <= MOST_PARTS.max(pixels.div_ceil(DEEPEST)),
                            "{problem}: {kernel}"
                        );
                        assert!(parts == 1 || span >= LEAST_PART || pixels == 0, "{problem}: {kernel}");
                    }
                }
            }
        }
    }
}
