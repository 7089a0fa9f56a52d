//! Small files of other programs' models that stand for more than any memory or stack holds, each with what is said of it.

use std::fs;
use std::io::Write as _;

use flate2::Compression;
use flate2::Crc;
use flate2::write::{DeflateEncoder, ZlibEncoder};
use kiln::prelude::*;

use crate::hdf5::{self, File, NOWHERE};
use crate::keras::weights_place;

pub struct Bomb {
    pub name: &'static str,
    pub bytes: Vec<u8>,
    pub read: fn(&[u8]) -> Result<(), String>,
    pub says: &'static str,
}

pub fn all() -> Vec<Bomb> {
    [archives(), groups(), trees(), numbers(), packed(), texts(), graphs()].into_iter().flatten().collect()
}

fn archive(bytes: &[u8]) -> Result<(), String> {
    Model::from_bytes(bytes).map(drop).map_err(|e| e.to_string())
}

/// Weights for a kernel and a bias of these extents.
fn load(bytes: &[u8], [inputs, units]: [usize; 2]) -> Result<(), String> {
    fs::write(weights_place(), bytes).unwrap();
    let mut model = Sequential::new().add(Input::new([inputs])).add(Dense::new(units)).device(Device::cpu());
    model.load_weights(weights_place()).map_err(|e| e.to_string())
}

fn small(bytes: &[u8]) -> Result<(), String> {
    load(bytes, [3, 2])
}

fn large(bytes: &[u8]) -> Result<(), String> {
    load(bytes, [1025, 2048])
}

fn square(bytes: &[u8]) -> Result<(), String> {
    load(bytes, [1024, 1024])
}

fn description(bytes: &[u8]) -> Result<(), String> {
    Model::from_json(&String::from_utf8_lossy(bytes)).map(drop).map_err(|e| e.to_string())
}

fn onnx(bytes: &[u8]) -> Result<(), String> {
    Model::from_onnx(bytes).map(drop).map_err(|e| e.to_string())
}

fn deflated(content: &[u8]) -> Vec<u8> {
    let mut packed = DeflateEncoder::new(Vec::new(), Compression::best());
    packed.write_all(content).unwrap();
    packed.finish().unwrap()
}

fn zlib(content: &[u8]) -> Vec<u8> {
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::best());
    packed.write_all(content).unwrap();
    packed.finish().unwrap()
}

/// A file of an archive: its name, how it is packed, what stands in the archive, and how long it says to be.
struct Entry {
    name: &'static str,
    method: u16,
    packed: Vec<u8>,
    len: u64,
    sum: u32,
}

impl Entry {
    fn stored(name: &'static str, content: &[u8]) -> Self {
        Self::of(name, 0, content.to_vec(), content)
    }

    fn deflated(name: &'static str, content: &[u8]) -> Self {
        Self::of(name, 8, deflated(content), content)
    }

    fn of(name: &'static str, method: u16, packed: Vec<u8>, content: &[u8]) -> Self {
        let mut sum = Crc::new();
        sum.update(content);
        Self { name, method, packed, len: content.len() as u64, sum: sum.sum() }
    }
}

/// An archive; each of `shared` begins where the first of `files` does.
fn zip(files: &[Entry], shared: &[&str]) -> Vec<u8> {
    let (mut archive, mut list) = (Vec::new(), Vec::new());
    let again = shared.iter().map(|name| (*name, &files[0], true));
    let all: Vec<_> = files.iter().map(|entry| (entry.name, entry, false)).chain(again).collect();
    for &(name, entry, is_shared) in &all {
        let short = u32::try_from(entry.len).unwrap_or(u32::MAX);
        // Where it does not fit, it stands in a field of its own.
        let extra = if short == u32::MAX { [&[1, 0, 8, 0][..], &entry.len.to_le_bytes()].concat() } else { Vec::new() };
        let sizes = [entry.sum, entry.packed.len() as u32, short].map(u32::to_le_bytes).concat();
        let fields = [[20u16, 0, entry.method, 0, 0x21].map(u16::to_le_bytes).concat(), sizes].concat();
        let lens = |extra: usize| [name.len() as u16, extra as u16].map(u16::to_le_bytes).concat();
        let at = if is_shared { 0 } else { archive.len() as u32 };
        list.extend(
            [b"PK\x01\x02\x14\x00", &fields[..], &lens(extra.len()), &[0; 10], &at.to_le_bytes(), name.as_bytes()]
                .concat(),
        );
        list.extend(extra);
        if !is_shared {
            archive.extend([b"PK\x03\x04", &fields[..], &lens(0), name.as_bytes(), &entry.packed].concat());
        }
    }
    let count = (all.len() as u16).to_le_bytes();
    let [at, len] = [archive.len() as u32, list.len() as u32].map(u32::to_le_bytes);
    archive.extend(list);
    [&archive, &b"PK\x05\x06"[..], &[0; 4], &count, &count, &len, &at, &[0; 2]].concat()
}

