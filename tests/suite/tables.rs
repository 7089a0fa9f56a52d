//! Tables in programs: what is learned of the rows to train on, kept with a model, and done alike to files and records.

use std::fs;
use std::path::PathBuf;

use kiln::data::{Csv, Fold, Missing};
use kiln::nn::Config;
use kiln::prelude::*;
use kiln::table::{ClassWeight, FillMissing, Preprocessor, TableOptions, Targets, Value};
use tempfile::TempDir;

use crate::data::says;

fn written(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    path
}

const PEOPLE: &str = "age,city,kind\n1,rome,a\n,oslo,b\n3,,a\n8,oslo,b\n100,oslo,a\n,rome,b\n";

fn csv() -> Csv {
    Csv::new().label("kind")
}

#[test]
fn what_fills_in_is_learned_of_the_rows_to_train_on_alone() {
    let folder = TempDir::new().unwrap();
    let path = written(&folder, "people.csv", PEOPLE);
    let table = TableOptions::new(csv()).fill_missing(FillMissing::Mean).open([&path]).unwrap();
    let prepare =
        |train: &[usize], test: &[usize]| table.prepare(&Fold { train: train.to_vec(), test: test.to_vec() }).unwrap();
    let (preprocessor, split) = prepare(&[0, 2, 3], &[1, 4, 5]);
    // The mean of 1, 3 and 8; of the cities as many are of one as of the other, and the first is oslo.
    assert_eq!(*split.train.x(), Tensor::from([[1.0f32, 0.0, 1.0], [3.0, 1.0, 0.0], [8.0, 1.0, 0.0]]));
    assert_eq!(*split.test.x(), Tensor::from([[4.0f32, 1.0, 0.0], [100.0, 1.0, 0.0], [4.0, 0.0, 1.0]]));
    let (_, other) = prepare(&[0, 2, 4], &[1, 3]);
    assert_eq!(other.test.x()[[0, 0]], 104.0 / 3.0);
    // The same of a file and of records.
    let asked = written(&folder, "asked.csv", "city,age\n,2\nrome,\n");
    let rows = preprocessor.read_samples([&asked]).unwrap();
    assert_eq!(rows.x, Tensor::from([[2.0f32, 1.0, 0.0], [4.0, 0.0, 1.0]]));
    let records = [
        [("age", Value::from("2")), ("city", Value::Missing)],
        [("age", Value::from(None::<f64>)), ("city", "rome".into())],
    ];
    assert_eq!(preprocessor.samples(records).unwrap(), rows.x);
}

#[test]
fn the_scale_is_that_of_the_rows_to_train_on_filled_in() {
    let folder = TempDir::new().unwrap();
    let path = written(&folder, "t.csv", "a,kind\n1,x\n,y\n3,x\n100,y\n");
    let options = TableOptions::new(csv()).fill_missing(FillMissing::Value("8".into())).standardize(true);
    let table = options.open([path]).unwrap();
    let (preprocessor, split) = table.prepare(&Fold { train: vec![0, 1, 2], test: vec![3] }).unwrap();
    let scaler = preprocessor.scaler().unwrap();
    assert_eq!((scaler.center[0], split.train.len()), (4.0, 3));
    assert!((split.test.x()[[0, 0]] - 96.0 / scaler.scale[0] as f32).abs() < 1e-5);
}

