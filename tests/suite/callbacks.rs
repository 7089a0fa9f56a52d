//! Callbacks: when they are called and what they may do, on the processor and the adapter.

use std::cell::RefCell;

use kiln::prelude::*;
use kiln::train::callbacks::Mode;

use crate::common::{devices, fixture, numbers};

/// Eleven samples of four numbers in three classes: two batches of four and one of three.
fn samples() -> Dataset {
    let x: Vec<f32> = (0..44).map(|i| (i * 7 % 11) as f32 / 11.0 - 0.5).collect();
    let y: Vec<u32> = (0..11).map(|i| i % 3).collect();
    Dataset::new(Tensor::new([11, 4], x).unwrap(), Tensor::new([11], y).unwrap()).unwrap()
}

fn classifier(device: &Device, optimizer: impl Optimizer + 'static) -> Sequential {
    let mut model = Sequential::new()
        .add(Dense::new(5).activation(Activation::Relu))
        .add(Dropout::new(0.2))
        .add(Dense::new(3).activation(Activation::Softmax))
        .device(device.clone());
    model.compile(optimizer, Loss::SparseCategoricalCrossentropy, [Metric::Accuracy]).unwrap();
    model
}

fn fit<'a>() -> Fit<'a> {
    Fit::new().batch_size(4).epochs(3).verbose(0)
}

/// Notes each call, with what the run says of itself.
struct Recorder<'a> {
    calls: &'a RefCell<Vec<String>>,
    batches: bool,
}

impl Recorder<'_> {
    #[expect(clippy::unnecessary_wraps, reason = "as the hooks return")]
    fn note(&self, call: &str, run: &Run<'_>) -> Result<()> {
        let names: Vec<&str> = run.logs().iter().map(|(name, _)| name).collect();
        let (epoch, step, iteration) = (run.epoch(), run.step(), run.iteration());
        self.calls.borrow_mut().push(format!("{call} {epoch}.{step} at {iteration} [{}]", names.join(" ")));
        Ok(())
    }
}

impl Callback for Recorder<'_> {
    fn wants_batches(&self) -> bool {
        self.batches
    }

    fn on_train_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
        assert_eq!((run.epochs(), run.steps()), (2, 3));
        self.note("train_begin", run)
    }

    fn on_train_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        self.note("train_end", run)
    }

    fn on_epoch_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
        self.note("epoch_begin", run)
    }

    fn on_epoch_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        self.note("epoch_end", run)
    }

    fn on_batch_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
        self.note("batch_begin", run)
    }

    fn on_batch_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        self.note("batch_end", run)
    }
}

#[test]
fn hooks_are_called_in_keras_order_and_only_who_wants_batches_gets_them() {
    let (with, without) = (RefCell::default(), RefCell::default());
    let mut model = classifier(&Device::cpu(), Sgd::default());
    let data = samples();
    let options = fit().epochs(2).validation_data(&data);
    let recorders = [(&with, true), (&without, false)].map(|(calls, batches)| Recorder { calls, batches });
    model.fit(&data, options.callbacks(recorders)).unwrap();
    let epoch = |epoch: u64| {
        let (start, all) = (3 * (epoch - 1), "loss accuracy val_loss val_accuracy");
        let mut calls = vec![format!("epoch_begin {epoch}.0 at {start} []")];
        for step in 1..=3 {
            let before = if step == 1 { "" } else { "loss accuracy" };
            calls.push(format!("batch_begin {epoch}.{step} at {} [{before}]", start + step - 1));
            calls.push(format!("batch_end {epoch}.{step} at {} [loss accuracy]", start + step));
        }
        [calls, vec![format!("epoch_end {epoch}.3 at {} [{all}]", start + 3)]].concat()
    };
    let end = vec!["train_end 2.3 at 6 [loss accuracy val_loss val_accuracy]".to_string()];
    let wanted = [vec!["train_begin 0.0 at 0 []".to_string()], epoch(1), epoch(2), end].concat();
    assert_eq!(*with.borrow(), wanted);
    let fewer: Vec<String> = wanted.into_iter().filter(|call| !call.starts_with("batch")).collect();
    assert_eq!(*without.borrow(), fewer);
}

