//! What reads files, the inputs that its inputs are made of, and what is done with what was read.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use flate2::write::{DeflateEncoder, GzEncoder};
use flate2::{Compression, Crc};
use kiln::data::{Csv, Encoding, Missing, Npz, Scaler, parse_idx, parse_image, parse_png};
use kiln::io::TensorFile;
use kiln::nn::{Chain, Config, Setting};
use kiln::prelude::*;

use crate::keras;
use crate::mutate::Rng;

pub struct Reader {
    pub name: &'static str,
    /// Whether inputs are text, with numbers and words.
    pub is_text: bool,
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// What stands around the part that is changed: sums and lengths that are right.
    pub wrap: fn(Vec<u8>, &mut Rng) -> Vec<u8>,
    pub read: fn(&[u8]),
    /// Inputs without `--seconds`.
    pub count: u64,
    /// Bytes that an input of so many may take of memory.
    pub most: fn(usize) -> usize,
}

/// What inputs may unpack to, once as bytes and once as numbers four times as wide, in vectors that grow by doubling.
fn unpacked(len: usize) -> usize {
    (600 << 20) + 100 * len
}

/// What the files of other programs' models may take.
pub fn of_other_programs(len: usize) -> usize {
    (64 << 20) + len
}

/// Inputs of most readers, and of the files of other programs' models.
const FEW: u64 = 1500;
const MANY: u64 = 5000;

pub const READERS: [Reader; 19] = [
    reader("model", true, models, with_tensors, model),
    reader("modelfile", false, model_files, as_is, model),
    reader("tensors", false, tensor_files, as_is, tensors),
    reader("weights", true, weight_headers, with_tensors, weights),
    reader("npy", true, npys, zipped, tensors),
    reader("archive", false, archives, as_is, tensors),
    reader("idx", false, idxs, as_is, idx),
    reader("gzip", false, gzips, as_is, idx),
    reader("csv", true, tables, as_is, csv),
    reader("csvgz", true, tables, gzipped, csv),
    reader("png", false, pngs, summed, png),
    reader("jpeg", false, jpegs, as_is, jpeg),
    reader("onnx", false, onnx_files, as_is, onnx).of_models(),
    reader("keras", false, keras::archives, keras::summed, keras::archive).of_models(),
    reader("weightsh5", false, keras::weights, as_is, keras::load).of_models(),
    reader("kerasjson", true, keras::descriptions, as_is, keras::description).of_models(),
    reader("chain", true, chains, as_is, chain),
    reader("tuning", true, tunings, as_is, tuning),
    reader("scaler", true, scalers, as_is, scaler),
];

const fn reader(
    name: &'static str,
    is_text: bool,
    seeds: fn() -> Vec<Vec<u8>>,
    wrap: fn(Vec<u8>, &mut Rng) -> Vec<u8>,
    read: fn(&[u8]),
) -> Reader {
    Reader { name, is_text, seeds, wrap, read, count: FEW, most: unpacked }
}

impl Reader {
    /// One of files that other programs keep models in.
    const fn of_models(self) -> Self {
        Self { count: MANY, most: of_other_programs, ..self }
    }
}

pub fn as_is(bytes: Vec<u8>, _rng: &mut Rng) -> Vec<u8> {
    bytes
}

pub fn fixture(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)).expect(name)
}

pub fn place() -> PathBuf {
    static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::TempDir::new().unwrap());
    FOLDER.path().join("input")
}

/// The text in a file's header, without the blanks that some programs put there.
fn header(file: &[u8]) -> Vec<u8> {
    let len = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    String::from_utf8_lossy(&file[8..8 + len]).replace("\": ", "\":").into_bytes()
}

