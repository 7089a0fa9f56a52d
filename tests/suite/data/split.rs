//! Parts and folds: every row once, each class with its share, the same for one seed.

use kiln::data::{Dataset, Fold, KFold, Split};
use kiln::{Tensor, Values};

use super::{says, text};

/// Rows that hold their own numbers, with these labels.
fn numbered(labels: &[u32]) -> Dataset {
    let rows: Vec<f32> = (0..labels.len()).map(|row| row as f32).collect();
    Dataset::new(Tensor::new([labels.len(), 1], rows).unwrap(), Tensor::new([labels.len()], labels.to_vec()).unwrap())
        .unwrap()
}

/// Labels of these many samples a class, mixed.
fn mixed(counts: &[usize]) -> Vec<u32> {
    let labels = (0..).zip(counts).flat_map(|(class, &count)| std::iter::repeat_n(class, count)).collect();
    kiln::random::shuffled_with(labels, 5, "mixed", 0)
}

fn rows(data: &Dataset) -> Vec<usize> {
    data.x().values().to_f64().into_iter().map(|x| x as usize).collect()
}

fn counts(data: &Dataset, classes: usize) -> Vec<usize> {
    let Values::U32(labels) = data.y().values() else { panic!("labels") };
    (0..classes as u32).map(|class| labels.iter().filter(|&&label| label == class).count()).collect()
}

fn sorted(mut rows: Vec<usize>) -> Vec<usize> {
    rows.sort_unstable();
    rows
}

#[track_caller]
fn assert_parts(split: &Split, n: usize) {
    assert_eq!(sorted([rows(&split.train), rows(&split.test)].concat()), (0..n).collect::<Vec<_>>());
}

#[test]
fn a_subset_takes_rows_in_its_order() {
    let data = numbered(&[7, 8, 9]).with_scale(2.0);
    let part = data.subset(&[2, 0, 2]).unwrap();
    assert_eq!((rows(&part), part.y(), part.scale()), (vec![2, 0, 2], &Tensor::from([9u32, 7, 9]), 2.0));
    assert!(data.subset(&[]).unwrap().is_empty());
    says(&text(data.subset(&[0, 3])), &["there is no row 3 in shape (3, 1)"]);
}

#[test]
fn a_split_has_each_row_once_and_repeats() {
    let data = numbered(&[0; 101]);
    let split = data.train_test_split(0.2, 3).unwrap();
    assert_parts(&split, 101);
    // Rounded up.
    assert_eq!(split.test.len(), 21);
    assert_ne!(rows(&split.train), sorted(rows(&split.train)));
    assert_eq!(split, data.train_test_split(0.2, 3).unwrap());
    assert_ne!(split, data.train_test_split(0.2, 4).unwrap());
    for share in [0.0, 1.0, -0.5, f64::NAN, 0.995] {
        says(&text(data.train_test_split(share, 0)), &["test_share", "more than 0, less than 1"]);
    }
}

#[test]
fn a_stratified_split_keeps_each_classes_share() {
    for seed in 0..20 {
        let data = numbered(&mixed(&[41, 20, 5, 13, 4, 8, 10]));
        let split = data.stratified_split(0.2, seed).unwrap();
        assert_parts(&split, 101);
        // A fifth each is 8.5, 4.2, 1.04, 2.7, 0.8, 1.7, 2.1 of 21: the largest rests get one more.
        assert_eq!(counts(&split.test, 7), [8, 4, 1, 3, 1, 2, 2], "seed {seed}");
        assert_eq!(split, data.stratified_split(0.2, seed).unwrap());
        // The classes are mixed.
        assert_ne!(split.train.y(), split.train.subset(&by_label(&split.train)).unwrap().y());
    }
}

fn by_label(data: &Dataset) -> Vec<usize> {
    let Values::U32(labels) = data.y().values() else { panic!("labels") };
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.sort_by_key(|&row| labels[row]);
    order
}

#[test]
fn what_cannot_be_stratified_is_refused() {
    says(&text(numbered(&[0, 0, 1]).stratified_split(0.5, 0)), &["row 2 is the only one of its class"]);
    let many = numbered(&[0, 0, 1, 1, 2, 2, 3, 3]);
    says(&text(many.stratified_split(0.25, 0)), &["2 samples to measure on and 6", "too few for 4 classes"]);
    let values = Dataset::new(Tensor::from([[1.0f32], [2.0]]), Tensor::from([1.0f32, 2.0])).unwrap();
    says(&text(values.stratified_split(0.5, 0)), &["class indices", "f32 values"]);
    says(&text(KFold::new(2).stratified().folds(&values)), &["class indices"]);
    says(&text(KFold::new(3).stratified().folds(&numbered(&[0, 0, 1, 1]))), &["the largest class has 2 samples"]);
}

/// As scikit-learn's KFold(3).split(range(11)) has it.
#[test]
fn folds_are_neighbours_and_the_first_are_larger() {
    let folds = KFold::new(3).folds(&numbered(&[0; 11])).unwrap();
    let tests: Vec<_> = folds.iter().map(|fold| fold.test.clone()).collect();
    assert_eq!(tests, [vec![0, 1, 2, 3], vec![4, 5, 6, 7], vec![8, 9, 10]]);
    assert_eq!(folds[1].train, [0, 1, 2, 3, 8, 9, 10]);
    for folds in [0, 1, 12] {
        says(&text(KFold::new(folds).folds(&numbered(&[0; 11]))), &["folds: ", "of 11 samples; give 2 to 11"]);
    }
}

#[test]
fn every_row_is_measured_on_once_whatever_the_folds() {
    for seed in 0..30u64 {
        let n = 20 + (seed as usize * 7) % 23;
        let k = 2 + seed as usize % 6;
        let data = numbered(&mixed(&[n, 9, 2]));
        for fold in [
            KFold::new(k),
            KFold::new(k).shuffle(seed),
            KFold::new(k).stratified(),
            KFold::new(k).stratified().shuffle(seed),
        ] {
            let folds = fold.folds(&data).unwrap();
            let what = format!("seed {seed}, {fold:?}");
            assert_eq!(
                sorted(folds.iter().flat_map(|fold| fold.test.clone()).collect()),
                (0..n + 11).collect::<Vec<_>>(),
                "{what}"
            );
            let sizes: Vec<usize> = folds.iter().map(|fold| fold.test.len()).collect();
            assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1, "{what}: {sizes:?}");
            for (Fold { train, test }, split) in folds.iter().zip(fold.split(&data).unwrap()) {
                assert_eq!((train, test), (&rows(&split.train), &rows(&split.test)), "{what}");
                assert_parts(&split, n + 11);
            }
            assert_eq!(folds, fold.folds(&data).unwrap(), "{what}");
        }
    }
}

#[test]
fn stratified_folds_keep_each_classes_share() {
    let all = [41usize, 20, 5, 13, 4, 8, 10];
    let data = numbered(&mixed(&all));
    for fold in [KFold::new(5).stratified(), KFold::new(5).stratified().shuffle(1)] {
        for split in fold.split(&data).unwrap() {
            for (found, n) in counts(&split.test, 7).into_iter().zip(all) {
                assert!(found == n / 5 || found == n.div_ceil(5), "{found} of {n} in a fifth");
            }
        }
    }
    let shuffled = |seed| KFold::new(5).stratified().shuffle(seed).folds(&data).unwrap();
    assert_ne!(shuffled(1), shuffled(2));
}