#[test]
fn hooks_of_batches_change_no_bit_and_see_the_running_means() {
    for device in devices() {
        let train = |options: Fit<'_>| {
            let mut model = classifier(&device, Adam::default());
            let history = model.fit(&samples(), options).unwrap();
            (history, model.weights().unwrap())
        };
        let mut means = Vec::new();
        let each = LambdaCallback::new().on_batch_end(|run| {
            means.push(run.logs().get("loss").unwrap());
            Ok(())
        });
        let looked_at =
            train(fit().check_finite(CheckFinite::Step).callback(LambdaCallback::new().on_batch_begin(|_| Ok(()))));
        let (history, weights) = train(fit().callback(each));
        assert_eq!((&history, &weights), (&looked_at.0, &looked_at.1), "{device}");
        assert_eq!((&history, &weights), (&train(fit()).0, &train(fit()).1), "{device}");
        let losses = &history.batch_losses()[..3];
        let running =
            [losses[0], (losses[0] + losses[1]) / 2.0, (4.0 * (losses[0] + losses[1]) + 3.0 * losses[2]) / 11.0];
        assert!(means[..3].iter().zip(running).all(|(a, b)| (a - b).abs() < 1e-12), "{device}: {means:?} {running:?}");
        assert_eq!((means.len(), means[2]), (9, history.get("loss")[0]), "{device}");
    }
}

#[test]
fn a_run_stops_after_the_step_the_epoch_or_nothing_and_goes_on_at_the_next_fit() {
    for device in devices() {
        let stop = |run: &mut Run<'_>| {
            run.stop_training();
            Ok(())
        };
        let lens = |callback: LambdaCallback<'_>| {
            let mut model = classifier(&device, Adam::default());
            let data = samples();
            let history = model.fit(&data, fit().validation_data(&data).callback(callback)).unwrap();
            // The optimizer goes on where it stopped.
            let mut iteration = 0;
            let begin = LambdaCallback::new().on_train_begin(|run| {
                iteration = run.iteration();
                Ok(())
            });
            model.fit(&data, fit().epochs(1).callback(begin)).unwrap();
            assert_eq!(iteration as usize, history.batch_losses().len(), "{device}");
            assert_eq!(history.get("val_loss").len(), history.epochs().len(), "{device}");
            (history.epochs().len(), history.batch_losses().len())
        };
        assert_eq!(lens(LambdaCallback::new().on_train_begin(stop)), (0, 0));
        assert_eq!(lens(LambdaCallback::new().on_epoch_begin(stop)), (1, 3));
        assert_eq!(lens(LambdaCallback::new().on_epoch_end(stop)), (1, 3));
        let at = |epoch: usize, step: usize| {
            LambdaCallback::new()
                .on_batch_end(move |run| if (run.epoch(), run.step()) == (epoch, step) { stop(run) } else { Ok(()) })
        };
        assert_eq!(lens(at(2, 2)), (2, 5));
        assert_eq!(lens(at(1, 3)), (1, 3));
    }
}

#[test]
fn an_epoch_cut_short_is_the_mean_of_its_steps() {
    for device in devices() {
        let stop = LambdaCallback::new().on_batch_end(|run| {
            run.stop_training();
            Ok(())
        });
        let mut cut = classifier(&device, Adam::default());
        let history = cut.fit(&samples(), fit().shuffle(false).callback(stop)).unwrap();
        let mut one_step = classifier(&device, Adam::default());
        let wanted = one_step.fit(&samples().head(4), fit().epochs(1).shuffle(false)).unwrap();
        assert_eq!((history, cut.weights().unwrap()), (wanted, one_step.weights().unwrap()), "{device}");
    }
}

#[test]
fn an_error_of_a_callback_ends_the_run() {
    let fail = |_: &mut Run<'_>| Err(Error::argument("mine", "is wrong"));
    for callback in [
        LambdaCallback::new().on_train_begin(fail),
        LambdaCallback::new().on_train_end(fail),
        LambdaCallback::new().on_epoch_begin(fail),
        LambdaCallback::new().on_epoch_end(fail),
        LambdaCallback::new().on_batch_begin(fail),
        LambdaCallback::new().on_batch_end(fail),
    ] {
        let mut model = classifier(&Device::cpu(), Sgd::default());
        let error = model.fit(&samples(), fit().callback(callback)).unwrap_err().to_string();
        assert_eq!(error, "mine: is wrong");
    }
}

