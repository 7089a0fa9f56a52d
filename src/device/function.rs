//! A graph as a function of tensors.

use super::blocking::block_on;
use super::{Device, Executor};
use crate::error::{Error, Result};
use crate::graph::{Graph, Leaf, Type};
use crate::plan::{Arena, BufferId, Plan};
use crate::tensor::{DType, Tensor, Values};

/// A graph, compiled for a device once and called with tensors as often as wanted.
///
/// ```
/// use kiln::device::{Device, Function};
/// use kiln::graph::{Graph, Leaf, Type};
/// use kiln::ops::binary::Binary;
/// use kiln::Tensor;
///
/// let mut graph = Graph::new();
/// let x = graph.leaf(Leaf::Input(0), Type::float([2]));
/// let ten = graph.fill(10.0, [2]);
/// let sum = graph.apply(Binary::Add, &[x, ten])?;
/// graph.output(0, sum)?;
/// let mut add_ten = Function::new(&Device::cpu(), &graph)?;
/// let y = add_ten.call(&[Tensor::new([2], vec![1.0f32, 20.0])?])?;
/// assert_eq!(y[0].values().to_f64(), [11.0, 30.0]);
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Debug)]
pub struct Function {
    executor: Executor,
    plan: usize,
    inputs: Vec<Type>,
    /// Whether anything reads each.
    is_read: Vec<bool>,
    outputs: Vec<Type>,
}

impl Function {
    /// Takes the values that the graph has as [`Leaf::Input`], and gives those that it has as [`Leaf::Output`]
    /// ([`Graph::output`]), both by their index.
    ///
    /// # Errors
    /// [`Error::Argument`] where an index from 0 on is left out, the graph has no output, or it has leaves that a function
    /// has no values for: parameters, a clock. [`Error::Shape`] as [`Plan::new`]; and what the device reports.
    pub fn new(device: &Device, graph: &Graph) -> Result<Self> {
        let inputs = types(graph, "input", |leaf| if let Leaf::Input(i) = leaf { Some(*i) } else { None })?;
        let outputs = types(graph, "output", |leaf| if let Leaf::Output(i) = leaf { Some(*i) } else { None })?;
        let strange =
            |leaf: &&Leaf| !matches!(leaf, Leaf::Input(_) | Leaf::Output(_) | Leaf::Fill(_) | Leaf::Constant(_));
        if let Some(leaf) = graph.ids().filter_map(|id| graph.leaf_of(id)).find(strange) {
            let message = format!("has the leaf {leaf:?}, which a function has no value for; make it a Leaf::Input");
            return Err(Error::argument("graph", message));
        }
        if outputs.is_empty() {
            return Err(Error::argument("graph", "has no output; name one by Graph::output"));
        }
        let mut executor = Executor::new(device)?;
        let plan = Plan::new("function", &graph.clone().fused(), &Arena::default())?;
        let is_read = |i| plan.buffers.iter().any(|buffer| buffer.id == BufferId::Input(i));
        let is_read = (0..inputs.len()).map(is_read).collect();
        Ok(Self { plan: executor.load(&plan)?, executor, inputs, is_read, outputs })
    }

    /// The outputs for these inputs; floats as the device computes them, f32 or, on the reference, f64.
    ///
    /// # Errors
    /// [`Error::Shape`] where the inputs are not those of the graph; what the device reports.
    pub async fn call_async(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        self.check(inputs)?;
        for (i, tensor) in inputs.iter().enumerate().filter(|&(i, _)| self.is_read[i]) {
            self.executor.write_async(BufferId::Input(i), tensor.values()).await?;
        }
        self.executor.run_async(self.plan, 1).await?;
        let mut results = Vec::with_capacity(self.outputs.len());
        for (i, ty) in self.outputs.iter().enumerate() {
            let values = self.executor.read_async(BufferId::Output(i), 0..ty.shape.len()).await?;
            results.push(Tensor::new(ty.shape.clone(), values)?);
        }
        Ok(results)
    }

    /// [`Function::call_async`], waiting.
    ///
    /// # Errors
    /// As there.
    pub fn call(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        block_on(self.call_async(inputs))
    }

