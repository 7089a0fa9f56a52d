//! What `kiln train` keeps of a run whose device is lost.

use clap::Parser;
use kiln::prelude::*;

use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

/// `kiln train` on a device that fails in its third epoch, as far as `save` says: its error.
fn failed(save: &[&str]) -> String {
    let line = [&["train", "mnist", "--hidden", "3", "--epochs", "5", "--batch-size", "8", "--quiet"], save].concat();
    let Line { args } = Line::parse_from(line);
    let set = Dataset::new(Tensor::new([40, 4], vec![0.5f32; 160]).unwrap(), Tensor::from(vec![1u32; 40])).unwrap();
    let device = std::env::var("KILN_TEST_DEVICE").unwrap_or_else(|_| "gpu".into());
    let device = Device::choose(&device).unwrap().device;
    let mut model = args.model.network(("mnist", Task::Classes(3)), &[4].into(), device, None).unwrap();
    let (validation_split, shuffle, plateau) = (0.0, true, false);
    let (limit, patience) = (None, None);
    let course = Course { set: "mnist".into(), batch_size: 8, validation_split, shuffle, limit, patience, plateau };
    let (faults, stop) = (Faults::new(false), Stop::default());
    // What every call says from a loss on.
    let lose = LambdaCallback::new().on_batch_end(|run| match (run.epoch(), run.step()) {
        (3, 2) => Err(kiln::Error::Device { device: "gpu".into(), message: "the device was lost".into() }),
        _ => Ok(()),
    });
    let watch = Watch { class_names: &[], is_validated: false, task: Task::Classes(3), early: None };
    let fit = args.settings((0, 5), &course, watch, &faults).callback(lose);
    let trained = args.fit(&mut model, fit, (&set, 40), (Instant::now(), &stop), &faults);
    format!("{:#}", trained.err().expect("a device that is lost"))
}

#[test]
fn a_device_that_is_lost_leaves_the_model_of_the_last_epoch() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("kept.safetensors");
    let name = path.to_str().unwrap();
    let said = failed(&["--save", name]);
    assert_eq!(said, format!("{name}: saved as of step 10, to go on by --resume {name}: gpu: the device was lost"));
    let kept = Model::load(&path).unwrap();
    assert_eq!((kept.epoch(), kept.iteration()), (2, 10));
    assert_eq!(failed(&[]), "gpu: the device was lost");
}
