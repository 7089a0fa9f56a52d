//! Files that are damaged, or that lie: an error that says where, and no more memory than they have bytes for.

use kiln::prelude::*;

use crate::common::says;

/// A field of a message: its number, and bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    varint(&mut field, bytes.len() as u64);
    field.extend(bytes);
    field
}

/// A field of a message that is a whole number.
fn whole(number: u8, value: u64) -> Vec<u8> {
    let mut field = vec![number << 3];
    varint(&mut field, value);
    field
}

fn varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// A file with these fields in its graph, and an input x of three numbers a sample.
fn file(fields: &[Vec<u8>]) -> Vec<u8> {
    let extent = |extent: u64| field(1, &whole(1, extent));
    let shape = [extent(1), extent(3)].concat();
    let tensor = [whole(1, 1), field(2, &shape)].concat();
    let port = |name: &str| [field(1, name.as_bytes()), field(2, &field(1, &tensor))].concat();
    let graph = [&fields.concat()[..], &field(11, &port("x")), &field(12, &port("y"))].concat();
    [whole(1, 8), field(8, &whole(2, 18)), field(7, &graph)].concat()
}

/// A node of an operator from some tensors to y.
fn node(op_type: &str, inputs: &[&str], more: &[u8]) -> Vec<u8> {
    let inputs: Vec<u8> = inputs.iter().flat_map(|input| field(1, input.as_bytes())).collect();
    let fields = [&inputs[..], &field(2, b"y"), &field(3, b"the_node"), &field(4, op_type.as_bytes()), more];
    field(1, &fields.concat())
}

/// A constant of floats with these extents and bytes.
fn floats(name: &str, extents: &[u64], bytes: &[u8]) -> Vec<u8> {
    let extents: Vec<u8> = extents.iter().flat_map(|&extent| whole(1, extent)).collect();
    field(5, &[&extents[..], &whole(2, 1), &field(8, name.as_bytes()), &field(9, bytes)].concat())
}

fn refused(fields: &[Vec<u8>], parts: &[&str]) {
    says(Model::from_onnx(file(fields)), parts);
}

#[test]
fn what_is_wrong_is_named() {
    assert!(Model::from_onnx(file(&[node("Relu", &["x"], &[])])).is_ok());
    says(Model::from_onnx([]), &["no ONNX file"]);
    says(Model::from_onnx(b"PK\x03\x04"), &["damaged or cut off"]);
    refused(&[node("Einsum", &["x"], &[])], &["the_node", "Einsum", "no layer"]);
    refused(&[node("Relu", &["z"], &[])], &["the_node", "\"z\"", "nothing makes"]);
    refused(&[node("Relu", &["x"], &field(7, b"com.other"))], &["the_node", "com.other"]);
    refused(&[], &["\"y\"", "no node"]);
    let large = 1u64 << 63;
    for extents in [&[large][..], &[large - 1], &[1 << 40, 1 << 40], &[0, u64::MAX], &[3, 2]] {
        refused(&[floats("w", extents, &[0; 16]), node("MatMul", &["x", "w"], &[])], &["tensor \"w\""]);
    }
    let external = field(5, &[&whole(1, 3)[..], &whole(2, 1), &field(8, b"w"), &whole(14, 1)].concat());
    refused(&[external, node("Add", &["x", "w"], &[])], &["tensor \"w\"", "file of its own"]);
    refused(
        &[floats("w", &[2, 2], &[0; 16]), node("MatMul", &["x", "w"], &[])],
        &["the_node/kernel", "(2, 2)", "(3, 2)"],
    );
    refused(&[floats("w", &[4], &[0; 16]), node("Conv", &["x", "w"], &[])], &["the_node", "kernel"]);
}

