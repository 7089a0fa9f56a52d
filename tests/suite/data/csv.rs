//! Tables of comma-separated values: what becomes of each kind of column, and errors with line and column.

use std::fs;

use kiln::data::{Csv, Missing, Table};
use kiln::prelude::*;
use kiln::{Values, random};
use tempfile::TempDir;

use super::{gzip, says, text};
use crate::common::devices;

fn parse(csv: &Csv, text: &str) -> kiln::Result<Table> {
    csv.parse(text.as_bytes())
}

#[track_caller]
fn refused(csv: &Csv, table: &str, parts: &[&str]) {
    says(&text(parse(csv, table)), parts);
}

fn labelled() -> Csv {
    Csv::new().label("kind")
}

const ANIMALS: &str = "legs,skin,kind\n4,fur,mammal\n2,feathers,bird\n0,fur,mammal\n";

#[test]
fn lines_are_counted_however_they_end() {
    // Lines without fields, and those within a field, count too.
    let table = "\n\na,b,kind\n1,\"two\nlines\",x\n\n2,y,x\n,y,z\n";
    for end in ["\n", "\r\n", "\r"] {
        let table = table.replace('\n', end);
        for (wrong, line) in [(table.replace("2,y,x", "2,y"), 7), (table.clone(), 8)] {
            refused(&labelled(), &wrong, &[&format!("text: line {line}")]);
        }
        let unknown = table.replace("2,y,x", "2,\u{feff}y,x").replace('\u{feff}', "\u{1}");
        let mut bytes = unknown.into_bytes();
        bytes.iter_mut().filter(|byte| **byte == 1).for_each(|byte| *byte = 0xff);
        says(&text(labelled().parse(&bytes)), &["line 7, field 2: is no UTF-8"]);
    }
}

#[test]
fn words_become_columns_and_labels_indices() {
    let table = parse(&labelled(), ANIMALS).unwrap();
    assert_eq!(table.features, ["legs", "skin=feathers", "skin=fur"]);
    assert_eq!(table.classes, ["bird", "mammal"]);
    assert_eq!(*table.data.x(), Tensor::from([[4.0f32, 0.0, 1.0], [2.0, 1.0, 0.0], [0.0, 0.0, 1.0]]));
    assert_eq!((table.data.y(), table.data.scale()), (&Tensor::from([1u32, 0, 1]), 1.0));
}

#[test]
fn the_order_of_classes_may_be_given() {
    let table = parse(&labelled().classes(["mammal", "fish", "bird"]), ANIMALS).unwrap();
    assert_eq!((table.classes.len(), table.data.y()), (3, &Tensor::from([0u32, 2, 0])));
    refused(
        &labelled().classes(["mammals", "fish"]),
        ANIMALS,
        &["text: line 2, column \"kind\": \"mammal\" is unknown; did you mean \"mammals\"?"],
    );
}

#[test]
fn classes_that_are_numbers_are_sorted_by_value() {
    let table = parse(&labelled(), "a,kind\n0,10\n0,9\n0,-1\n").unwrap();
    assert_eq!((table.classes.join(" "), table.data.y()), ("-1 9 10".into(), &Tensor::from([2u32, 1, 0])));
    refused(&labelled(), "a,kind\n0,1\n0,81.5\n", &["line 3, column \"kind\": 81.5 is no class", "Csv::targets"]);
}

#[test]
fn several_columns_may_be_targets() {
    let table = parse(&Csv::new().targets(["b", "a"]), "a,b,c\n1,2,3\n4,5,6e-1\n").unwrap();
    assert_eq!((table.features.join(" "), table.classes.len()), ("c".into(), 0));
    assert_eq!(*table.data.x(), Tensor::from([[3.0f32], [0.6]]));
    assert_eq!(*table.data.y(), Tensor::from([[2.0f32, 1.0], [5.0, 4.0]]));
}

