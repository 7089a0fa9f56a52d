//! `kiln train`.

use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use kiln::data::Source;
use kiln::device::{Choice, Device};
use kiln::nn::Model;
use kiln::table::Baseline;
use kiln::train::{CheckFinite, Fit};

use crate::interrupt::{Interrupt, Stop};
use crate::lr_find;
use crate::model::{DeviceArgs, ModelArgs, Task};
use crate::outcome::{Outcome, Trained, print_epoch};
use crate::outputs::{self, Faults, Kind, outputs};
use crate::pictures::{PictureArgs, spared};
use crate::rate::LrSchedule;
use crate::samples::Loaded;
use crate::saved::Course;
use crate::set::{Set, files_of, pictures_in};
use crate::table::TableArgs;
use crate::tui::Tui;
use crate::unpacked::UnpackedArgs;
use watch::Watch;

use settings::{Kept, Length};

const EXAMPLES: &str = "\
The data set is fetched at its first use: see `kiln data get --help`. `auto` takes a hardware GPU if there is one, else
the CPU; `reference` is the CPU in f64. A table's first line names its columns; words become a column each. An .npz
of NumPy's has the arrays x_train, y_train, x_test and y_test; labels are whole numbers. A folder has PNG and JPEG pictures in
a folder for each class, or such folders in `train` and `test`, in `train` and `val`, or in all three.

Ctrl-C, SIGTERM or SIGHUP ends the run after the epoch under way: it is saved where --save says, and the command line that
goes on is printed. The second one ends it at once. Either way the exit code is 130, for SIGTERM 143, for SIGHUP 129. After
the last epoch the model is saved before a first one ends anything.

The model is saved first. Where a log or a picture then cannot be written, that is said, the rest is done and the exit code
is 1. A file that is replaced keeps its mode; where its name is a link, the file that it leads to is replaced.

Examples:
  kiln train mnist
  kiln train mnist --hidden 512,256 --optimizer adam --epochs 10
  kiln train mnist --layers 'conv2d 32 3 relu, max_pooling2d 2, flatten, dropout 0.5, dense 10 softmax' --optimizer adam
  kiln train mnist --device cpu --limit 6000 --validation-split 0.1
  kiln train mnist --validation-split 0.1 --plot curves.png
  kiln train mnist --validation-split 0.1 --epochs 50 --early-stopping 3 --csv run.csv
  kiln train mnist --validation-split 0.1 --logdir runs/first && tensorboard --logdir runs
  kiln train mnist --epochs 20 --save mnist.safetensors --checkpoint-every 1
  kiln train mnist --epochs 20 --save mnist.safetensors --resume mnist.safetensors
  kiln train fashion-mnist --from mnist.safetensors --learning-rate 0.0001
  kiln train mnist --json > run.jsonl
  kiln train animals.csv --label type --without name --save animals.safetensors
  kiln train animals.csv --epochs 20 --resume animals.safetensors
  kiln train houses.csv --target price --save houses.safetensors
  kiln train digits.npz --save digits.safetensors
  kiln train flowers --size 64x64 --validation-split 0.1 --save flowers.safetensors
  kiln train patients.csv --label ill --class-weight balanced --fill-missing median
  kiln train january.csv february.csv --label ill --test march.csv";