    fn check(&self, inputs: &[Tensor]) -> Result<()> {
        if inputs.len() != self.inputs.len() {
            let message = format!("takes {} inputs, was given {}", self.inputs.len(), inputs.len());
            return Err(Error::shape("function", message));
        }
        for (i, (tensor, ty)) in inputs.iter().zip(&self.inputs).enumerate() {
            let fits = match tensor.values() {
                Values::F32(_) | Values::F64(_) => ty.dtype == DType::F32,
                Values::U32(_) => ty.dtype == DType::U32,
                Values::U8(_) => ty.dtype == DType::U8,
            };
            if !fits || *tensor.shape() != ty.shape {
                let message = format!("input {i} is {} {}, expected {ty}", tensor.dtype(), tensor.shape());
                return Err(Error::shape("function", message));
            }
        }
        Ok(())
    }
}

/// The types of the graph's leaves of one kind, by the index that `index` finds.
fn types(graph: &Graph, kind: &str, index: impl Fn(&Leaf) -> Option<usize>) -> Result<Vec<Type>> {
    let leaf = |id| Some((index(graph.leaf_of(id)?)?, graph.ty(id).clone()));
    let mut found: Vec<(usize, Type)> = graph.ids().filter_map(leaf).collect();
    found.sort_by_key(|(i, _)| *i);
    found.dedup();
    match found.iter().enumerate().find(|(expected, (i, _))| expected != i) {
        Some((expected, (i, _))) => {
            let message = format!("its {kind}s are not 0, 1, 2 and so on: expected {kind} {expected}, found {i}");
            Err(Error::argument("graph", message))
        }
        None => Ok(found.into_iter().map(|(_, ty)| ty).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::binary::Binary;

    fn sum(indices: [usize; 2]) -> Graph {
        let mut graph = Graph::new();
        let [a, b] = indices.map(|i| graph.leaf(Leaf::Input(i), Type::float([2])));
        let y = graph.apply(Binary::Add, &[a, b]).unwrap();
        graph.output(0, y).unwrap();
        graph
    }

    #[test]
    fn a_call_gives_what_the_graph_says_each_time() {
        let mut add = Function::new(&Device::reference(), &sum([0, 1])).unwrap();
        for x in [1.5f32, -2.0] {
            let inputs = [vec![x, 10.0], vec![20.0, x]].map(|v| Tensor::new([2], v).unwrap());
            let x = f64::from(x);
            assert_eq!(add.call(&inputs).unwrap()[0].values(), &Values::F64(vec![x + 20.0, x + 10.0]));
        }
    }

    #[test]
    fn an_input_that_nothing_reads_is_given_all_the_same() {
        let mut graph = Graph::new();
        let [x, _] = [0, 1].map(|i| graph.leaf(Leaf::Input(i), Type::float([2])));
        let y = graph.apply(Binary::Mul, &[x, x]).unwrap();
        graph.output(0, y).unwrap();
        let inputs = [[3.0f32, 2.0], [5.0, 7.0]].map(Tensor::from);
        let found = Function::new(&Device::cpu(), &graph).unwrap().call(&inputs).unwrap();
        assert_eq!(found[0].values().to_f64(), [9.0, 4.0]);
    }

    #[test]
    fn what_does_not_fit_is_an_error_that_says_what_does() {
        let mut add = Function::new(&Device::cpu(), &sum([0, 1])).unwrap();
        let tensor = |n: usize| Tensor::new([n], vec![1.0f32; n]).unwrap();
        let error = add.call(&[tensor(2)]).unwrap_err().to_string();
        assert!(error.contains("takes 2 inputs, was given 1"), "{error}");
        let error = add.call(&[tensor(2), tensor(3)]).unwrap_err().to_string();
        assert!(error.contains("input 1") && error.contains("(3,)") && error.contains("(2,)"), "{error}");
        let labels = Tensor::new([2], vec![1u32, 2]).unwrap();
        let error = add.call(&[tensor(2), labels]).unwrap_err().to_string();
        assert!(error.contains("input 1 is u32"), "{error}");
        let error = Function::new(&Device::cpu(), &sum([0, 2])).unwrap_err().to_string();
        assert!(error.contains("expected input 1, found 2"), "{error}");
        let error = Function::new(&Device::cpu(), &Graph::new()).unwrap_err().to_string();
        assert!(error.contains("no output"), "{error}");
    }
}