/// A small model with everything that has settings.
fn rich() -> Vec<u8> {
    let mut model = Sequential::new()
        .add(Input::new([4, 4]))
        .add(RandomFlip::horizontal())
        .add(RandomTranslation::new(0.1, 0.2))
        .add(GaussianNoise::new(0.1))
        .add(Permute::new([2, 1]))
        .add(Reshape::new([2, -1]))
        .add(Dropout::new(0.3))
        .add(Dense::new(3).activation(Activation::Elu { alpha: 0.5 }).kernel_regularizer(Regularizer::l1_l2(0.1, 0.2)))
        .add(Flatten)
        .add(Dense::new(2).kernel_initializer(Initializer::RandomNormal { mean: 0.1, stddev: 0.2 }))
        .add(Activation::LeakyRelu)
        .device(Device::cpu());
    let schedule = CosineDecayRestarts::new(0.1, 10);
    let optimizer = Scheduled::new(Adam { amsgrad: true, ..Adam::default() }.clip_norm(1.0), schedule);
    let metrics = [Metric::Auc, Metric::F1Score, Metric::TopKCategoricalAccuracy { k: 1 }];
    model.compile(optimizer.gradient_accumulation_steps(2), Loss::CategoricalCrossentropy, metrics).unwrap();
    model.set_note("scaler", Scaler { center: vec![0.5, 1.0], scale: vec![1.0, 2.0] });
    model.save(place()).unwrap();
    fs::read(place()).unwrap()
}

fn model_files() -> Vec<Vec<u8>> {
    let mut files =
        vec![rich(), fixture("hostile/esc.safetensors"), fixture("hostile/tab-classweight-short.safetensors")];
    for schedule in ["PiecewiseConstantDecay", "PolynomialDecay", "CosineDecay", "ExponentialDecay", "InverseTimeDecay"]
    {
        let mut model = Sequential::new().add(Input::new([2])).add(Dense::new(2)).device(Device::cpu());
        let optimizer: Box<dyn Optimizer> = match schedule {
            "PiecewiseConstantDecay" => {
                Box::new(Scheduled::new(Sgd::default(), PiecewiseConstantDecay::new([3], [0.1, 0.2])))
            }
            "PolynomialDecay" => Box::new(Scheduled::new(Nadam::default(), PolynomialDecay::new(0.1, 5))),
            "CosineDecay" => Box::new(Scheduled::new(Adadelta::default(), CosineDecay::new(0.1, 5))),
            "ExponentialDecay" => Box::new(Scheduled::new(Lion::default(), ExponentialDecay::new(0.1, 5, 0.5))),
            _ => Box::new(Scheduled::new(Adamax::default(), InverseTimeDecay::new(0.1, 5, 0.5))),
        };
        model.compile(optimizer, Loss::Huber, [Metric::R2Score]).unwrap();
        model.save(place()).unwrap();
        files.push(fs::read(place()).unwrap());
    }
    files
}

/// Headers, whose text in text is written as it is: what is changed in it stays JSON more often.
fn models() -> Vec<Vec<u8>> {
    model_files().iter().map(|file| header(file)).collect()
}

/// The header with as many bytes of tensors behind it as some of it says.
fn with_tensors(header: Vec<u8>, rng: &mut Rng) -> Vec<u8> {
    let text = String::from_utf8_lossy(&header);
    let last = text.split("data_offsets\":[").skip(1).filter_map(|part| part.split_once(',')?.1.split_once(']'));
    let len =
        last.filter_map(|(end, _)| end.trim().parse::<usize>().ok()).filter(|&end| end < 1 << 16).max().unwrap_or(0);
    let tensors = vec![rng.next() as u8 & 0x3f; len];
    [&(header.len() as u64).to_le_bytes()[..], &header, &tensors].concat()
}

fn model(bytes: &[u8]) {
    fs::write(place(), bytes).unwrap();
    let Ok(model) = Sequential::load(place()) else { return };
    let _ = model.summary().map(|summary| summary.to_string());
    let step = model.epoch() as u64;
    if let Some(optimizer) = model.optimizer() {
        let _ = (optimizer.learning_rate_at(step), optimizer.learning_rate_at(1 << 53), optimizer.scalars(step + 1));
    }
    let _ = (model.note::<Scaler>("scaler"), model.note::<Setting>("course"));
    if let Ok(Some(mut table)) = model.note::<Config>("table")
        && let Ok(encoding) = table.take::<Encoding>("encoding")
    {
        let table = place().with_extension("csv");
        fs::write(&table, "x,y,legs,skin,w,kind\n1,b,4,bare,0.5,frog\n").unwrap();
        let _ = (encoding.features(), encoding.read(&table), encoding.read_samples(&table));
    }
    let Ok(sample) = model.sample_shape().cloned() else { return };
    if sample.len() > 1 << 12 || model.summary().is_ok_and(|summary| summary.parameters() > 1 << 14) {
        return;
    }
    let mut model = model.device(Device::cpu());
    let x = Tensor::new([&[2], &sample[..]].concat(), vec![0.5f32; 2 * sample.len()]).unwrap();
    let Ok(y) = model.predict(&x) else { return };
    let labels = Tensor::new([2], vec![0u32, 1]).unwrap();
    for targets in [y, labels] {
        if let Ok(data) = Dataset::new(x.clone(), targets) {
            let _ = model.evaluate(&data);
            let _ = model.fit(&data, Fit::new().initial_epoch(model.epoch()).epochs(model.epoch() + 1).verbose(0));
        }
    }
}

