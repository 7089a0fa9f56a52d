//! Keras' names as text, learning rates as arguments, losses of one's own, and errors of a program's own.

use std::error::Error as _;
use std::io;

use kiln::graph::Aggregation;
use kiln::nn::CustomObjects;
use kiln::nn::layers::PRelu;
use kiln::ops::binary::Binary;
use kiln::ops::unary::Unary;
use kiln::prelude::*;

use crate::common::{devices, says};

fn data() -> Dataset {
    let x = Tensor::new([6, 2], (0..12).map(|i| i as f32 / 12.0).collect::<Vec<_>>()).unwrap();
    Dataset::new(x, Tensor::new([6, 1], vec![0.0f32, 1.0, 0.0, 1.0, 1.0, 0.0]).unwrap()).unwrap()
}

/// A model of these layers, trained as `compile` says.
fn trained(model: Sequential, compile: impl FnOnce(&mut Sequential) -> Result<()>) -> (Vec<Tensor>, Logs) {
    let mut model = model.device(Device::cpu());
    compile(&mut model).unwrap();
    let history = model.fit(&data(), Fit::new().epochs(3).batch_size(2).verbose(0)).unwrap();
    (model.weights().unwrap(), history.epochs().last().unwrap().clone())
}

#[test]
fn names_are_what_they_stand_for() {
    let layers = |hidden: Dense, last: Dense| {
        let norm = BatchNormalization::new().beta_initializer("ones").gamma_regularizer("l1");
        Sequential::new().add(hidden).add(norm).add(PRelu::new().alpha_initializer("ones")).add(last)
    };
    let hidden = Dense::new(3).activation("tanh").kernel_initializer("he_normal").kernel_regularizer("l2");
    let text = layers(hidden, Dense::new(1).activation(String::from("sigmoid")).bias_initializer("ones"));
    let hidden = Dense::new(3).activation(Activation::Tanh).kernel_initializer(Initializer::HeNormal);
    let last = Dense::new(1).activation(Activation::Sigmoid).bias_initializer(Initializer::Ones);
    let typed = layers(hidden.kernel_regularizer(Regularizer::l2(0.01)), last);
    let (weights, logs) = trained(text, |model| model.compile("adam", "binary_crossentropy", ["mae", "accuracy"]));
    let metrics = [Metric::MeanAbsoluteError, Metric::Accuracy];
    let wanted = trained(typed, |model| model.compile(Adam::default(), Loss::BinaryCrossentropy, metrics));
    assert_eq!((weights, logs), wanted);
}

#[test]
fn metrics_are_lists_of_either() {
    let logged = |compile: fn(&mut Sequential) -> Result<()>| {
        let mut model = Sequential::new().add(Dense::new(1)).device(Device::cpu());
        compile(&mut model).unwrap();
        model.evaluate(&data()).unwrap().iter().map(|(name, _)| name.to_string()).collect::<Vec<_>>()
    };
    let wanted = ["loss", "mean_absolute_error", "root_mean_squared_error"];
    assert_eq!(logged(|m| m.compile("sgd", "mse", [])), wanted[..1]);
    assert_eq!(logged(|m| m.compile("sgd", "mse", Vec::<Metric>::new())), wanted[..1]);
    assert_eq!(logged(|m| m.compile("sgd", "mse", [Metric::MeanAbsoluteError])), wanted[..2]);
    assert_eq!(logged(|m| m.compile("sgd", "mse", ["mae"])), wanted[..2]);
    assert_eq!(logged(|m| m.compile("sgd", "mse", vec!["mae", "rmse"])), wanted);
    assert_eq!(logged(|m| m.compile("sgd", "mse", ["mae".to_string(), "rmse".into()])), wanted);
    assert_eq!(logged(|m| m.compile("sgd", "mse", &["mae", "rmse"][..])), wanted);
    assert_eq!(logged(|m| m.compile("sgd", "mse", &[Metric::MeanAbsoluteError][..])), wanted[..2]);
    assert_eq!(logged(|m| m.compile_with("sgd", [("dense", Objective::new("mse").metrics(["mae"]))])), wanted[..2]);
}

#[test]
fn a_misspelt_name_is_an_error_with_the_nearest_one() {
    let mut model = Sequential::new().add(Input::new([2])).add(Dense::new(1));
    says(model.compile("adma", "mse", []), &["optimizer: \"adma\" is unknown; did you mean \"adam\"?"]);
    says(model.compile("adam", "mean_sqared_error", []), &["loss: ", "did you mean \"mean_squared_error\"?"]);
    says(model.compile("adam", "mse", ["mae", "acuracy"]), &["metric: \"acuracy\"", "did you mean \"accuracy\"?"]);
    let objective = Objective::new("mes").metrics(["acuracy"]);
    says(model.compile_with("adam", [("dense", objective)]), &["loss: \"mes\" is unknown", "did you mean \"mse\"?"]);
    says(model.fit(&data(), Fit::new()).map(drop), &["not compiled yet"]);
    let dense = || Dense::new(2);
    for (layer, parts) in [
        (dense().activation("rleu"), ["layer \"dense\": activation: \"rleu\"", "did you mean \"relu\"?"]),
        (dense().kernel_initializer("he_norml"), ["initializer: \"he_norml\"", "did you mean \"he_normal\"?"]),
        (dense().bias_regularizer("l3"), ["regularizer: \"l3\"", "There are: l1, l2, l1_l2"]),
        // The first of two.
        (dense().activation("gelus").bias_initializer("x"), ["activation: \"gelus\"", "did you mean \"gelu\"?"]),
    ] {
        says(Sequential::new().add(layer.clone()).build([2]), &parts);
        says(layer.apply(Input::new([2])).map(drop), &parts);
    }
    let norm = LayerNormalization::new().gamma_initializer("oens");
    says(
        Sequential::new().add(norm).build([2]),
        &["layer \"layer_normalization\": initializer: \"oens\"", "\"ones\"?"],
    );
    says(Sequential::new().add(PRelu::new().alpha_initializer("oens")).build([2]), &["layer \"p_re_lu\"", "\"ones\"?"]);
    assert_eq!("relu".parse::<Activation>().unwrap(), Activation::Relu);
}

