//! An ONNX file's bytes as a graph. Nothing is taken on trust: each message is looked through before it is decoded, so that one that
//! asks for more memory than its own bytes is refused, and each size is held against the bytes that there are.

use prost::Message;
use prost::bytes::Bytes;

use super::proto::{AttributeProto, Extent as Dimension, NodeProto, OperatorSetIdProto, TensorProto, ValueInfoProto};
use crate::graph::onnx::{Attribute, Constant, Extent, FLOAT, INT64, OnnxGraph, OnnxNode, Port};
use crate::io::count;
use crate::io::half::{of_bfloat, of_half};
use crate::io::protobuf::{Field, Fields};
use crate::memory;
use crate::tensor::Tensor;

/// Nodes, constants, inputs or outputs of a graph, and parts of a node, at most.
const MOST: usize = 100_000;
/// How deep a message may be in others.
const MOST_DEPTH: usize = 16;
/// Whole numbers of a constant, at most: shapes and axes are short, and each takes eight times its bytes.
const MOST_WHOLE: usize = 1 << 20;
/// ONNX' numbers of types that are read as floats or as whole numbers, beside those that are written.
const DOUBLE: i64 = 11;
const INT32: i64 = 6;
const BOOL: i64 = 9;
const FLOAT16: i64 = 10;
const BFLOAT16: i64 = 16;

/// The graph of a file's bytes, or what is wrong with them.
pub(crate) fn parse(file: &[u8]) -> Result<OnnxGraph, String> {
    let mut model = OnnxGraph::default();
    let mut graph = None;
    for field in fields(file, "the file")? {
        match field {
            (7, Field::Bytes(bytes)) => graph = Some(bytes),
            (8, Field::Bytes(bytes)) => {
                let set: OperatorSetIdProto = decoded(bytes, "opset_import")?;
                if ["", "ai.onnx"].contains(&&*set.domain) {
                    model.opset = set.version;
                }
            }
            _ => {}
        }
    }
    let graph = graph.ok_or("is no ONNX file: it has no graph; export the model anew")?;
    for field in fields(graph, "the graph")? {
        let Field::Bytes(bytes) = field.1 else { continue };
        match field.0 {
            1 => model.nodes.push(node(bytes)?),
            2 => model.name = String::from_utf8_lossy(bytes).into_owned(),
            5 => model.constants.push(constant(decoded(bytes, "an initializer")?)?),
            11 => model.inputs.push(port(decoded(bytes, "an input")?)?),
            12 => model.outputs.push(port(decoded(bytes, "an output")?)?),
            15 => return Err("has sparse weights, which are not read; export the model with dense ones".into()),
            _ => {}
        }
        if [model.nodes.len(), model.constants.len(), model.inputs.len(), model.outputs.len()].contains(&MOST) {
            return Err(format!("has {MOST} nodes or weights, more than are read"));
        }
    }
    // Files of the first versions list weights as inputs, too.
    let OnnxGraph { inputs, constants, .. } = &mut model;
    let names: std::collections::HashSet<&str> = constants.iter().map(|(name, _)| name.as_str()).collect();
    inputs.retain(|port| !names.contains(port.name.as_str()));
    Ok(model)
}

/// The fields of a message, all of which there are.
fn fields<'m>(message: &'m [u8], what: &str) -> Result<Vec<(u64, Field<'m>)>, String> {
    let mut fields = Fields::of(message);
    // Each takes two bytes or more of the message and a few times as many in memory.
    let mut found = Vec::new();
    while !fields.is_at_end() {
        found.push(fields.next().ok_or_else(|| format!("{what} is damaged or cut off; export the model anew"))?);
        if found.len() > 4 * MOST {
            return Err(format!("{what} has more than {} parts", 4 * MOST));
        }
    }
    Ok(found)
}

/// A message, once it was looked through.
fn decoded<M: Message + Default>(bytes: &[u8], what: &str) -> Result<M, String> {
    look_through(bytes, &mut 0, 0).map_err(|e| format!("{what} has {e}"))?;
    M::decode(Bytes::copy_from_slice(bytes)).map_err(|e| format!("{what} is damaged: {e}"))
}