#[test]
fn a_model_keeps_all_of_it_and_reads_what_was_kept_before() {
    let folder = TempDir::new().unwrap();
    let path = written(&folder, "people.csv", PEOPLE);
    let options = TableOptions::new(csv().without(["age"]).missing(Missing::DropRow)).test_split(0.4).split_seed(3);
    let table = options.clone().fill_missing(FillMissing::MostFrequent).standardize(true).open([&path]).unwrap();
    let (preprocessor, split) = table.prepare(&table.split().unwrap()).unwrap();
    let mut model = Sequential::new().add(Input::new([2])).add(Dense::new(2)).device(Device::cpu());
    preprocessor.keep(&mut model);
    let file = folder.path().join("model.safetensors");
    model.save(&file).unwrap();
    let kept = Preprocessor::of(&Model::load(&file).unwrap()).unwrap().unwrap();
    assert_eq!(kept, preprocessor);
    assert_eq!(kept.again([&path]).unwrap().0, split);
    // A record may have what was left out in training.
    let record = [("age", Value::from(3)), ("city", "oslo".into()), ("kind", Value::Missing)];
    assert_eq!(kept.samples([record]).unwrap().shape().to_string(), "(1, 2)");

    // As it was kept before there was anything to fill in.
    let table = TableOptions::new(csv()).open([written(&folder, "old.csv", "a,kind\n1,x\n2,y\n3,x\n4,y\n")]).unwrap();
    let encoding = Config::new("columns")
        .with("separator", 44usize)
        .with("header", true)
        .with("missing", "error")
        .with("features", vec![Config::new("a").into()] as Vec<kiln::nn::Setting>)
        .with("classes", vec!["x", "y"])
        .with("label", "kind");
    let (new, _) = table.prepare(&Fold { train: vec![0, 1, 2, 3], test: vec![] }).unwrap();
    let mut model = Sequential::new();
    new.keep(&mut model);
    let mut note = model.note::<Config>("table").unwrap().unwrap();
    let [rows, crc] = ["rows", "crc"].map(|name| note.take::<usize>(name).unwrap());
    let old = Config::new("table").with("encoding", encoding).with("scaler", None::<kiln::data::Scaler>);
    let old = old.with("class_weight", vec![1.0f64, 2.0]).with("test_split", 0.5).with("seed", 7u64);
    model.set_note("table", old.with("rows", rows).with("crc", crc));
    let kept = Preprocessor::of(&model).unwrap().unwrap();
    let (split, _) = kept.again([folder.path().join("old.csv")]).unwrap();
    assert_eq!((split.train.len(), split.test.len(), kept.class_weight()), (2, 2, vec![(0, 1.0), (1, 2.0)]));
}

#[test]
fn several_files_are_one_table() {
    let folder = TempDir::new().unwrap();
    let one = written(&folder, "1.csv", "a,b,kind\n1,2,x\n3,4,y\n");
    let two = written(&folder, "2.csv", "kind,b,a\ny,6,5\nx,8,7\n");
    let all = Fold { train: (0..4).collect(), test: vec![] };
    let train = |paths: &[&PathBuf]| {
        let table = TableOptions::new(csv()).open(paths)?;
        Ok::<_, Error>(table.prepare(&all)?.1.train)
    };
    let data = train(&[&one, &two]).unwrap();
    assert_eq!(*data.x(), Tensor::from([[1.0f32, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]]));
    assert_eq!(*data.y(), Tensor::from([0u32, 1, 1, 0]));
    assert_eq!(train(&[&folder.path().to_path_buf()]).unwrap(), data);
    let refused = |paths: &[&PathBuf], parts: &[&str]| says(&train(paths).unwrap_err().to_string(), parts);
    let other = written(&folder, "3.csv", "a,b,c,kind\n1,2,3,x\n");
    refused(&[&one, &other], &["3.csv: has a column \"c\", which ", "1.csv does not have"]);
    refused(&[&other, &one], &["1.csv: has no column \"c\", which ", "3.csv has"]);
    refused(&[], &["files: there are none"]);
    // The line is that of the file.
    let wrong = written(&folder, "4.csv", "kind,b,a\ny,6,5\nx,,7\n");
    refused(&[&one, &wrong], &["4.csv: line 3, column \"b\": the field is missing"]);
}

#[test]
fn the_report_counts_what_the_table_holds() {
    let folder = TempDir::new().unwrap();
    let rows: String = (0..30)
        .map(|i| {
            let kind = ["x", "y", "x"][i % 3];
            let alive = if kind == "x" { "yes" } else { "no" };
            let age = if i == 4 { String::new() } else { (i * 7 % 11).to_string() };
            format!("{},{age},{alive},1,{kind}\n", i + 1)
        })
        .collect();
    let path = written(&folder, "t.csv", &format!("id,age,alive,one,kind\n{rows}"));
    let table = TableOptions::new(csv()).fill_missing(FillMissing::Median).open([path]).unwrap();
    let (preprocessor, split) = table.prepare(&table.split().unwrap()).unwrap();
    let report = table.report(&preprocessor, &split).unwrap();
    assert_eq!((report.rows_read, report.train, report.test), (30, 24, 6));
    let classes = vec![("x".to_string(), 20), ("y".to_string(), 10)];
    assert_eq!(report.targets, Targets::Classes { label: "kind".into(), classes });
    let columns: Vec<_> =
        report.columns.iter().map(|c| (c.name.as_str(), c.words, c.missing, c.fill.is_some())).collect();
    assert_eq!(
        columns,
        [("id", None, 0, false), ("age", None, 1, true), ("alive", Some(2), 0, false), ("one", None, 0, false),]
    );
    let warnings = [
        "column \"id\": counts the rows",
        "column \"alive\": each of its 2 values is always with the same class",
        "column \"one\": has one value in all rows",
    ];
    assert_eq!(report.warnings.len(), 3, "{:?}", report.warnings);
    for (found, wanted) in report.warnings.iter().zip(warnings) {
        assert!(found.starts_with(wanted) && found.contains("Csv::without"), "{found}");
    }
}

