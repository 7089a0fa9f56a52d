//! TensorBoard's event files, read by a reader of their own. TensorBoard itself reads them in `scripts/interop-tensorboard`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use kiln::io::tensorboard::EventWriter;
use kiln::prelude::*;
use kiln::train::callbacks::{SaveFreq, UpdateFreq};
use tempfile::TempDir;

use crate::common::devices;

/// CRC-32C, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |sum: u32| if sum & 1 == 1 { (sum >> 1) ^ 0x82f6_3b78 } else { sum >> 1 };
    !bytes.iter().fold(!0, |sum: u32, &byte| (0..8).fold(sum ^ u32::from(byte), |sum, _| step(sum)))
}

/// Takes bytes and their sum off the front.
fn checked<'b>(rest: &mut &'b [u8], len: usize) -> &'b [u8] {
    let (data, after) = rest.split_at(len);
    let (sum, after) = after.split_first_chunk().expect("a sum");
    assert_eq!(u32::from_le_bytes(*sum), crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8));
    *rest = after;
    data
}

/// A field of a message.
#[derive(Clone, Debug, PartialEq)]
enum Field {
    Int(u64),
    Double(f64),
    Float(f32),
    Bytes(Vec<u8>),
}

impl Field {
    fn bytes(&self) -> &[u8] {
        let Self::Bytes(bytes) = self else { panic!("bytes and not {self:?}") };
        bytes
    }

    fn text(&self) -> String {
        String::from_utf8(self.bytes().to_vec()).unwrap()
    }

    /// A message's fields by number.
    fn fields(&self) -> BTreeMap<u64, Self> {
        fields(self.bytes())
    }

    /// A packed list.
    fn doubles(&self) -> Vec<f64> {
        self.bytes().chunks(8).map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap())).collect()
    }
}

/// Takes bytes off the front.
fn taken<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    let (first, after) = rest.split_first_chunk().expect("more bytes");
    *rest = after;
    *first
}

fn varint(rest: &mut &[u8]) -> u64 {
    let [byte] = taken(rest);
    u64::from(byte & 0x7f) | if byte < 0x80 { 0 } else { varint(rest) << 7 }
}

/// Those of a message by number; it may have none twice.
fn fields(mut rest: &[u8]) -> BTreeMap<u64, Field> {
    let mut fields = BTreeMap::new();
    while !rest.is_empty() {
        let key = varint(&mut rest);
        let field = match key & 7 {
            0 => Field::Int(varint(&mut rest)),
            1 => Field::Double(f64::from_le_bytes(taken(&mut rest))),
            2 => {
                let len = varint(&mut rest) as usize;
                let (bytes, after) = rest.split_at(len);
                rest = after;
                Field::Bytes(bytes.to_vec())
            }
            5 => Field::Float(f32::from_le_bytes(taken(&mut rest))),
            wire => panic!("wire type {wire}"),
        };
        assert_eq!(fields.insert(key >> 3, field), None);
    }
    fields
}

/// What an event says: its tag, its step, and the fields of its value.
type Event = (String, u64, BTreeMap<u64, Field>);

/// The events of each file of a folder, the first one's first.
fn files(folder: &Path) -> Vec<Vec<Event>> {
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| events(path)).collect()
}

fn events(path: &Path) -> Vec<Event> {
    let name = path.file_name().unwrap().to_str().unwrap();
    let parts: Vec<&str> = name.strip_prefix("events.out.tfevents.").expect(name).splitn(2, '.').collect();
    assert!(parts[0].parse::<u64>().is_ok_and(|seconds| seconds > 1_700_000_000), "{name}");
    assert!(parts[1].ends_with(".v2"), "{name}");
    let bytes = fs::read(path).unwrap();
    let (mut rest, mut all) = (&bytes[..], Vec::new());
    while !rest.is_empty() {
        let len = u64::from_le_bytes(checked(&mut rest, 8).try_into().unwrap());
        all.push(fields(checked(&mut rest, len as usize)));
    }
    assert_eq!(all.remove(0)[&3].text(), "brain.Event:2");
    let event = |fields: BTreeMap<u64, Field>| {
        assert!(matches!(fields[&1], Field::Double(time) if time > 1.7e9), "{fields:?}");
        let Field::Int(step) = fields[&2] else { panic!("a step and not {:?}", fields[&2]) };
        let mut value = fields[&5].fields()[&1].fields();
        (value.remove(&1).expect("a tag").text(), step, value)
    };
    all.into_iter().map(event).collect()
}

