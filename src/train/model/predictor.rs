//! A model's answers for several threads at once.

use std::cell::Cell;
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::gate::Gate;
use super::prediction::{check_inputs, check_shapes, one_output, samples, scaled};
use super::{About, Built, Model, Network, definition};
use crate::device::blocking::block_on;
use crate::error::Result;
use crate::tensor::Tensor;
use crate::train::evaluation;
use crate::train::session::Session;

/// A model as it is now, to be asked by several threads at once: what [`Model::predict`] gives, by a shared reference. Clones are the
/// same one; training the model further changes nothing of it.
///
/// On the processor each thread has room of its own and all read the same weights: nobody waits for another, and answers are those
/// of [`Model::predict`] to the bit. On a GPU questions that come while the device works wait, and go there as one batch: see
/// [`Predictor::batches`].
///
/// ```
/// use kiln::prelude::*;
/// let mut model = Sequential::new().add(Dense::new(2)).device(Device::cpu());
/// let x = Tensor::from([[1.0f32, 2.0, 3.0]]);
/// let wanted = model.predict(&x)?;
/// let predictor = model.predictor()?;
/// std::thread::scope(|scope| {
///     let answers: Vec<_> = (0..4).map(|_| scope.spawn(|| predictor.predict(&x))).collect();
///     answers.into_iter().for_each(|answer| assert_eq!(answer.join().unwrap().unwrap(), wanted));
/// });
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Predictor(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    about: About,
    network: Network,
    built: Built,
    engine: Engine,
}

#[derive(Debug)]
enum Engine {
    Threads(Threads),
    Batches(Batches),
}

impl Model {
    /// What answers several threads at once, with the weights that the model has now.
    ///
    /// # Errors
    /// [`crate::Error::Model`] where the model was not built, and what the device reports.
    pub fn predictor(&mut self) -> Result<Predictor> {
        block_on(self.predictor_async())
    }

    /// [`Model::predictor`] for callers that cannot block; what it makes blocks the threads that ask it.
    ///
    /// # Errors
    /// As [`Model::predictor`].
    pub async fn predictor_async(&mut self) -> Result<Predictor> {
        let session = self.open().await?;
        let engine = match session.beside() {
            Some(base) => Engine::Threads(Threads::new(base)),
            None => {
                let weights = session.weights().await?;
                let device = self.device.as_ref().expect("opened before");
                let mut session = Session::new(device, &self.built()?.parameters, self.about.seed).await?;
                session.set_weights(&weights).await?;
                Engine::Batches(Batches::new(session))
            }
        };
        let (about, network, built) = (self.about.clone(), self.network.clone(), self.built()?.clone());
        Ok(Predictor(Arc::new(Shared { about, network, built, engine })))
    }
}

impl Predictor {
    /// As [`Model::predict`]. Samples are of the shape for which the model was built.
    ///
    /// # Errors
    /// As [`Model::predict`].
    pub fn predict(&self, x: &Tensor) -> Result<Tensor> {
        one_output(&self.0.about, &self.0.network)?;
        Ok(self.predict_all(&[x])?.remove(0))
    }

    /// As [`Model::predict_all`].
    ///
    /// # Errors
    /// As [`Model::predict_all`].
    pub fn predict_all(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        let shared = &*self.0;
        let inputs = scaled(&shared.about, inputs)?;
        check_inputs(&shared.network, &inputs)?;
        check_shapes(&shared.about, &shared.built, &samples(&inputs))?;
        match &shared.engine {
            Engine::Threads(threads) => threads.with(|session| shared.answer(session, &inputs)),
            Engine::Batches(batches) => {
                let owned = inputs.iter().map(|&(x, scale)| (x.clone(), scale)).collect();
                batches.gate.ask(owned, |questions| batches.answer(shared, &questions))
            }
        }
    }

    /// How many batches the device was given so far; `None` on the processor, where nothing is put together.
    pub fn batches(&self) -> Option<u64> {
        match &self.0.engine {
            Engine::Threads(_) => None,
            Engine::Batches(batches) => Some(batches.count.load(Ordering::Relaxed)),
        }
    }
}

impl Shared {
    fn answer(&self, session: &mut Session, inputs: &[(&Tensor, f32)]) -> Result<Vec<Tensor>> {
        let model = definition(&self.about, &self.network, &self.built, None);
        block_on(evaluation::predict(session, &model, inputs))
    }
}

/// Sessions that share their weights, one for each thread that is asked at a time.
struct Threads {
    /// What the others are made of; it runs nothing itself.
    base: Session,
    sessions: Box<[Mutex<Option<Session>>]>,
}

impl fmt::Debug for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Threads").field("sessions", &self.sessions.len()).finish()
    }
}

/// Sessions that are kept, for each thread of the processor: more threads than that rarely ask at one time.
const SESSIONS_A_THREAD: usize = 4;

impl Threads {
    fn new(base: Session) -> Self {
        let count = SESSIONS_A_THREAD * thread::available_parallelism().map_or(1, usize::from);
        Self { base, sessions: (0..count).map(|_| Mutex::new(None)).collect() }
    }

