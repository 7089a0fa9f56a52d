//! What decides whether a column is one of numbers or of words, which labels are one class, and what is said of it all.

use kiln::data::{Csv, Encoding, Missing, Table};
use kiln::prelude::*;
use kiln::random::shuffled_with;
use tempfile::TempDir;

use super::{gzip, says, text};

fn labelled() -> Csv {
    Csv::new().label("kind")
}

/// A table of a column and labels, its rows in a random order.
fn table(fields: &[&str], seed: u64) -> String {
    let rows = shuffled_with(fields.to_vec(), seed, "rows", 0);
    let rows: String = rows.iter().zip(0..).map(|(field, i)| format!("\"{field}\",k{}\n", i % 2)).collect();
    format!("a,kind\n{rows}")
}

fn parse(csv: &Csv, text: &str) -> kiln::Result<Table> {
    csv.parse(text.as_bytes())
}

#[test]
fn a_mark_at_the_start_is_no_part_of_a_name() {
    let folder = TempDir::new().unwrap();
    let bytes = "\u{feff}a,kind\n1,x\n2,y\n".as_bytes();
    assert_eq!(labelled().parse(bytes).unwrap().features, ["a"]);
    for (name, bytes) in [("plain.csv", bytes), ("zipped.csv", &gzip(bytes))] {
        std::fs::write(folder.path().join(name), bytes).unwrap();
        let table = labelled().read(folder.path().join(name)).unwrap();
        assert_eq!(table.features, ["a"], "{name}");
        assert_eq!(table.read_samples(folder.path().join(name)).unwrap(), Tensor::from([[1.0f32], [2.0]]));
    }
    // What is no mark stays.
    for text in ["a,kind\n1,x\n", "\u{feff}", "\u{fefe}a,kind\n1,x\n"] {
        let found = labelled().parse(text.as_bytes());
        assert_eq!(found.is_ok(), text != "\u{feff}", "{text:?}");
    }
}

#[test]
fn all_rows_decide_what_a_column_is_in_any_order() {
    for seed in 0..20 {
        // Seven of twelve are numbers.
        let mixed = table(&["1", "2", "3", "4", "5", "6.5", "-7", "-", "20,000", "10,13", "x", "-"], seed);
        let refused = text(parse(&labelled(), &mixed));
        says(
            &refused,
            &["column \"a\": 7 of 12 fields are numbers", "Csv::words", "Csv::numbers", "Csv::missing_values"],
        );
        // Each with the line that it stands in, and no more of them than there are.
        for (line, row) in mixed.lines().enumerate().skip(1) {
            let field = row.rsplit_once(',').unwrap().0.trim_matches('"');
            let listed = refused.contains(&format!("line {} {field:?}", line + 1));
            assert_eq!(listed, field.parse::<f64>().is_err(), "{refused}");
        }
        // Half are no numbers: words, however they begin.
        let words = parse(&labelled(), &table(&["1", "2", "x", "y", "20,000", "2"], seed)).unwrap();
        assert_eq!(words.features, ["a=1", "a=2", "a=20,000", "a=x", "a=y"]);
        let numbers = parse(&labelled(), &table(&["1", "2", "1e3"], seed)).unwrap();
        assert_eq!(numbers.features, ["a"]);
    }
    let eight: Vec<&str> = [["1"; 9].to_vec(), ["x"; 8].to_vec()].concat();
    says(&text(parse(&labelled(), &table(&eight, 0))), &["9 of 17 fields", " and 3 more. Take"]);
}

#[test]
fn options_answer_what_a_mixed_column_is() {
    let mixed = "a,kind\n-,x\n1,x\n2,y\n";
    let words = parse(&labelled().words(["a"]), mixed).unwrap();
    assert_eq!(words.features, ["a=-", "a=1", "a=2"]);
    let numbers = labelled().numbers(["a"]);
    says(&text(parse(&numbers, mixed)), &["line 2, column \"a\": the field is missing, as \"-\" is no number; drop"]);
    let dropped = parse(&numbers.clone().missing(Missing::DropRow), mixed).unwrap();
    assert_eq!(*dropped.data.x(), Tensor::from([[1.0f32], [2.0]]));
    assert_eq!(dropped.remarks, ["1 of 3 rows are left out, since a field is missing: column \"a\" has \"-\" in 1"]);
    let filled = parse(&labelled().missing_values(["-"]).missing(Missing::Fill(9.0)), mixed).unwrap();
    assert_eq!(*filled.data.x(), Tensor::from([[9.0f32], [1.0], [2.0]]));
    says(&text(parse(&numbers.words(["a"]), mixed)), &["numbers: column \"a\" is named for words and for numbers"]);
    says(&text(parse(&labelled().numbers(["b"]), mixed)), &["numbers: text: column \"b\" is unknown"]);
}

