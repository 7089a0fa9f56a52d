//! Classes and functions of one's own in Keras' files, by the names that Keras registered them by.

use kiln::graph::{Aggregation, Id};
use kiln::nn::layers::Layer;
use kiln::nn::{Config, CustomObjects, KerasObject, Scope};
use kiln::ops::binary::Binary;
use kiln::ops::unary::Unary;
use kiln::prelude::*;

use crate::common::{numbers, says};
use crate::keras_files::{apart, file, golden, targets, tensors};

/// x * weight * factor.
#[derive(Debug)]
struct Scaled {
    factor: f64,
}

impl Layer for Scaled {
    fn kind(&self) -> &'static str {
        "Scaled"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [x] = scope.expect(inputs)?;
        let extents = scope.graph.shape(x)[1..].to_vec();
        let weight = scope.parameter("scale", extents, Initializer::Constant(1.0))?;
        let scaled = scope.graph.apply(Binary::Mul, &[x, weight])?;
        let factor = scope.graph.fill(self.factor, []);
        Ok(vec![scope.graph.apply(Binary::Mul, &[scaled, factor])?])
    }

    fn config(&self) -> Config {
        Config::new("Scaled").with("factor", self.factor)
    }

    fn keras(&self, name: &str) -> Result<KerasObject> {
        let object = KerasObject::new("mine", "Scaled").registered("mine>Scaled");
        Ok(object.with("name", name).with("trainable", true).with("factor", self.factor))
    }
}

#[test]
fn classes_of_ones_own_are_read_by_their_registered_names() -> Result<()> {
    let golden = golden();
    let wanted = &golden["owned"]["own"];
    says(Model::load(file("own")), &["layer \"mine\", a Scaled", "mine>Scaled", "somebody's own"]);
    let halved = Loss::custom("halved", |g, predicted, targets| {
        let error = g.apply(Binary::Sub, &[predicted, targets])?;
        let squares = g.apply(Unary::Square, &[error])?;
        let mean = g.reduce(Aggregation::Mean, squares, Some(&[-1]), false)?;
        let half = g.fill(0.5, []);
        g.apply(Binary::Mul, &[mean, half])
    });
    let layer = |config: &mut Config| Ok(Scaled { factor: config.take("factor")? });
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("again.keras");
    for class in ["Scaled", "mine>Scaled"] {
        let custom = CustomObjects::new().layer(class, layer).loss(halved);
        let mut model = Model::load_with(file("own"), &custom)?.device(Device::cpu());
        model.save(&path)?;
        for path in [file("own"), path.clone()] {
            let mut model = Model::load_with(path, &custom)?.device(Device::cpu());
            let inputs = tensors(&wanted["inputs"]);
            assert!(apart(&model.predict(&inputs[0])?, &wanted["outputs"][0]) < 1e-6);
            let data = Dataset::new(inputs, targets(&wanted["targets"], &model))?;
            let losses = numbers(&wanted["losses"]);
            let fit = Fit::new().epochs(losses.len()).batch_size(4).shuffle(false).verbose(0);
            for (found, wanted) in model.fit(&data, fit)?.get("loss").iter().zip(&losses) {
                assert!((found - wanted).abs() < 2e-5, "the loss is {found}, Keras' {wanted}");
            }
        }
    }
    // A setting that the class does not take.
    let forgetful = CustomObjects::new().layer("Scaled", |_| Ok(Scaled { factor: 1.0 })).loss(halved);
    says(Model::load_with(file("own"), &forgetful), &["layer \"mine\", a Scaled", "factor", "unknown"]);
    Ok(())
}
