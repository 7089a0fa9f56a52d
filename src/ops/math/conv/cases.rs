//! The convolution's test cases: every pass, over odd shapes, paddings, strides, dilations and groups.

use super::super::activation::Function;
use super::super::case::random;
use super::super::window::Padding;
use super::{Case, Conv, Epilogue, Geometry, Pass, Window};
use crate::error::Result;
use crate::graph::Type;
use crate::ops::Op;
use crate::tensor::{Shape, Tensor};

/// Images, channels among their axes, filters, groups, and the window.
type Setting = ([usize; 4], usize, usize, Window);

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (i, setting) in settings().into_iter().enumerate() {
        cases.extend(passes(setting, 500 + 3 * i as u64));
    }
    // Enough tiles for the largest workgroup tiles, of channels that are multiples of four and that are not.
    for (i, (x, filters)) in [([1, 128, 128, 4], 64), ([1, 127, 131, 3], 65)].into_iter().enumerate() {
        let large = (x, filters, 1, Window::new([1, 1]));
        cases.extend(passes(large, 590 + 3 * i as u64).into_iter().take(1));
    }
    cases.extend(epilogue_cases());
    cases
}

fn window(size: [usize; 2], strides: [usize; 2], dilation: [usize; 2]) -> Window {
    Window { strides, dilation, ..Window::new(size) }
}

fn same(window: Window, [_, rows, columns, _]: [usize; 4]) -> Window {
    window.padded(Padding::Same, [rows, columns])
}

fn settings() -> Vec<Setting> {
    let plain = Window::new;
    let mut all = vec![
        ([1, 1, 1, 1], 1, 1, plain([1, 1])),
        ([2, 3, 4, 3], 5, 1, plain([2, 3])),
        ([1, 5, 7, 1], 2, 1, plain([3, 3])),
        ([2, 7, 6, 4], 8, 1, plain([3, 3])),
        ([1, 1, 11, 5], 3, 1, plain([1, 4])),
        ([3, 5, 5, 8], 4, 1, plain([1, 1])),
        ([1, 2, 2, 4], 4, 1, plain([1, 1])),
        // Strides and dilation that share a factor, and that do not.
        ([2, 9, 8, 3], 4, 1, window([3, 2], [2, 3], [1, 1])),
        ([1, 11, 13, 2], 3, 1, window([3, 3], [2, 2], [2, 3])),
        ([1, 13, 9, 4], 4, 1, window([2, 3], [4, 2], [2, 2])),
        // Strides larger than the window: some pixels are seen by none.
        ([2, 8, 7, 3], 2, 1, window([2, 1], [3, 5], [1, 1])),
        // Groups, one a channel among them.
        ([2, 6, 5, 4], 6, 2, plain([3, 2])),
        ([1, 7, 5, 3], 3, 3, window([3, 3], [2, 2], [1, 1])),
        ([2, 5, 6, 5], 10, 5, plain([2, 3])),
        ([1, 6, 6, 16], 8, 2, plain([3, 3])),
        // A group for each channel: lines of whole vectors and of less, several filters a channel, more pixels than a part has.
        ([2, 13, 17, 12], 12, 12, plain([3, 3])),
        ([1, 9, 11, 67], 67, 67, window([3, 2], [1, 1], [2, 3])),
        ([1, 10, 9, 32], 32, 32, window([3, 3], [2, 2], [1, 1])),
        ([2, 5, 7, 4], 12, 4, window([2, 3], [2, 1], [1, 1])),
        ([1, 8, 7, 3], 6, 3, window([2, 1], [3, 5], [1, 1])),
        ([3, 70, 69, 4], 4, 4, plain([2, 2])),
        ([1, 1, 9_001, 3], 3, 3, plain([1, 2])),
        // Windows over what is padded alone.
        ([1, 2, 2, 3], 3, 3, Window { pads: [[4, 2], [2, 4]], ..window([2, 2], [2, 2], [1, 1]) }),
        // What is padded unevenly, by hand.
        ([1, 4, 5, 2], 3, 1, Window { pads: [[0, 2], [3, 1]], ..window([3, 4], [2, 1], [1, 1]) }),
    ];
    // Keras' same padding, windows larger than the image among them.
    for (x, filters, groups, window) in [
        // As many channels and filters as the kernels by subgroups take, in all passes.
        ([1, 7, 9, 16], 20, 1, window([3, 2], [2, 1], [1, 1])),
        ([2, 5, 7, 3], 4, 1, plain([3, 3])),
        ([1, 2, 3, 5], 2, 1, plain([5, 7])),
        ([1, 8, 7, 4], 4, 1, window([4, 3], [2, 2], [1, 1])),
        ([1, 5, 5, 2], 2, 2, window([3, 3], [1, 1], [2, 2])),
        ([1, 2, 3, 5], 5, 5, plain([5, 7])),
        ([2, 7, 6, 8], 8, 8, plain([3, 3])),
        ([1, 9, 8, 2], 6, 2, window([4, 3], [2, 3], [1, 1])),
    ] {
        all.push((x, filters, groups, same(window, x)));
    }
    // Strides and so many filters that a GPU would split the sums of the images' gradient if its pixels lay side by side.
    all.push(([1, 6, 5, 4], 128, 1, window([3, 3], [2, 2], [1, 1])));
    // More channels than a tile is deep; more pixels than one launch takes of K.
    all.push(([1, 18, 19, 12], 36, 1, plain([3, 3])));
    all.push(([1, 96, 97, 1], 3, 1, plain([3, 3])));
    all
}

