//! The blocking face: runs a future to its end on the calling thread, which waits meanwhile.
//!
//! Nothing else in the library waits. Whoever could do so within a future asks [`is_allowed`] first, and otherwise leaves the
//! waiting to another thread, or to the browser.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
#[cfg(not(target_family = "wasm"))]
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
#[cfg(not(target_family = "wasm"))]
use std::thread;

use crate::error::Result;

thread_local! {
    /// The waker of the innermost [`block_on`] of this thread.
    static INNERMOST: RefCell<Option<Waker>> = const { RefCell::new(None) };
}

/// Wakes a thread that waits in [`block_on`]; in a browser none does.
#[cfg(not(target_family = "wasm"))]
struct Sleeper {
    thread: thread::Thread,
    is_woken: AtomicBool,
}

#[cfg(not(target_family = "wasm"))]
impl Sleeper {
    fn new() -> Self {
        Self { thread: thread::current(), is_woken: AtomicBool::new(false) }
    }

    #[expect(clippy::unnecessary_wraps, reason = "a browser's fails")]
    fn sleep(&self) -> Result<()> {
        while !self.is_woken.swap(false, Ordering::Acquire) {
            thread::park();
        }
        Ok(())
    }
}

#[cfg(not(target_family = "wasm"))]
impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.is_woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

#[cfg(target_family = "wasm")]
struct Sleeper;

#[cfg(target_family = "wasm")]
impl Sleeper {
    fn new() -> Self {
        Self
    }

    fn sleep(&self) -> Result<()> {
        let message = "a browser's threads cannot wait for a device; call the method whose name ends in _async";
        Err(crate::Error::Device { device: "browser".into(), message: message.into() })
    }
}

#[cfg(target_family = "wasm")]
impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {}
}

/// Makes a waker that of the innermost [`block_on`], until it is dropped.
struct Entered(Option<Waker>);

impl Entered {
    fn new(waker: &Waker) -> Self {
        Self(INNERMOST.replace(Some(waker.clone())))
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        INNERMOST.set(self.0.take());
    }
}

/// What a future gives, for which the calling thread waits.
///
/// # Errors
/// What the future gives; in a browser, whose threads cannot wait, [`crate::Error::Device`] where it is not ready at once.
pub(crate) fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    let sleeper = Arc::new(Sleeper::new());
    let waker = Waker::from(sleeper.clone());
    let _entered = Entered::new(&waker);
    let (mut future, mut context) = (pin!(future), Context::from_waker(&waker));
    loop {
        if let Poll::Ready(result) = future.as_mut().poll(&mut context) {
            return result;
        }
        sleeper.sleep()?;
    }
}

/// Whether the future that asks may wait: [`block_on`] polls it, and nothing between the two that has other futures to poll.
pub(crate) async fn is_allowed() -> bool {
    poll_fn(|context| {
        let waits =
            |innermost: &Option<Waker>| innermost.as_ref().is_some_and(|waker| waker.will_wake(context.waker()));
        Poll::Ready(cfg!(not(target_family = "wasm")) && INNERMOST.with_borrow(waits))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a future of an executor that never waits may.
    fn elsewhere() -> bool {
        let mut asked = pin!(is_allowed());
        match asked.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => answer,
            Poll::Pending => panic!("answers at once"),
        }
    }

    #[test]
    fn only_what_the_blocking_face_polls_may_wait() {
        assert!(!elsewhere());
        let nested = async {
            assert!(is_allowed().await && !elsewhere());
            assert!(block_on(async { Ok(is_allowed().await) })?);
            assert!(!pollster::block_on(is_allowed()));
            Ok(is_allowed().await)
        };
        assert!(block_on(nested).unwrap());
        assert!(!elsewhere());
    }

    #[test]
    fn a_thread_that_waits_goes_on_when_it_is_woken() {
        let mut polls = 0;
        let woken_by_another = poll_fn(|context| {
            polls += 1;
            if polls == 3 {
                return Poll::Ready(Ok(7));
            }
            let waker = context.waker().clone();
            thread::spawn(move || waker.wake());
            Poll::Pending
        });
        assert_eq!(block_on(woken_by_another).unwrap(), 7);
        assert_eq!(polls, 3);
    }
}
