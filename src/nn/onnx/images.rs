//! Nodes over images and sequences that have no weights.

use super::node::At;
use super::weighted::{Sliding, channels_first};
use crate::error::Result;
use crate::nn::functional::Value;
use crate::nn::layers::{
    AveragePooling1D, AveragePooling2D, Cropping1D, Cropping2D, DataFormat, GlobalAveragePooling1D,
    GlobalAveragePooling2D, GlobalMaxPooling1D, GlobalMaxPooling2D, MaxPooling1D, MaxPooling2D, Padding, Reshape,
    Resizing, UpSampling1D, UpSampling2D,
};

impl At<'_, '_> {
    pub fn pooling(&mut self) -> Result<()> {
        let (_, order) = self.value(0)?;
        let order = channels_first(order.len().saturating_sub(2));
        let mut x = self.ordered(0, &order)?;
        let spatial = order.len() - 2;
        let image = x.shape()[..spatial].to_vec();
        let size = self.extents("kernel_shape", spatial, 0)?;
        let sliding = self.sliding(order.len(), size, &image)?;
        if sliding.dilation.iter().any(|&d| d > 1) {
            return Err(self.error("has dilations, which Kiln's pooling lacks"));
        }
        if self.int("ceil_mode", 0)? != 0 && (0..spatial).any(|axis| self.is_cut(&sliding, &image, axis)) {
            return Err(self.error("has ceil_mode, which Kiln's pooling lacks"));
        }
        let is_max = self.node().op_type == "MaxPool";
        let counts = !is_max && self.int("count_include_pad", 0)? != 0;
        let padding = match sliding.padding(&image) {
            Some(padding) if padding == Padding::Valid || !counts && padding == Padding::Same => padding,
            _ if counts || is_max && self.is_not_negative() => {
                x = self.with_zeros(x, &sliding.pads)?;
                Padding::Valid
            }
            _ => {
                let pads = &sliding.pads;
                return Err(self.error(format!("has pads {pads:?}, which are neither none nor those of \"same\"")));
            }
        };
        let Sliding { size, strides, .. } = sliding;
        let y = match (is_max, spatial) {
            (true, 1) => self.applied(MaxPooling1D::new(size[0]).strides(strides[0]).padding(padding), &[x]),
            (false, 1) => self.applied(AveragePooling1D::new(size[0]).strides(strides[0]).padding(padding), &[x]),
            (true, _) => {
                let layer = MaxPooling2D::new([size[0], size[1]]).strides([strides[0], strides[1]]);
                self.applied(layer.padding(padding), &[x])
            }
            (false, _) => {
                let layer = AveragePooling2D::new([size[0], size[1]]).strides([strides[0], strides[1]]);
                self.applied(layer.padding(padding), &[x])
            }
        }?;
        self.give(y, order);
        Ok(())
    }

    /// Whether windows leave pixels at the end of an axis over, for which `ceil_mode` has one more.
    fn is_cut(&self, sliding: &Sliding, image: &[usize], axis: usize) -> bool {
        let all = image[axis] + sliding.pads[axis][0] + sliding.pads[axis][1];
        !all.saturating_sub(sliding.size[axis]).is_multiple_of(sliding.strides[axis])
    }

    /// Whether the node reads what a relu made: zeros around it change no largest number.
    fn is_not_negative(&self) -> bool {
        let graph = self.importer.graph;
        let read = self.input_name(0);
        let maker = graph.nodes.iter().find(|node| node.outputs.first().map(String::as_str) == read);
        maker.is_some_and(|node| ["Relu", "Sigmoid", "Softmax", "Exp", "Softplus"].contains(&node.op_type.as_str()))
    }

    pub fn global_pooling(&mut self) -> Result<()> {
        let (value, order) = self.value(0)?;
        let (rank, op) = (order.len(), self.node().op_type.as_str());
        let (axes, keepdims) = if op.starts_with("Global") {
            ((2..rank).collect::<Vec<_>>(), true)
        } else {
            let given = match self.ints_if(1)? {
                Some(axes) => Some(axes),
                None => self.int_list("axes")?,
            };
            let given = given.ok_or_else(|| self.error("goes along all axes, that of the batch too"))?;
            let axes = given.iter().map(|&axis| self.axis(axis, rank)).collect::<Result<Vec<_>>>()?;
            (axes, self.int("keepdims", 1)? != 0)
        };
        let mut own: Vec<usize> = axes.iter().map(|&axis| order[axis]).collect();
        own.sort_unstable();
        let (spatial, format) = match (rank, &own[..]) {
            (4, [1, 2]) => (2, DataFormat::ChannelsLast),
            (4, [2, 3]) => (2, DataFormat::ChannelsFirst),
            (3, [1]) => (1, DataFormat::ChannelsLast),
            (3, [2]) => (1, DataFormat::ChannelsFirst),
            _ => {
                return Err(
                    self.error(format!("goes along axes {axes:?} of {rank}, expected those of images or steps"))
                );
            }
        };
        let is_max = op.ends_with("MaxPool") || op == "ReduceMax";
        let x = [value];
        let y = match (is_max, spatial) {
            (true, 1) => self.applied(GlobalMaxPooling1D::new().keepdims(keepdims).data_format(format), &x),
            (false, 1) => self.applied(GlobalAveragePooling1D::new().keepdims(keepdims).data_format(format), &x),
            (true, _) => self.applied(GlobalMaxPooling2D::new().keepdims(keepdims).data_format(format), &x),
            (false, _) => self.applied(GlobalAveragePooling2D::new().keepdims(keepdims).data_format(format), &x),
        }?;
        let order = if keepdims {
            order
        } else {
            let left = order.into_iter().filter(|axis| !own.contains(axis));
            left.map(|axis| axis - own.iter().filter(|&&gone| gone < axis).count()).collect()
        };
        self.give(y, order);
        Ok(())
    }