/// The three passes of a setting, as cases.
fn passes(setting: Setting, seed: u64) -> Vec<Case> {
    let (geometry, passes) = operands(setting, seed);
    passes.into_iter().map(|(op, inputs)| case_of(op, &geometry, inputs)).collect()
}

/// The three passes of a setting, each with random operands.
fn operands((x, filters, groups, window): Setting, seed: u64) -> (Geometry, [(Conv, Vec<Tensor>); 3]) {
    let op = Conv::new(window, groups);
    let geometry = Geometry::new("conv", &Shape::from(x), filters, groups, window).expect("settings are legal");
    let [rows, columns] = geometry.output;
    let (images, kernel) = (random(x, seed), random(geometry.kernel(), seed + 1));
    let dy = random([x[0], rows, columns, filters], seed + 2);
    let transposed = Conv::transposed(window, groups, geometry.image);
    let passes = [
        (op, vec![images.clone(), kernel.clone()]),
        (transposed, vec![dy.clone(), kernel]),
        (op.of(Pass::Kernel), vec![images, dy]),
    ];
    (geometry, passes)
}

/// Operations of a convolution that the reference is asked for, at most.
const MOST_FLOPS: u64 = 1 << 28;

/// A case of random operands for a convolution of operands of these types, of fewer images where the reference would take long.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) where the op does not take such operands.
pub fn case_of_types(op: Conv, operands: &[Type], seed: u64) -> Result<Case> {
    let known = op.geometry(operands)?;
    let [m, n, k] = known.extents(Pass::Forward).map(|extent| extent as u64);
    let images = (MOST_FLOPS / (2 * m * n * k * known.groups as u64 / known.batch.max(1) as u64).max(1)).max(1);
    let batch = known.batch.min(images as usize);
    let of_images = |i: usize| i == 0 || op.pass == Pass::Kernel;
    let tensor = |i: usize| {
        let shape = &operands[i].shape;
        let first = if of_images(i) { batch } else { shape[0] };
        random([&[first], &shape[1..]].concat(), seed + i as u64)
    };
    let operands = vec![tensor(0), tensor(1)];
    let geometry = op.geometry(&operands.iter().map(Type::of).collect::<Vec<_>>())?;
    Ok(case_of(op, &geometry, with_extra(op, operands, seed + 100)))
}

/// The operands and what an epilogue reads beside them.
fn with_extra(op: Conv, mut operands: Vec<Tensor>, seed: u64) -> Vec<Tensor> {
    let bare = Conv { epilogue: Epilogue::None, ..op };
    let y = bare.outputs(&operands.iter().map(Type::of).collect::<Vec<_>>()).expect("legal").remove(0).shape;
    operands.extend(op.epilogue.random(&y, seed));
    operands
}

fn case_of(op: Conv, geometry: &Geometry, inputs: Vec<Tensor>) -> Case {
    let Geometry { batch, image: [rows, columns], channels, filters, groups, window, .. } = *geometry;
    let [m, n, k] = geometry.extents(op.pass);
    let Window { size, strides, dilation, pads } = window;
    let label = format!(
        "{:?} ({batch}, {rows}, {columns}, {channels}) by {size:?} to {filters}, {groups} groups, strides {strides:?}, \
         dilation {dilation:?}, pads {pads:?} {:?}",
        op.pass, op.epilogue
    );
    let own = if op.epilogue == Epilogue::None { 2.0 } else { 16.0 };
    let case = Case::new(label, op, inputs).ulps(own).sums(k);
    if op.epilogue == Epilogue::None && m * n * k * groups <= 4_000 { case.wrt(&[0, 1]) } else { case }
}

fn epilogue_cases() -> Vec<Case> {
    let relu = |bias| Epilogue::Activate { bias, activation: Function::Relu };
    let tanh = Function::Tanh;
    let epilogues = [
        Epilogue::Bias,
        relu(true),
        relu(false),
        Epilogue::ActivateGrad(tanh),
        Epilogue::ScaleShift { bias: true, activation: Some(Function::Relu) },
        Epilogue::ScaleShift { bias: false, activation: None },
    ];
    let mut cases = Vec::new();
    for (i, epilogue) in epilogues.into_iter().enumerate() {
        for (j, (x, filters, groups, window)) in [
            ([2, 6, 4, 3], 5, 1, window([2, 3], [2, 1], [1, 1])),
            ([1, 6, 5, 4], 8, 1, Window::new([3, 3])),
            ([2, 4, 6, 4], 6, 2, window([2, 2], [1, 2], [1, 1])),
            ([2, 4, 6, 4], 4, 4, window([2, 2], [1, 2], [1, 1])),
            ([1, 5, 4, 3], 6, 3, Window::new([3, 2])),
        ]
        .into_iter()
        .enumerate()
        {
            let seed = 600 + (i * 10 + j) as u64;
            let (geometry, [forward, transposed, _]) = operands((x, filters, groups, window), seed);
            for (op, operands) in [forward, transposed] {
                let op = Conv { epilogue, ..op };
                cases.push(case_of(op, &geometry, with_extra(op, operands, seed + 100)));
            }
        }
    }
    cases
}