/// Weights of 16 bits, of both kinds, as bytes and as the low halves of whole numbers.
#[test]
fn weights_of_16_bits_are_read() {
    let x = Tensor::from([[1.0f32, 2.0, -4.0]]);
    // 0.5, -1.5, 2 and 0.375 in each.
    for (kind, bits) in [(10, [0x3800u16, 0xbe00, 0x4000, 0x3600]), (16, [0x3f00, 0xbfc0, 0x4000, 0x3ec0])] {
        let extents = [whole(1, 3), whole(1, 1), whole(2, kind), field(8, b"w")].concat();
        let bytes: Vec<u8> = bits[..3].iter().flat_map(|bits| bits.to_le_bytes()).collect();
        let mut list = Vec::new();
        bits[..3].iter().for_each(|&bits| varint(&mut list, bits.into()));
        for numbers in [field(9, &bytes), field(5, &list)] {
            let weights = field(5, &[&extents[..], &numbers].concat());
            let mut model = Model::from_onnx(file(&[weights, node("MatMul", &["x", "w"], &[])])).unwrap();
            model = model.device(Device::cpu());
            assert_eq!(model.predict(&x).unwrap().to_vec::<f32>(), [0.5 - 3.0 - 8.0]);
        }
        let short = field(5, &[&extents[..], &field(9, &bytes[..4])].concat());
        refused(&[short, node("MatMul", &["x", "w"], &[])], &["tensor \"w\"", "2 numbers in the file, 3 by its shape"]);
    }
}

/// A graph in an attribute of a node of a graph, and so on; and parts without end that take more memory than bytes.
#[test]
fn what_asks_for_much_is_refused_or_passed_over() {
    let mut nested = Vec::new();
    for _ in 0..10_000 {
        nested = field(5, &field(6, &field(1, &nested)));
    }
    let deep = node("Relu", &["x"], &nested);
    says(Model::from_onnx(file(&[deep])), &["a node", "messages within each other"]);
    let whole_numbers = [field(1, b"axes"), field(8, &vec![0; 3 << 20]), whole(20, 7)].concat();
    refused(&[node("ReduceMean", &["x"], &field(5, &whole_numbers))], &["3145728 bytes of whole numbers"]);
    let attributes = field(5, &[]).repeat(1 << 20);
    refused(&[node("Relu", &["x"], &attributes)], &["parts"]);
    let nodes = vec![field(1, &[]); 1000];
    refused(&nodes, &["no operator"]);
    // Each doubles what the last made.
    let mut doubled = vec![field(1, &[field(1, b"x"), field(2, b"c0"), field(4, b"Shape")].concat())];
    for i in 0..60 {
        let (read, made) = (format!("c{i}"), format!("c{}", i + 1));
        let twice =
            [field(1, read.as_bytes()), field(1, read.as_bytes()), field(2, made.as_bytes()), field(4, b"Concat")];
        doubled.push(field(1, &twice.concat()));
    }
    refused(&doubled, &["too much of constants"]);
}

/// Whatever bytes change, there is a model or an error.
#[test]
fn changed_bytes_give_a_model_or_an_error() {
    let mut model = Sequential::new()
        .add(Input::new([6, 6, 1]))
        .add(Conv2D::new(2, 3).padding("same").activation("relu"))
        .add(BatchNormalization::new())
        .add(MaxPooling2D::new(2))
        .add(Flatten)
        .add(Dense::new(3).activation("softmax"))
        .device(Device::cpu());
    let whole = model.to_onnx().unwrap();
    for end in (0..whole.len()).step_by(7) {
        assert!(Model::from_onnx(&whole[..end]).is_err(), "the first {end} bytes");
    }
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut draw = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let mut models = 0;
    for _ in 0..5000 {
        let mut changed = whole.clone();
        for _ in 0..1 + draw(4) {
            let at = draw(changed.len());
            match draw(3) {
                0 => changed[at] = draw(256) as u8,
                1 => changed[at] ^= 1 << draw(8),
                _ => changed.truncate(at.max(1)),
            }
        }
        models += usize::from(Model::from_onnx(&changed).is_ok());
    }
    // Most bytes are weights.
    assert!((100..4900).contains(&models), "{models}");
}
