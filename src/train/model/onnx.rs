//! Models as files of ONNX.

use std::collections::HashMap;
use std::path::Path;

use super::bytes::MEMORY;
use super::saving::Loaded;
use super::{Model, definition};
use crate::device::blocking::block_on;
use crate::device::{Device, Function};
use crate::error::{Error, Result};
use crate::graph::onnx::{BATCHES, OnnxGraph, Writer};
use crate::graph::{Graph, Id, Leaf, Type};
use crate::io;
use crate::nn::network::Forward;
use crate::nn::{self, Known, Parameter, Values};
use crate::ops::cast::Cast;
use crate::tensor::{DType, Shape, Tensor};
use crate::train::target_units::Units;
use crate::train::trace::Definition;

/// The ending of files of ONNX.
const ENDING: &str = "onnx";

impl Model {
    /// Writes what the model predicts with as a file of ONNX, which other programs run: Keras' `model.export(path, format="onnx")`.
    /// The weights are inside, the size of the batch is left open, and inputs, outputs, layers and weights have their names. Samples
    /// are floats as the layers take them: what Kiln divides by 255 as it batches bytes has to be divided before. What an
    /// [`crate::nn::layers::Embedding`] reads are whole numbers of 64 bits.
    ///
    /// ```
    /// use kiln::prelude::*;
    /// let mut model = Sequential::new().add(Input::new([4])).add(Dense::new(2)).device(Device::cpu());
    /// let path = std::env::temp_dir().join("kiln-doc.onnx");
    /// model.export(&path)?;
    /// # std::fs::remove_file(path).unwrap();
    /// # Ok::<(), kiln::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] where the path does not end in `.onnx`, or a layer that it names does something that ONNX has no operator
    /// for; [`Error::Model`] where the model was not built; [`Error::Io`] where the system refuses.
    pub fn export(&mut self, path: impl AsRef<Path>) -> Result<()> {
        block_on(self.export_async(path))
    }

    /// [`Model::export`] for callers that cannot block.
    ///
    /// # Errors
    /// As [`Model::export`].
    pub async fn export_async(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        if !io::ends_in(path, ENDING) {
            let message =
                format!("{} does not end in .{ENDING}, the one format that a model is exported to", path.display());
            return Err(Error::argument("path", message));
        }
        io::write_file(path, &self.to_onnx_async().await?)
    }

    /// The bytes of the file that [`Model::export`] writes.
    ///
    /// # Errors
    /// As [`Model::export`].
    pub fn to_onnx(&mut self) -> Result<Vec<u8>> {
        block_on(self.to_onnx_async())
    }

    /// [`Model::to_onnx`] for callers that cannot block.
    ///
    /// # Errors
    /// As [`Model::export`].
    pub async fn to_onnx_async(&mut self) -> Result<Vec<u8>> {
        let weights = self.weights_async().await?;
        Ok(io::onnx::to_bytes(self.written(&weights).await?))
    }

    /// The model of a file of ONNX, as Keras, PyTorch and others export what predicts: each node becomes the layer that does the same.
    /// It predicts alike, and can be compiled and trained on. Layers have the names of their weights or nodes in the file, as far as
    /// names of layers may be such; samples have the file's shape.
    ///
    /// ```
    /// use kiln::prelude::*;
    /// let mut model = Sequential::new().add(Input::new([4])).add(Dense::new(2).activation("relu")).device(Device::cpu());
    /// let mut again = Model::from_onnx(&model.to_onnx()?)?.device(Device::cpu());
    /// let x = Tensor::from([[1.0f32, -2.0, 0.5, 3.0]]);
    /// assert_eq!(again.predict(&x)?, model.predict(&x)?);
    /// # Ok::<(), kiln::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Io`] where the system refuses; [`Error::Format`] where the file is no ONNX or damaged, or has a node that Kiln has no
    /// layer for, which it names.
    pub fn import_onnx(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::of_onnx(&io::read_file(path)?).map_err(|e| Error::format(path, e.to_string()))
    }

    /// [`Model::import_onnx`] of a file's bytes.
    ///
    /// # Errors
    /// As [`Model::import_onnx`].
    pub fn from_onnx(bytes: impl AsRef<[u8]>) -> Result<Self> {
        Self::of_onnx(bytes.as_ref()).map_err(|e| Error::format(MEMORY, e.to_string()))
    }

    fn of_onnx(bytes: &[u8]) -> Result<Self> {
        let graph = io::onnx::parse(bytes).map_err(|e| Error::argument("the file", e))?;
        let name = if graph.name.is_empty() { "onnx".to_string() } else { graph.name.clone() };
        let imported = nn::onnx::network(graph)?;
        let inputs: Values = imported.inputs.into_iter().collect();
        let mut model = Self::new(inputs, imported.outputs.into_iter().collect::<Values>())?.named(name);
        let mut given: HashMap<String, Tensor> = imported.weights.into_iter().collect();
        let mut weights = Vec::new();
        for parameter in &model.built()?.parameters {
            let path = parameter.path();
            let tensor = given.remove(&path).ok_or_else(|| Error::argument(&path, "is not in the file"))?;
            if *tensor.shape() != parameter.shape {
                let message = format!("is {} in the file, expected {}", tensor.shape(), parameter.shape);
                return Err(Error::argument(path, message));
            }
            weights.push(tensor);
        }
        model.loaded = Some(Loaded { weights, moments: Vec::new() });
        Ok(model)
    }