#[test]
fn weights_are_read_written_kept_and_restored_within_a_run() {
    for device in devices() {
        let mut kept = None;
        let mut seen = Vec::new();
        let mut model = classifier(&device, Adam { learning_rate: 0.1, ..Adam::default() });
        let watch = LambdaCallback::new().on_epoch_end(|run| {
            seen.push(run.weights()?);
            match run.epoch() {
                1 => kept = Some((run.snapshot(None)?, run.snapshot(None)?)),
                2 => {
                    // One copy is replaced, the other is that of the first epoch still.
                    let (first, second) = kept.take().expect("of the first epoch");
                    kept = Some((first, run.snapshot(Some(second))?));
                }
                _ => {
                    let (first, second) = kept.as_ref().expect("of the first epochs");
                    run.restore(second)?;
                    seen.push(run.weights()?);
                    run.restore(first)?;
                }
            }
            Ok(())
        });
        model.fit(&samples(), fit().callback(watch)).unwrap();
        assert_ne!(seen[0], seen[1], "{device}");
        assert_eq!((&seen[3], &model.weights().unwrap()), (&seen[1], &seen[0]), "{device}");
        let late = LambdaCallback::new().on_epoch_end(|run| {
            // One of this run in the same place is another.
            run.snapshot(None)?;
            run.restore(&kept.as_ref().expect("kept before").0)
        });
        let refused = model.fit(&samples(), fit().callback(late)).unwrap_err().to_string();
        assert!(refused.contains("a run that has ended"), "{refused}");

        let zeros: Vec<Tensor> =
            seen[0].iter().map(|t| Tensor::new(t.shape().clone(), vec![0.0f32; t.shape().len()]).unwrap()).collect();
        model
            .fit(&samples(), fit().callback(LambdaCallback::new().on_train_end(|run| run.set_weights(&zeros))))
            .unwrap();
        assert!(model.weights().unwrap().iter().all(|t| t.values().to_f64().iter().all(|&x| x == 0.0)), "{device}");
    }
}

#[test]
fn a_test_set_is_evaluated_between_epochs_without_a_trace() {
    for device in devices() {
        let (data, test) = (samples(), samples().head(5));
        let mut plain = classifier(&device, Adam::default());
        let wanted = plain.fit(&data, fit().validation_data(&data)).unwrap();
        let mut model = classifier(&device, Adam::default());
        let mut measured = Vec::new();
        let watch = LambdaCallback::new().on_epoch_end(|run| {
            assert_eq!(*run.predict(test.x())?.shape().to_vec(), [5, 3]);
            measured.push(run.evaluate(&test)?);
            run.log("test_loss", measured.last().and_then(|logs| logs.get("loss")).expect("it was measured"));
            Ok(())
        });
        let history = model.fit(&data, fit().validation_data(&data).callback(watch)).unwrap();
        assert_eq!(history.batch_losses(), wanted.batch_losses(), "{device}");
        assert_eq!(history.get("val_loss"), wanted.get("val_loss"), "{device}");
        assert_eq!(history.get("test_loss").last(), model.evaluate(&test).unwrap().get("loss").as_ref(), "{device}");
        let early = LambdaCallback::new().on_batch_end(|run| run.evaluate(&test).map(|_| ()));
        let refused = model.fit(&data, fit().callback(early)).unwrap_err().to_string();
        assert!(refused.contains("evaluate would end the epoch") && refused.contains("on_epoch_end"), "{refused}");
        // The refusal leaves the model usable.
        model.fit(&data, fit()).unwrap();
    }
}