#[test]
fn columns_are_left_out_and_numbers_taken_for_words() {
    let csv = labelled().without(["id"]).words(["code"]);
    let table = parse(&csv, "id,code,kind\nx1,49,a\nx2,7,b\n").unwrap();
    assert_eq!(table.features, ["code=7", "code=49"]);
    assert_eq!(*table.data.x(), Tensor::from([[0.0f32, 1.0], [1.0, 0.0]]));
}

#[test]
fn quotes_blanks_separators_line_ends_and_marks_are_understood() {
    let text = "\u{feff}a;\"the kind\"\r\n 1 ;\"one; \"\"two\"\"\nthree\"\r\n2;plain\r\n";
    let table = parse(&Csv::new().separator(b';').label("the kind"), text).unwrap();
    assert_eq!(table.classes, ["one; \"two\"\nthree", "plain"]);
    assert_eq!(*table.data.x(), Tensor::from([[1.0f32], [2.0]]));
    let bare = parse(&Csv::new().header(false).label("2"), "1,x\n2,y").unwrap();
    assert_eq!((bare.features.join(" "), bare.data.len()), ("1".into(), 2));
}

#[test]
fn a_column_of_weights_is_no_samples() {
    let text = "legs,w,kind\n4,0.5,frog\n0,2,carp\n2,0,frog\n";
    let table = parse(&Csv::new().label("kind").sample_weight("w"), text).unwrap();
    assert_eq!(table.features, ["legs"]);
    assert_eq!(*table.data.y(), Tensor::from([1u32, 0, 1]));
    assert_eq!(table.data.sample_weight(), Some(&Tensor::from([0.5f32, 2.0, 0.0])));
    let table = parse(&Csv::new().targets(["w", "legs"]).sample_weight("x"), "w,x,legs,a\n1,2,3,4\n5,6,7,8\n").unwrap();
    assert_eq!(*table.data.y(), Tensor::from([[1.0f32, 3.0], [5.0, 7.0]]));
    assert_eq!(table.data.sample_weight(), Some(&Tensor::from([2.0f32, 6.0])));
    let csv = Csv::new().label("kind").sample_weight("w");
    refused(&csv, "legs,w,kind\n4,heavy,frog\n", &["line 2, column \"w\": \"heavy\" is no number"]);
    refused(&csv, "legs,w,kind\n4,,frog\n", &["line 2, column \"w\": the field is missing"]);
    refused(&csv, "legs,v,kind\n4,1,frog\n", &["sample_weight: text: column \"w\" is unknown"]);
    let dropped = parse(&csv.missing(Missing::DropRow), "legs,w,kind\n4,,frog\n1,3,frog\n").unwrap();
    assert_eq!(dropped.data.sample_weight(), Some(&Tensor::from([3.0f32])));
}

#[test]
fn a_missing_field_is_an_error_unless_it_is_said_what_to_do() {
    let table = "age,skin,kind\n,fur,a\n3,?,b\n5,bare,N/A\n7,bare,a\n";
    refused(&labelled(), table, &["line 2, column \"age\": the field is missing", "Csv::missing"]);

    let dropped = parse(&labelled().missing(Missing::DropRow), table).unwrap();
    // What only dropped rows hold is no feature and no class.
    assert_eq!((dropped.features.join(" "), dropped.classes.join(" ")), ("age skin=bare".into(), "a".into()));
    assert_eq!(*dropped.data.x(), Tensor::from([[7.0f32, 1.0]]));

    let filled = labelled().missing(Missing::Fill(-1.0));
    refused(&filled, table, &["line 4, column \"kind\": the field is missing"]);
    let filled = parse(&filled, &table.replace("N/A", "b")).unwrap();
    assert_eq!(filled.features, ["age", "skin=bare", "skin=fur"]);
    let rows = [[-1.0f32, 0.0, 1.0], [3.0, 0.0, 0.0], [5.0, 1.0, 0.0], [7.0, 1.0, 0.0]];
    assert_eq!(*filled.data.x(), Tensor::from(rows));

    refused(&labelled().missing(Missing::DropRow), "a,kind\n,x\nnan,y\n", &["holds no rows"]);
}

