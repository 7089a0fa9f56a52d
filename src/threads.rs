//! Work that several threads share. Without the feature `threads`, and in a browser, the calling thread does all of it. How many
//! there are changes no bit.

#[cfg(any(not(feature = "threads"), target_family = "wasm"))]
pub(crate) use alone::*;
#[cfg(all(feature = "threads", not(target_family = "wasm")))]
pub(crate) use shared::*;

/// The processor's threads, as far as they are used.
pub(crate) fn cores() -> usize {
    if cfg!(all(feature = "threads", not(target_family = "wasm"))) {
        std::thread::available_parallelism().map_or(1, usize::from)
    } else {
        1
    }
}

/// A slice that is cut into chunks of so many elements, the last of which may have fewer.
pub(crate) struct Chunks<'a, T>(pub &'a mut [T], pub usize);

#[cfg(all(feature = "threads", not(target_family = "wasm")))]
mod shared {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex, PoisonError};
    use std::thread;
    use std::time::Duration;

    use rayon::prelude::*;

    use super::Chunks;
    use crate::clock::Instant;
    use crate::error::{Error, Result};

    /// Threads that the caller's work is shared by.
    pub(crate) fn count() -> usize {
        rayon::current_num_threads()
    }

    // What follows takes functions by reference, so that rayon's own code is compiled once for a type of elements: for each function it
    // was a seventh of the library.

    /// Both, at once.
    pub(crate) fn join<A: Send, B: Send>(a: impl FnOnce() -> A + Send, b: impl FnOnce() -> B + Send) -> (A, B) {
        let (mut a, mut b) = (Some(a), Some(b));
        let (mut of_a, mut of_b) = (None, None);
        join_both(&mut || of_a = a.take().map(|a| a()), &mut || of_b = b.take().map(|b| b()));
        (of_a.expect("both were called"), of_b.expect("both were called"))
    }

    fn join_both(a: &mut (dyn FnMut() + Send), b: &mut (dyn FnMut() + Send)) {
        rayon::join(a, b);
    }

    /// Calls `f(index, chunk)` for each chunk, at least `few` of them on one thread.
    pub(crate) fn for_each_chunk<T: Send>(
        Chunks(y, len): Chunks<'_, T>,
        few: usize,
        f: &(dyn Fn(usize, &mut [T]) + Sync),
    ) {
        y.par_chunks_mut(len).with_min_len(few).enumerate().for_each(|(i, y)| f(i, y));
    }

    /// [`for_each_chunk`] of two slices that have equally many chunks.
    pub(crate) fn for_each_pair<T: Send>(
        [y, a]: [Chunks<'_, T>; 2],
        few: usize,
        f: &(dyn Fn(usize, [&mut [T]; 2]) + Sync),
    ) {
        let [y, a] = [y, a].map(|Chunks(all, len)| all.par_chunks_mut(len));
        y.zip(a).with_min_len(few).enumerate().for_each(|(i, (y, a))| f(i, [y, a]));
    }

    /// [`for_each_chunk`] of three slices that have equally many chunks.
    pub(crate) fn for_each_block<T: Send>(
        [y, a, b]: [Chunks<'_, T>; 3],
        few: usize,
        f: &(dyn Fn(usize, [&mut [T]; 3]) + Sync),
    ) {
        let [y, a, b] = [y, a, b].map(|Chunks(all, len)| all.par_chunks_mut(len));
        y.zip(a).zip(b).with_min_len(few).enumerate().for_each(|(i, ((y, a), b))| f(i, [y, a, b]));
    }

    /// What `f` makes of each, in order.
    #[cfg(feature = "images")]
    pub(crate) fn map_each<T: Sync, R: Send>(all: &[T], f: impl Fn(&T) -> Result<R> + Sync + Send) -> Result<Vec<R>> {
        all.par_iter().map(f).collect()
    }

    /// What `f` makes of each, in order, by so many workers side by side. Each has a pool of its own, in which `f` is called: the
    /// processor's threads, shared out.
    ///
    /// # Errors
    /// [`Error::Device`] where the system gives no threads.
    pub(crate) fn map_side_by_side<T: Sync, R: Send>(
        all: &[T],
        workers: usize,
        f: &(dyn Fn(&T, &Pool) -> R + Sync),
    ) -> Result<Vec<R>> {
        let workers = workers.clamp(1, all.len().max(1));
        let pools = (0..workers).map(|_| Pool::new((super::cores() / workers).max(1))).collect::<Result<Vec<_>>>()?;
        let (next, made) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(all.len())));
        let work = |pool: &Pool| {
            while let Some((index, one)) =
                Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|i| Some((i, all.get(i)?)))
            {
                let result = f(one, pool);
                made.lock().unwrap_or_else(PoisonError::into_inner).push((index, result));
            }
        };
        thread::scope(|scope| {
            for pool in &pools[1..] {
                let work = &work;
                scope.spawn(move || pool.run(false, || work(pool)));
            }
            pools[0].run(false, || work(&pools[0]));
        });
        let mut made = made.into_inner().unwrap_or_else(PoisonError::into_inner);
        made.sort_unstable_by_key(|(index, _)| *index);
        Ok(made.into_iter().map(|(_, result)| result).collect())
    }

    /// What `f` makes of each, in any order, by as many of the system's threads as the processor has: for drivers, which would
    /// hold up those that compute.
    #[cfg(feature = "gpu")]
    pub(crate) fn map_in_any_order<T: Sync, R: Send>(all: &[T], f: impl Fn(&T) -> R + Sync) -> Vec<R> {
        let (threads, next) = (super::cores().min(all.len()).max(1), AtomicUsize::new(0));
        let worker = || std::iter::from_fn(|| all.get(next.fetch_add(1, Ordering::Relaxed)).map(&f));
        thread::scope(|scope| {
            // Where the system gives no more threads, there are as many as it gave.
            let spawn = |_| thread::Builder::new().spawn_scoped(scope, || worker().collect::<Vec<_>>()).ok();
            let others: Vec<_> = (1..threads).map_while(spawn).collect();
            let own: Vec<_> = worker().collect();
            let join = |other: thread::ScopedJoinHandle<'_, Vec<R>>| {
                other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            own.into_iter().chain(others.into_iter().flat_map(join)).collect()
        })
    }

    /// Threads of its own that work is run by.
    #[derive(Clone, Debug)]
    pub(crate) struct Pool(Arc<rayon::ThreadPool>);

    /// How long a thread without work stays awake for more.
    const PATIENCE: Duration = Duration::from_millis(1);

    impl Pool {
        /// So many; 0 takes all of the processor's.
        ///
        /// # Errors
        /// [`Error::Device`] where the system gives none.
        pub fn new(threads: usize) -> Result<Self> {
            let name = |i| format!("kiln-{i}");
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(name).build();
            let pool = pool.map_err(|e| Error::Device { device: "cpu".into(), message: format!("no threads: {e}") })?;
            Ok(Self(Arc::new(pool)))
        }

        /// Runs `f` in the pool. Where it is `parallel`, the other threads stay awake meanwhile: left alone they go to sleep
        /// after some 20 us without work, between two products of a small net, and take as long to wake.
        pub fn run<R: Send>(&self, parallel: bool, f: impl FnOnce() -> R + Send) -> R {
            let done = &AtomicBool::new(false);
            self.0.scope(|scope| {
                let own = rayon::current_thread_index();
                for _ in 1..if parallel { rayon::current_num_threads() } else { 1 } {
                    // The thread that has the work may come upon this while it waits for the others.
                    scope.spawn(move |_| {
                        if rayon::current_thread_index() != own {
                            stay_awake(done)
                        }
                    });
                }
                let result = f();
                done.store(true, Ordering::Relaxed);
                result
            })
        }
    }

    /// Works off what other threads of the pool give away, until all is done or there was nothing for long.
    fn stay_awake(done: &AtomicBool) {
        let mut last = Instant::now();
        while !done.load(Ordering::Relaxed) && last.elapsed() < PATIENCE {
            match rayon::yield_now() {
                Some(rayon::Yield::Executed) => last = Instant::now(),
                _ => thread::yield_now(),
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use std::ops::Range;

        use super::*;

        #[test]
        fn what_workers_make_side_by_side_comes_in_order() {
            let all: Vec<usize> = (0..50).collect();
            for workers in [1, 2, 3, 80] {
                let square = |&n: &usize, pool: &Pool| pool.run(false, || n * n);
                assert_eq!(
                    map_side_by_side(&all, workers, &square).unwrap(),
                    all.iter().map(|n| n * n).collect::<Vec<_>>()
                );
            }
            assert!(map_side_by_side(&[], 4, &|n: &usize, _: &Pool| *n).unwrap().is_empty());
        }

        #[test]
        fn threads_that_stay_awake_share_nested_work_and_hold_nobody_up() {
            fn sum(range: Range<u64>) -> u64 {
                if range.end - range.start < 3 {
                    return range.sum();
                }
                let middle = range.start.midpoint(range.end);
                let (a, b) = join(|| sum(range.start..middle), || sum(middle..range.end));
                a + b
            }
            let pool = Pool::new(4).unwrap();
            for n in 0..200 {
                assert_eq!(pool.run(true, || sum(0..n)), n * n.saturating_sub(1) / 2);
            }
            // One that fails lets the others go, too.
            let fails = std::panic::AssertUnwindSafe(|| pool.run(true, || panic!("on purpose")));
            assert!(std::panic::catch_unwind(fails).is_err());
            assert_eq!(pool.run(true, || sum(0..9)), 36);
        }
    }
}

/// The same for one thread.
#[cfg(any(not(feature = "threads"), target_family = "wasm"))]
mod alone {
    use super::Chunks;
    use crate::error::Result;

    pub(crate) fn count() -> usize {
        1
    }

    pub(crate) fn join<A, B>(a: impl FnOnce() -> A, b: impl FnOnce() -> B) -> (A, B) {
        (a(), b())
    }

    pub(crate) fn for_each_chunk<T>(Chunks(y, len): Chunks<'_, T>, _few: usize, f: &dyn Fn(usize, &mut [T])) {
        y.chunks_mut(len).enumerate().for_each(|(i, y)| f(i, y));
    }

    pub(crate) fn for_each_pair<T>([y, a]: [Chunks<'_, T>; 2], _few: usize, f: &dyn Fn(usize, [&mut [T]; 2])) {
        let [y, a] = [y, a].map(|Chunks(all, len)| all.chunks_mut(len));
        y.zip(a).enumerate().for_each(|(i, (y, a))| f(i, [y, a]));
    }

    pub(crate) fn for_each_block<T>([y, a, b]: [Chunks<'_, T>; 3], _few: usize, f: &dyn Fn(usize, [&mut [T]; 3])) {
        let [y, a, b] = [y, a, b].map(|Chunks(all, len)| all.chunks_mut(len));
        y.zip(a).zip(b).enumerate().for_each(|(i, ((y, a), b))| f(i, [y, a, b]));
    }

    pub(crate) fn map_side_by_side<T, R>(all: &[T], _workers: usize, f: &dyn Fn(&T, &Pool) -> R) -> Result<Vec<R>> {
        Ok(all.iter().map(|one| f(one, &Pool)).collect())
    }

    #[cfg(feature = "images")]
    pub(crate) fn map_each<T, R>(all: &[T], f: impl Fn(&T) -> Result<R>) -> Result<Vec<R>> {
        all.iter().map(f).collect()
    }

    #[cfg(feature = "gpu")]
    pub(crate) fn map_in_any_order<T, R>(all: &[T], f: impl Fn(&T) -> R) -> Vec<R> {
        all.iter().map(f).collect()
    }

    #[derive(Clone, Debug)]
    pub(crate) struct Pool;

    impl Pool {
        #[expect(clippy::unnecessary_wraps, reason = "threads may not be had")]
        pub fn new(_threads: usize) -> Result<Self> {
            Ok(Self)
        }

        pub fn run<R>(&self, _parallel: bool, f: impl FnOnce() -> R) -> R {
            f()
        }
    }
}