    /// Calls with a session that is the caller's alone meanwhile: the one of its thread where that is free. Never waits.
    fn with<R>(&self, call: impl FnOnce(&mut Session) -> R) -> R {
        let (own, count) = (thread_number(), self.sessions.len());
        let beside = || self.base.beside().expect("its base is beside another");
        let free = (0..count).find_map(|i| self.sessions[(own + i) % count].try_lock().ok());
        match free {
            Some(mut session) => call(session.get_or_insert_with(beside)),
            None => call(&mut beside()),
        }
    }
}

/// Threads are numbered as they ask for the first time.
fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: Cell<Option<usize>> = const { Cell::new(None) };
    }
    OWN.get().unwrap_or_else(|| {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        OWN.set(Some(number));
        number
    })
}

/// Samples of each input, and what they are multiplied by.
type Question = Vec<(Tensor, f32)>;

/// A session on a GPU, which takes what waits as one batch.
#[derive(Debug)]
struct Batches {
    gate: Gate<Question, Result<Vec<Tensor>>>,
    session: Mutex<Session>,
    count: AtomicU64,
}

/// The rows that a batch of so many is filled up to, so that few plans serve all: a power of two, but no more than prediction takes at
/// once. A larger one stays as it is.
fn filled(rows: usize, at_once: usize) -> usize {
    rows.next_power_of_two().min(at_once).max(rows)
}

impl Batches {
    fn new(session: Session) -> Self {
        Self { gate: Gate::default(), session: Mutex::new(session), count: AtomicU64::new(0) }
    }

    fn run(&self, shared: &Shared, inputs: &[(&Tensor, f32)]) -> Result<Vec<Tensor>> {
        self.count.fetch_add(1, Ordering::Relaxed);
        let rows = inputs[0].0.rows();
        let filled = filled(rows, evaluation::at_once(&shared.built));
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        if filled == rows {
            return shared.answer(&mut session, inputs);
        }
        let places: Vec<usize> = (0..filled).map(|row| row.min(rows - 1)).collect();
        let more = inputs.iter().map(|(x, _)| x.take(&places)).collect::<Result<Vec<_>>>()?;
        let more: Vec<_> = more.iter().zip(inputs).map(|(x, (_, scale))| (x, *scale)).collect();
        Ok(shared.answer(&mut session, &more)?.iter().map(|y| y.head(rows)).collect())
    }

    /// The answers to several questions, those that are alike in one batch.
    fn answer(&self, shared: &Shared, questions: &[Question]) -> Vec<Result<Vec<Tensor>>> {
        let mut answers: Vec<Option<Result<Vec<Tensor>>>> = questions.iter().map(|_| None).collect();
        while let Some(first) = answers.iter().position(Option::is_none) {
            let alike = |i: &usize| answers[*i].is_none() && are_alike(&questions[first], &questions[*i]);
            let together: Vec<usize> = (first..questions.len()).filter(alike).collect();
            let asked: Vec<&Question> = together.iter().map(|&i| &questions[i]).collect();
            // An error of all is one of each, which may be another.
            let found = self.together(shared, &asked).map(|found| found.into_iter().map(Ok).collect());
            let found = found.unwrap_or_else(|_| asked.iter().map(|question| self.alone(shared, question)).collect());
            together.into_iter().zip::<Vec<_>>(found).for_each(|(i, answer)| answers[i] = Some(answer));
        }
        answers.into_iter().map(|answer| answer.expect("each was asked")).collect()
    }

    fn alone(&self, shared: &Shared, question: &Question) -> Result<Vec<Tensor>> {
        let inputs: Vec<_> = question.iter().map(|(x, scale)| (x, *scale)).collect();
        self.run(shared, &inputs)
    }

    fn together(&self, shared: &Shared, questions: &[&Question]) -> Result<Vec<Vec<Tensor>>> {
        if let [one] = questions {
            return Ok(vec![self.alone(shared, one)?]);
        }
        let joined = |input: usize| {
            let parts: Vec<&Tensor> = questions.iter().map(|question| &question[input].0).collect();
            Tensor::concatenate(&parts, 0)
        };
        let joined = (0..questions[0].len()).map(joined).collect::<Result<Vec<_>>>()?;
        let inputs: Vec<_> = joined.iter().zip(questions[0]).map(|(x, (_, scale))| (x, *scale)).collect();
        let outputs = self.run(shared, &inputs)?;
        let mut first = 0;
        let cut = |question: &&Question| {
            let rows: Vec<usize> = (first..first + question[0].0.rows()).collect();
            first += rows.len();
            outputs.iter().map(|y| y.take(&rows)).collect()
        };
        questions.iter().map(cut).collect()
    }
}

/// Whether samples can go in one batch: they are of one type each, and multiplied by the same. Shapes are the model's.
fn are_alike(a: &Question, b: &Question) -> bool {
    let form =
        |question: &Question| -> Vec<_> { question.iter().map(|(x, scale)| (x.dtype(), scale.to_bits())).collect() };
    form(a) == form(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_filled_up_to_what_one_plan_takes() {
        assert_eq!(
            [1, 2, 3, 257, 499, 500, 501, 700].map(|rows| filled(rows, 500)),
            [1, 2, 4, 500, 500, 500, 501, 700]
        );
    }
}
