//! Tests that nothing whose name ends in `_async` waits on the thread that polls it.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use super::lost::{busy, data, model, opened};
use super::waiting::WAITS;
use crate::data::Source;
use crate::device::blocking::block_on;
use crate::plan::BufferId;
use crate::prelude::*;
use crate::train::Run;
use crate::train::callbacks::{Hook, Waiting};

/// Polls in turn, without ever waiting, a future that uses the device and a loop that counts. The thread that waits in place of
/// futures is held up until the loop has come to `held`. What the future gives, and how often it was pending.
fn beside_a_loop<T>(context: &super::Context, held: usize, future: impl Future<Output = T>) -> (T, usize) {
    let (open, gate) = mpsc::channel::<()>();
    let waits = WAITS.get();
    context.waiter.run(move || _ = gate.recv()).unwrap();
    let (mut future, mut context, mut open) = (pin!(future), Context::from_waker(Waker::noop()), Some(open));
    for pending in 0.. {
        if let Poll::Ready(result) = future.as_mut().poll(&mut context) {
            assert!(open.is_none(), "it was ready before anybody had waited for the device");
            assert_eq!(WAITS.get(), waits, "this thread waited");
            return (result, pending);
        }
        if pending == held {
            open = None;
        }
        thread::yield_now();
    }
    unreachable!("the loop has no end")
}

#[test]
fn another_future_makes_progress_while_one_waits_for_the_device() {
    let (device, context) = opened();
    let fit = || Fit::new().epochs(2).batch_size(8).verbose(0);
    let (mut blocking, waits) = (model(&device), WAITS.get());
    let history = blocking.fit(&data(), fit()).unwrap();
    assert!(WAITS.get() > waits, "the blocking face waits here");
    let (predictions, weights) = (blocking.predict(data().x()).unwrap(), blocking.weights().unwrap());
    let losses = blocking.evaluate(&data()).unwrap();

    let mut model = model(&device);
    let set = data();
    // A single step of the fit is what the loop first waits for.
    let (fitted, pending) = beside_a_loop(&context, 1000, model.fit_async(&set, fit()));
    assert!(pending > 1000);
    assert_eq!(fitted.unwrap().batch_losses(), history.batch_losses());
    let (predicted, pending) = beside_a_loop(&context, 10, model.predict_async(set.x()));
    assert!(pending > 10);
    assert_eq!(predicted.unwrap(), predictions);
    let (evaluated, _) = beside_a_loop(&context, 10, model.evaluate_async(&set));
    assert_eq!(evaluated.unwrap(), losses);
    let (read, _) = beside_a_loop(&context, 10, model.weights_async());
    assert_eq!(read.unwrap(), weights);
}

/// What streams, looks at each step or writes a file waits elsewhere, too.
#[test]
fn no_way_of_training_waits_on_the_thread_that_polls() {
    struct Streamed(Dataset);
    impl Source for Streamed {
        fn len(&self) -> usize {
            self.0.len()
        }

        fn read(&self, rows: &[usize]) -> Result<Dataset> {
            self.0.read(rows)
        }
    }
    let (device, context) = opened();
    let source = Streamed(data());
    let fit = || Fit::new().batch_size(8).verbose(0).check_finite(CheckFinite::Step).validation_split(0.1);
    let mut blocking = model(&device);
    blocking.fit(&source, fit()).unwrap();
    let weights = blocking.weights().unwrap();
    let mut model = model(&device);
    let (fitted, pending) = beside_a_loop(&context, 10, model.fit_async(&source, fit()));
    fitted.unwrap();
    assert!(pending > 10);
    assert_eq!(model.weights().unwrap(), weights);
}