#[test]
fn a_learning_rate_is_an_argument() {
    let default = Adam::default();
    assert_eq!(Adam::new(0.5), Adam { learning_rate: 0.5, ..default });
    assert_eq!(Sgd::new(0.5), Sgd { learning_rate: 0.5, ..Sgd::default() });
    let (named, written) = (RmsProp::new(0.25), RmsProp { learning_rate: 0.25, ..RmsProp::default() });
    assert_eq!(format!("{named:?}"), format!("{written:?}"));
}

fn squares(name: &'static str) -> Loss {
    Loss::custom(name, |g, predicted, targets| {
        let error = g.apply(Binary::Sub, &[predicted, targets])?;
        let squares = g.apply(Unary::Square, &[error])?;
        g.reduce(Aggregation::Mean, squares, Some(&[-1]), false)
    })
}

#[test]
fn a_loss_of_ones_own_trains_as_kilns() {
    // A plain list of targets has the predictions' shape, as for Kiln's losses.
    let list = Dataset::new(data().x().clone(), data().y().reshape(&[-1]).unwrap()).unwrap();
    for device in devices() {
        let trained = |loss: Loss, set: &Dataset| {
            let mut model = Sequential::new().add(Dense::new(3)).add(Dense::new(1)).device(device.clone());
            model.compile(Sgd::new(0.1), loss, []).unwrap();
            model.fit(set, Fit::new().epochs(2).batch_size(3).verbose(0)).unwrap();
            model.weights().unwrap()
        };
        let wanted = trained(Loss::MeanSquaredError, &data());
        for set in [&data(), &list] {
            for (own, wanted) in trained(squares("own"), set).iter().zip(&wanted) {
                let (own, wanted) = (own.values().to_f64(), wanted.values().to_f64());
                let near = own.iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 1e-6);
                assert!(near, "{device}: {own:?}, wanted {wanted:?}");
            }
        }
    }
}

#[test]
fn a_loss_of_ones_own_is_given_anew_and_has_a_free_name() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("model.safetensors");
    let mut model = Sequential::new().add(Dense::new(1)).device(Device::cpu());
    for name in ["mse", "accuracy", "loss", ""] {
        let said = model.compile("sgd", squares(name), []).unwrap_err().to_string();
        assert!(said.contains(&format!("loss: {name:?} is no name for one of your own")), "{said}");
    }
    let wide = Loss::custom("wide", |_, predicted, _| Ok(predicted));
    model.compile("sgd", wide, []).unwrap();
    let said = model.evaluate(&data()).unwrap_err().to_string();
    assert!(said.contains("wide: gives f32 (6, 1), a loss gives a number a sample, f32 (6,)"), "{said}");
    model.compile("sgd", squares("own"), [Metric::Loss(squares("own")), Metric::MeanSquaredError]).unwrap();
    let logs = model.evaluate(&data()).unwrap();
    assert_eq!((logs.get("own"), logs.get("loss")), (logs.get("mean_squared_error"), logs.get("own")));
    model.save(&path).unwrap();
    let said = Sequential::load(&path).unwrap_err().to_string();
    for part in ["setting \"loss\"", "\"own\" is unknown", "load_with and CustomObjects"] {
        assert!(said.contains(part), "{said}");
    }
    let custom = CustomObjects::new().loss(squares("own"));
    let mut again = Sequential::load_with(&path, &custom).unwrap().device(Device::cpu());
    assert_eq!(again.evaluate(&data()).unwrap(), logs);
}

#[test]
fn errors_of_a_programs_own_print_as_they_are() {
    let read = || -> Result<Vec<u8>> { Ok(std::fs::read("no/such/file")?) };
    let error = read().unwrap_err();
    assert!(matches!(error, Error::Other(_)));
    assert_eq!(format!("{error:?}"), io::Error::from_raw_os_error(2).to_string());
    // As a `main` that returns it prints it: without the variant, and the system's answer once.
    let error = std::fs::read("x").map_err(Error::io("x", "read")).unwrap_err();
    assert_eq!(format!("{error:?}"), error.to_string());
    assert!(error.source().is_some());
    #[derive(Debug)]
    struct Outer;
    impl std::fmt::Display for Outer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("the set is not ready")
        }
    }
    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            static INNER: Inner = Inner;
            Some(&INNER)
        }
    }
    #[derive(Debug)]
    struct Inner;
    impl std::fmt::Display for Inner {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("its disk is full")
        }
    }
    impl std::error::Error for Inner {}
    assert_eq!(format!("{:?}", Error::other(Outer)), "the set is not ready\ncaused by: its disk is full");
    let mut model = Sequential::new().add(Dense::new(1)).device(Device::cpu());
    model.compile("sgd", "mse", []).unwrap();
    let stop = LambdaCallback::new().on_epoch_end(|_| Err(Error::other("enough")));
    let said = model.fit(&data(), Fit::new().verbose(0).callback(stop)).unwrap_err();
    assert_eq!(said.to_string(), "enough");
}
