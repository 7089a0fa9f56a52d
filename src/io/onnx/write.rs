//! An ONNX graph as a file's bytes.

use prost::Message;
use prost::bytes::Bytes;

use super::proto::{
    AttributeProto, DimensionProto, Extent as Dimension, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};
use crate::graph::onnx::{Attribute, Constant, Extent, FLOAT, INT64, OnnxGraph, OnnxNode, Port};

/// The version of the file's own form: that of the first runtimes that know the operators' version.
const IR_VERSION: i64 = 8;
/// What the batch's extent is called.
const BATCH: &str = "batch";

/// The file of a graph.
pub(crate) fn to_bytes(model: OnnxGraph) -> Vec<u8> {
    let graph = GraphProto {
        name: model.name,
        node: model.nodes.into_iter().map(node).collect(),
        initializer: model.constants.into_iter().map(|(name, constant)| tensor(name, &constant)).collect(),
        input: model.inputs.iter().map(port).collect(),
        output: model.outputs.iter().map(port).collect(),
    };
    let file = ModelProto {
        ir_version: IR_VERSION,
        producer_name: "kiln".into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        graph: Some(graph),
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: model.opset }],
    };
    file.encode_to_vec()
}

fn node(node: OnnxNode) -> NodeProto {
    NodeProto {
        input: node.inputs,
        output: node.outputs,
        name: node.name,
        op_type: node.op_type,
        attribute: node.attributes.into_iter().map(|(name, value)| attribute(name, value)).collect(),
        domain: String::new(),
    }
}

fn attribute(name: String, value: Attribute) -> AttributeProto {
    let of = |r#type: i32| AttributeProto { r#type, ..AttributeProto::default() };
    let filled = match value {
        Attribute::Float(f) => AttributeProto { f, ..of(1) },
        Attribute::Int(i) => AttributeProto { i, ..of(2) },
        Attribute::Text(text) => AttributeProto { s: text.into(), ..of(3) },
        Attribute::Constant(constant) => AttributeProto { t: Some(tensor(String::new(), &constant)), ..of(4) },
        Attribute::Floats(floats) => AttributeProto { floats, ..of(6) },
        Attribute::Ints(ints) => AttributeProto { ints, ..of(7) },
        Attribute::Texts(texts) => AttributeProto { strings: texts.into_iter().map(Bytes::from).collect(), ..of(8) },
        // Nothing writes one.
        Attribute::Other => of(0),
    };
    AttributeProto { name, ..filled }
}

fn tensor(name: String, constant: &Constant) -> TensorProto {
    let (shape, data_type, bytes): (&[usize], i64, Vec<u8>) = match constant {
        Constant::Floats(tensor) => {
            let numbers = tensor.to_vec::<f32>();
            (tensor.shape(), FLOAT, numbers.iter().flat_map(|number| number.to_le_bytes()).collect())
        }
        Constant::Ints(shape, numbers) => {
            (shape, INT64, numbers.iter().flat_map(|number| number.to_le_bytes()).collect())
        }
    };
    TensorProto {
        dims: shape.iter().map(|&extent| extent as i64).collect(),
        data_type: data_type as i32,
        name,
        raw_data: bytes.into(),
        ..TensorProto::default()
    }
}

fn port(port: &Port) -> ValueInfoProto {
    let extent = |extent: &Extent| match *extent {
        Extent::Fixed(extent) => Dimension::Value(extent as i64),
        Extent::Batch(1) => Dimension::Param(BATCH.into()),
        Extent::Batch(times) => Dimension::Param(format!("{times}*{BATCH}")),
    };
    let dim = port.extents.iter().map(|own| DimensionProto { value: Some(extent(own)) }).collect();
    let elem_type = if port.is_whole { INT64 } else { FLOAT } as i32;
    let tensor_type = Some(TensorTypeProto { elem_type, shape: Some(TensorShapeProto { dim }) });
    ValueInfoProto { name: port.name.clone(), r#type: Some(TypeProto { tensor_type }) }
}
