//! What ops share that are written as ONNX operators: windows, and what may be done along with a product.

use std::any::Any;

use super::binary::Binary;
use super::pool::Area;
use super::window::Window;
use crate::error::Result;
use crate::graph::Id;
use crate::graph::onnx::{Attribute, CHANNELS_FIRST, Writer};

/// How a window goes over images, as attributes of `Conv` and its kin.
pub(super) fn window(window: &Window) -> Vec<(&'static str, Attribute)> {
    let [rows, columns] = window.pads;
    vec![
        ("kernel_shape", Attribute::from(&window.size[..])),
        ("strides", Attribute::from(&window.strides[..])),
        ("dilations", Attribute::from(&window.dilation[..])),
        ("pads", Attribute::from(&[rows[0], columns[0], rows[1], columns[1]][..])),
    ]
}

/// The only reader of a value, where it applies this operation to it and to a value that is known without inputs: the node and that
/// value.
pub(super) fn followed_by(writer: &Writer<'_>, y: Id, operation: Binary) -> Option<(usize, Id)> {
    let reader = writer.only_reader(y)?;
    let node = &writer.graph().nodes()[reader];
    let &found = (&*node.op as &dyn Any).downcast_ref::<Binary>()?;
    let (a, b) = (node.inputs[0], node.inputs[1]);
    let other = if a == y { b } else { a };
    (found == operation && writer.is_constant(other)).then_some((reader, other))
}

/// Writes the op as pooling of images: `how` is Max or Mean, with attributes of a window's operator.
pub(super) fn pooled(
    writer: &mut Writer<'_>,
    area: &Area,
    how: &str,
    attributes: Vec<(&'static str, Attribute)>,
) -> Result<()> {
    let (x, y) = (writer.inputs()[0], writer.outputs()[0]);
    let image = [1, 2].map(|axis| writer.graph().shape(x)[axis]);
    let mut name = writer.ordered(x, &CHANNELS_FIRST)?;
    match area {
        Area::Window(area) => {
            let op_type = if how == "Max" { "MaxPool" } else { "AveragePool" };
            let mut all = window(area);
            // AveragePool has no dilation before version 19 of the operators.
            if how != "Max" {
                if area.dilation != [1, 1] {
                    return Err(writer.refused("takes means of pixels that are not neighbours"));
                }
                all.retain(|(name, _)| *name != "dilations");
            }
            all.extend(attributes);
            name = writer.add(op_type, &[&name], all);
        }
        Area::Adaptive(windows) => {
            for axis in 0..2 {
                name = adaptive(writer, &name, axis, [image[axis], windows[axis]], how);
            }
        }
    }
    writer.give(y, name, CHANNELS_FIRST.to_vec());
    Ok(())
}

/// So many windows along an axis of images, whose extent is given first: each is reduced by itself.
fn adaptive(writer: &mut Writer<'_>, x: &str, axis: usize, [extent, count]: [usize; 2], how: &str) -> String {
    let axis = 2 + axis as i64;
    let axes = writer.ints(&[axis]);
    let mut parts = Vec::new();
    for i in 0..count {
        let ends = [i * extent / count, ((i + 1) * extent).div_ceil(count)].map(|end| writer.ints(&[end as i64]));
        let part = writer.add("Slice", &[x, &ends[0], &ends[1], &axes], vec![]);
        parts.push(writer.add(&format!("Reduce{how}"), &[&part, &axes], vec![("keepdims", 1i64.into())]));
    }
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    writer.add("Concat", &parts, vec![("axis", axis.into())])
}
