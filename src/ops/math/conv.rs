//! Convolution of images (batch, rows, columns, channels) by a kernel (rows, columns, channels / groups, filters), and its gradients,
//! each with an epilogue. All three are products of matrices that are never written down: see [`crate::kernel::convolution`].

mod cases;

use std::sync::Arc;

use super::convolution::{Convolution, Geometry, Pass, Sweep};
use super::cpu::{CpuArgs, CpuOp, Real};
use super::dispatch::{Dispatch, Params, Target};
use super::epilogue::Epilogue;
use super::launches::Launches;
use super::matmul::{Form, Problem};
use super::window::Window;
use super::{Case, Io, Op, expect_inputs, only};
use crate::error::{Error, Result};
#[cfg(feature = "onnx")]
use crate::graph::onnx::{Attribute, CHANNELS_FIRST, Writer};
use crate::graph::{Graph, Id, Type};
use crate::tensor::{DType, Shape};

pub use cases::case_of_types;
pub(crate) use cases::cases;

/// One of a convolution's passes: y of images x and kernel w, dx of dy and w, or dw of x and dy.
#[derive(Clone, Copy, Debug)]
pub struct Conv {
    /// How the kernel goes over the images x.
    pub window: Window,
    /// How many groups channels and filters are cut into: filters of a group see its channels alone.
    pub groups: usize,
    /// What is made.
    pub pass: Pass,
    /// What is done to each element.
    pub epilogue: Epilogue,
}

impl Conv {
    /// The convolution itself.
    pub fn new(window: Window, groups: usize) -> Self {
        Self { window, groups, pass: Pass::Forward, epilogue: Epilogue::None }
    }

    /// The transposed convolution: from images of the shape of y to those of the shape of x, whose extent is given.
    pub fn transposed(window: Window, groups: usize, image: [usize; 2]) -> Self {
        Self { pass: Pass::Input { image }, ..Self::new(window, groups) }
    }

    fn of(self, pass: Pass) -> Self {
        Self { pass, ..self }
    }

    /// The extents, given the operands' types.
    fn geometry(&self, inputs: &[Type]) -> Result<Geometry> {
        let name = self.name();
        let (a, b) = (&inputs[0].shape, &inputs[1].shape);
        for (shape, what) in [(a, "images (batch, rows, columns, channels)"), (b, "four axes")] {
            if shape.rank() != 4 {
                return Err(Error::shape(name, format!("{shape} are not {what}")));
            }
        }
        let geometry = match self.pass {
            Pass::Forward | Pass::Kernel => Geometry::new(name, a, b[3], self.groups, self.window)?,
            Pass::Input { image: [rows, columns] } => {
                let x = Shape::from([a[0], rows, columns, b[2].saturating_mul(self.groups)]);
                Geometry::new(name, &x, a[3], self.groups, self.window)?
            }
        };
        let Geometry { batch, output: [rows, columns], filters, .. } = geometry;
        let (kernel, y) = (Shape::from(geometry.kernel()), Shape::from([batch, rows, columns, filters]));
        let (found, wanted) = match self.pass {
            Pass::Forward => (vec![b], vec![kernel]),
            Pass::Input { .. } => (vec![a, b], vec![y, kernel]),
            Pass::Kernel => (vec![b], vec![y]),
        };
        match found.into_iter().zip(wanted).find(|(found, wanted)| *found != wanted) {
            Some((found, wanted)) => Err(Error::shape(name, format!("was given {found}, expected {wanted}"))),
            None => Ok(geometry),
        }
    }

    /// Rows and columns that the transposed convolution of images of a shape makes beside those that its windows reach.
    #[cfg(feature = "onnx")]
    fn added(&self, made: [usize; 2], images: &Shape) -> [usize; 2] {
        [0, 1].map(|axis| {
            let [before, behind] = self.window.pads[axis];
            let reached = (images[1 + axis] - 1) * self.window.strides[axis] + self.window.reach(axis);
            (made[axis] + before + behind).saturating_sub(reached)
        })
    }

    fn known(&self, io: &Io) -> Geometry {
        self.geometry(&io.inputs).expect("the shape rule has seen it")
    }
}

impl<T: Real> CpuOp<T> for Conv {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let geometry = self.known(args.io);
        let (a, b, [y]) = (args.real(0), args.real(1), args.out());
        let columns = args.io.outputs[0].shape[3];
        T::convolve(&Convolution { a, b, geometry, pass: self.pass }, y, &|start, y| {
            self.epilogue.of_rows(&args, start, y, columns);
        });
    }
}