#[test]
fn what_is_no_number_is_named_by_line_and_column() {
    let csv = labelled();
    let not = "text: column \"b\": 2 of 3 fields are numbers, these are not: line 6 \"1o\"";
    refused(&csv, "a,b,kind\n1,2,x\n\n3,\"4\n\",x\n5,1o,x\n", &[not]);
    refused(&csv, "a,kind\n1,x\n1e39,x\n", &["line 3, column \"a\": 1e39 is beyond f32's range"]);
    // Lines that end in CR and LF are counted as others are.
    refused(&csv, "a,kind\r\n1,x\r\n1e39,x\r\n", &["line 3, column \"a\": 1e39 is beyond f32's range"]);
    refused(&csv, "\"a\nb\",kind\r\n1e39,x\r\n", &["line 3, column \"a\\nb\": 1e39"]);
    refused(&csv.clone().header(false).label("2"), "1e39,x\r\n1,y\r\n", &["line 1, column \"1\": 1e39"]);
    refused(&csv, "a,kind\n-inf,x\n", &["line 2, column \"a\": -inf is beyond"]);
    refused(&Csv::new().targets(["a"]), "a,b\nx,1\n", &["line 2, column \"a\": \"x\" is no number"]);
    refused(&csv, "a,kind\n1,x\n2\n", &["line 3 has 1 fields, the first line has 2"]);
    refused(&csv, "a,kind\n\"1,x\n2,y\n", &["line 2 has 1 fields", "a quote that does not end"]);
    says(&text(csv.parse(b"a,kind\n1,\xff\n")), &["line 2, field 2: is no UTF-8"]);
}

#[test]
fn columns_that_are_not_there_are_named() {
    refused(&Csv::new(), ANIMALS, &["label: name the column of labels"]);
    refused(&Csv::new().label("knd"), ANIMALS, &["label: text: column \"knd\"", "\"kind\"?", "legs, skin, kind"]);
    refused(&Csv::new().targets(["legs", "wings"]), ANIMALS, &["targets: text: column \"wings\" is unknown"]);
    refused(&labelled().without(["id"]), ANIMALS, &["without: text: column \"id\" is unknown"]);
    refused(&labelled(), "a;kind\n1;2\n", &["column \"kind\" is unknown", "is the separator ';'?"]);
    refused(&labelled(), "a,a,kind\n1,2,3\n", &["line 1: two columns are named \"a\""]);
    refused(&labelled(), "", &["text: is empty"]);
    refused(&labelled(), "a,kind\n", &["text: holds no rows"]);
    refused(&labelled(), "kind\nx\n", &["text: has no columns beside the targets"]);
}

#[test]
fn a_column_of_names_is_no_column_of_kinds() {
    let rows: String = (0..1001).map(|i| format!("name{i},x\n")).collect();
    let all = format!("a,kind\n{rows}");
    refused(&labelled(), &all, &["line 1002, column \"a\": \"name1000\" is one word more", "Csv::without"]);
}

#[test]
fn another_file_is_read_as_the_first_was() {
    let folder = TempDir::new().unwrap();
    let [train, test] = ["train.csv", "test.csv"].map(|name| folder.path().join(name));
    fs::write(&train, gzip(ANIMALS.as_bytes())).unwrap();
    let table = labelled().read(&train).unwrap();
    let read = |text: &str| {
        fs::write(&test, text).unwrap();
        table.read(&test)
    };
    let other = read("kind,weight,skin,legs\nmammal,9,fur,3\n").unwrap();
    assert_eq!((other.x(), other.y()), (&Tensor::from([[3.0f32, 0.0, 1.0]]), &Tensor::from([1u32])));
    says(
        &text(read("kind,skin,legs\nbird,scales,3\n")),
        &["test.csv: line 2, column \"skin\": \"scales\" is unknown; there are: feathers, fur"],
    );
    says(&text(read("kind,skin,legs\nfish,fur,3\n")), &["column \"kind\": \"fish\" is unknown"]);
    says(&text(read("kind,skin\nbird,fur\n")), &["column \"legs\" is unknown"]);

    fs::write(&test, "skin,legs\nfeathers,2\n").unwrap();
    assert_eq!(table.read_samples(&test).unwrap(), Tensor::from([[2.0f32, 1.0, 0.0]]));
    says(&text(labelled().read(folder.path().join("none.csv"))), &["none.csv: open: "]);
}