/// Counts the parts of a message and, as far as they may be messages, of those in it.
fn look_through(bytes: &[u8], parts: &mut usize, depth: usize) -> Result<(), String> {
    if depth > MOST_DEPTH {
        return Err(format!("more than {MOST_DEPTH} messages within each other"));
    }
    for (tag, field) in Fields::of(bytes) {
        *parts += 1;
        if *parts > MOST {
            return Err(format!("more than {MOST} parts"));
        }
        match (tag, field) {
            // What else has bytes are text and numbers.
            (1 | 2 | 5 | 6 | 11, Field::Bytes(inner)) => look_through(inner, parts, depth + 1)?,
            // Lists of numbers: a byte may stand for a whole one, which takes eight.
            (7 | 8, Field::Bytes(inner)) if inner.len() > MOST_WHOLE => {
                return Err(format!(
                    "{} bytes of whole numbers, more than the {MOST_WHOLE} that are read",
                    inner.len()
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

fn node(bytes: &[u8]) -> Result<OnnxNode, String> {
    let node: NodeProto = decoded(bytes, "a node")?;
    let said = if node.name.is_empty() { node.output.first().cloned().unwrap_or_default() } else { node.name.clone() };
    if node.op_type.is_empty() || node.output.is_empty() {
        return Err(format!("node {said:?} has no operator or no output"));
    }
    if !["", "ai.onnx"].contains(&&*node.domain) {
        return Err(format!("node {said:?} is a {} of {:?}, none of ONNX' own operators", node.op_type, node.domain));
    }
    let attribute = |own: AttributeProto| {
        let name = own.name.clone();
        attribute(own).map(|value| (name.clone(), value)).map_err(|e| format!("node {said:?}, attribute {name:?}: {e}"))
    };
    let attributes = node.attribute.into_iter().map(attribute).collect::<Result<_, _>>()?;
    Ok(OnnxNode { op_type: node.op_type, name: node.name, inputs: node.input, outputs: node.output, attributes })
}

fn attribute(own: AttributeProto) -> Result<Attribute, String> {
    let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).map_err(|_| "is no text".to_string());
    Ok(match own.r#type {
        1 => Attribute::Float(own.f),
        2 => Attribute::Int(own.i),
        3 => Attribute::Text(text(&own.s)?),
        4 => Attribute::Constant(constant(own.t.ok_or("is empty")?)?.1),
        6 => Attribute::Floats(own.floats),
        7 => Attribute::Ints(own.ints),
        8 => Attribute::Texts(own.strings.iter().map(text).collect::<Result<_, _>>()?),
        _ => Attribute::Other,
    })
}

/// A tensor and its name.
fn constant(tensor: TensorProto) -> Result<(String, Constant), String> {
    let name = tensor.name.clone();
    let read = || -> Result<Constant, String> {
        if tensor.data_location != 0 {
            return Err("lies in a file of its own; export the model with its weights inside".into());
        }
        let extent = |&extent: &i64| usize::try_from(extent).map_err(|_| format!("has an extent of {extent}"));
        let shape = tensor.dims.iter().map(extent).collect::<Result<Vec<_>, _>>()?;
        let count = count(&shape)?;
        match i64::from(tensor.data_type) {
            FLOAT => {
                let values = numbers(&tensor.raw_data, &tensor.float_data, count, f32::from_le_bytes)?;
                Tensor::new(shape, values).map(Constant::Floats).map_err(|e| e.to_string())
            }
            DOUBLE => {
                let values = numbers(&tensor.raw_data, &tensor.double_data, count, f64::from_le_bytes)?;
                let values: Vec<f32> = values.into_iter().map(|value| value as f32).collect();
                Tensor::new(shape, values).map(Constant::Floats).map_err(|e| e.to_string())
            }
            half @ (FLOAT16 | BFLOAT16) => {
                // Without bytes each is the low half of a whole number.
                let list: Vec<u16> = tensor.int32_data.iter().map(|&bits| bits as u16).collect();
                let bits = numbers(&tensor.raw_data, &list, count, u16::from_le_bytes)?;
                let single = if half == FLOAT16 { of_half } else { of_bfloat };
                let values: Vec<f32> = bits.into_iter().map(single).collect();
                Tensor::new(shape, values).map(Constant::Floats).map_err(|e| e.to_string())
            }
            _ if count > MOST_WHOLE => {
                Err(format!("has {count} whole numbers, more than the {MOST_WHOLE} that are read"))
            }
            INT64 => numbers(&tensor.raw_data, &tensor.int64_data, count, i64::from_le_bytes)
                .map(|values| Constant::Ints(shape, values)),
            INT32 => numbers(&tensor.raw_data, &tensor.int32_data, count, i32::from_le_bytes)
                .map(|values| Constant::Ints(shape, values.into_iter().map(i64::from).collect())),
            BOOL => numbers(&tensor.raw_data, &tensor.int32_data, count, |[byte]: [u8; 1]| i32::from(byte))
                .map(|values| Constant::Ints(shape, values.into_iter().map(i64::from).collect())),
            other => Err(format!("is of ONNX' type {other}; floats and whole numbers are read")),
        }
    };
    let constant = read().map_err(|e| format!("tensor {name:?} {e}"))?;
    Ok((name, constant))
}

/// So many numbers: from bytes where there are any, else those of the list.
fn numbers<T: Copy, const N: usize>(
    raw: &[u8],
    list: &[T],
    count: usize,
    of_bytes: impl Fn([u8; N]) -> T,
) -> Result<Vec<T>, String> {
    let found = if raw.is_empty() { list.len() } else { raw.len() / N };
    if found != count || !raw.len().is_multiple_of(N) {
        return Err(format!("has {found} numbers in the file, {count} by its shape"));
    }
    if raw.is_empty() {
        return memory::copy(list, "the weights of a file").map_err(|e| e.to_string());
    }
    let all = raw.chunks_exact(N).map(|bytes| of_bytes(bytes.try_into().expect("N bytes")));
    memory::list(all, "the weights of a file").map_err(|e| e.to_string())
}

/// An input or an output. An extent that is left open is the batch's.
fn port(port: ValueInfoProto) -> Result<Port, String> {
    let said = &port.name;
    let tensor = port.r#type.and_then(|ty| ty.tensor_type).ok_or_else(|| format!("{said:?} is no tensor"))?;
    let shape = tensor.shape.ok_or_else(|| format!("{said:?} has no shape; export the model with one"))?;
    let is_whole = match i64::from(tensor.elem_type) {
        INT64 | INT32 => true,
        FLOAT | DOUBLE => false,
        other => return Err(format!("{said:?} is of ONNX' type {other}; floats and whole numbers are read")),
    };
    let extent = |value: Option<Dimension>| match value {
        Some(Dimension::Value(extent)) => {
            usize::try_from(extent).map(Extent::Fixed).map_err(|_| format!("{said:?} has an extent of {extent}"))
        }
        Some(Dimension::Param(_)) | None => Ok(Extent::Batch(1)),
    };
    let extents = shape.dim.into_iter().map(|dim| extent(dim.value)).collect::<Result<_, _>>()?;
    Ok(Port { name: port.name, is_whole, extents })
}
