//! Nodes with weights.

use std::sync::Arc;

use super::Held;
use super::node::At;
use crate::error::Result;
use crate::graph::onnx::{Constant, OnnxNode};
use crate::nn::functional::{Shared, Value};
use crate::nn::layers::{
    BatchNormalization, Conv1D, Conv1DTranspose, Conv2D, Conv2DTranspose, Cropping1D, Cropping2D, Dense, Embedding,
    Layer, LayerNormalization, PRelu, Padding, ZeroPadding1D, ZeroPadding2D,
};
use crate::ops::window::Window;
use crate::tensor::Tensor;

/// How a window goes over an image, as a node says it.
pub(super) struct Sliding {
    /// How many axes it goes along.
    pub spatial: usize,
    pub size: Vec<usize>,
    pub strides: Vec<usize>,
    pub dilation: Vec<usize>,
    /// What is added before and behind, for each axis.
    pub pads: Vec<[usize; 2]>,
}

impl Sliding {
    /// The padding by name that adds the same to an image of these extents.
    pub fn padding(&self, image: &[usize]) -> Option<Padding> {
        if self.pads.iter().all(|pads| *pads == [0, 0]) {
            return Some(Padding::Valid);
        }
        let two = |list: &[usize]| if let [rows, columns] = *list { [rows, columns] } else { [1, list[0]] };
        let window =
            Window { strides: two(&self.strides), dilation: two(&self.dilation), ..Window::new(two(&self.size)) };
        let own = |padding| {
            let pads = window.padded(padding, two(image)).pads;
            pads[2 - self.spatial..] == self.pads[..]
        };
        let causal = self.spatial == 1 && own(Padding::Causal);
        if own(Padding::Same) { Some(Padding::Same) } else { causal.then_some(Padding::Causal) }
    }
}

/// The order of the axes of a tensor (batch, channels, rows, columns) in a value whose channels are last.
pub(super) fn channels_first(spatial: usize) -> Vec<usize> {
    [0, spatial + 1].into_iter().chain(1..=spatial).collect()
}