/// Whatever fields hold, what was written is read again.
#[test]
fn random_tables_come_back() {
    for seed in 0..50 {
        let x = random::uniform(12, 1e3, seed, "csv", 0);
        let odd = ["a", "b,", "\"", "c\nd", " e", "", "f;", "'"];
        let words: Vec<&str> =
            random::shuffled_with(odd.to_vec(), seed, "csv", 1).into_iter().filter(|word| !word.is_empty()).collect();
        let mut text = "\"x, 1\",x2,word\n".to_string();
        for (numbers, word) in x.chunks(2).zip(&words) {
            text += &format!("{:?},{:e},\"{}\"\n", numbers[0], numbers[1], word.replace('"', "\"\""));
        }
        let table = parse(&Csv::new().label("word"), &text).unwrap_or_else(|e| panic!("seed {seed}: {e}\n{text}"));
        assert_eq!(table.data.x().values(), &Values::F32(x), "seed {seed}\n{text}");
        let Values::U32(labels) = table.data.y().values() else { panic!("labels") };
        let found: Vec<&str> = labels.iter().map(|&label| table.classes[label as usize].as_str()).collect();
        let wanted: Vec<&str> = words[..6].iter().map(|word| word.trim()).collect();
        assert_eq!(found, wanted, "seed {seed}\n{text}");
    }
}

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data");

/// The counts that the data set is known for.
#[test]
fn the_zoo_is_read_and_learned() {
    let kinds = ["mammal", "bird", "reptile", "fish", "amphibian", "insect", "invertebrate"];
    let csv = Csv::new().label("type").classes(kinds).without(["name"]);
    let zoo = csv.read(format!("{EXAMPLES}/zoo.csv")).unwrap();
    assert_eq!((zoo.data.len(), zoo.features.len()), (101, 16));
    let Values::U32(labels) = zoo.data.y().values() else { panic!("labels") };
    let counts: Vec<usize> = (0..7).map(|class| labels.iter().filter(|&&label| label == class).count()).collect();
    assert_eq!(counts, [41, 20, 5, 13, 4, 8, 10]);
    for device in devices() {
        let mut model = Sequential::new().add(Dense::new(7).activation(Activation::Softmax)).device(device);
        let sgd = Sgd { learning_rate: 0.1, ..Sgd::default() };
        model.compile(sgd, Loss::SparseCategoricalCrossentropy, [Metric::Accuracy]).unwrap();
        let history = model.fit(&zoo.data, Fit::new().epochs(30).batch_size(10).verbose(0)).unwrap();
        let accuracy = *history.get("accuracy").last().unwrap();
        assert!(accuracy > 0.9, "{accuracy}");
    }
}

#[test]
fn the_other_examples_are_read() {
    let read = |csv: Csv, name: &str| csv.read(format!("{EXAMPLES}/{name}")).unwrap().data;
    let hours = read(Csv::new().targets(["score"]), "hours.csv");
    assert_eq!(
        (hours.x(), hours.y()),
        (&Tensor::from([[2.0f32], [4.0], [6.0], [8.0]]), &Tensor::from([[81.0f32], [93.0], [91.0], [97.0]]))
    );
    let exam = read(Csv::new().label("result"), "exam.csv");
    assert_eq!((exam.x().shape().to_string(), exam.y()), ("(7, 1)".into(), &Tensor::from([0u32, 0, 0, 1, 1, 1, 1])));
    let xor = read(Csv::new().label("xor"), "xor.csv");
    assert_eq!((xor.x().shape().to_string(), xor.y()), ("(4, 2)".into(), &Tensor::from([0u32, 1, 1, 0])));
}

