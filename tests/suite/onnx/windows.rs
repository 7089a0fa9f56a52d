//! Convolution and pooling: ONNX's images are (batch, channels, ...), Kiln's have their channels last.

use kiln::Result;
use kiln::graph::{Aggregation, Id};
use kiln::ops::average_pool::AveragePool;
use kiln::ops::binary::Binary;
use kiln::ops::conv::Conv;
use kiln::ops::max_pool::MaxPool;
use kiln::ops::window::Window;

use super::call::{Call, on_graph};
use super::{Case, Translation};

pub fn translation(operator: &str) -> Option<Translation> {
    Some(match operator {
        "Conv" => |case, device| on_graph(case, device, conv),
        "ConvTranspose" => |case, device| on_graph(case, device, conv_transpose),
        "MaxPool" | "AveragePool" => |case, device| on_graph(case, device, pool),
        "GlobalMaxPool" | "GlobalAveragePool" => |case, device| on_graph(case, device, global_pool),
        _ => return None,
    })
}

/// How a window goes along an axis of images.
#[derive(Clone, Copy)]
struct Axis {
    extent: usize,
    size: usize,
    stride: usize,
    dilation: usize,
    pads: [usize; 2],
}

impl Axis {
    /// The axes of images of these extents under windows of these sizes, by a case's attributes.
    fn all(case: &Case, extents: &[usize], sizes: &[usize]) -> Vec<Self> {
        let each = |name: &str, default| {
            let given = case.ints(name).map(|list| list.into_iter().map(|n| n as usize).collect());
            given.unwrap_or_else(|| vec![default; extents.len()])
        };
        let (strides, dilations) = (each("strides", 1), each("dilations", 1));
        let pads = case.ints("pads").unwrap_or_else(|| vec![0; 2 * extents.len()]);
        let axes = (0..extents.len()).map(|i| Self {
            extent: extents[i],
            size: sizes[i],
            stride: strides[i],
            dilation: dilations[i],
            pads: [pads[i] as usize, pads[extents.len() + i] as usize],
        });
        axes.collect()
    }

    fn reach(self) -> usize {
        (self.size - 1) * self.dilation + 1
    }

    /// With as much at both ends as `auto_pad` says, of what makes so many windows.
    fn padded(mut self, auto_pad: &str, windows: usize) -> Self {
        let needed = ((windows - 1) * self.stride + self.reach()).saturating_sub(self.extent);
        self.pads = match auto_pad {
            "SAME_UPPER" => [needed / 2, needed - needed / 2],
            "SAME_LOWER" => [needed - needed / 2, needed / 2],
            "VALID" => [0; 2],
            _ => self.pads,
        };
        self
    }

    fn same(self, auto_pad: &str) -> Self {
        self.padded(auto_pad, self.extent.div_ceil(self.stride))
    }

    /// What `ceil_mode` adds behind, for a last window that begins on the image or on what stands before it.
    fn beyond(self) -> usize {
        let all = self.extent + self.pads[0] + self.pads[1];
        let last = (all - self.reach()).div_ceil(self.stride) * self.stride;
        let last = if last >= self.extent + self.pads[0] { last - self.stride } else { last };
        (last + self.reach()).saturating_sub(all)
    }
}

/// The window of one axis or two.
fn window(axes: &[Axis]) -> Window {
    let none = Axis { extent: 1, size: 1, stride: 1, dilation: 1, pads: [0; 2] };
    let [rows, columns] = if let [columns] = axes { [none, *columns] } else { [axes[0], axes[1]] };
    Window {
        size: [rows.size, columns.size],
        strides: [rows.stride, columns.stride],
        dilation: [rows.dilation, columns.dilation],
        pads: [rows.pads, columns.pads],
    }
}

/// Images (batch, channels, ...) of one axis or two with channels last.
fn channels_last(call: &mut Call<'_>, x: Id) -> Result<Id> {
    let mut shape = call.shape(x);
    if shape.len() == 3 {
        shape.insert(2, 1);
    }
    let x = call.reshaped(x, shape)?;
    call.transposed(x, [0, 2, 3, 1])
}

/// The other way round, of so many axes.
fn channels_first(call: &mut Call<'_>, x: Id, axes: usize) -> Result<Id> {
    let y = call.transposed(x, [0, 3, 1, 2])?;
    let mut shape = call.shape(y);
    if axes == 1 {
        shape.remove(2);
    }
    call.reshaped(y, shape)
}

/// A kernel (filters, channels / groups, ...) with filters last.
fn kernel(call: &mut Call<'_>, w: Id) -> Result<Id> {
    let mut shape = call.shape(w);
    if shape.len() == 3 {
        shape.insert(2, 1);
    }
    let w = call.reshaped(w, shape)?;
    call.transposed(w, [2, 3, 1, 0])
}

/// The axes of images under a kernel, and its groups.
fn axes_of_kernel(call: &mut Call<'_>) -> (Vec<Axis>, usize) {
    let (x, w) = (call.x(0), call.x(1));
    let axes = Axis::all(call.case, &call.shape(x)[2..], &call.shape(w)[2..]);
    (axes, call.case.int("group", 1) as usize)
}