const CONFIG: &str = r#"{"module": "keras", "class_name": "Sequential", "registered_name": null, "config": {"name": "chain", "layers": []}}"#;

fn archives() -> Vec<Bomb> {
    let zeros = vec![b' '; 64 << 20];
    let rest = || [Entry::stored("metadata.json", b"{}"), Entry::stored("model.weights.h5", b"")];
    let with = |config: Entry| zip(&[vec![config], rest().into()].concat_all(), &[]);
    let bomb = |name, bytes, says| Bomb { name, bytes, read: archive, says };
    let told = |len: u64| Entry { len, ..Entry::stored("config.json", CONFIG.as_bytes()) };
    let much = Entry { len: 100, ..Entry::deflated("config.json", &zeros) };
    vec![
        bomb(
            "zip-deflated",
            with(Entry::deflated("config.json", &zeros)),
            "config.json: unpacks to 67108864 bytes, more than the 8388608",
        ),
        bomb("zip-lies", with(much), "config.json: does not unpack to the 100 bytes"),
        bomb("zip-declared", with(told(4_294_967_294)), "config.json: unpacks to 4294967294 bytes"),
        bomb("zip-long", with(told(1 << 63)), "config.json: unpacks to 9223372036854775808 bytes"),
        bomb(
            "zip-overlapping",
            zip(&[Entry::stored("config.json", CONFIG.as_bytes())], &["metadata.json", "model.weights.h5"]),
            "share bytes; the list of files is wrong",
        ),
    ]
}

/// Lists put together, whose elements cannot be cloned.
trait ConcatAll<T> {
    fn concat_all(self) -> Vec<T>;
}

impl<T, const N: usize> ConcatAll<T> for [Vec<T>; N] {
    fn concat_all(self) -> Vec<T> {
        self.into_iter().flatten().collect()
    }
}

fn groups() -> Vec<Bomb> {
    let mut deep = File::new();
    let mut inner = deep.group(&[]);
    for _ in 0..10_000 {
        inner = deep.group(&[("g", inner)]);
    }
    let deep = deep.done(inner);

    let mut around = File::new();
    let root = around.next();
    around.group(&[("layers", root)]);
    let around = around.done(root);

    let mut doubled = File::new();
    let mut inner = doubled.group(&[]);
    for _ in 0..60 {
        inner = doubled.group(&[("a", inner), ("b", inner)]);
    }
    let doubled = doubled.done(inner);

    let mut soft = File::new();
    let root =
        soft.header(&[hdf5::no_tree(), hdf5::soft_link("layers", "/other"), hdf5::soft_link("other", "/layers")]);
    let soft = soft.done(root);

    let bomb = |name, bytes, says| Bomb { name, bytes, read: small, says };
    vec![
        bomb("groups-deep", deep, "has more than 160 groups within each other"),
        bomb("groups-around", around, "groups"),
        bomb("groups-doubled", doubled, "has more groups than its bytes can tell of"),
        bomb("links-around", soft, "layers"),
    ]
}

fn trees() -> Vec<Bomb> {
    // A tree of links whose only node is its own child.
    let mut cycle = File::new();
    let node = cycle.next();
    let child = [&node.to_le_bytes()[..], &[1, 1, 1]].concat();
    cycle.push(&[b"BTIN\x00\x05", &[0; 11][..], &child, &child, &[0; 64]].concat());
    let head = |node: u64| {
        let numbers = [&512u32.to_le_bytes()[..], &11u16.to_le_bytes(), &60_000u16.to_le_bytes(), &[100, 40]].concat();
        [b"BTHD\x00\x05", &numbers[..], &node.to_le_bytes(), &1u16.to_le_bytes(), &u64::MAX.to_le_bytes(), &[0; 4]]
            .concat()
    };
    let tree = cycle.push(&head(node));
    let heap = cycle.push(&heap_head());
    let root = cycle.header(&[hdf5::tree_of_links(heap, tree)]);
    let cycle = cycle.done(root);

    // Each node of a tree of names has the next one twice.
    let mut doubled = File::new();
    let names = doubled.push(&[0; 64]);
    let heap = doubled
        .push(&[b"HEAP\x00\x00\x00\x00", &64u64.to_le_bytes()[..], &1u64.to_le_bytes(), &names.to_le_bytes()].concat());
    let table = doubled.push(&[b"SNOD\x01\x00\x00\x00", &[0; 320][..]].concat());
    let mut inner = table;
    for level in 0..40u8 {
        let key = [&0u64.to_le_bytes()[..], &inner.to_le_bytes()].concat();
        let ends = [NOWHERE; 2].map(u64::to_le_bytes).concat();
        inner = doubled.push(&[b"TREE\x00", &[level, 2, 0][..], &ends, &key, &key, &[0; 8]].concat());
    }
    let root = doubled.header(&[(0x11, [inner, heap].map(u64::to_le_bytes).concat())]);
    let doubled = doubled.done(root);

    let bomb = |name, bytes, says| Bomb { name, bytes, read: small, says };
    vec![
        bomb("tree-of-itself", cycle, "it has a tree of more than 32 levels"),
        bomb("tree-doubled", doubled, "its groups lead around in it"),
    ]
}

