//! Confusion matrices: counts, what follows from them, tables and pictures.

use kiln::data::Source;
use kiln::prelude::*;

/// Scores whose first largest are 0, 0, 1, 2, 1, 0.
fn scores() -> Tensor {
    Tensor::from([
        [0.5f32, 0.25, 0.25],
        [0.5, 0.5, 0.0],
        [0.0, 0.5, 0.5],
        [0.0, 0.0, 1.0],
        [-3.0, -1.0, -2.0],
        [0.0, 0.0, 0.0],
    ])
}

/// Of class 3 there is no sample, and none is taken for it.
fn confusion() -> ConfusionMatrix {
    let scores = scores().values().to_f32();
    let scores: Vec<f32> = scores.chunks(3).flat_map(|row| [row, &[-9.0]].concat()).collect();
    ConfusionMatrix::new(&Tensor::new([6, 4], scores).unwrap(), &Tensor::from([0u32, 1, 1, 2, 2, 0])).unwrap()
}

#[test]
fn rows_are_true_classes_and_columns_what_they_are_taken_for() {
    let wanted = Tensor::from([[2u32, 0, 0], [1, 1, 0], [0, 1, 1]]);
    let labels = Tensor::from([0u32, 1, 1, 2, 2, 0]);
    assert_eq!(ConfusionMatrix::new(&scores(), &labels).unwrap().counts(), wanted);
    let one_hot = Tensor::to_categorical(&labels, 3).unwrap();
    assert_eq!(ConfusionMatrix::new(&scores(), &one_hot).unwrap().counts(), wanted);
    for labels in [labels.reshape(&[6, 1]).unwrap(), Tensor::from([0.0f32, 1.0, 1.0, 2.0, 2.0, 0.0])] {
        assert_eq!(ConfusionMatrix::new(&scores(), &labels).unwrap().counts(), wanted, "{labels}");
    }
    // Of one output, above 0.5 is class 1.
    let one = Tensor::from([[0.5f32], [0.75], [0.0], [1.0]]);
    for targets in [Tensor::from([0u32, 0, 1, 1]), Tensor::from([0.0f32, 0.0, 1.0, 1.0])] {
        let counts = ConfusionMatrix::new(&one, &targets).unwrap().counts();
        assert_eq!(counts, Tensor::from([[1u32, 1], [1, 1]]), "{targets}");
    }
}

/// Of equal scores the first, and the first NaN, as NumPy's argmax has it: by the matrix, accuracy and predictions alike.
#[test]
fn ties_and_nan_name_one_class_everywhere() {
    use kiln::nn::metric::classes_of;
    let nan = f32::NAN;
    let rows = [[1.0f32, 1.0, 0.0], [0.0, 2.0, 2.0], [0.0, nan, 9.0], [9.0, nan, nan], [nan, 1.0, nan]];
    let scores = Tensor::from(rows);
    let classes = classes_of(&scores).unwrap();
    assert_eq!(classes, [0, 1, 1, 1, 0]);
    let labels = Tensor::from([0u32, 1, 1, 1, 0]);
    let counts = ConfusionMatrix::new(&scores, &labels).unwrap().counts();
    assert_eq!(counts, Tensor::from([[2u32, 0, 0], [0, 3, 0], [0, 0, 0]]));
    assert!(classes_of(&Tensor::from([1.0f32])).is_err());
    for device in crate::common::devices() {
        let mut model = Sequential::new().add(Activation::Linear).device(device.clone());
        model.compile(Sgd::default(), Loss::SparseCategoricalCrossentropyFromLogits, [Metric::Accuracy]).unwrap();
        let ties = Tensor::from([rows[0], rows[1]]);
        let logs = model.evaluate(&Dataset::new(ties.clone(), Tensor::from([0u32, 1])).unwrap()).unwrap();
        assert_eq!(logs.get("accuracy"), Some(1.0), "{device}");
        assert_eq!(classes_of(&model.predict(&ties).unwrap()).unwrap(), [0, 1], "{device}");
    }
}

