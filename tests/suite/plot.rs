//! Pictures of curves: what is in the files, and what cannot be drawn or written.
#![cfg(feature = "plot")]

use std::io::Read as _;

use flate2::read::ZlibDecoder;
use kiln::plot::{self, Chart, Panel};
use kiln::prelude::*;
use tempfile::TempDir;

const BLUE: [u8; 3] = [0x00, 0x72, 0xb2];
const ORANGE: [u8; 3] = [0xe6, 0x9f, 0x00];
const WHITE: [u8; 3] = [0xff; 3];

/// The pixels of a PNG with the filters that Kiln writes, and its width; every chunk's sum is checked.
fn pixels(png: &[u8]) -> (Vec<[u8; 3]>, usize) {
    let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap()) as usize;
    let (start, mut rest) = png.split_at(8);
    assert_eq!(start, b"\x89PNG\r\n\x1a\n");
    let (mut data, mut width, mut names) = (Vec::new(), 0, Vec::new());
    while !rest.is_empty() {
        let len = number(&rest[..4]);
        let (named, after) = rest[4..].split_at(4 + len);
        let mut sum = flate2::Crc::new();
        sum.update(named);
        assert_eq!(sum.sum() as usize, number(&after[..4]));
        match &named[..4] {
            b"IHDR" => width = number(&named[4..8]),
            b"IDAT" => data.extend(&named[4..]),
            _ => {}
        }
        names.push(String::from_utf8(named[..4].to_vec()).unwrap());
        rest = &after[4..];
    }
    assert_eq!(names, ["IHDR", "IDAT", "IEND"]);
    let mut rows = Vec::new();
    ZlibDecoder::new(&data[..]).read_to_end(&mut rows).unwrap();
    let rows = rows.chunks(1 + 3 * width).flat_map(|row| {
        assert_eq!((row[0], row.len()), (0, 1 + 3 * width));
        row[1..].as_chunks::<3>().0
    });
    (rows.copied().collect(), width)
}

fn png(chart: &Chart) -> (Vec<[u8; 3]>, usize) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("chart.png");
    chart.save(&path).unwrap();
    pixels(&std::fs::read(path).unwrap())
}

fn svg(chart: &Chart) -> String {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("chart.SVG");
    chart.save(&path).unwrap();
    std::fs::read_to_string(path).unwrap()
}

/// Where a colour is: the mean row of its pixels right of the legend's.
fn mean_row((pixels, width): &(Vec<[u8; 3]>, usize), colour: [u8; 3]) -> f64 {
    let found = pixels.iter().enumerate().filter(|(i, p)| **p == colour && i % width > width * 3 / 4);
    let rows: Vec<f64> = found.map(|(i, _)| (i / width) as f64).collect();
    assert!(!rows.is_empty(), "no pixel of {colour:?}");
    rows.iter().sum::<f64>() / rows.len() as f64
}

#[test]
fn curves_stand_where_their_values_do() {
    let chart = |a: f64, b: f64, log: bool| {
        let panel = if log { Panel::new("y").log() } else { Panel::new("y") };
        Chart::new("two levels", "step").panel(panel.curve("a", &[a; 50]).curve("b", &[b; 50]))
    };
    let picture = png(&chart(1.0, 3.0, false));
    assert!(mean_row(&picture, BLUE) > mean_row(&picture, ORANGE) + 100.0, "1 is below 3");
    let picture = png(&chart(1e-2, 1e-7, true));
    assert!(mean_row(&picture, ORANGE) > mean_row(&picture, BLUE) + 100.0, "1e-7 is below 1e-2");
    // The second lies upon the first, which is wider.
    let picture = png(&chart(2.0, 2.0, false));
    assert!((mean_row(&picture, ORANGE) - mean_row(&picture, BLUE)).abs() < 3.0);
    assert_eq!(picture.0[0], WHITE);
}

#[test]
fn an_svg_names_its_axes_and_curves() {
    let chart = Chart::new("A < B & C", "step").panel(Panel::new("loss").curve("gpu", &[2.0, 1.0]));
    let text = svg(&chart);
    for part in ["A &lt; B &amp; C", ">\nstep\n<", ">\nloss\n<", ">\ngpu\n<", ">\n1.2\n<", "#0072B2", "width=\"960\""] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
}