/// The head of a heap that has the links of a group.
fn heap_head() -> Vec<u8> {
    let sizes = [&7u16.to_le_bytes()[..], &[0; 2], &[0; 1], &4096u32.to_le_bytes()].concat();
    let numbers = [0u64, NOWHERE, 0, NOWHERE, 4096, 4096, 0, 1, 0, 0, 0, 0].map(u64::to_le_bytes).concat();
    let table = [&4u16.to_le_bytes()[..], &512u64.to_le_bytes(), &65536u64.to_le_bytes(), &[32, 0, 0, 0]].concat();
    [b"FRHP\x00", &sizes[..], &numbers, &table, &NOWHERE.to_le_bytes(), &[0; 8]].concat()
}

/// A file with a kernel in the place of the first layer's.
fn kernel(make: impl FnOnce(&mut File) -> u64) -> Vec<u8> {
    let mut file = File::new();
    let kernel = make(&mut file);
    let place = file.push(&[0; 8]);
    let bias = file.floats(&[2], place, 8);
    let vars = file.group(&[("0", kernel), ("1", bias)]);
    let dense = file.group(&[("vars", vars)]);
    let layers = file.group(&[("dense", dense)]);
    let root = file.group(&[("layers", layers)]);
    file.done(root)
}

fn numbers() -> Vec<Bomb> {
    let bomb = |name, bytes, says| Bomb { name, bytes, read: small, says };
    let elements = |size: u32| {
        let mut float = hdf5::float();
        float.1[4..8].copy_from_slice(&size.to_le_bytes());
        float
    };
    let wide = kernel(|file| file.header(&[hdf5::space(&[3, 2]), elements(1 << 31), hdf5::layout(48, 24)]));
    let nested = kernel(|file| file.header(&[hdf5::space(&[3, 2]), hdf5::nested_type(8000), hdf5::layout(48, 24)]));
    vec![
        bomb(
            "numbers-2-63",
            kernel(|file| file.floats(&[1 << 63, 2], 48, 24)),
            "has shape [9223372036854775808, 2], where the model has (3, 2)",
        ),
        bomb(
            "numbers-behind",
            kernel(|file| file.floats(&[3, 2], 1 << 40, 24)),
            "\"layers/dense/vars/0\" cannot be read",
        ),
        bomb(
            "numbers-long",
            kernel(|file| file.floats(&[3, 2], 48, u64::MAX)),
            "\"layers/dense/vars/0\" cannot be read",
        ),
        bomb("numbers-wide", wide, "has 12884901888 bytes, where the file has"),
        bomb("numbers-nested", nested, "it has a type of 64020 bytes; that of numbers has 64 at most"),
        Bomb {
            read: archive,
            ..bomb("numbers-shared", shared(), "weight dense_7/kernel: \"layers/dense_7/vars/0\" takes 1048576 bytes")
        },
    ]
}

/// Twenty layers whose kernels are all the same megabyte.
fn shared() -> Vec<u8> {
    let mut file = File::new();
    let [place, few] = [vec![0; 1 << 20], vec![0; 2048]].map(|zeros| file.push(&zeros));
    let (kernel, bias) = (file.floats(&[512, 512], place, 1 << 20), file.floats(&[512], few, 2048));
    let vars = file.group(&[("0", kernel), ("1", bias)]);
    let dense = file.group(&[("vars", vars)]);
    let names: Vec<String> = (0..20).map(|i| if i == 0 { "dense".into() } else { format!("dense_{i}") }).collect();
    let links: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), dense)).collect();
    let layers = file.group(&links);
    let root = file.group(&[("layers", layers)]);
    let input = r#"{"module": "keras.layers", "class_name": "InputLayer", "config": {"name": "x", "batch_shape": [null, 512]}}"#;
    let dense = |name: &String| {
        format!(
            r#", {{"module": "keras.layers", "class_name": "Dense", "config": {{"name": "{name}", "units": 512}}}}"#
        )
    };
    let layers: String = names.iter().map(dense).collect();
    let config = CONFIG.replace("[]", &format!("[{input}{layers}]"));
    // The archive's own limit would be ten times the megabyte and more.
    let files = [
        Entry::stored("config.json", config.as_bytes()),
        Entry::stored("metadata.json", b"{}"),
        Entry::deflated("model.weights.h5", &file.done(root)),
    ];
    zip(&files, &[])
}