fn tensor_files() -> Vec<Vec<u8>> {
    let file = TensorFile::new().with("a", Tensor::from([[1.0f32, 2.0], [3.0, 4.0]])).with("b", Tensor::from([1u8, 2]));
    file.write(place()).unwrap();
    vec![fs::read(place()).unwrap(), fixture("python.safetensors")]
}

fn tensors(bytes: &[u8]) {
    let read = TensorFile::parse(bytes, Path::new("input"));
    if let Ok(file) = read {
        file.names().for_each(|name| drop(file.tensor(name)));
    }
    let Ok(file) = Npz::parse(bytes, Path::new("input")) else { return };
    let names: Vec<String> = file.names().map(String::from).collect();
    for name in names.iter().take(8) {
        let _ = (file.samples(name).map(drop), file.dataset(name, &names[0]).map(drop));
    }
}

/// Headers of weights of Kiln's, Keras' and PyTorch's names, for the model of [`weights`].
fn weight_headers() -> Vec<Vec<u8>> {
    // Without sums, which whatever is changed would break.
    let file = |layer: &str| {
        let kernel = format!(r#""{layer}/kernel":{{"dtype":"F32","shape":[3,3],"data_offsets":[0,36]}}"#);
        format!(r#"{{{kernel},"{layer}/bias":{{"dtype":"F16","shape":[3],"data_offsets":[36,42]}}}}"#).into_bytes()
    };
    let torch =
        ["mlp", "convolutions", "tokens", "both_ways"].map(|name| fixture(&format!("torch/{name}.safetensors")));
    let own = ["dense_1", "net/dense_7"].map(file);
    own.into_iter().chain(torch.iter().map(|file| header(file))).collect()
}

fn weights(bytes: &[u8]) {
    fs::write(place(), bytes).unwrap();
    let layers = "input 6, embedding 7 5, lstm 4 return_sequences=true, bidirectional GRU(units=4), dense 3, dense 3, batch_normalization";
    let mut model = Sequential::from_text(layers).unwrap().device(Device::cpu());
    if let Ok(taken) = model.load_weights_from(place()) {
        assert!(taken.matched.len() <= taken.weights && !taken.to_string().is_empty());
    }
}

/// Each with a line in Python's notation and its elements.
fn npys() -> Vec<Vec<u8>> {
    let types = [("<f4", 4), ("<f8", 8), ("|u1", 1), ("<i8", 8), (">i2", 2), ("<f2", 2), ("|b1", 1)];
    let npy = |(dtype, size): (&str, usize), order: &str| {
        let header = format!("{{'descr': '{dtype}', 'fortran_order': {order}, 'shape': (2, 3), }}\n");
        let len = (header.len() as u16).to_le_bytes();
        [b"\x93NUMPY\x01\x00", &len[..], header.as_bytes(), &vec![1; 6 * size]].concat()
    };
    types.iter().flat_map(|&kind| ["False", "True"].map(|order| npy(kind, order))).collect()
}

/// An archive of one file, stored or deflated, whose sum is right.
fn zipped(content: Vec<u8>, rng: &mut Rng) -> Vec<u8> {
    let deflated = rng.below(2) == 0;
    let mut packed = DeflateEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&content).unwrap();
    let packed = if deflated { packed.finish().unwrap() } else { content.clone() };
    let mut sum = Crc::new();
    sum.update(&content);
    let sizes = [sum.sum(), packed.len() as u32, content.len() as u32].map(u32::to_le_bytes).concat();
    let method = if deflated { 8 } else { 0 };
    let shared = [[20u16, 0, method, 0, 0x21].map(u16::to_le_bytes).concat(), sizes, vec![5, 0, 0, 0]].concat();
    let mut bytes = [b"PK\x03\x04", &shared[..], b"a.npy", &packed].concat();
    let list = [b"PK\x01\x02\x14\x00", &shared[..], &[0; 14], b"a.npy"].concat();
    let at = (bytes.len() as u32).to_le_bytes();
    bytes.extend(&list);
    bytes
        .extend([b"PK\x05\x06", &[0; 4][..], &[1, 0, 1, 0], &(list.len() as u32).to_le_bytes(), &at, &[0; 2]].concat());
    bytes
}

fn archives() -> Vec<Vec<u8>> {
    ["data-types.npz", "data-types-compressed.npz", "python.npz", "python-compressed.npz"].map(fixture).into()
}

fn idxs() -> Vec<Vec<u8>> {
    let of = |kind: u8, size: usize| [&[0, 0, kind, 2, 0, 0, 0, 3, 0, 0, 0, 2][..], &vec![1; 6 * size]].concat();
    [(8, 1), (9, 1), (0xb, 2), (0xc, 4), (0xd, 4), (0xe, 8)].map(|(kind, size)| of(kind, size)).into()
}

fn gzipped(bytes: Vec<u8>, _rng: &mut Rng) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&bytes).unwrap();
    packed.finish().unwrap()
}