#[test]
fn a_column_that_is_the_target_on_another_scale_is_named() {
    let folder = TempDir::new().unwrap();
    let rows: String =
        (0..20).map(|i| format!("{},{},{}\n", i * i, i * 13 % 7, f64::from(i * i) * 0.37 - 4.0)).collect();
    let path = written(&folder, "t.csv", &format!("a,b,price\n{rows}"));
    let table = TableOptions::new(Csv::new().targets(["price"])).open([path]).unwrap();
    let (preprocessor, split) = table.prepare(&table.split().unwrap()).unwrap();
    let report = table.report(&preprocessor, &split).unwrap();
    assert_eq!(report.warnings.len(), 1, "{:?}", report.warnings);
    says(&report.warnings[0], &["column \"a\": is a target on another scale"]);
    let Targets::Values(ranges) = &report.targets else { panic!("values") };
    assert_eq!((ranges[0].name.as_str(), ranges[0].min, split.test.len()), ("price", -4.0, 4));
}

#[test]
fn classes_are_balanced_by_the_rows_to_train_on() {
    let folder = TempDir::new().unwrap();
    let path = written(&folder, "t.csv", "a,kind\n1,x\n2,y\n3,x\n4,x\n5,y\n");
    let table = TableOptions::new(csv()).class_weight(ClassWeight::Balanced).open([path]).unwrap();
    let (preprocessor, _) = table.prepare(&Fold { train: vec![0, 1, 2, 3], test: vec![4] }).unwrap();
    // 4 rows over 2 classes of 3 and 1.
    assert_eq!(preprocessor.class_weight(), [(0, 4.0 / 6.0), (1, 2.0)]);
}

#[test]
fn folds_are_of_the_rows_that_are_given() {
    let folder = TempDir::new().unwrap();
    let rows: String = (0..20).map(|i| format!("{i},{}\n", ["x", "y"][i % 2])).collect();
    let table = TableOptions::new(csv()).open([written(&folder, "t.csv", &format!("a,kind\n{rows}"))]).unwrap();
    let train = table.split().unwrap().train;
    let folds = table.folds(&train, 4, 1).unwrap();
    let mut tested: Vec<usize> = folds.iter().flat_map(|fold| fold.test.clone()).collect();
    tested.sort_unstable();
    let mut wanted = train.clone();
    wanted.sort_unstable();
    assert_eq!((folds.len(), tested), (4, wanted));
    for fold in &folds {
        assert_eq!(fold.test.iter().filter(|&&row| row % 2 == 0).count(), 2);
        assert!(fold.train.iter().all(|row| train.contains(row) && !fold.test.contains(row)));
    }
}

#[test]
fn a_record_that_does_not_fit_is_named_by_number_and_column() {
    let folder = TempDir::new().unwrap();
    let table = TableOptions::new(csv()).open([written(&folder, "t.csv", "a,b,kind\n1,x,k\n2,y,l\n")]).unwrap();
    let (preprocessor, _) = table.prepare(&Fold { train: vec![0, 1], test: vec![] }).unwrap();
    let refused = |record: &[(&str, Value)], parts: &[&str]| {
        let good = vec![("a", Value::from(1)), ("b", "x".into())];
        says(&preprocessor.samples([good, record.to_vec()]).unwrap_err().to_string(), parts);
    };
    refused(&[("a", 1.into())], &["record 2: column \"b\" is not there"]);
    refused(&[], &["record 2: columns \"a\", \"b\" are not there"]);
    refused(&[("a", 1.into()), ("c", "x".into())], &["record 2: column \"c\" is unknown", "There are: a, b"]);
    refused(&[("a", "one".into()), ("b", "x".into())], &["record 2: column \"a\": \"one\" is no number"]);
    refused(&[("a", 1.into()), ("b", "z".into())], &["record 2: column \"b\": \"z\" is unknown"]);
    refused(&[("a", Value::Missing), ("b", "x".into())], &["record 2: column \"a\": the field is missing"]);
    refused(&[("a", f64::INFINITY.into()), ("b", "x".into())], &["record 2: column \"a\": ", "f32"]);
    refused(&[("a", 1.into()), ("a", 1.into()), ("b", "x".into())], &["record 2: column \"a\" is there twice"]);
}