/// Steps and values of a tag's numbers.
fn scalars(events: &[Event], tag: &str) -> Vec<(u64, f32)> {
    let with_tag = events.iter().filter(|event| event.0 == tag);
    let scalar = |event: &Event| match event.2[&2] {
        Field::Float(value) => (event.1, value),
        ref other => panic!("{tag}: a number and not {other:?}"),
    };
    with_tag.map(scalar).collect()
}

/// What a history has of a name, as a tag has it.
fn by_epoch(history: &History, name: &str) -> Vec<(u64, f32)> {
    (0..).zip(history.get(name).into_iter().map(|value| value as f32)).collect()
}

/// Eleven samples of four numbers in three classes: two batches of four and one of three.
fn samples() -> Dataset {
    let x: Vec<f32> = (0..44).map(|i| (i * 7 % 11) as f32 / 11.0 - 0.5).collect();
    let y: Vec<u32> = (0..11).map(|i| i % 3).collect();
    Dataset::new(Tensor::new([11, 4], x).unwrap(), Tensor::new([11], y).unwrap()).unwrap()
}

fn classifier(device: &Device) -> Sequential {
    let mut model = Sequential::new()
        .add(Dense::new(5).activation(Activation::Relu))
        .add(Dense::new(3).activation(Activation::Softmax))
        .device(device.clone());
    model.compile(Adam::default(), Loss::SparseCategoricalCrossentropy, [Metric::Accuracy]).unwrap();
    model
}

fn train(model: &mut Sequential, callback: impl Callback) -> Result<History> {
    let data = samples();
    let options = Fit::new().batch_size(4).epochs(3).verbose(0).validation_data(&data);
    model.fit(&data, options.callback(callback))
}

#[test]
fn a_run_is_written_under_keras_tags_and_steps() {
    for device in devices() {
        let folder = TempDir::new().unwrap();
        let logdir = folder.path().join("made/here");
        let board = TensorBoard::new(&logdir).update_freq(UpdateFreq::Batches(2));
        let mut model = classifier(&device);
        let history = train(&mut model, board).unwrap();
        let mut other = classifier(&device);
        assert_eq!(
            (&train(&mut other, LambdaCallback::new()).unwrap(), other.weights().unwrap()),
            (&history, model.weights().unwrap())
        );
        let [train, validation] = ["train", "validation"].map(|run| files(&logdir.join(run)).concat());
        for name in ["loss", "accuracy"] {
            assert_eq!(scalars(&train, &format!("epoch_{name}")), by_epoch(&history, name), "{device}");
            let validated = by_epoch(&history, &format!("val_{name}"));
            assert_eq!(scalars(&validation, &format!("epoch_{name}")), validated, "{device}");
            let by_step: Vec<(u64, f32)> = validated.iter().map(|&(epoch, value)| (3 * (epoch + 1), value)).collect();
            assert_eq!(scalars(&validation, &format!("evaluation_{name}_vs_iterations")), by_step, "{device}");
        }
        assert_eq!(scalars(&train, "epoch_learning_rate"), [0, 1, 2].map(|epoch| (epoch, 0.001)), "{device}");
        // Steps 2, 4, 6 and 8 of nine: means of the epoch so far, of which the sixth step is the second's last.
        let losses = history.batch_losses();
        let means = [(losses[0] + losses[1]) / 2.0, losses[3], history.get("loss")[1], (losses[6] + losses[7]) / 2.0];
        for ((step, found), (nth, mean)) in scalars(&train, "batch_loss").into_iter().zip((1..).zip(means)) {
            assert!(step == 2 * nth && (f64::from(found) - mean).abs() < 1e-6, "{device}: {step} {found} {mean}");
        }
        assert_eq!((scalars(&train, "batch_loss").len(), scalars(&train, "batch_accuracy").len()), (4, 4), "{device}");
        // One text, three values of three epochs, two values of four steps, and of validation two in two forms.
        assert_eq!((train.len(), validation.len()), (1 + 9 + 8, 12), "{device}");
        let (tag, step, text) = &train[0];
        assert_eq!(
            (tag.as_str(), *step, text[&9].fields()[&1].fields()[&1].text()),
            ("model_summary", 0, "text".into())
        );
        let tensor = text[&8].fields();
        assert_eq!(
            (&tensor[&1], tensor[&8].text()),
            (&Field::Int(7), format!("```\n{}```\n", model.summary().unwrap()))
        );
    }
}

