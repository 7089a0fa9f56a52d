//! The convolution's test cases: every pass, over odd shapes, paddings, strides, dilations and groups.

use super::super::activation::Function;
use super::super::binary::changed;
use super::super::case::random;
use super::super::window::Padding;
use super::{Case, Conv, Epilogue, Geometry, Pass, Window};
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
    ] {
        all.push((x, filters, groups, same(window, x)));
    }
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
    let mut cases = Vec::new();
    for (i, epilogue) in [Epilogue::Bias, relu(true), relu(false), Epilogue::ActivateGrad(tanh)].into_iter().enumerate()
    {
        for (j, (x, filters, groups, window)) in [
            ([2, 6, 4, 3], 5, 1, window([2, 3], [2, 1], [1, 1])),
            ([1, 6, 5, 4], 8, 1, Window::new([3, 3])),
            ([2, 4, 6, 4], 6, 2, window([2, 2], [1, 2], [1, 1])),
        ]
        .into_iter()
        .enumerate()
        {
            let seed = 600 + (i * 10 + j) as u64;
            let (geometry, [forward, transposed, _]) = operands((x, filters, groups, window), seed);
            for (op, mut inputs) in [forward, transposed] {
                let y = op.outputs(&inputs.iter().map(Type::of).collect::<Vec<_>>()).expect("legal").remove(0).shape;
                inputs.extend(match epilogue {
                    Epilogue::ActivateGrad(f) => Some(changed(&random(y, seed + 100), |x| f.of(x))),
                    _ if epilogue.has_bias() => Some(random([y[3]], seed + 100)),
                    _ => None,
                });
                cases.push(case_of(Conv { epilogue, ..op }, &geometry, inputs));
            }
        }
    }
    cases
}