#[test]
fn whatever_the_values_a_picture_is_drawn() {
    let curves: &[&[f64]] = &[
        &[],
        &[0.5],
        &[f64::NAN, f64::INFINITY],
        &[1.0, f64::NAN, 2.0, f64::NEG_INFINITY, 3.0],
        &[f64::MAX, f64::MIN],
        &[5e-324, 0.0],
        &[1e30; 3],
        &[-1.0, -1.0],
    ];
    for values in curves {
        for log in [false, true] {
            let panel = if log { Panel::new("y").log() } else { Panel::new("y") };
            let text = svg(&Chart::new("", "").panel(panel.curve("line", values).dots("dots", values)));
            assert!(text.ends_with("</svg>\n") && !text.contains("NaN"), "{values:?}: {text}");
        }
    }
    assert!(svg(&Chart::new("nothing", "step")).contains("nothing"));
}

#[test]
fn the_horizontal_axis_may_have_the_scale_of_a_logarithm() {
    let chart =
        |at: &[f64]| Chart::new("rates", "rate").log_x(at).panel(Panel::new("loss").curve("a", &[1.0, 2.0, 1.0]));
    let text = svg(&chart(&[1e-4, 1e-3, 1e-2]));
    for tick in [">\n1e-4\n<", ">\n1e-3\n<", ">\n1e-2\n<"] {
        assert!(text.contains(tick), "no {tick:?} in {text}");
    }
    // Each as far from the next as its logarithm is; a value beyond those that are told has no place.
    let columns = |at: &[f64]| {
        let (pixels, width) = png(&chart(at));
        let blue = pixels.iter().enumerate().filter(|(_, pixel)| **pixel == BLUE).map(|(i, _)| i % width);
        (blue.clone().min().unwrap(), blue.max().unwrap())
    };
    let (all, two) = (columns(&[1e-4, 1e-3, 1e-2]), columns(&[1e-4, 1e-3]));
    assert!(all.1 > all.0 + 100 && two.1 > two.0 + 100, "{all:?} {two:?}");
}

#[test]
fn a_history_is_drawn_with_its_validation() {
    let x: Vec<f32> = (0..40).map(|i| (i % 7) as f32 / 7.0).collect();
    let y = Tensor::new([10], (0..10u32).map(|i| i % 2).collect::<Vec<_>>()).unwrap();
    let data = Dataset::new(Tensor::new([10, 4], x).unwrap(), y).unwrap();
    let mut model = Sequential::new().add(Dense::new(2).activation(Activation::Softmax)).device(Device::cpu());
    model.compile(Sgd::default(), Loss::SparseCategoricalCrossentropy, [Metric::Accuracy]).unwrap();
    let fit = || Fit::new().epochs(3).batch_size(5).verbose(0);
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("run.svg");
    for (fit, validated) in [(fit(), false), (fit().validation_split(0.5), true)] {
        model.fit(&data, fit).unwrap().plot(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        for part in [">\nloss\n<", ">\naccuracy\n<", ">\ntraining\n<", ">\nepoch\n<"] {
            assert!(text.contains(part), "no {part:?} in {text}");
        }
        assert_eq!(text.contains(">\nvalidation\n<"), validated);
    }
}

#[test]
fn what_cannot_be_written_is_said_before() {
    let folder = TempDir::new().unwrap();
    let error = |name: &str| plot::check_path(folder.path().join(name)).unwrap_err().to_string();
    for name in ["chart.jpg", "chart", ".png"] {
        let error = error(name);
        assert!(error.starts_with("plot: ") && error.ends_with("give a name that ends in .png or .svg"), "{error}");
    }
    assert!(error("no/such/chart.png").contains("no/such: write to this folder: "));
    // A file that is there keeps what it holds, one that is not is not left behind.
    let there = folder.path().join("there.png");
    std::fs::write(&there, "old").unwrap();
    plot::check_path(&there).unwrap();
    assert_eq!(std::fs::read(&there).unwrap(), b"old");
    plot::check_path(folder.path().join("new.svg")).unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}