#[test]
fn histograms_count_every_weight_and_gradient() {
    for device in devices() {
        let folder = TempDir::new().unwrap();
        let mut model = classifier(&device);
        let board = TensorBoard::new(folder.path()).histogram_freq(2).write_gradients(true);
        train(&mut model, board).unwrap();
        let events = files(&folder.path().join("train")).concat();
        let histograms: Vec<&Event> = events.iter().filter(|event| event.0.ends_with("/histogram")).collect();
        let paths = model.parameter_paths().unwrap();
        let tags =
            ["/histogram", "/gradient/histogram"].map(|end| paths.iter().map(move |path| format!("{path}{end}")));
        let tags: Vec<(String, u64)> =
            [0, 2].iter().flat_map(|&step| tags.iter().cloned().flatten().map(move |tag| (tag, step))).collect();
        assert_eq!(histograms.iter().map(|event| (event.0.clone(), event.1)).collect::<Vec<_>>(), tags, "{device}");
        // The last ones are those of the last step.
        let tensors = [model.weights().unwrap(), model.gradients().unwrap()].concat();
        for (event, tensor) in histograms[tensors.len()..].iter().zip(&tensors) {
            let (histogram, values) = (event.2[&5].fields(), tensor.values().to_f64());
            let [least, most] = [f64::min, f64::max].map(|better| values.iter().copied().reduce(better).unwrap());
            let squares = values.iter().map(|value| value * value).sum();
            let known = [least, most, values.len() as f64, values.iter().sum(), squares].map(Field::Double);
            assert!((1..).zip(&known).all(|(field, value)| histogram[&field] == *value), "{device}: {histogram:?}");
            let (limits, counts) = (histogram[&6].doubles(), histogram[&7].doubles());
            assert_eq!((limits.len(), counts.iter().sum::<f64>()), (counts.len(), values.len() as f64), "{device}");
            let below = |limit: f64| values.iter().filter(|&&value| value < limit).count() as f64;
            for (i, &limit) in limits.iter().enumerate() {
                assert_eq!(counts[..=i].iter().sum::<f64>(), below(limit), "{device}: {} below {limit}", event.0);
            }
        }
    }
}

#[cfg(feature = "plot")]
#[test]
fn confusion_matrices_of_the_validation_are_drawn() {
    for device in devices() {
        let folder = TempDir::new().unwrap();
        let names = ["ant", "bee", "centipede"];
        let board = TensorBoard::new(folder.path()).confusion_matrix_freq(2).class_names(names);
        let (mut model, mut plain) = (classifier(&device), classifier(&device));
        train(&mut model, board).unwrap();
        train(&mut plain, LambdaCallback::new()).unwrap();
        assert_eq!(model.weights().unwrap(), plain.weights().unwrap(), "{device}");
        let events = files(&folder.path().join("validation")).concat();
        let pictures: Vec<&Event> = events.iter().filter(|event| event.0 == "confusion_matrix").collect();
        assert_eq!(pictures.iter().map(|event| event.1).collect::<Vec<_>>(), [0, 2], "{device}");
        // The second one is of the model as it is now.
        let file = folder.path().join("now.png");
        model.confusion_matrix(&samples()).unwrap().with_class_names(names).unwrap().plot(&file).unwrap();
        assert!(pictures[1].2[&4].fields()[&4].bytes() == fs::read(file).unwrap(), "{device}");
    }
    let folder = TempDir::new().unwrap();
    let board = || TensorBoard::new(folder.path()).confusion_matrix_freq(1);
    let refused = |fit: Fit<'_>| {
        let fit = fit.batch_size(4).verbose(0);
        classifier(&Device::cpu()).fit(&samples(), fit).unwrap_err().to_string()
    };
    let text = refused(Fit::new().callback(board()));
    assert!(text.starts_with("confusion_matrix_freq: ") && text.contains("validation_split"), "{text}");
    let text = refused(Fit::new().validation_split(0.3).callback(board().class_names(["one"])));
    assert_eq!(text, "class_names: 1 names for 3 classes; give one each");
}