    pub fn padding(&mut self) -> Result<()> {
        let (_, order) = self.value(0)?;
        let rank = order.len();
        if self.text("mode", "constant")? != "constant" {
            return Err(self.error("repeats the edges, expected a constant"));
        }
        let pads = match self.ints_if(1)? {
            Some(pads) => pads,
            None => self.int_list("pads")?.ok_or_else(|| self.error("has no pads"))?,
        };
        let value = match self.floats_if(2)? {
            Some(value) => value.values().to_f64().first().copied().unwrap_or(0.0),
            None => self.float("value", 0.0)?,
        };
        if value != 0.0 || self.input_name(3).is_some() || pads.len() != 2 * rank {
            return Err(self.error(format!("adds {value}, expected zeros along each axis")));
        }
        let pad = |place: usize| usize::try_from(pads[place]).ok().filter(|&pad| pad < 1 << 30);
        let mut own = vec![[0, 0]; rank];
        for (place, &axis) in order.iter().enumerate() {
            let both = pad(place).zip(pad(rank + place));
            let (before, behind) = both.ok_or_else(|| self.error(format!("has the pads {pads:?}")))?;
            own[axis] = [before, behind];
        }
        self.along_images(&own, &order, "adds zeros", |at, x, edges| at.with_zeros(x, edges))
    }

    /// Applies a layer to the spatial axes of images or sequences whose channels are last, where nothing is to be done along others.
    fn along_images(
        &mut self,
        edges: &[[usize; 2]],
        order: &[usize],
        what: &str,
        apply: impl FnOnce(&mut Self, Value, &[[usize; 2]]) -> Result<Value>,
    ) -> Result<()> {
        let (value, rank) = (self.value(0)?.0, order.len());
        if edges.iter().all(|edge| *edge == [0, 0]) {
            self.give(value, order.to_vec());
            return Ok(());
        }
        let others = [0, rank.saturating_sub(1)];
        if ![3, 4].contains(&rank) || others.iter().any(|&axis| edges[axis] != [0, 0]) {
            let message =
                format!("{what} along other axes than those of images (batch, rows, columns, channels) or of steps");
            return Err(self.error(message));
        }
        let y = apply(self, value, &edges[1..rank - 1])?;
        self.give(y, order.to_vec());
        Ok(())
    }

    pub fn slice(&mut self) -> Result<()> {
        let (value, order) = self.value(0)?;
        let rank = order.len();
        let listed = |i: usize, name: &str| -> Result<Option<Vec<i64>>> {
            Ok(match self.ints_if(i)? {
                Some(list) => Some(list),
                None => self.int_list(name)?,
            })
        };
        let (starts, ends) = (listed(1, "starts")?.unwrap_or_default(), listed(2, "ends")?.unwrap_or_default());
        let axes = listed(3, "axes")?.unwrap_or_else(|| (0..starts.len() as i64).collect());
        if starts.len() != ends.len()
            || axes.len() != starts.len()
            || self.ints_if(4)?.is_some_and(|s| s.iter().any(|&s| s != 1))
        {
            return Err(self.error("has steps other than 1, or lists of several lengths"));
        }
        let mut edges = vec![[0, 0]; rank];
        for ((&start, &end), &axis) in starts.iter().zip(&ends).zip(&axes) {
            let own = order[self.axis(axis, rank)?];
            if own == 0 {
                // The whole batch, as some programs write it.
                if start == 0 && end >= i64::from(i32::MAX) {
                    continue;
                }
                return Err(self.error("takes some samples of the batch"));
            }
            let extent = value.shape()[own - 1] as i64;
            let place = |place: i64| if place < 0 { place.saturating_add(extent).max(0) } else { place.min(extent) };
            edges[own] = [place(start) as usize, (extent - place(end)) as usize];
        }
        self.along_images(&edges, &order, "takes parts", |at, x, edges| at.cropped(x, edges))
    }