#[test]
fn the_learning_rate_changes_from_the_next_step_on() {
    for device in devices() {
        let train = |optimizer: Sgd, options: Fit<'_>| {
            let mut model = classifier(&device, optimizer);
            model.fit(&samples(), options.shuffle(false)).unwrap();
            model.weights().unwrap()
        };
        // From 0.1 to nothing after the first step: as a run of that step alone.
        let freeze = LambdaCallback::new().on_batch_end(|run| run.set_learning_rate(0.0));
        let sgd = Sgd { learning_rate: 0.1, ..Sgd::default() };
        let mut one_step = classifier(&device, sgd);
        one_step.fit(&samples().head(4), fit().epochs(1).shuffle(false)).unwrap();
        assert_eq!(train(sgd, fit().callback(freeze)), one_step.weights().unwrap(), "{device}");
        let thaw = LambdaCallback::new().on_epoch_begin(|run| {
            assert_eq!(run.learning_rate(), if run.epoch() == 1 { 0.3 } else { 0.1 });
            run.set_learning_rate(0.1)
        });
        let other = Sgd { learning_rate: 0.3, ..sgd };
        assert_eq!(train(other, fit().callback(thaw)), train(sgd, fit()), "{device}");
    }
    for rate in [-0.1, f64::NAN, f64::INFINITY] {
        let set = LambdaCallback::new().on_epoch_begin(|run| run.set_learning_rate(rate));
        let mut model = classifier(&Device::cpu(), Sgd::default());
        let refused = model.fit(&samples(), fit().callback(set)).unwrap_err().to_string();
        assert!(refused.contains(&format!("learning_rate: {rate}")) && refused.contains("0 or more"), "{refused}");
    }
}

/// A callback that gives each epoch the next of a list of values, before those that watch it.
fn values<'a>(name: &'a str, values: &'a [f64]) -> LambdaCallback<'a> {
    LambdaCallback::new().on_epoch_end(move |run| {
        run.log(name, values[run.epoch() - 1]);
        Ok(())
    })
}

/// Sets what an entry of Keras' arguments names.
macro_rules! with_arguments {
    ($callback:expr, $arguments:expr, $($setter:ident: $read:ident as $ty:ty),*) => {{
        let (mut callback, arguments) = ($callback, $arguments);
        callback = callback.monitor(arguments["monitor"].as_str().unwrap());
        if let Some(mode) = arguments["mode"].as_str() {
            callback = callback.mode(Mode::by_name(mode).unwrap());
        }
        $(if let Some(value) = arguments[stringify!($setter)].$read() {
            callback = callback.$setter(value as $ty);
        })*
        callback
    }};
}

#[test]
fn early_stopping_decides_as_keras_does() {
    let golden = fixture("keras-callbacks.json");
    for (case, device) in golden["EarlyStopping"].as_array().unwrap().iter().zip(devices().iter().cycle()) {
        let (arguments, course) = (&case["arguments"], numbers(&case["values"]));
        let mut early = with_arguments!(EarlyStopping::new(), arguments,
            patience: as_u64 as usize, min_delta: as_f64 as f64, baseline: as_f64 as f64,
            start_from_epoch: as_u64 as usize);
        early = early.restore_best_weights(arguments["restore_best_weights"].as_bool().unwrap_or(false));
        let mut weights = Vec::new();
        let watch = LambdaCallback::new().on_epoch_end(|run| {
            weights.push(run.weights()?);
            Ok(())
        });
        let mut model = classifier(device, Sgd::default());
        let options = fit().epochs(16).callback(values(arguments["monitor"].as_str().unwrap(), &course));
        let history = model.fit(&samples(), options.callback(watch).callback(&mut early)).unwrap();
        assert_eq!(history.epochs().len() as u64, case["epochs"].as_u64().unwrap(), "{device}: {case}");
        assert_eq!(early.stopped_epoch().map(|epoch| epoch as u64), case["stopped_epoch"].as_u64(), "{device}: {case}");
        let of = case["weights_of"].as_u64().unwrap() as usize;
        assert_eq!(model.weights().unwrap(), weights[of - 1], "{device}: {case}");
        if arguments["restore_best_weights"] == true {
            assert_eq!((early.best_epoch(), early.best()), (Some(of), Some(course[of - 1])), "{device}: {case}");
        }
    }
}