#[test]
fn each_run_has_a_file_of_its_own_and_steps_go_on() {
    let folder = TempDir::new().unwrap();
    let mut model = classifier(&Device::cpu());
    let mut board = TensorBoard::new(folder.path()).update_freq(UpdateFreq::Batch);
    train(&mut model, &mut board).unwrap();
    train(&mut model, &mut board).unwrap();
    let files = files(&folder.path().join("train"));
    let steps = |events: &[Event]| scalars(events, "batch_loss").into_iter().map(|(step, _)| step).collect::<Vec<_>>();
    assert_eq!(
        files.iter().map(|events| steps(events)).collect::<Vec<_>>(),
        [(1..10).collect::<Vec<_>>(), (10..19).collect()]
    );
}

/// Killed after the second step of the fourth epoch, after a checkpoint in the third.
#[test]
fn a_folder_that_is_resumed_has_no_epoch_and_no_step_twice() {
    let folder = TempDir::new().unwrap();
    let logdir = folder.path().join("log");
    let board = || TensorBoard::new(&logdir).update_freq(UpdateFreq::Batch).histogram_freq(1).resume(true);
    let data = samples();
    let fit = || Fit::new().batch_size(4).verbose(0).validation_data(&data).seed(3);
    let saved = folder.path().join("{epoch}.safetensors");
    let checkpoint = ModelCheckpoint::new(saved.to_str().unwrap()).save_freq(SaveFreq::Steps(7));
    let dies = LambdaCallback::new().on_batch_end(|run| match run.iteration() {
        11 => Err(Error::argument("test", "killed")),
        _ => Ok(()),
    });
    let killed = fit().epochs(5).callback(checkpoint).callback(board()).callback(dies);
    classifier(&Device::cpu()).fit(&data, killed).unwrap_err();
    // What the file has of its last frame.
    let log = fs::read_dir(logdir.join("train")).unwrap().next().unwrap().unwrap().path();
    let cut = fs::read(&log).unwrap();
    fs::write(&log, &cut[..cut.len() - 3]).unwrap();
    fs::write(logdir.join("train/notes"), "mine").unwrap();
    let mut model = Sequential::load(folder.path().join("3.safetensors")).unwrap();
    assert_eq!((model.iteration(), model.epoch()), (7, 2));
    model.fit(&data, fit().epochs(5).initial_epoch(2).callback(board())).unwrap();
    assert_eq!(fs::read(logdir.join("train/notes")).unwrap(), b"mine");
    fs::remove_file(logdir.join("train/notes")).unwrap();
    let [train, validation] = ["train", "validation"].map(|run| files(&logdir.join(run)).concat());
    let steps =
        |events: &[Event], tag: &str| scalars(events, tag).into_iter().map(|(step, _)| step).collect::<Vec<_>>();
    assert_eq!(steps(&train, "epoch_loss"), [0, 1, 2, 3, 4]);
    assert_eq!(steps(&train, "batch_loss"), (1..=15).collect::<Vec<_>>());
    assert_eq!(steps(&validation, "epoch_loss"), [0, 1, 2, 3, 4]);
    assert_eq!(steps(&validation, "evaluation_loss_vs_iterations"), [3, 6, 9, 12, 15]);
    let count = |tag: &str| train.iter().filter(|event| event.0 == tag).count();
    assert_eq!((count("dense/kernel/histogram"), count("model_summary")), (5, 2));
}