/// Train a model on a data set, and measure it on the test set
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,

    /// Of a table: more files with the same columns, whose rows are trained on, too
    #[arg(value_name = "FILE")]
    more: Vec<PathBuf>,

    #[command(flatten)]
    table: TableArgs,

    #[command(flatten)]
    pictures: PictureArgs,

    #[command(flatten)]
    packed: UnpackedArgs,

    #[command(flatten)]
    place: DeviceArgs,

    /// How often to go through the training set, at most [default: 5, of a table 100]
    #[arg(long, value_name = "N")]
    epochs: Option<usize>,

    /// Step size [default: the optimizer's: 0.01 for sgd, else 0.001]
    #[arg(long, value_name = "RATE", allow_negative_numbers = true)]
    learning_rate: Option<f64>,

    /// How the learning rate changes over the epochs [default: it stays]
    #[arg(long, value_name = "SCHEDULE")]
    lr_schedule: Option<LrSchedule>,

    /// Train 100 steps at rates from 1e-6 to 10, print the loss by the rate, drawn with --plot, and suggest a rate; nothing is saved
    #[arg(long, conflicts_with_all = ["learning_rate", "lr_schedule", "resume", "save", "csv", "logdir", "tui", "early_stopping"])]
    lr_find: bool,

    /// Share of the training samples, the last ones, to validate on [default: none, of a table of 40 rows or more 0.2]
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    validation_split: Option<f64>,

    /// Stop when the validation loss has not become lower for so many epochs, and go back to the best epoch's weights [default: never, of a table with validation 10]
    #[arg(long, value_name = "PATIENCE")]
    early_stopping: Option<usize>,

    /// Never stop early, and keep the last epoch's weights
    #[arg(long, conflicts_with = "early_stopping")]
    no_early_stopping: bool,

    /// Of the initial weights and the order of samples
    #[arg(long, default_value_t = 0)]
    seed: u64,

    /// Train on the first N training samples only; the test set stays whole
    #[arg(long, value_name = "N")]
    limit: Option<usize>,

    /// Of a table: train N models, each without one of N parts of the rows, and measure it on that part; nothing is saved
    #[arg(
        long,
        value_name = "N",
        conflicts_with_all = [
            "resume", "save", "plot", "csv", "logdir", "tui", "lr_find", "summary", "limit", "test", "test_split", "from",
        ]
    )]
    folds: Option<usize>,

    /// Take the samples in the order of the file in every epoch
    #[arg(long)]
    no_shuffle: bool,

    /// When to look for NaN and infinity: epoch, at each one's end; step, at every step, slowly, naming layer and op; off
    #[arg(long, value_name = "WHEN", default_value = "epoch", value_parser = CheckFinite::by_name)]
    check_finite: CheckFinite,

    /// Draw loss and accuracy by epoch: a file whose name ends in .png or .svg
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,

    /// Write each epoch's values to a file, a line an epoch
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,

    /// Write what TensorBoard shows to a folder: values by epoch, histograms of weights and gradients, the model's table, the validation's confusion matrix
    #[arg(long, value_name = "DIR")]
    logdir: Option<PathBuf>,
    /// Write the trained model to this file, put in place whole: as safetensors or, where its name ends in .keras, as Keras has it
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,

    /// Write it after every N epochs, too
    #[arg(long, value_name = "N", requires = "save")]
    checkpoint_every: Option<usize>,

    /// Go on with the run that wrote this file, up to --epochs in all: model, optimizer, batch size, order and a table's columns are the file's
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = [
            "hidden", "layers", "activation", "optimizer", "batch_size", "learning_rate", "lr_schedule", "dropout", "l2", "loss", "metrics", "validation_split", "seed", "limit",
            "no_shuffle", "target", "no_standardize", "clip_value", "clip_norm", "global_clip_norm", "gradient_accumulation_steps", "label", "without", "words", "numbers", "missing", "fill_missing", "separator", "no_header", "sample_weight", "class_weight",
            "drop_missing", "test_split", "split_seed", "standardize", "size", "color_mode", "interpolation",
        ]
    )]
    resume: Option<PathBuf>,

    /// Begin with the weights of this file: .safetensors, .keras, .weights.h5 or .npz, of any network and program; layers go together by name and shape, and what was matched is printed
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    from: Option<PathBuf>,

    /// Print the model's table first
    #[arg(long, conflicts_with = "json")]
    summary: bool,

    /// Print JSON lines: one an epoch, then one with the result
    #[arg(long)]
    json: bool,

    /// Draw the run as it goes: curves, speed, time left; q ends it as Ctrl-C does
    #[arg(long, conflicts_with_all = ["json", "quiet", "verbose"])]
    tui: bool,

    /// Progress: 0 none, 1 a bar on a terminal, 2 a line an epoch; 1 is 2 where there is no terminal
    #[arg(long, value_name = "LEVEL", default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=2))]
    verbose: u8,

    /// Print the result only
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,
}

/// `start`: when the command was called.
pub fn run(args: &Args, start: Instant) -> Result<()> {
    args.check()?;
    match args.folds {
        Some(k) => folds::run(args, k, start),
        None => train(args, start),
    }
}