    /// The model as a graph of ONNX operators.
    async fn written(&self, weights: &[Tensor]) -> Result<OnnxGraph> {
        let built = self.built()?;
        let tables = self.network.tables();
        let trace = |batch: usize| {
            let input = |(sample, table): (&Shape, &Option<_>)| {
                let shape: Shape = [&[batch], &sample[..]].concat().into();
                if table.is_some() { Type::u32(shape) } else { Type::float(shape) }
            };
            let inputs = built.samples.iter().zip(&tables).map(input).collect();
            let model = definition(&self.about, &self.network, built, self.compiled.as_ref());
            inference(&model, &mut built.parameters.clone(), inputs)
        };
        let ((graph, inputs, outputs), (twin, ..)) = (trace(BATCHES[0])?, trace(BATCHES[1])?);
        let constants = known(&graph, &twin, &built.parameters, weights).await?;
        let inputs: Vec<(String, Id)> = self.network.input_names().into_iter().zip(inputs).collect();
        // A model may give what it is given, under the same name.
        let mut output_names = self.network.output_names();
        for name in &mut output_names {
            if inputs.iter().any(|(input, _)| input == name) {
                name.push_str("_output");
            }
        }
        let outputs: Vec<(String, Id)> = output_names.into_iter().zip(outputs).collect();
        let mut model = Writer::new([&graph, &twin], &inputs, constants, &outputs)?.write(&outputs)?;
        // A graph has to have a name.
        model.name = if self.about.name.is_empty() { "kiln".into() } else { self.about.name.clone() };
        Ok(model)
    }
}

/// What the model predicts of a batch of inputs of these types, with its outputs in their targets' units: the graph, its inputs and its
/// outputs. Whole numbers are made floats before any layer sees them.
fn inference(
    model: &Definition<'_>,
    parameters: &mut [Parameter],
    inputs: Vec<Type>,
) -> Result<(Graph, Vec<Id>, Vec<Id>)> {
    let mut g = Graph::new();
    let given: Vec<Id> = inputs.into_iter().enumerate().map(|(i, ty)| g.leaf(Leaf::Input(i), ty)).collect();
    let as_floats = |&x: &Id| if g.ty(x).dtype == DType::F32 { Ok(x) } else { g.apply(Cast::ToFloat, &[x]) };
    let x = given.iter().map(as_floats).collect::<Result<Vec<_>>>()?;
    let Forward { outputs, .. } = model.network.forward(&mut g, Known::Built(parameters), &x, None)?;
    let predicted = model.network.outputs.iter().map(|wire| wire.of(&x, &outputs)).collect::<Result<Vec<_>>>()?;
    let units = model.units(&mut g, &predicted)?;
    let own = |(&y, units): (&Id, &Option<Units>)| units.as_ref().map_or(Ok(y), |units| units.own(&mut g, y));
    let made = predicted.iter().zip(&units).map(own).collect::<Result<Vec<_>>>()?;
    Ok((g, given, made))
}

/// The values of a graph that do not depend on its inputs, and what each is called: weights by their paths, and what is made of them
/// by the layer's.
async fn known(
    graph: &Graph,
    twin: &Graph,
    parameters: &[Parameter],
    weights: &[Tensor],
) -> Result<HashMap<Id, (String, Tensor)>> {
    let mut constants = HashMap::new();
    // The graph that computes them, and its values by those of the whole.
    let (mut part, mut moved, mut given) = (Graph::new(), HashMap::new(), Vec::new());
    for (id, other) in graph.ids().zip(twin.ids()) {
        match graph.leaf_of(id) {
            Some(Leaf::Param(i)) => {
                constants.insert(id, (parameters[*i].path(), weights[*i].clone()));
                moved.insert(id, part.leaf(Leaf::Input(given.len()), Type::of(&weights[*i])));
                given.push(weights[*i].clone());
            }
            Some(Leaf::Constant(numbers)) if graph.shape(id) == twin.shape(other) => {
                let tensor = Tensor::new(graph.shape(id).clone(), numbers.to_vec())?;
                moved.insert(id, part.constant(&tensor));
                constants.insert(id, ("constant".into(), tensor));
            }
            Some(Leaf::Fill(number)) if graph.shape(id) == twin.shape(other) => {
                moved.insert(id, part.fill(*number, graph.shape(id).clone()));
            }
            _ => {}
        }
    }
    let mut made = Vec::new();
    for (node, other) in graph.nodes.iter().zip(&twin.nodes) {
        let is_same = node.outputs.iter().zip(&other.outputs).all(|(&y, &other)| graph.ty(y) == twin.ty(other));
        let reads: Option<Vec<Id>> = node.inputs.iter().map(|x| moved.get(x).copied()).collect();
        let Some(reads) = reads.filter(|_| is_same) else { continue };
        let outputs = part.apply_all(node.op.clone(), &reads)?;
        for (&y, own) in node.outputs.iter().zip(outputs) {
            moved.insert(y, own);
            part.output(made.len(), own)?;
            made.push((y, format!("{}/{}", node.layer, node.op.name())));
        }
    }
    if made.is_empty() {
        return Ok(constants);
    }
    let values = Function::new(&Device::cpu(), &part)?.call_async(&given).await?;
    constants.extend(made.into_iter().zip(values).map(|((y, name), value)| (y, (name, value))));
    Ok(constants)
}