fn gzips() -> Vec<Vec<u8>> {
    idxs().into_iter().map(|bytes| gzipped(bytes, &mut Rng::new(0, "", 0))).collect()
}

fn idx(bytes: &[u8]) {
    drop(parse_idx(bytes, Path::new("input")));
    fs::write(place(), bytes).unwrap();
    drop(kiln::data::read_pair(place(), place()));
}

fn tables() -> Vec<Vec<u8>> {
    let texts: [&str; 4] = [
        "name,legs,skin,y\nfrog,4,bare,0\n\"carp, common\",0,scales,1\nbass,,scales,1\n",
        "a,b,y\n1,2,x\n3,NA,z\n-,5e9,x\n\"1,000\",7,z\n",
        "\u{feff}y,a\r\n1,0.5\r\n0,1e-9\r\n",
        "y\tb\n1\t2\n0\t3\n",
    ];
    texts.map(|text| text.as_bytes().to_vec()).into()
}

fn csv(bytes: &[u8]) {
    let ways = [
        Csv::new().label("y"),
        Csv::new().targets(["y"]).missing(Missing::Fill(0.5)),
        Csv::new().label("1").header(false).missing(Missing::DropRow),
        Csv::new().label("y").separator(b'\t').words(["b"]).sample_weight("b"),
    ];
    for way in ways {
        if let Ok(table) = way.parse(bytes) {
            let _ =
                (table.features.len(), table.data.stratified_split(0.5, 1).map(drop), Scaler::standardize(&table.data));
        }
    }
}

fn pngs() -> Vec<Vec<u8>> {
    let chunk = |name: &[u8; 4], data: &[u8]| [&(data.len() as u32).to_be_bytes()[..], name, data, &[0; 4]].concat();
    let mut all = vec![fixture("hostile/g.png")];
    for (depth, colour) in [(8u8, 0u8), (1, 0), (8, 2), (2, 3), (8, 3), (16, 4), (8, 6)] {
        let head = [&[0, 0, 0, 3, 0, 0, 0, 2, depth, colour, 0, 0, 0][..]].concat();
        let mut rows = flate2::write::ZlibEncoder::new(Vec::new(), Compression::fast());
        rows.write_all(&[1; 60]).unwrap();
        let rows = rows.finish().unwrap();
        let parts = [chunk(b"IHDR", &head), chunk(b"PLTE", &[9; 12]), chunk(b"tRNS", &[7; 2]), chunk(b"IDAT", &rows)];
        all.push([b"\x89PNG\r\n\x1a\n", &parts.concat()[..], &chunk(b"IEND", b"")].concat());
    }
    all
}