impl<'g> At<'_, 'g> {
    /// A layer with weights; where another node has the same weights and settings, its layer.
    pub fn layer<L: Layer + 'static>(&mut self, weights: Vec<(&str, Tensor)>, make: impl FnOnce() -> L) -> Arc<Shared> {
        let node = self.node();
        let read: Vec<&String> = node.inputs.iter().skip(1).collect();
        let key = format!("{} {read:?} {:?}", node.op_type, node.attributes);
        if let Some(layer) = self.importer.shared.get(&key) {
            return Arc::clone(layer);
        }
        let name = self.layer_name(self.input_name(1));
        let name = self.importer.unique(&name);
        let own = weights.into_iter().map(|(weight, tensor)| (format!("{name}/{weight}"), tensor));
        self.importer.weights.extend(own);
        let layer = Arc::new(make().named(name).shared());
        self.importer.shared.insert(key, Arc::clone(&layer));
        layer
    }

    /// What a layer makes of a value.
    fn made_by(&self, layer: &Shared, value: &Value) -> Result<Value> {
        layer.apply(value).map_err(|e| self.error(e))
    }

    /// The node that adds a constant row to what this one makes, where it alone reads that, and the row.
    fn added_row(&self, width: usize) -> Option<(usize, &'g OnnxNode, Tensor)> {
        let made = &self.node().outputs[0];
        let (index, node) = self.importer.only_reader(made).filter(|(_, node)| node.op_type == "Add")?;
        let other = node.inputs.iter().find(|input| *input != made)?;
        let Held::Constant(constant) = self.importer.held.get(other)? else { return None };
        let Constant::Floats(row) = &**constant else { return None };
        let is_row = row.shape().last() == Some(&width) && row.values().len() == width;
        is_row.then(|| (index, node, row.clone()))
    }

    pub fn dense(&mut self) -> Result<()> {
        if self.is_value(0)? && self.is_value(1)? && self.node().op_type == "MatMul" {
            return Err(self.error("multiplies two values, which no layer of Kiln's does but attention"));
        }
        let is_gemm = self.node().op_type == "Gemm";
        if is_gemm && (self.float("alpha", 1.0)?, self.float("beta", 1.0)?, self.int("transA", 0)?) != (1.0, 1.0, 0) {
            return Err(self.error("has alpha, beta or transA; expected none of them"));
        }
        let mut kernel = self.floats(1)?;
        if kernel.rank() != 2 {
            return Err(self.error(format!("has a kernel of {}, expected one of two axes", kernel.shape())));
        }
        if is_gemm && self.int("transB", 0)? != 0 {
            kernel = kernel.transpose();
        }
        let units = kernel.shape()[1];
        let (value, order) = self.value(0)?;
        let last = order.len() - 1;
        let (x, order) =
            if order[last] == last && order[0] == 0 { (value, order) } else { (self.plain(0)?, (0..=last).collect()) };
        let mut bias = if is_gemm { self.floats_if(2)? } else { None };
        if let Some(own) = &bias {
            let all = match own.to_vec::<f32>() {
                one if one.len() == 1 => vec![one[0]; units],
                all if all.len() == units && own.shape().last() == Some(&units) => all,
                _ => return Err(self.error(format!("adds {}, expected a row of {units}", own.shape()))),
            };
            bias = Some(Tensor::new([units], all)?);
        }
        let row = if bias.is_none() { self.added_row(units) } else { None };
        if let Some((_, _, row)) = &row {
            bias = Some(row.reshape(&[units as isize])?);
        }
        let use_bias = bias.is_some();
        let weights = [("kernel", Some(kernel)), ("bias", bias)];
        let weights = weights.into_iter().filter_map(|(name, weight)| Some((name, weight?))).collect();
        let layer = self.layer(weights, || Dense::new(units).use_bias(use_bias));
        let y = self.made_by(&layer, &x)?;
        if let Some((index, node, _)) = row {
            self.importer.done.insert(index);
            self.importer.held.insert(node.outputs[0].clone(), Held::Value(y, order));
            return Ok(());
        }
        self.give(y, order);
        Ok(())
    }

    /// How the window of a convolution or of pooling goes, over a tensor of so many axes.
    pub fn sliding(&self, rank: usize, size: Vec<usize>, image: &[usize]) -> Result<Sliding> {
        let spatial = rank.checked_sub(2).filter(|spatial| [1, 2].contains(spatial));
        let spatial =
            spatial.ok_or_else(|| self.error(format!("goes over a tensor of {rank} axes, expected 3 or 4")))?;
        let strides = self.extents("strides", spatial, 1)?;
        let dilation = self.extents("dilations", spatial, 1)?;
        if size.len() != spatial || size.iter().chain(&strides).chain(&dilation).any(|&n| n == 0) {
            return Err(self.error(format!("has a window of {size:?} with strides {strides:?} over {spatial} axes")));
        }
        let mut sliding = Sliding { spatial, size, strides, dilation, pads: vec![[0, 0]; spatial] };
        let given = self.extents("pads", 2 * spatial, 0)?;
        match self.text("auto_pad", "NOTSET")?.as_str() {
            "NOTSET" => (0..spatial).for_each(|axis| sliding.pads[axis] = [given[axis], given[spatial + axis]]),
            "VALID" => {}
            "SAME_UPPER" => {
                for (axis, &extent) in image.iter().enumerate().take(spatial) {
                    let reach = (sliding.size[axis] - 1) * sliding.dilation[axis] + 1;
                    let made = extent.div_ceil(sliding.strides[axis]);
                    let added = ((made - 1) * sliding.strides[axis] + reach).saturating_sub(extent);
                    sliding.pads[axis] = [added / 2, added - added / 2];
                }
            }
            other => return Err(self.error(format!("has auto_pad {other}, expected NOTSET, VALID or SAME_UPPER"))),
        }
        Ok(sliding)
    }

    /// Images with zeros around them.
    pub fn with_zeros(&mut self, x: Value, pads: &[[usize; 2]]) -> Result<Value> {
        match *pads {
            [rows, columns] => self.applied(ZeroPadding2D::new([rows, columns]), &[x]),
            [steps] => self.applied(ZeroPadding1D::new(steps), &[x]),
            _ => Err(self.error("adds zeros along more axes than two")),
        }
    }

    /// How many axes a kernel goes along.
    fn spatial_of(&self, kernel: &Tensor) -> Result<usize> {
        let spatial = kernel.rank().checked_sub(2).filter(|spatial| [1, 2].contains(spatial));
        spatial.ok_or_else(|| {
            self.error(format!("has a kernel of {}, expected one of three or four axes", kernel.shape()))
        })
    }

    /// A kernel as Kiln's layers have it, and the bias where there is one.
    fn kernel_and_bias(&self, kernel: &Tensor) -> Result<Vec<(&'static str, Tensor)>> {
        let turned: &[isize] = if kernel.rank() == 4 { &[2, 3, 1, 0] } else { &[2, 1, 0] };
        let kernel = kernel.permute(turned).map_err(|e| self.error(e))?;
        let bias = self.floats_if(2)?.map(|bias| ("bias", bias));
        Ok([("kernel", kernel)].into_iter().chain(bias).collect())
    }

    pub fn convolution(&mut self) -> Result<()> {
        let kernel = self.floats(1)?;
        let spatial = self.spatial_of(&kernel)?;
        let order = channels_first(spatial);
        let mut x = self.ordered(0, &order)?;
        let image = x.shape()[..spatial].to_vec();
        let sliding = self.sliding(order.len(), kernel.shape()[2..].to_vec(), &image)?;
        let (filters, groups) = (kernel.shape()[0], self.int("group", 1)?.clamp(0, 1 << 30) as usize);
        let padding = match sliding.padding(&image) {
            Some(padding) => padding,
            None => {
                x = self.with_zeros(x, &sliding.pads)?;
                Padding::Valid
            }
        };
        let weights = self.kernel_and_bias(&kernel)?;
        let use_bias = weights.len() > 1;
        let Sliding { size, strides, dilation, .. } = sliding;
        let layer = if spatial == 2 {
            self.layer(weights, || {
                let layer = Conv2D::new(filters, [size[0], size[1]]).strides([strides[0], strides[1]]);
                layer.dilation_rate([dilation[0], dilation[1]]).groups(groups).padding(padding).use_bias(use_bias)
            })
        } else {
            self.layer(weights, || {
                let layer = Conv1D::new(filters, size[0]).strides(strides[0]).dilation_rate(dilation[0]);
                layer.groups(groups).padding(padding).use_bias(use_bias)
            })
        };
        let y = self.made_by(&layer, &x)?;
        self.give(y, order);
        Ok(())
    }

    pub fn transposed_convolution(&mut self) -> Result<()> {
        let kernel = self.floats(1)?;
        let spatial = self.spatial_of(&kernel)?;
        let order = channels_first(spatial);
        let x = self.ordered(0, &order)?;
        let image = x.shape()[..spatial].to_vec();
        let sliding = self.sliding(order.len(), kernel.shape()[2..].to_vec(), &image)?;
        if self.int("group", 1)? != 1
            || self.int_list("output_shape")?.is_some()
            || sliding.dilation.iter().any(|&d| d > 1)
        {
            return Err(self.error("has groups, dilation or output_shape, which Kiln's transposed convolution lacks"));
        }
        if self.text("auto_pad", "NOTSET")? == "SAME_UPPER" {
            return Err(self.error("has auto_pad, expected pads"));
        }
        let added = self.extents("output_padding", spatial, 0)?;
        let filters = kernel.shape()[1];
        let weights = self.kernel_and_bias(&kernel)?;
        let use_bias = weights.len() > 1;
        let Sliding { size, strides, pads, .. } = sliding;
        let layer = if spatial == 2 {
            self.layer(weights, || {
                let layer = Conv2DTranspose::new(filters, [size[0], size[1]]).strides([strides[0], strides[1]]);
                layer.output_padding([added[0], added[1]]).use_bias(use_bias)
            })
        } else {
            self.layer(weights, || {
                let layer = Conv1DTranspose::new(filters, size[0]).strides(strides[0]);
                layer.output_padding(added[0]).use_bias(use_bias)
            })
        };
        let mut y = self.made_by(&layer, &x)?;
        y = match pads[..] {
            _ if pads.iter().all(|pads| *pads == [0, 0]) => y,
            [rows, columns] => self.applied(Cropping2D::new([rows, columns]), &[y])?,
            [steps] => self.applied(Cropping1D::new(steps), &[y])?,
            _ => y,
        };
        self.give(y, order);
        Ok(())
    }

    pub fn batch_normalization(&mut self) -> Result<()> {
        let (mut x, mut order) = self.value(0)?;
        if order[0] != 0 || order.len() < 2 {
            x = self.plain(0)?;
            order = (0..order.len()).collect();
        }
        let epsilon = self.float("epsilon", 1e-5)?;
        let mut weights = Vec::new();
        for (i, name) in [(1, "gamma"), (2, "beta"), (3, "moving_mean"), (4, "moving_variance")] {
            weights.push((name, self.floats(i)?));
        }
        let axis = order.get(1).copied().unwrap_or(1) as isize;
        let layer = self.layer(weights, || BatchNormalization::new().axis(axis).epsilon(epsilon));
        let y = self.made_by(&layer, &x)?;
        self.give(y, order);
        Ok(())
    }

    pub fn layer_normalization(&mut self) -> Result<()> {
        let x = self.plain(0)?;
        let rank = x.shape().rank() + 1;
        let first = self.axis(self.int("axis", -1)?, rank)?;
        let epsilon = self.float("epsilon", 1e-5)?;
        let own: Vec<isize> = x.shape()[first.max(1) - 1..].iter().map(|&extent| extent as isize).collect();
        let shaped = |tensor: Tensor| tensor.reshape(&own).map_err(|e| self.error(e));
        let mut weights = vec![("gamma", shaped(self.floats(1)?)?)];
        if let Some(beta) = self.floats_if(2)? {
            weights.push(("beta", shaped(beta)?));
        }
        let center = weights.len() > 1;
        let axes: Vec<isize> = (first as isize..rank as isize).collect();
        let layer = self.layer(weights, || LayerNormalization::new().axes(axes).epsilon(epsilon).center(center));
        let y = self.made_by(&layer, &x)?;
        self.give_plain(y);
        Ok(())
    }

    pub fn prelu(&mut self) -> Result<()> {
        let x = self.plain(0)?;
        let slope = self.floats(1)?;
        let rank = x.shape().rank();
        let mut own = vec![1; rank.saturating_sub(slope.rank())];
        own.extend(&slope.shape()[slope.rank().saturating_sub(rank)..]);
        let shared: Vec<usize> = (0..rank).filter(|&axis| own[axis] == 1).map(|axis| axis + 1).collect();
        let own: Vec<isize> = own.into_iter().map(|extent| extent as isize).collect();
        let weights = vec![("alpha", slope.reshape(&own).map_err(|e| self.error(e))?)];
        let layer = self.layer(weights, || PRelu::new().shared_axes(shared));
        let y = self.made_by(&layer, &x)?;
        self.give_plain(y);
        Ok(())
    }

    /// Rows of a table by the values of the second input.
    pub fn embedding(&mut self) -> Result<()> {
        let table = self.floats(0)?;
        if table.rank() != 2 || self.int("axis", 0)? != 0 {
            return Err(self.error(format!("takes rows of {}, expected those of a table of two axes", table.shape())));
        }
        let x = self.plain(1)?;
        let [rows, width] = [table.shape()[0], table.shape()[1]];
        let name = self.layer_name(self.input_name(0));
        let key = format!("Gather {:?}", self.input_name(0));
        let known = self.importer.shared.get(&key).cloned();
        let layer = known.unwrap_or_else(|| {
            let name = self.importer.unique(&name);
            self.importer.weights.push((format!("{name}/embeddings"), table));
            let layer = Arc::new(Embedding::new(rows, width).named(name).shared());
            self.importer.shared.insert(key, Arc::clone(&layer));
            layer
        });
        let y = self.made_by(&layer, &x)?;
        self.give_plain(y);
        Ok(())
    }
}