/// With the bias, where there is one, and channels first.
fn finished(call: &mut Call<'_>, mut y: Id, axes: usize) -> Result<Vec<Id>> {
    if call.has(2) {
        let bias = call.x(2);
        y = call.with(Binary::Add, y, bias)?;
    }
    Ok(vec![channels_first(call, y, axes)?])
}

fn conv(call: &mut Call<'_>) -> Result<Vec<Id>> {
    let (axes, groups) = axes_of_kernel(call);
    let auto_pad = call.case.text("auto_pad");
    let axes: Vec<Axis> = axes.into_iter().map(|axis| axis.same(auto_pad)).collect();
    let (x, w) = (call.x(0), call.x(1));
    let (x, w) = (channels_last(call, x)?, kernel(call, w)?);
    let y = call.g.apply(Conv::new(window(&axes), groups), &[x, w])?;
    finished(call, y, axes.len())
}

/// Here the images are what windows over images of `output_shape` would make.
fn conv_transpose(call: &mut Call<'_>) -> Result<Vec<Id>> {
    let (mut axes, groups) = axes_of_kernel(call);
    let case = call.case;
    let (shapes, added) = (case.ints("output_shape"), case.ints("output_padding"));
    for (i, axis) in axes.iter_mut().enumerate() {
        let added = added.as_ref().map_or(0, |added| added[i] as usize);
        let (windows, auto_pad) = (axis.extent, case.text("auto_pad"));
        let whole = (windows - 1) * axis.stride + axis.reach() + added;
        axis.extent = match &shapes {
            Some(shapes) => shapes[i] as usize,
            None if auto_pad.starts_with("SAME") => windows * axis.stride,
            None => whole - axis.pads[0] - axis.pads[1],
        };
        if shapes.is_some() || auto_pad.starts_with("SAME") {
            *axis = axis.padded(if auto_pad.is_empty() { "SAME_LOWER" } else { auto_pad }, windows);
        }
    }
    let (x, w) = (call.x(0), call.x(1));
    let (x, w) = (channels_last(call, x)?, kernel(call, w)?);
    let image = if let [columns] = axes[..] { [1, columns.extent] } else { [axes[0].extent, axes[1].extent] };
    let y = call.g.apply(Conv::transposed(window(&axes), groups, image), &[x, w])?;
    finished(call, y, axes.len())
}

/// Windows are as long along each axis wherever they lie along the others: of more than two axes the first is pooled by itself.
fn pool(call: &mut Call<'_>) -> Result<Vec<Id>> {
    let x = call.x(0);
    let shape = call.shape(x);
    let sizes: Vec<usize> = call.case.ints("kernel_shape").expect("windows").iter().map(|&n| n as usize).collect();
    let axes = Axis::all(call.case, &shape[2..], &sizes);
    let auto_pad = call.case.text("auto_pad");
    let axes: Vec<Axis> = axes.into_iter().map(|axis| axis.same(auto_pad)).collect();
    let (alone, together) = axes.split_at(axes.len().saturating_sub(2));
    let mut y = x;
    for (i, axis) in alone.iter().enumerate() {
        let shape = call.shape(y);
        let (before, after) = (shape[..2 + i].iter().product::<usize>(), shape[3 + i..].iter().product::<usize>());
        let lines = call.reshaped(y, [before, 1, shape[2 + i], after])?;
        let pooled = pooled(call, lines, &[*axis])?;
        let extent = call.shape(pooled)[2];
        y = call.reshaped(pooled, [&shape[..2 + i], &[extent], &shape[3 + i..]].concat())?;
    }
    let shape = call.shape(y);
    let channels: usize = shape[1..1 + alone.len() + 1].iter().product();
    let images = call.reshaped(y, [&[shape[0], channels], &shape[2 + alone.len()..]].concat())?;
    let images = channels_last(call, images)?;
    let pooled = pooled(call, images, together)?;
    let y = channels_first(call, pooled, together.len())?;
    let own = call.shape(y);
    Ok(vec![call.reshaped(y, [&shape[..2 + alone.len()], &own[2..]].concat())?])
}

/// Images with channels last, pooled.
fn pooled(call: &mut Call<'_>, x: Id, axes: &[Axis]) -> Result<Id> {
    let own = window(axes);
    let mut whole = own;
    if call.case.flag("ceil_mode") {
        let beyond: Vec<usize> = axes.iter().map(|axis| axis.beyond()).collect();
        whole.pads.iter_mut().rev().zip(beyond.iter().rev()).for_each(|(pads, beyond)| pads[1] += beyond);
    }
    if call.case.operator == "MaxPool" {
        return call.map(MaxPool(whole.into()), x);
    }
    let counted = if call.case.flag("count_include_pad") { own.pads } else { [[0; 2]; 2] };
    call.map(AveragePool { counted, ..AveragePool::new(whole) }, x)
}

fn global_pool(call: &mut Call<'_>) -> Result<Vec<Id>> {
    let x = call.x(0);
    let axes: Vec<isize> = (2..call.shape(x).len() as isize).collect();
    let how = if call.case.operator == "GlobalMaxPool" { Aggregation::Max } else { Aggregation::Mean };
    Ok(vec![call.reduced(how, x, Some(&axes))?])
}