/// Checkpoints, histograms, confusion matrices, and what a callback of one's own reads and sets.
#[test]
fn callbacks_do_not_wait_on_the_thread_that_polls() {
    struct Reads(Vec<Vec<Tensor>>, Dataset);
    impl Callback for Reads {
        fn wants_batches(&self) -> bool {
            true
        }

        fn after<'a>(&'a mut self, hook: Hook, run: &'a mut Run<'_>) -> Option<Waiting<'a>> {
            let at_end = hook == Hook::EpochEnd;
            (at_end || hook == Hook::BatchEnd && run.step() == 20).then(|| {
                Box::pin(async move {
                    let weights = run.weights_async().await?;
                    run.set_weights_async(&weights).await?;
                    self.0.extend([weights, run.gradients_async().await?]);
                    if at_end {
                        run.evaluate_async(&self.1).await?;
                        self.0.push(vec![run.predict_async(self.1.x()).await?]);
                    }
                    Ok(())
                }) as Waiting<'a>
            })
        }
    }
    let (folder, (device, context)) = (tempfile::TempDir::new().unwrap(), opened());
    let set = data();
    let path = folder.path().join("kept.safetensors");
    let fit = || {
        let board = TensorBoard::new(folder.path()).histogram_freq(1).write_gradients(true);
        #[cfg(feature = "plot")]
        let board = board.confusion_matrix_freq(1);
        let fit = Fit::new().epochs(2).batch_size(8).verbose(0).validation_split(0.1);
        fit.callback(ModelCheckpoint::to_file(&path)).callback(board)
    };
    let [mut blocking, mut read] = [0, 1].map(|_| Reads(Vec::new(), set.clone()));
    model(&device).fit(&set, fit().callback(&mut blocking)).unwrap();
    let (blocking_file, mut model) = (std::fs::read(&path).unwrap(), model(&device));
    let (fitted, _) = beside_a_loop(&context, 10, model.fit_async(&set, fit().callback(&mut read)));
    fitted.unwrap();
    assert_eq!((read.0.len(), read.0), (10, blocking.0));
    assert_eq!(std::fs::read(&path).unwrap(), blocking_file);
}

/// Two futures share a device and its thread, and one that is dropped while it waits harms nobody.
#[test]
fn a_future_that_is_dropped_while_it_waits_leaves_a_model_that_goes_on() {
    let (device, context) = opened();
    let (mut dropped, mut kept, set) = (model(&device), model(&device), data());
    let fit = || Fit::new().epochs(3).batch_size(8).verbose(0);
    let joined = async {
        let mut one = Box::pin(dropped.fit_async(&set, fit()));
        let mut other = pin!(kept.fit_async(&set, fit()));
        let mut polls = 0;
        poll_fn(|context| {
            polls += 1;
            if polls < 20 && one.as_mut().poll(context).is_ready() {
                polls = 20;
            }
            other.as_mut().poll(context)
        })
        .await
    };
    let (history, _) = beside_a_loop(&context, 10, joined);
    let expected = model(&device).fit(&set, fit()).unwrap();
    assert_eq!(history.unwrap().batch_losses(), expected.batch_losses());
    assert!(dropped.fit(&set, fit()).is_ok());
}

#[test]
fn a_run_that_is_too_long_goes_in_parts_to_the_same_bits() {
    let (mut executor, plan) = busy(4);
    executor.flight.longest = Duration::MAX;
    for i in [0, 1] {
        let numbers = (0..512 * 512).map(|n| ((n * (7 + i)) % 13) as f32 / 64.0).collect::<Vec<_>>();
        block_on(executor.write(BufferId::Input(i), 0, &numbers.into())).unwrap();
    }
    let values = |executor: &mut super::Executor| block_on(executor.read(BufferId::Output(0), 0..512 * 512)).unwrap();
    let submits_of = |executor: &mut super::Executor, runs: usize| {
        let before = executor.flight.count;
        let mut done = 0;
        while done < runs {
            done += block_on(executor.run_some(&[plan], done..runs)).unwrap();
        }
        block_on(executor.finish()).unwrap();
        executor.flight.count - before
    };
    executor.flight.fixed = Some(2);
    assert_eq!(submits_of(&mut executor, 6), 3);
    let whole = values(&mut executor);
    assert!(whole.to_f64().iter().any(|&y| y > 0.0));
    // From the run after the next, whose time is the first that is too long.
    executor.flight.longest = Duration::ZERO;
    assert_eq!(submits_of(&mut executor, 2), 1);
    let launches = executor.plans[plan].launches.len() as u64;
    assert!(launches >= 4);
    assert_eq!(submits_of(&mut executor, 3), 3 * launches);
    assert_eq!(values(&mut executor), whole);
    executor.flight.longest = Duration::MAX;
    assert_eq!(submits_of(&mut executor, 1), launches);
    assert_eq!(submits_of(&mut executor, 6), 3);
}