#[test]
fn what_means_missing_can_be_said() {
    let countries = "a,kind\n1,NA\n2,DE\n3,NA\n4,--\n";
    says(&text(parse(&labelled(), countries)), &["line 2, column \"kind\": the field is missing, as \"NA\" means"]);
    let dropped = parse(&labelled().missing(Missing::DropRow), countries).unwrap();
    assert_eq!(dropped.classes, ["--", "DE"]);
    assert_eq!(
        dropped.remarks[0],
        "2 of 4 rows are left out, since a field is missing: column \"kind\" has \"NA\" in 2"
    );
    let named = parse(&labelled().missing_values(["--"]).missing(Missing::DropRow), countries).unwrap();
    assert_eq!(named.classes, ["DE", "NA"]);
    says(&text(parse(&labelled().missing_values([""; 0]), "a,kind\nnan,x\n1,x\n2,y\n")), &["2 of 3 fields", "\"nan\""]);
}

#[test]
fn equal_numbers_are_one_class() {
    for seed in 0..10 {
        let rows = shuffled_with(vec!["0", "0.0", "1.0", "+1", "1", "-0", "10"], seed, "labels", 0);
        let rows: String = rows.iter().map(|label| format!("{},{label}\n", label.parse::<f64>().unwrap())).collect();
        let text = format!("a,kind\n{rows}");
        let table = parse(&labelled(), &text).unwrap();
        assert_eq!(table.classes, ["0", "1", "10"]);
        let labels: Vec<f64> = table.data.y().values().to_f64();
        let numbers = table.data.x().values().to_f64();
        let wanted: Vec<f64> = numbers.iter().map(|&number| if number > 1.0 { 2.0 } else { number.abs() }).collect();
        assert_eq!(labels, wanted);
        assert_eq!(table.encoding().class_of("1.00"), Some(1));
        // As words they differ.
        assert_eq!(parse(&labelled().words(["kind"]), &text).unwrap().classes.len(), 7);
    }
    let given = parse(&labelled().classes(["1", "0"]), "a,kind\n1,0.0\n2,1.0\n").unwrap();
    assert_eq!(*given.data.y(), Tensor::from([1u32, 0]));
}

#[test]
fn a_word_for_each_row_is_said() {
    let names: String = (0..20).map(|i| format!("n{},k{}\n", i % 15, i % 2)).collect();
    let table = parse(&labelled(), &format!("a,kind\n{names}")).unwrap();
    assert_eq!(table.remarks.len(), 1);
    says(&table.remarks[0], &["column \"a\": 15 different words in 20 rows become 15 columns", "Csv::without"]);
    let few: String = (0..20).map(|i| format!("n{},k{}\n", i % 3, i % 2)).collect();
    assert!(parse(&labelled(), &format!("a,kind\n{few}")).unwrap().remarks.is_empty());
}

#[test]
fn a_model_keeps_how_fields_are_read() {
    let folder = TempDir::new().unwrap();
    let (path, other) = (folder.path().join("model.safetensors"), folder.path().join("other.csv"));
    let csv = labelled().numbers(["a"]).words(["kind"]).missing_values(["-"]).missing(Missing::DropRow);
    let table = parse(&csv, "a,b,kind\n-,1,0\n1,2,0.0\n3,-,0\n5,7,0\n").unwrap();
    let mut model = Sequential::new().add(Input::new([1])).add(Dense::new(1)).device(Device::cpu());
    model.set_note("columns", table.encoding().clone());
    model.save(&path).unwrap();
    let kept: Encoding = Sequential::load(&path).unwrap().note("columns").unwrap().expect("it was kept");
    std::fs::write(&other, "a,b,kind\nx,1,0\n1,-,0\n2,3,0.0\n").unwrap();
    let read = kept.table(&other).unwrap();
    assert_eq!((read.data.x(), read.data.y()), (&Tensor::from([[2.0f32, 3.0]]), &Tensor::from([1u32])));
    says(&read.remarks[0], &["2 of 3 rows are left out", "column \"a\" has \"x\" in 1", "column \"b\" has \"-\" in 1"]);
    assert_eq!(read.data, table.read(&other).unwrap());
}