#[test]
fn the_rate_is_reduced_as_keras_reduces_it() {
    let golden = fixture("keras-callbacks.json");
    for case in golden["ReduceLROnPlateau"].as_array().unwrap() {
        let (arguments, course) = (&case["arguments"], numbers(&case["values"]));
        let reduce = with_arguments!(ReduceLrOnPlateau::new(), arguments,
            patience: as_u64 as usize, min_delta: as_f64 as f64, factor: as_f64 as f64, cooldown: as_u64 as usize,
            min_lr: as_f64 as f64);
        let mut rates = Vec::new();
        let watch = LambdaCallback::new().on_epoch_end(|run| {
            rates.push(run.learning_rate());
            Ok(())
        });
        let mut model = classifier(&Device::cpu(), Sgd { learning_rate: 0.1, ..Sgd::default() });
        let options = fit().epochs(16).callback(values(arguments["monitor"].as_str().unwrap(), &course));
        let history = model.fit(&samples(), options.callback(reduce).callback(watch)).unwrap();
        // Decimals are read to an ulp.
        let near = rates.iter().zip(numbers(&case["rates"])).all(|(a, b)| (a - b).abs() <= 4e-16 * b);
        assert!(near && rates.len() == 16, "{case}: {rates:?}");
        // An epoch is said to have had the rate that it had.
        assert_eq!(history.get("learning_rate"), [&[0.1], &rates[..15]].concat(), "{case}");
    }
}

#[test]
fn a_scheduler_sets_the_rate_of_each_epoch() {
    for device in devices() {
        let mut seen = Vec::new();
        let scheduler = LearningRateScheduler::new(|epoch, rate| {
            seen.push((epoch, rate));
            if epoch == 2 { rate / 2.0 } else { rate }
        });
        let sgd = Sgd { learning_rate: 0.25, ..Sgd::default() };
        let mut model = classifier(&device, sgd);
        let history = model.fit(&samples(), fit().callback(scheduler)).unwrap();
        assert_eq!(history.get("learning_rate"), [0.25, 0.125, 0.125], "{device}");
        assert_eq!(seen, [(1, 0.25), (2, 0.25), (3, 0.125)], "{device}");
        // Three steps an epoch: the same as a rate by step.
        let mut stepped = classifier(&device, Scheduled::new(sgd, PiecewiseConstantDecay::new([2], [0.25, 0.125])));
        stepped.fit(&samples(), fit()).unwrap();
        assert_eq!(model.weights().unwrap(), stepped.weights().unwrap(), "{device}");
    }
}

#[test]
fn a_lost_loss_terminates_without_an_error() {
    for device in devices() {
        let far = || classifier(&device, Sgd { learning_rate: 1e30, ..Sgd::default() });
        let history = far().fit(&samples(), fit().callback(TerminateOnNan)).unwrap();
        let losses = history.batch_losses();
        assert!(history.epochs().len() == 1 && losses.len() == 2 && losses[0].is_finite(), "{device}: {losses:?}");
        assert!(!losses[1].is_finite() && !history.get("loss")[0].is_finite(), "{device}: {losses:?}");
        // Who asks for the op gets its error still.
        let error = far().fit(&samples(), fit().check_finite(CheckFinite::Step).callback(TerminateOnNan)).unwrap_err();
        assert!(matches!(error, Error::NotFinite { epoch: 1, step: 2, .. }), "{device}: {error}");
    }
}

#[test]
fn a_monitor_of_nan_is_no_improvement_and_its_first_weights_come_back() {
    let mut early = EarlyStopping::new().patience(2).restore_best_weights(true);
    let mut first = Vec::new();
    let watch = LambdaCallback::new().on_epoch_end(|run| {
        if run.epoch() == 1 {
            first = run.weights()?;
        }
        Ok(())
    });
    let mut model = classifier(&Device::cpu(), Sgd::default());
    let lost = [f64::NAN; 9];
    let options = fit().epochs(9).callback(watch).callback(values("val_loss", &lost)).callback(&mut early);
    assert_eq!(model.fit(&samples(), options).unwrap().epochs().len(), 2);
    assert_eq!((early.stopped_epoch(), early.best(), early.best_epoch()), (Some(2), None, Some(1)));
    assert_eq!(model.weights().unwrap(), first);
    let options = fit().callback(values("val_loss", &[f64::NAN, 1.0, 2.0])).callback(&mut early);
    assert_eq!(model.fit(&samples(), options).unwrap().epochs().len(), 3);
    assert_eq!((early.stopped_epoch(), early.best(), early.best_epoch()), (None, Some(1.0), Some(2)));
}