fn train(args: &Args, start: Instant) -> Result<()> {
    let (set, saved) = args.open()?;
    let faults = Faults::new(!args.tui);
    args.say_report(&set, &faults);
    let Choice { device, reason } = Device::choose(&args.place.device)?;
    let place = device.to_string();
    // Before the data: a wrong option need not wait for the fetch.
    let is_new = saved.is_none();
    let (model, course, length) = args.start(&set, saved, device)?;
    let is_validated = args.check_length(&length, &course, &set)?;
    if !args.json && !args.quiet {
        faults.hear(writeln!(io::stdout(), "Training on {place}: {reason}"));
        if is_new && set.report().is_some() && !args.lr_find {
            faults.hear(args.say_settings(&course, &length));
        }
    }
    let (task, set_name, is_table) = (set.task(), set.name().to_string(), set.report().is_some());
    let (class_weight, class_names) = (set.class_weight(), set.class_names());
    let baseline = set.baseline()?;
    let loaded = set.load()?;
    let loaded = Loaded { train: loaded.train.limited(course.limit)?, ..loaded };
    let Loaded { train, validation, test } = loaded.settled_for(&model)?;
    args.say_source(&train, &faults);
    let samples = course.training_samples(train.len());
    let mut model = args.built(model, task, (&train, samples), (&course, &length), &faults)?;
    if args.lr_find {
        return lr_find::run(&mut model, &train, course.batch_size, args.plot.as_deref(), args.json);
    }
    let stop = Stop::on_signals()?;
    if !args.tui {
        let stop = stop.clone();
        thread::spawn(move || stop.watch());
    }
    if args.summary {
        faults.hear(write!(io::stdout(), "{}", model.summary()?));
    }
    let mut early = length.early_stopping();
    let done = model.epoch();
    let watch = Watch { class_names: &class_names, is_validated, task, early: early.as_mut() };
    let fit = args.settings((done, length.epochs), &course, watch, &faults).class_weight(class_weight);
    let fit = validation.iter().fold(fit, |fit, data| fit.validation_data(data));
    let fit = match args.tui {
        true => fit.callback(Tui::open(format!("{} on {place}", course.set), samples, stop.clone())?),
        false => fit,
    };
    let trained = args.fit(&mut model, fit, (&train, samples), (start, &stop), &faults);
    let (trained, interrupt) = trained.inspect_err(|_| faults.tell())?;
    let kept = early.as_ref().and_then(|early| Kept::of(early, length.epochs));
    let end = End { trained, baseline, classes: class_names, kept, done, epochs: length.epochs };
    let outcome = args.finish(&mut model, &test, end, (interrupt, &stop), &faults);
    match outcome {
        Ok(Some(outcome)) if args.json => faults.hear(outcome.print_json(&place)),
        Ok(Some(outcome)) => {
            faults.hear(outcome.print());
            if !args.quiet {
                faults.hear(args.say_next(&set_name, is_table, &faults));
            }
        }
        Ok(None) => {}
        Err(e) => {
            faults.tell();
            return Err(e);
        }
    }
    faults.result()
}

/// A run that has ended.
struct End {
    trained: Trained,
    baseline: Option<Baseline>,
    classes: Vec<String>,
    kept: Option<Kept>,
    /// Epochs before this run, and in all.
    done: usize,
    epochs: usize,
}

impl Args {
    /// What is trained on and, where a run goes on, its model and the file of that.
    fn open(&self) -> Result<(Set, Option<(Model, &Path)>)> {
        let (files, most) = ((self.model.set.as_str(), &self.more[..]), self.packed.max_unpacked);
        let Some(path) = self.resume.as_deref() else {
            return Ok((Set::find(files, (&self.table, &self.pictures), self.seed, most)?, None));
        };
        let model = Model::load(path)?;
        Ok((Set::again(files, &self.table, (&model, path), most)?, Some((model, path))))
    }

    /// What can be known to be wrong before anything is read.
    fn check(&self) -> Result<()> {
        ensure!(self.checkpoint_every != Some(0), "checkpoint_every: every 0 epochs is never; give 1 or more");
        ensure!(
            io::stdout().is_terminal() || !self.tui,
            "tui: standard output is no terminal to draw in; leave --tui out"
        );
        let outputs = outputs(&[
            ("save", &self.save, Kind::Model),
            ("plot", &self.plot, Kind::Picture),
            ("csv", &self.csv, Kind::Log),
            ("logdir", &self.logdir, Kind::Folder),
        ]);
        if let Some(folder) = pictures_in(&self.model.set) {
            spared(&outputs, folder)?;
        }
        let more = self.more.iter().chain(&self.table.test).map(|path| path.to_string_lossy());
        let read: Vec<PathBuf> =
            files_of(&self.model.set).into_iter().chain(more.flat_map(|path| files_of(&path))).collect();
        let set = read.iter().map(|path| ("the data set", path.as_path()));
        let resumed = self.resume.iter().map(|path| (outputs::RESUMED, path.as_path()));
        let from = self.from.iter().map(|path| ("the file of --from", path.as_path()));
        outputs::check(&outputs, &set.chain(resumed).chain(from).collect::<Vec<_>>())
    }

    /// Takes the weights that the model begins with, where a file has them, and says which these are.
    fn begin(&self, model: &mut Model, faults: &Faults) -> Result<()> {
        let Some(path) = &self.from else { return Ok(()) };
        let taken = model.load_weights_from(path)?;
        let text = format!("{}: {taken}", path.display());
        let text = outputs::printable_lines(text.trim_end());
        match (self.quiet, self.json) {
            (true, _) => {}
            // Standard output has a line an epoch there.
            (false, true) => outputs::say(text),
            (false, false) => faults.hear(writeln!(io::stdout(), "{text}")),
        }
        Ok(())
    }