impl Op for Conv {
    fn name(&self) -> &'static str {
        self.epilogue.choose(match self.pass {
            Pass::Forward => ["conv", "conv+bias", "conv+activation", "conv+scale_shift", "conv+activation_grad"],
            Pass::Input { .. } => [
                "conv_transpose",
                "conv_transpose+bias",
                "conv_transpose+activation",
                "conv_transpose+scale_shift",
                "conv_transpose+activation_grad",
            ],
            Pass::Kernel => ["conv_kernel"; 5],
        })
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        expect_inputs(self.name(), inputs, &[DType::F32; 5][..2 + self.epilogue.extras()])?;
        let geometry = self.geometry(inputs)?;
        let Geometry { batch, image, output, channels, filters, .. } = geometry;
        let shape = match self.pass {
            Pass::Forward => [batch, output[0], output[1], filters],
            Pass::Input { .. } => [batch, image[0], image[1], channels],
            Pass::Kernel => geometry.kernel(),
        };
        let y = Type::float(shape);
        self.epilogue.check(self.name(), &inputs[2..], &y)?;
        Ok(vec![y])
    }

    fn grad(&self, g: &mut Graph, x: &[Id], _y: &[Id], dy: &[Option<Id>]) -> Result<Vec<Option<Id>>> {
        if self.epilogue != Epilogue::None {
            return Err(Error::shape(self.name(), "has no gradient; call gradients before the graph is fused"));
        }
        let (a, b, dy) = (x[0], x[1], only(dy));
        let rows_and_columns = |g: &Graph, id: Id| [g.shape(id)[1], g.shape(id)[2]];
        let (da, db) = match self.pass {
            Pass::Forward => {
                let image = rows_and_columns(g, a);
                let da = g.apply(self.of(Pass::Input { image }), &[dy, b])?;
                (da, g.apply(self.of(Pass::Kernel), &[a, dy])?)
            }
            // Here a is of the shape of y, and what dy is the gradient of is of that of x.
            Pass::Input { .. } => {
                let da = g.apply(self.of(Pass::Forward), &[dy, b])?;
                (da, g.apply(self.of(Pass::Kernel), &[dy, a])?)
            }
            Pass::Kernel => {
                let image = rows_and_columns(g, a);
                let da = g.apply(self.of(Pass::Input { image }), &[b, dy])?;
                (da, g.apply(self.of(Pass::Forward), &[a, dy])?)
            }
        };
        Ok(vec![Some(da), Some(db)])
    }

    /// A row that is added, a row that it is scaled by and one that it is shifted by, an activation; or the gradient of one.
    fn absorb(&self, next: &dyn Op, operand: usize, y: &Type, others: &[Type]) -> Option<Arc<dyn Op>> {
        let epilogue = self.epilogue.and(next, operand, y, others)?;
        (self.pass != Pass::Kernel).then(|| Arc::new(Self { epilogue, ..*self }) as Arc<dyn Op>)
    }

    #[cfg(feature = "onnx")]
    fn onnx(&self, writer: &mut Writer<'_>) -> Result<()> {
        let (inputs, y) = (writer.inputs(), writer.outputs()[0]);
        if self.epilogue != Epilogue::None || self.pass == Pass::Kernel {
            return Err(writer.refused("has no ONNX operator"));
        }
        let (op_type, added) = match self.pass {
            Pass::Input { image } => ("ConvTranspose", Some(self.added(image, writer.graph().shape(inputs[0])))),
            _ => ("Conv", None),
        };
        let mut attributes = super::onnx::window(&self.window);
        attributes.push(("group", self.groups.into()));
        attributes.extend(added.map(|added| ("output_padding", Attribute::from(&added[..]))));
        let bias = super::onnx::followed_by(writer, y, super::binary::Binary::Add).filter(|(_, bias)| {
            let (bias, y) = (writer.graph().shape(*bias), writer.graph().shape(y));
            bias.rank() == 1 && bias.last() == y.last()
        });
        let mut names = vec![writer.ordered(inputs[0], &CHANNELS_FIRST)?, writer.ordered(inputs[1], &[3, 2, 0, 1])?];
        let mut given = y;
        if let Some((reader, bias)) = bias {
            names.push(writer.plain(bias)?);
            writer.take_over(reader);
            given = writer.graph().nodes()[reader].outputs[0];
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let name = writer.add(op_type, &names, attributes);
        writer.give(given, name, CHANNELS_FIRST.to_vec());
        Ok(())
    }

    fn gpu(&self, io: &Io, target: &Target) -> Vec<Dispatch> {
        let geometry = self.known(io);
        self.sweeps(&geometry).iter().flat_map(|sweep| self.launches(io, &geometry, sweep, target)).collect()
    }

    fn flops(&self, io: &Io) -> u64 {
        let geometry = self.known(io);
        let [m, n, k] = geometry.extents(Pass::Forward).map(|extent| extent as u64);
        2 * geometry.groups as u64 * m * n * k
    }
}