/// An encoding as a file of the model has it: written and read again.
fn kept(folder: &TempDir, table: &Table) -> kiln::data::Encoding {
    let path = folder.path().join("model.safetensors");
    let mut model = Sequential::new().add(Input::new([1])).add(Dense::new(1)).device(Device::cpu());
    model.set_note("columns", table.encoding().clone());
    model.save(&path).unwrap();
    Sequential::load(&path).unwrap().note("columns").unwrap().expect("it was kept")
}

#[test]
fn a_model_keeps_what_the_columns_are() {
    let folder = TempDir::new().unwrap();
    let (labels, values) = (folder.path().join("labels"), folder.path().join("values"));
    fs::write(&labels, "skin,kind,legs\nfur,bird,1\n?,mammal,0.1\n").unwrap();
    let table = parse(&labelled().missing(Missing::Fill(0.1)), ANIMALS).unwrap();
    let encoding = kept(&folder, &table);
    assert_eq!((encoding.features(), encoding.classes()), (table.features.clone(), &table.classes[..]));
    assert_eq!(encoding.read(&labels).unwrap(), table.read(&labels).unwrap());
    let strict = text(encoding.missing(Missing::Error).read(&labels));
    says(&strict, &["line 3, column \"skin\": the field is missing"]);

    fs::write(&values, "1\t\t3\n4\t5\t6\n").unwrap();
    let bare = Csv::new().separator(b'\t').header(false).targets(["3", "1"]).missing(Missing::DropRow);
    let table = parse(&bare, "1\t2\t3\n").unwrap();
    let encoding = kept(&folder, &table);
    let set = encoding.read(&values).unwrap();
    assert_eq!((set.x(), set.y()), (&Tensor::from([[5.0f32]]), &Tensor::from([[6.0f32, 4.0]])));
    assert_eq!(encoding.read_samples(&values).unwrap(), Tensor::from([[5.0f32]]));
}

#[test]
fn damaged_notes_are_no_encoding_and_no_scaler() {
    use kiln::data::{Encoding, Scaler};
    use kiln::nn::Config;
    let table = parse(&labelled(), ANIMALS).unwrap();
    let mut model = Sequential::new();
    let mut refused = |note: Config, parts: &[&str]| {
        model.set_note("it", note);
        says(&text(model.note::<Encoding>("it")), parts);
    };
    refused(Config::new("rows"), &["note \"it\"", "rows"]);
    refused(Config::new("columns"), &["separator", "is missing"]);
    let config = Config::new("columns").with("separator", 44usize).with("header", true);
    refused(config.clone().with("missing", "fil"), &["missing", "did you mean \"fill\"?"]);
    refused(config.clone().with("separator", 300usize).with("missing", "error"), &["separator", "is no byte"]);
    refused(config.with("missing", "error").with("label", "kind"), &["features", "is missing"]);
    let mut refused = |center: Vec<f64>, scale: Vec<f64>, part: &str| {
        model.set_note("it", Config::new("Scaler").with("center", center).with("scale", scale));
        says(&text(model.note::<Scaler>("it")), &["note \"it\"", part]);
    };
    refused(vec![1.0], vec![], "a part is missing");
    refused(vec![1.0], vec![0.0], "scale is 0");
    refused(vec![f64::NAN], vec![1.0], "center: NaN is no finite number");
    model.set_note("it", table.encoding().clone());
    says(&text(model.note::<Scaler>("it")), &["columns: is no Scaler"]);
}