#[test]
fn a_report_has_each_class_and_both_means() {
    let report = confusion().report();
    let of = |f: fn(&kiln::nn::metric::ClassScores) -> f64| report.classes.iter().map(f).collect::<Vec<_>>();
    assert_eq!(of(|class| class.precision), [2.0 / 3.0, 0.5, 1.0, 0.0]);
    assert_eq!(of(|class| class.recall), [1.0, 0.5, 0.5, 0.0]);
    assert_eq!(report.classes.iter().map(|class| class.samples).collect::<Vec<_>>(), [2, 2, 2, 0]);
    let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-15, "{a}, not {b}");
    near(report.classes[0].f1, 0.8);
    near(report.classes[2].f1, 2.0 / 3.0);
    near(report.macro_average.recall, 0.5);
    near(report.weighted_average.recall, 2.0 / 3.0);
    near(report.weighted_average.precision, (2.0 / 3.0 + 0.5 + 1.0) / 3.0);
    near(report.accuracy, 4.0 / 6.0);
    assert_eq!(report.weighted_average.samples, 6);
}

#[test]
fn tables_line_up() {
    let wanted = "\
true  0  1  2  3  <- taken for
   0  2  0  0  0
   1  1  1  0  0
   2  0  1  1  0
   3  0  0  0  0
";
    assert_eq!(confusion().to_string(), wanted);
    let wanted = "   class  precision  recall      f1  samples
       0     0.6667  1.0000  0.8000        2
       1     0.5000  0.5000  0.5000        2
       2     1.0000  0.5000  0.6667        2
       3     0.0000  0.0000  0.0000        0
   macro     0.5417  0.5000  0.4917        6
weighted     0.7222  0.6667  0.6556        6
accuracy  0.6667
";
    assert_eq!(confusion().report().to_string(), wanted);
}

#[test]
fn names_stand_in_place_of_numbers() {
    let named = confusion().with_class_names(["ant", "bee", "crab", "damselfly"]).unwrap();
    let wanted = "     true  ant  bee  crab  damselfly  <- taken for
      ant    2    0     0          0
      bee    1    1     0          0
     crab    0    1     1          0
damselfly    0    0     0          0
";
    assert_eq!(named.to_string(), wanted);
    let (named, plain) = (named.report(), confusion().report());
    assert_eq!((&named.names[3], &plain.names[3]), (&"damselfly".to_string(), &"3".to_string()));
    assert_eq!(named.classes, plain.classes);
    let text = named.to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "    class  precision  recall      f1  samples");
    assert_eq!(lines[3], "     crab     1.0000  0.5000  0.6667        2");
    assert_eq!(
        lines[5..],
        [
            "    macro     0.5417  0.5000  0.4917        6",
            " weighted     0.7222  0.6667  0.6556        6",
            " accuracy  0.6667"
        ]
    );
    let text = confusion().with_class_names(["ant", "bee"]).unwrap_err().to_string();
    assert_eq!(text, "class_names: 2 names for 4 classes; give one each");
}

/// In batches, from memory or not, and of the last part of a set that is split: those of the model at the epoch's end.
#[test]
fn a_callback_counts_what_is_validated_on() {
    struct Streamed(Dataset);
    impl Source for Streamed {
        fn len(&self) -> usize {
            self.0.len()
        }
        fn read(&self, rows: &[usize]) -> Result<Dataset> {
            self.0.subset(rows)
        }
    }
    let x: Vec<f32> = (0..1300).map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0).collect();
    let y: Vec<u32> = x.iter().map(|x| u32::from(x.abs() > 0.5)).collect();
    let data = Dataset::new(Tensor::new([1300, 1], x).unwrap(), Tensor::new([1300], y).unwrap()).unwrap();
    let (_, last) = data.split_at(650);
    let streamed = Streamed(last.clone());
    for device in crate::common::devices() {
        let train = |fit: Fit<'_>| {
            let mut counts = Vec::new();
            let mut model = Sequential::new().add(Dense::new(4).activation(Activation::Tanh)).add(Dense::new(2));
            model = model.device(device.clone());
            model.compile(Adam::default(), Loss::SparseCategoricalCrossentropyFromLogits, []).unwrap();
            let each = LambdaCallback::new().on_epoch_end(|run| {
                counts.push(run.confusion_matrix()?);
                Ok(())
            });
            model.fit(&data, fit.epochs(2).verbose(0).callback(each)).unwrap();
            (counts.pop().unwrap(), model)
        };
        for fit in
            [Fit::new().validation_split(0.5), Fit::new().validation_data(&last), Fit::new().validation_data(&streamed)]
        {
            let (counts, mut model) = train(fit);
            assert_eq!(counts, Some(model.confusion_matrix(&last).unwrap()), "{device}");
        }
        assert_eq!(train(Fit::new()).0, None);
    }
}