    /// Saves the model before all else, then does the rest; `None` where the model could not be measured.
    fn finish(
        &self,
        model: &mut Model,
        test: &dyn Source,
        end: End,
        (interrupt, stop): (Interrupt, &Stop),
        faults: &Faults,
    ) -> Result<Option<Outcome>> {
        let End { trained, baseline, classes, kept, done, epochs } = end;
        Kept::keep(kept.as_ref(), model)?;
        if let (Some(path), false) = (&self.save, interrupt.stopped()) {
            faults.hear(model.save(path));
        }
        stop.over();
        if let Some(path) = &self.plot {
            let best = kept.as_ref().map(|kept| kept.epoch() - done);
            faults
                .hear(best.map_or_else(|| trained.history.plot(path), |epoch| trained.history.plot_best(path, epoch)));
        }
        interrupt.result(epochs)?;
        match (test.len() > 0).then(|| model.evaluate(test)).transpose() {
            Ok(test) => Ok(Some(Outcome { test, baseline, classes, kept, trained })),
            Err(e) => {
                faults.hear(Err(e));
                Ok(None)
            }
        }
    }

    /// The model and what else makes the run: as the options say, or as the file does.
    fn start(&self, set: &Set, saved: Option<(Model, &Path)>, device: Device) -> Result<(Model, Course, Length)> {
        let Some((model, path)) = saved else {
            let course = self.course(set);
            if let Task::Classes(classes) = set.task() {
                set.check_output(|sample_len| self.model.output_bytes(sample_len, classes))?;
            }
            let named = (set.name(), set.task());
            let model = self.model.network(named, &set.sample_shape(), device, self.learning_rate)?;
            let mut model = model.seed(self.seed);
            model.set_target_scaler(set.target_scaler()?)?;
            course.keep(&mut model);
            set.keep(&mut model);
            let length = self.length(set, &course);
            return Ok((model, course, length));
        };
        let mut model = model.device(device);
        let (file, done) = (path.display(), model.epoch());
        let course = match Course::find(&model, path)? {
            Some(course) => course,
            // Of a program, Keras' too: all that is known is the model.
            None => {
                let course = self.course(set);
                outputs::say(format_args!("{file} says of no run; it goes on with {}", course.print()));
                course.keep(&mut model);
                set.keep(&mut model);
                course
            }
        };
        let length = self.length(set, &course);
        let (known, set, epochs) = (&course.set, set.name(), length.epochs);
        ensure!(known == set, "{file}: was trained on {known}, not on {set}; resume it on {known}");
        ensure!(done < epochs, "epochs: {file} has {done} of {epochs}; give more");
        Ok((model, course, length))
    }

    /// The error of a run, after what is left of the model is saved where the device was lost.
    fn rescued(&self, model: &mut Model, error: anyhow::Error) -> anyhow::Error {
        let failed = matches!(error.downcast_ref(), Some(kiln::Error::Device { .. } | kiln::Error::Memory { .. }));
        let Some(path) = self.save.as_ref().filter(|_| failed && model.iteration() > 0) else { return error };
        match model.save(path) {
            Ok(()) => {
                let (path, step) = (path.display(), model.iteration());
                error.context(format!("{path}: saved as of step {step}, to go on by --resume {path}"))
            }
            Err(e) => error.context(format!("{}: not saved: {e}", path.display())),
        }
    }

    /// `samples`: how many of the set are trained on; `called`: when the command was.
    fn fit(
        &self,
        model: &mut Model,
        settings: Fit<'_>,
        (train, samples): (&dyn Source, usize),
        (called, stop): (Instant, &Stop),
        faults: &Faults,
    ) -> Result<(Trained, Interrupt)> {
        let (mut written, mut first_step) = (Ok(()), Duration::ZERO);
        let start = Instant::now();
        let mut epoch_start = start;
        let mut interrupt = Interrupt::new(stop, self.save.as_deref());
        // Of a life of its own: what is added borrows from here.
        let mut fit: Fit<'_> = settings;
        if self.json {
            fit = fit.on_first_step(|| first_step = called.elapsed()).on_epoch_end(|epoch, logs| {
                if written.is_ok() {
                    written = print_epoch(epoch, logs, epoch_start.elapsed());
                }
                epoch_start = Instant::now();
            });
        }
        let trained = model.fit(train, fit.callback(&mut interrupt));
        let history = trained.map_err(|e| self.rescued(model, e.into()))?;
        let duration = start.elapsed();
        faults.hear(written);
        Ok((Trained { first_step, duration, samples: (samples * history.epochs().len()) as f64, history }, interrupt))
    }
}

mod folds;
pub mod settings;
#[cfg(test)]
mod tests;
mod watch;
mod words;