impl Conv {
    /// What the choice of kernels goes by, for operands of these types: with strides the gradient of x is several products.
    ///
    /// # Errors
    /// [`Error::Shape`] where the op does not take such operands.
    pub fn problems(&self, inputs: &[Type]) -> Result<Vec<Problem>> {
        let geometry = self.geometry(inputs)?;
        Ok(self.sweeps(&geometry).iter().map(|sweep| self.problem(&geometry, sweep)).collect())
    }

    fn sweeps(&self, geometry: &Geometry) -> Vec<Sweep> {
        match self.pass {
            Pass::Forward | Pass::Kernel => vec![geometry.forward()],
            Pass::Input { .. } => geometry.backward(),
        }
    }

    /// Whether the pixels that a sweep makes lie apart: of strided images it makes some.
    fn is_scattered(&self, sweep: &Sweep) -> bool {
        matches!(self.pass, Pass::Input { image } if image != sweep.made)
    }

    fn problem(&self, geometry: &Geometry, sweep: &Sweep) -> Problem {
        let [channels, filters] = geometry.grouped();
        let made = geometry.batch * sweep.made[0] * sweep.made[1];
        let taps = sweep.taps[0] * sweep.taps[1];
        let [m, n, k] = match self.pass {
            Pass::Forward => [made, filters, taps * channels],
            Pass::Input { .. } => [made, channels, taps * filters],
            Pass::Kernel => [taps * channels, filters, made],
        };
        let transposed = [self.pass == Pass::Kernel, matches!(self.pass, Pass::Input { .. })];
        let fours = |all: [usize; 2]| all.iter().all(|extent| extent.is_multiple_of(4));
        if geometry.is_depthwise() {
            let fours = filters == 1 && fours([geometry.channels; 2]);
            return Problem {
                form: Form::Depthwise { fours },
                stacks: 1,
                extents: [m, n * geometry.groups, k],
                transposed,
            };
        }
        let fours = fours([channels, filters]);
        let form = if self.is_scattered(sweep) { Form::Scattered { fours } } else { Form::Images { fours } };
        Problem { form, stacks: geometry.groups, extents: [m, n, k], transposed }
    }

    /// The launches of one sweep.
    fn launches(&self, io: &Io, geometry: &Geometry, sweep: &Sweep, target: &Target) -> Vec<Dispatch> {
        let Geometry { filters, window, .. } = *geometry;
        let [group_channels, group_filters] = geometry.grouped();
        let (a, y) = (&io.inputs[0].shape, &io.outputs[0].shape);
        let is_input = matches!(self.pass, Pass::Input { .. });
        let (read, written) = if is_input { (group_filters, group_channels) } else { (group_channels, group_filters) };
        let [kernel_row, kernel_column] = sweep.kernel;
        let params = Params::new()
            .u32("rows", a[1])
            .u32("columns", a[2])
            .u32("made_rows", sweep.made[0])
            .u32("made_columns", sweep.made[1])
            .i32("from_row", sweep.from[0])
            .i32("from_column", sweep.from[1])
            .u32("from_step_rows", sweep.from_step[0])
            .u32("from_step_columns", sweep.from_step[1])
            .u32("taps", sweep.taps[1].max(1))
            .i32("tap_step_rows", sweep.tap_step[0])
            .i32("tap_step_columns", sweep.tap_step[1])
            .u32("channels", a[3])
            .u32("group", read)
            .u32("b_row", filters)
            .u32("y_row", y[3])
            .u32("b_tap", group_channels * filters)
            .u32("kernel", kernel_row * window.size[1] + kernel_column)
            .u32("kernel_step_rows", sweep.kernel_step[0] * window.size[1])
            .u32("kernel_step_columns", sweep.kernel_step[1])
            .u32("b_group", group_filters)
            .u32("y_group", written)
            .u32("to_rows", y[1])
            .u32("to_columns", y[2])
            .u32("to_row", sweep.to[0])
            .u32("to_column", sweep.to[1])
            .u32("to_step_rows", sweep.to_step[0])
            .u32("to_step_columns", sweep.to_step[1]);
        let problem = self.problem(geometry, sweep);
        let constants = vec![("SCATTERED", f64::from(self.is_scattered(sweep)))];
        Launches { io, problem, params, constants, epilogue: self.epilogue }.of(target)
    }
}