#[test]
fn a_table_is_written_as_the_epochs_end() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("run.csv");
    let read = || std::fs::read_to_string(&file).unwrap();
    let mut model = classifier(&Device::cpu(), Sgd::default());
    let mut lines = Vec::new();
    let watch = LambdaCallback::new().on_epoch_end(|_| {
        lines.push(read().lines().count());
        Ok(())
    });
    let data = samples();
    let history =
        model.fit(&data, fit().validation_data(&data).callback(CsvLogger::new(&file)).callback(watch)).unwrap();
    assert_eq!(lines, [2, 3, 4]);
    assert_eq!(read(), history.to_csv());
    assert!(read().starts_with("epoch,loss,accuracy,val_loss,val_accuracy\n1,"));

    let more = |model: &mut Sequential, options: Fit<'_>, logger: CsvLogger| model.fit(&data, options.callback(logger));
    let append = || CsvLogger::new(&file).append(true);
    more(&mut model, fit().epochs(1).validation_data(&data), append()).unwrap();
    assert!(read().lines().count() == 5 && read().starts_with(&history.to_csv()), "{}", read());
    let refused = more(&mut model, fit(), append()).unwrap_err().to_string();
    let parts = ["run.csv: has the columns epoch,loss,accuracy,val_loss,val_accuracy", "has epoch,loss,accuracy;"];
    assert!(parts.iter().all(|part| refused.contains(part)), "{refused}");
    // A new file gets its line of names when it is appended to as well, and another separator.
    std::fs::remove_file(&file).unwrap();
    more(&mut model, fit().epochs(1), append().separator(';')).unwrap();
    assert!(read().starts_with("epoch;loss;accuracy\n1;") && read().lines().count() == 2, "{}", read());
    // Without append a file that is there begins anew; a value that only later epochs have is not written, one that they
    // lack is NA.
    let sometimes = LambdaCallback::new().on_epoch_end(|run| {
        run.log(if run.epoch() == 1 { "first" } else { "later" }, 0.5);
        Ok(())
    });
    more(&mut model, fit().epochs(2).callback(sometimes), CsvLogger::new(&file)).unwrap();
    let table = read();
    let ends: Vec<&str> = table.lines().map(|line| line.rsplit(',').next().unwrap()).collect();
    assert_eq!(ends, ["first", "0.5", "NA"]);

    let nowhere = folder.path().join("no/run.csv");
    let refused = more(&mut model, fit(), CsvLogger::new(&nowhere)).unwrap_err().to_string();
    assert!(refused.contains(nowhere.to_str().unwrap()) && refused.contains("write: "), "{refused}");
}

#[test]
fn what_a_callback_cannot_watch_is_named() {
    let refused = |callback: Box<dyn Callback>, parts: &[&str]| {
        let text = classifier(&Device::cpu(), Sgd::default())
            .fit(&samples(), fit().callback(callback))
            .unwrap_err()
            .to_string();
        assert!(parts.iter().all(|part| text.contains(part)), "{parts:?} in: {text}");
    };
    let early = EarlyStopping::new;
    refused(Box::new(early()), &["monitor: \"val_loss\" is unknown", "loss, accuracy", "give fit a validation_split"]);
    refused(Box::new(early().monitor("acuracy")), &["mean \"accuracy\"?", "There are: loss, accuracy"]);
    refused(Box::new(ReduceLrOnPlateau::new()), &["\"val_loss\"", "loss, accuracy, learning_rate"]);
    let aimless = ReduceLrOnPlateau::new().monitor("learning_rate");
    refused(Box::new(aimless), &["mode: ", "\"learning_rate\"", "give max or min"]);
    for factor in [1.0, -0.1, f64::NAN] {
        refused(Box::new(ReduceLrOnPlateau::new().factor(factor)), &["factor: ", "less than 1, such as 0.1"]);
    }
    refused(Box::new(LearningRateScheduler::new(|_, _| f64::NAN)), &["learning_rate: NaN", "0 or more"]);
    let text = Mode::by_name("mx").unwrap_err().to_string();
    assert!(text.contains("mode: \"mx\" is unknown; did you mean \"max\"?"), "{text}");

    // Before the first epoch, not when the rate is first to fall.
    let mut model = classifier(&Device::cpu(), Scheduled::new(Sgd::default(), ExponentialDecay::new(0.1, 10, 0.5)));
    let text = model.fit(&samples(), fit().callback(ReduceLrOnPlateau::new())).unwrap_err().to_string();
    assert!(text.contains("the optimizer's schedule sets it"), "{text}");
}