    fn cropped(&mut self, x: Value, edges: &[[usize; 2]]) -> Result<Value> {
        match *edges {
            [rows, columns] => self.applied(Cropping2D::new([rows, columns]), &[x]),
            [steps] => self.applied(Cropping1D::new(steps), &[x]),
            _ => Err(self.error("takes parts along more axes than two")),
        }
    }

    /// One of the steps of sequences, which no longer have that axis.
    pub fn step(&mut self) -> Result<()> {
        let place = self.ints_if(1)?.unwrap_or_default();
        let x = self.plain(0)?;
        let axis = self.axis(self.int("axis", 0)?, x.shape().rank() + 1)?;
        let ([place], [steps, features], 1) = (&place[..], &x.shape()[..], axis) else {
            return Err(self.error("takes others than one step of sequences (batch, steps, features)"));
        };
        let (features, place) = (*features, self.axis(*place, *steps)?);
        let edges = [[place, steps - place - 1]];
        let y = self.cropped(x, &edges)?;
        let y = self.applied(Reshape::new([features as isize]), &[y])?;
        self.give_plain(y);
        Ok(())
    }

    /// How large each axis becomes, the batch's counted as one.
    fn resized(&self, extents: &[usize]) -> Result<Vec<usize>> {
        let is_old = self.node().op_type == "Upsample";
        let scales = self.floats_if(if is_old { 1 } else { 2 })?.map(|scales| scales.values().to_f64());
        let sizes = if is_old { None } else { self.ints_if(3)? };
        let axes = self.int_list("axes")?.unwrap_or_else(|| (0..extents.len() as i64).collect());
        let axes = axes.iter().map(|&axis| self.axis(axis, extents.len())).collect::<Result<Vec<_>>>()?;
        let mut made = extents.to_vec();
        for (i, &axis) in axes.iter().enumerate() {
            let extent = match (&sizes, &scales) {
                (Some(sizes), _) if sizes.len() == axes.len() => usize::try_from(sizes[i]).ok(),
                (None, Some(scales)) if scales.len() == axes.len() => {
                    Some((extents[axis] as f64 * scales[i] + 1e-4) as usize)
                }
                _ => None,
            };
            let extent = extent.filter(|extent| (1..1 << 30).contains(extent));
            let extent = extent.ok_or_else(|| self.error("has neither sizes nor scales for its axes"))?;
            // The size of the batch is not known, and does not change.
            made[axis] = if axis == 0 { 1 } else { extent };
        }
        Ok(made)
    }

    pub fn resizing(&mut self) -> Result<()> {
        let (value, order) = self.value(0)?;
        if order[0] != 0 {
            return Err(self.error("reads a tensor whose first axis is not the batch's"));
        }
        let extents: Vec<usize> =
            order.iter().map(|&axis| if axis == 0 { 1 } else { value.shape()[axis - 1] }).collect();
        let made = self.resized(&extents)?;
        let mut own = vec![1; order.len()];
        order.iter().zip(&made).for_each(|(&axis, &extent)| own[axis] = extent);
        let [mode, places, nearest] = [
            ("mode", "nearest"),
            ("coordinate_transformation_mode", "half_pixel"),
            ("nearest_mode", "round_prefer_floor"),
        ]
        .map(|(name, default)| self.text(name, default));
        let (mode, places, nearest) = (mode?, places?, nearest?);
        let by = |axis: usize| {
            let from = value.shape()[axis - 1];
            own[axis].is_multiple_of(from).then(|| own[axis] / from)
        };
        let is_linear = mode == "linear" && ["half_pixel", "pytorch_half_pixel"].contains(&places.as_str());
        let is_rounded = mode == "nearest" && places == "half_pixel" && nearest == "round_prefer_ceil";
        let interpolation = if is_linear { "bilinear" } else { "nearest" };
        let is_last = own.last() == value.shape().last();
        let y = match (&own[..], is_last) {
            ([_, _, _], true) if mode == "nearest" && by(1).is_some() => {
                let size = by(1).unwrap_or(1);
                self.applied(UpSampling1D::new(size), &[value])?
            }
            ([_, _, _, _], true) if (is_linear || mode == "nearest") && by(1).is_some() && by(2).is_some() => {
                let size = [by(1).unwrap_or(1), by(2).unwrap_or(1)];
                self.applied(UpSampling2D::new(size).interpolation(interpolation), &[value])?
            }
            ([_, rows, columns, _], true) if is_linear || is_rounded => {
                self.applied(Resizing::new(*rows, *columns).interpolation(interpolation), &[value])?
            }
            ([_, _, _, _], false) if order[1] == 1 => {
                // The channels are first: once more with them last.
                let first = channels_first(2);
                self.ordered(0, &first)?;
                return self.resizing();
            }
            _ => {
                let message =
                    format!("resizes {extents:?} to {made:?} by {mode}, {places}, expected rows and columns of images");
                return Err(self.error(message));
            }
        };
        self.give(y, order);
        Ok(())
    }
}