fn packed() -> Vec<Bomb> {
    let bomb = |name, read, bytes, says| Bomb { name, bytes, read, says };
    let zeros = vec![0; 1025 * 2048 * 4];
    let inflated = kernel(|file| file.packed(&[1025, 2048], &[1025, 2048], &zlib(&zeros), 1));
    let rows = kernel(|file| file.packed(&[1025, 2048], &[41, 2048], &zlib(&zeros[..41 * 2048 * 4]), 1));
    let longer = kernel(|file| file.packed(&[3, 2], &[3, 2], &zlib(&zeros), 1));
    let small_parts = kernel(|file| file.packed(&[1024, 1024], &[1, 1], &zlib(&[0; 4]), 1));
    let large_part = kernel(|file| file.packed(&[3, 2], &[1 << 16, 1 << 16], &zlib(&zeros), 1));
    let often = kernel(|file| file.packed(&[3, 2], &[3, 2], &zlib(&zeros), 5));
    vec![
        bomb("packed-inflated", large, inflated, "is packed in parts of 8396800 bytes; 8388608 is the most"),
        bomb("packed-rows", large, rows, "takes 8396800 bytes, more than what is left"),
        bomb("packed-longer", small, longer, "\"layers/dense/vars/0\" cannot be read"),
        bomb("packed-small-parts", square, small_parts, "is packed in 1048576 parts"),
        bomb("packed-large-part", small, large_part, "is packed in parts of 17179869184 bytes"),
        bomb("packed-often", small, often, "is packed by 5 filters; 4 are the most"),
    ]
}

fn texts() -> Vec<Bomb> {
    let bomb = |name, text: String, says| Bomb { name, bytes: text.into_bytes(), read: description, says };
    let nested = |depth: usize| {
        let open = r#"{"module": "keras", "class_name": "Sequential", "config": {"name": "c", "layers": ["#;
        format!("{}{}", open.repeat(depth), "]}}".repeat(depth))
    };
    let around = |depth: usize| {
        let open = r#"{"module": "keras.layers", "class_name": "TimeDistributed", "config": {"name": "t", "layer": "#;
        CONFIG.replace("[]", &format!("[{}1{}]", open.repeat(depth), "}}".repeat(depth)))
    };
    vec![
        bomb("text-lists", format!("{}{}", "[".repeat(10_000), "]".repeat(10_000)), "lists within each other"),
        bomb("text-models", nested(10_000), "lists within each other"),
        bomb("text-layers", around(120), "setting \"layer\" of TimeDistributed: expected a class"),
        bomb("text-values", format!("[{}1]", "1,".repeat(2 << 20)), "more than 262144 values"),
    ]
}

/// A field of a message of protobuf.
fn field(tag: u64, content: &[u8]) -> Vec<u8> {
    [varint(tag << 3 | 2), varint(content.len() as u64), content.to_vec()].concat()
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

fn graphs() -> Vec<Bomb> {
    let bomb = |name, graph: Vec<u8>, says| Bomb { name, bytes: field(7, &graph), read: onnx, says };
    let mut nested = Vec::new();
    for _ in 0..10_000 {
        // A graph in an attribute of a node of a graph.
        nested = field(1, &[field(2, b"y"), field(4, b"If"), field(5, &field(6, &nested))].concat());
    }
    let tensor = |fields: &[Vec<u8>]| field(5, &[fields.concat(), field(8, b"w")].concat());
    let dims = |dims: &[u64]| field(1, &dims.iter().flat_map(|&dim| varint(dim)).collect::<Vec<u8>>());
    let kind = |kind: u64| [varint(2 << 3), varint(kind)].concat();
    let huge = tensor(&[dims(&[1 << 62, 4]), kind(1), field(9, &[0; 16])]);
    let negative = tensor(&[dims(&[1 << 63]), kind(1), field(9, &[0; 16])]);
    let whole = tensor(&[dims(&[3 << 20]), kind(7), field(7, &vec![0; 3 << 20])]);
    let attribute = [field(1, b"a"), field(8, &vec![0; 3 << 20]), [varint(20 << 3), varint(7)].concat()].concat();
    let node = field(1, &[field(2, b"y"), field(4, b"Slice"), field(5, &attribute)].concat());
    vec![
        bomb("graphs-nested", nested, "more than 16 messages within each other"),
        bomb("graphs-huge", huge, "tensor \"w\""),
        bomb("graphs-negative", negative, "has an extent of -9223372036854775808"),
        bomb("graphs-whole", whole, "whole numbers"),
        bomb("graphs-attribute", node, "whole numbers"),
    ]
}