/// A PNG file as far as its size is told, of a colour type.
fn png(colour: u8) -> Vec<u8> {
    [&b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x01\x02\0\0\0\x03\x08"[..], &[colour, 0, 0, 0]].concat()
}

#[test]
fn a_writer_takes_pictures_and_numbers_that_are_none() {
    let folder = TempDir::new().unwrap();
    let mut writer = EventWriter::create(folder.path()).unwrap();
    for (step, colour) in [0, 2, 3, 4, 6].into_iter().enumerate() {
        writer.image("picture", step as u64, &png(colour)).unwrap();
    }
    for value in [f64::NAN, f64::NEG_INFINITY, 1e300, 0.1] {
        writer.scalar("number", u64::from(u32::MAX) + 1, value).unwrap();
    }
    let lost = Tensor::new([3], vec![f32::NAN, 2.0, f32::INFINITY]).unwrap();
    writer.histogram("lost", 0, &lost).unwrap();
    writer.flush().unwrap();
    let events = events(writer.path());
    for (event, (colour, colours)) in events.iter().zip([(0, 1), (2, 3), (3, 3), (4, 2), (6, 4)]) {
        let sizes = [(1, 3), (2, 258), (3, colours)].map(|(field, size)| (field, Field::Int(size)));
        let all = sizes.into_iter().chain([(4, Field::Bytes(png(colour)))]).collect();
        assert_eq!(event.2[&4].fields(), all);
    }
    let numbers = scalars(&events, "number");
    assert!(numbers.iter().all(|&(step, _)| step == 1 << 32) && numbers[0].1.is_nan());
    assert_eq!(numbers[1..].iter().map(|number| number.1).collect::<Vec<_>>(), [f32::NEG_INFINITY, f32::INFINITY, 0.1]);
    assert_eq!(events[9].2[&5].fields()[&3], Field::Double(1.0));
    for bytes in [&b""[..], b"GIF89a", &png(2)[..24], &png(5)] {
        let refused = writer.image("picture", 0, bytes).unwrap_err().to_string();
        assert!(refused.starts_with("png: the bytes do not begin as a PNG file does"), "{refused}");
    }
}

#[test]
fn settings_and_folders_that_cannot_be_are_named() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let refused = |board: TensorBoard, parts: &[&str]| {
        let error = train(&mut classifier(&Device::cpu()), board).unwrap_err().to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    };
    refused(TensorBoard::new(&file), &["file", "train: create: "]);
    refused(TensorBoard::new(folder.path()).write_gradients(true), &["write_gradients: ", "give a histogram_freq"]);
    refused(TensorBoard::new(folder.path()).update_freq(UpdateFreq::Batches(0)), &["update_freq: ", "give 1 or more"]);
    assert!(!folder.path().join("train").exists());
    fs::write(folder.path().join("validation"), "").unwrap();
    refused(TensorBoard::new(folder.path()), &["validation: create: "]);
}

#[cfg(feature = "cli")]
#[test]
fn the_command_writes_what_it_prints() {
    use crate::cli::{fixture, json, output};
    let folder = fixture();
    let logdir = folder.path().join("runs");
    let train = "train mnist --device cpu --hidden 8 --batch-size 25 --epochs 2 --validation-split 0.1 --json --logdir";
    let args: Vec<&str> = train.split(' ').chain(logdir.to_str()).collect();
    let lines: Vec<_> = output(folder.path(), &args).lines().take(2).map(json).collect();
    let printed =
        |name: &str| (0..).zip(&lines).map(|(i, line)| (i, line[name].as_f64().unwrap() as f32)).collect::<Vec<_>>();
    for (run, before) in [("train", ""), ("validation", "val_")] {
        let events = files(&logdir.join(run)).concat();
        for name in ["loss", "accuracy"] {
            assert_eq!(scalars(&events, &format!("epoch_{name}")), printed(&format!("{before}{name}")), "{run}");
        }
        let histograms = events.iter().filter(|event| event.0.ends_with("/histogram")).count();
        // Of four weights and their gradients, in two epochs.
        assert_eq!(histograms, if run == "train" { 16 } else { 0 });
        let pictures = events.iter().filter(|event| event.0 == "confusion_matrix").count();
        assert_eq!(pictures, if run == "train" { 0 } else { 2 });
    }
}
