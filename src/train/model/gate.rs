//! One after the other, and together what waits meanwhile: how threads share a device.

use std::collections::HashMap;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Questions that wait while others are worked on are worked on together. No thread of its own: whoever finds nobody at work
/// works, on all that waits.
#[derive(Debug)]
pub(super) struct Gate<Q, A> {
    state: Mutex<State<Q, A>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<Q, A> {
    /// Questions with their numbers.
    waiting: Vec<(u64, Q)>,
    /// Answers that nobody has fetched; none where the work on it panicked.
    answers: HashMap<u64, Option<A>>,
    works: bool,
    next: u64,
}

impl<Q, A> Default for Gate<Q, A> {
    fn default() -> Self {
        let state = State { waiting: Vec::new(), answers: HashMap::new(), works: false, next: 0 };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }
}

impl<Q, A> Gate<Q, A> {
    /// No work is done with the lock held, so that no panic leaves half a change behind.
    fn state(&self) -> MutexGuard<'_, State<Q, A>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer to a question. `work` answers several, in their order; one call at a time.
    ///
    /// # Panics
    /// Where `work` does, in each thread whose question it had.
    pub fn ask(&self, question: Q, work: impl FnOnce(Vec<Q>) -> Vec<A>) -> A {
        let mut state = self.state();
        let own = state.next;
        state.next += 1;
        state.waiting.push((own, question));
        while state.works {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            if let Some(answer) = state.answers.remove(&own) {
                return answer.expect("the thread that worked on it panicked");
            }
        }
        state.works = true;
        let (numbers, questions): (Vec<u64>, Vec<Q>) = mem::take(&mut state.waiting).into_iter().unzip();
        drop(state);
        let worked = catch_unwind(AssertUnwindSafe(|| work(questions)));
        let mut state = self.state();
        state.works = false;
        let (answers, panic) = match worked {
            Ok(answers) => (answers.into_iter().map(Some).collect(), None),
            Err(panic) => (numbers.iter().map(|_| None).collect::<Vec<_>>(), Some(panic)),
        };
        state.answers.extend(numbers.into_iter().zip(answers));
        let answer = state.answers.remove(&own);
        self.changed.notify_all();
        drop(state);
        match panic {
            Some(panic) => resume_unwind(panic),
            None => answer.flatten().expect("one answer a question"),
        }
    }

    #[cfg(test)]
    fn waiting(&self) -> usize {
        self.state().waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;

    #[test]
    fn what_waits_meanwhile_is_worked_on_together() {
        let (gate, works) = (&Gate::<u32, u32>::default(), &Mutex::new(Vec::new()));
        let (begun, begin) = channel();
        let work = |questions: Vec<u32>| {
            works.lock().unwrap().push(questions.len());
            questions.iter().map(|q| q * q).collect()
        };
        thread::scope(|scope| {
            let first = scope.spawn(move || {
                gate.ask(1, |questions| {
                    begun.send(()).unwrap();
                    while gate.waiting() < 5 {
                        thread::yield_now();
                    }
                    work(questions)
                })
            });
            begin.recv().unwrap();
            let others: Vec<_> = (2..7).map(|q| scope.spawn(move || (q, gate.ask(q, work)))).collect();
            assert_eq!(first.join().unwrap(), 1);
            for other in others {
                let (q, answer) = other.join().unwrap();
                assert_eq!(answer, q * q);
            }
        });
        assert_eq!(*works.lock().unwrap(), [1, 5]);
        assert!(gate.state().answers.is_empty());
    }

    #[test]
    fn a_panic_reaches_those_who_asked_and_the_gate_goes_on() {
        let gate = Gate::<u32, u32>::default();
        let (begun, begin) = channel();
        thread::scope(|scope| {
            let gate = &gate;
            let first = scope.spawn(move || {
                gate.ask(1, |questions| {
                    begun.send(()).unwrap();
                    while gate.waiting() < 1 {
                        thread::yield_now();
                    }
                    questions
                })
            });
            begin.recv().unwrap();
            let second = scope.spawn(|| gate.ask(2, |_| panic!("no answer")));
            assert_eq!(first.join().unwrap(), 1);
            assert!(second.join().is_err());
        });
        assert_eq!(gate.ask(3, |questions| questions), 3);
    }
}