/// Of a model as of its predictions: in the data's own scale, without a loss.
#[test]
fn a_model_is_asked_at_the_scale_of_the_data() {
    for device in crate::common::devices() {
        let mut model = Sequential::new().add(Dense::new(1)).device(device.clone());
        model.build([1]).unwrap();
        model.set_weights(&[Tensor::from([[1.0f32]]), Tensor::from([0.0f32])]).unwrap();
        let data = Dataset::new(Tensor::from([[0u8], [100], [200]]), Tensor::from([0.0f32, 1.0, 1.0])).unwrap();
        // Of 255 the second is 0.39.
        let counts = model.confusion_matrix(&data).unwrap().counts();
        assert_eq!(counts, Tensor::from([[1u32, 0], [1, 1]]), "{device}");
        let counts = model.confusion_matrix(&data.with_scale(0.01)).unwrap().counts();
        assert_eq!(counts, Tensor::from([[1u32, 0], [0, 2]]), "{device}");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let said = |targets: Tensor| ConfusionMatrix::new(&scores(), &targets).unwrap_err().to_string();
    assert_eq!(said(Tensor::from([0u32, 1, 2, 3, 0, 0])), "y: row 3 has label 3, the model has 3 classes");
    let text = said(Tensor::from([0u32, 1]));
    assert!(text.starts_with("confusion_matrix: ") && text.contains("given (6, 3) and u32 (2,)"), "{text}");
    let text = said(Tensor::from([0.0f32, 1.0, 0.5, 0.0, 0.0, 0.0]));
    assert_eq!(text, "y: row 2: 0.5 is no label, which is a whole number from 0 on");
    assert!(said(Tensor::from([-1.0f32; 6])).starts_with("y: row 0: -1 is no label"));
    let text = said(Tensor::from([[0.0f32; 2]; 6]));
    assert!(text.contains("given (6, 3) and f32 (6, 2)"), "{text}");
    let flat = ConfusionMatrix::new(&Tensor::from([0.5f32, 0.5]), &Tensor::from([0u32, 1])).unwrap_err().to_string();
    assert!(flat.contains("(samples, classes)") && flat.contains("given (2,) and u32 (2,)"), "{flat}");
}

#[cfg(feature = "plot")]
#[test]
fn a_picture_has_a_square_and_a_number_for_each_pair() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("confusion.svg");
    confusion().plot(&path).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    for part in ["Confusion matrix", "true class", "taken for class", ">\n3\n<", "#0072B2", "#F4F4F4"] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    // The ground beside sixteen squares.
    assert_eq!(text.matches("<rect").count(), 17);
    let png = folder.path().join("confusion.png");
    confusion().plot(&png).unwrap();
    assert!(std::fs::read(&png).unwrap().starts_with(b"\x89PNG"));
    let refused = confusion().plot(folder.path().join("confusion.txt")).unwrap_err().to_string();
    assert!(refused.ends_with("give a name that ends in .png or .svg"), "{refused}");
    // Names that are wider than a square stand on end, and none takes all the room.
    assert!(!text.contains("rotate("));
    let long = "a class whose name has no end at all";
    let named = confusion().with_class_names(["ant", "bee", "crab", long]).unwrap();
    named.plot(&path).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.matches("rotate(").count(), 4);
    assert_eq!((text.matches(">\nbee\n<").count(), text.matches(">\na class whose name has …\n<").count()), (2, 2));
    // Classes by the hundred have squares without numbers, and a name here and there.
    let (classes, labels) = (200, Tensor::new([200], (0..200u32).collect::<Vec<_>>()).unwrap());
    let many = ConfusionMatrix::new(&Tensor::to_categorical(&labels, classes).unwrap(), &labels).unwrap();
    many.plot(&path).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.matches("<rect").count(), 1 + classes * classes);
    assert!(text.matches("<text").count() < 100);
}
