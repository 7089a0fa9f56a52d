//! Candle on the CPU. It has no RMSprop: this one is made of its tensor operations.

#[path = "../../common.rs"]
mod common;

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::{Linear, Module, VarBuilder, VarMap, linear, loss::cross_entropy};
use common::{CLASSES, PIXELS, Product, Result, Runs, SCORED};

struct Candle {
    hidden: Linear,
    output: Linear,
    /// Each parameter and its mean square.
    moments: Vec<(Var, Var)>,
    loss: Option<Tensor>,
}

impl Candle {
    fn forward(&self, x: Vec<f32>) -> Result<Tensor> {
        let rows = x.len() / PIXELS;
        let x = Tensor::from_vec(x, (rows, PIXELS), &Device::Cpu)?;
        Ok(self.output.forward(&self.hidden.forward(&x)?.relu()?)?)
    }
}

impl common::Peer for Candle {
    const NAME: &'static str = "candle";

    fn new(hidden: usize, _: usize) -> Result<Self> {
        let map = VarMap::new();
        let vars = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
        let (first, second) = (linear(PIXELS, hidden, vars.pp("hidden"))?, linear(hidden, CLASSES, vars.pp("output"))?);
        let zero = |var: Var| -> Result<(Var, Var)> { Ok((var.clone(), Var::from_tensor(&var.zeros_like()?)?)) };
        let moments = map.all_vars().into_iter().map(zero).collect::<Result<_>>()?;
        Ok(Self { hidden: first, output: second, moments, loss: None })
    }

    fn step(&mut self, x: Vec<f32>, y: &[u8]) -> Result<()> {
        let y = Tensor::from_iter(y.iter().map(|&label| u32::from(label)), &Device::Cpu)?;
        let loss = cross_entropy(&self.forward(x)?, &y)?;
        let gradients = loss.backward()?;
        for (w, v) in &self.moments {
            let g = gradients.get(w).ok_or("a parameter without a gradient")?;
            v.set(&((v.as_tensor() * 0.9)? + (g.sqr()? * 0.1)?)?)?;
            let change = (g / (v.as_tensor() + 1e-7)?.sqrt()?)?;
            w.set(&(w.as_tensor() - (change * 1e-3)?)?)?;
        }
        self.loss = Some(loss);
        Ok(())
    }

    fn loss(&mut self) -> Result<f32> {
        Ok(self.loss.as_ref().ok_or("there was no step")?.to_scalar()?)
    }

    fn scores(&mut self, x: Vec<f32>) -> Result<Vec<f32>> {
        assert_eq!(x.len(), SCORED * PIXELS);
        Ok(self.forward(x)?.flatten_all()?.to_vec1()?)
    }

    fn product(product: &Product) -> Result<Runs> {
        let ([a_shape, b_shape], [a, b]) = (product.shapes(), product.operands());
        let stored = |values, [rows, columns]: [usize; 2]| Tensor::from_vec(values, (rows, columns), &Device::Cpu);
        let (a, b) = (stored(a, a_shape)?, stored(b, b_shape)?);
        let a = if product.transposed[0] { a.t()? } else { a };
        let b = if product.transposed[1] { b.t()? } else { b };
        Ok(Box::new(move |count| {
            for _ in 0..count {
                a.matmul(&b)?;
            }
            Ok(())
        }))
    }
}

fn main() -> Result<()> {
    common::run::<Candle>()
}