/// A PNG whose chunks have right sums, as far as their lengths make sense.
fn summed(mut bytes: Vec<u8>, rng: &mut Rng) -> Vec<u8> {
    let mut at = 8;
    while rng.below(64) > 0 && at + 12 <= bytes.len() {
        let len = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        let Some(end) = (at + 8).checked_add(len).filter(|end| end + 4 <= bytes.len()) else { break };
        let mut sum = Crc::new();
        sum.update(&bytes[at + 4..end]);
        bytes[end..end + 4].copy_from_slice(&sum.sum().to_be_bytes());
        at = end + 4;
    }
    bytes
}

fn png(bytes: &[u8]) {
    drop(parse_png(bytes, Path::new("input")));
}

/// Grey and in colour; the encoder writes no progressive ones.
fn jpegs() -> Vec<Vec<u8>> {
    let pixels: Vec<u8> = (0..17 * 9 * 3).map(|i| (i * 37 % 251) as u8).collect();
    let encoded = |kind: image::ExtendedColorType, len: usize| {
        let mut bytes = Vec::new();
        let mut encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 80);
        encoder.encode(&pixels[..len], 17, 9, kind).unwrap();
        bytes
    };
    vec![encoded(image::ExtendedColorType::L8, 17 * 9), encoded(image::ExtendedColorType::Rgb8, 17 * 9 * 3)]
}

fn jpeg(bytes: &[u8]) {
    drop(parse_image(bytes, Path::new("input")));
}

/// Small files of Kiln's own, and one of PyTorch's.
fn onnx_files() -> Vec<Vec<u8>> {
    let images = Sequential::new()
        .add(Input::new([6, 6, 1]))
        .add(Conv2D::new(2, 3).padding("same").activation("relu"))
        .add(BatchNormalization::new())
        .add(MaxPooling2D::new(2))
        .add(UpSampling2D::new(2))
        .add(Flatten)
        .add(Dense::new(3).activation("softmax"));
    let tokens = Sequential::new().add(Input::new([4])).add(Embedding::new(5, 3)).add(LayerNormalization::new());
    let own = [images, tokens].map(|model| model.device(Device::cpu()).to_onnx().unwrap());
    own.into_iter().chain([fixture("onnx-import/torch-conv1d.onnx")]).collect()
}

fn onnx(bytes: &[u8]) {
    if let Ok(model) = Model::from_onnx(bytes) {
        let _ = model.summary().map(|summary| summary.to_string());
    }
}

fn chains() -> Vec<Vec<u8>> {
    let texts = [
        "flatten, dense 128 relu use_bias=false name=hidden, dropout 0.5, dense 10 softmax",
        "reshape 4 2, permute (2, 1), layer_normalization axis=[-1], dense 3 leaky_relu(negative_slope=0.1)",
        "random_translation 0.1 1e-3 fill_mode=wrap,\n dense units=2x3 kernel_initializer=none trainable=true",
    ];
    texts.map(|text| text.as_bytes().to_vec()).into()
}

fn chain(bytes: &[u8]) {
    if let Ok(chain) = String::from_utf8_lossy(bytes).parse::<Chain>() {
        drop(chain.explain(Error::shape("layer \"dense\"", "does not fit")));
        drop(Sequential::from(&chain).build([2, 3]));
    }
}

fn tunings() -> Vec<Vec<u8>> {
    let text = "# remark\nmatmul 7x5x3:tn\ttiled_4x4_guarded BM=32 BN=32 BK=16\nmatmul 128x512x784:nn\tdirect_vec4 WG_X=4 WG_Y=2\n\
                conv4 676x32x36:nn\tdirect_vec4 WG_X=4 WG_Y=2\ndepthwise 9x3x676:tn\ttaps_guarded SPAN=66\n";
    vec![text.as_bytes().to_vec(), b"matmul 1x1x1:nn\tx\n".to_vec()]
}

fn tuning(bytes: &[u8]) {
    drop(Device::cpu().with_tuning(&String::from_utf8_lossy(bytes)));
}

fn scalers() -> Vec<Vec<u8>> {
    vec![b"center 0.5 1.0 -3e5\nscale 1.0 2.0 1e-7\n".to_vec()]
}

fn scaler(bytes: &[u8]) {
    if let Ok(scaler) = String::from_utf8_lossy(bytes).parse::<Scaler>() {
        drop(scaler.apply_to(&Tensor::from([[0.5f32, 1.0, 2.0]])));
    }
}
