//! Panics of libraries and of bugs, as values.
//!
//! GPU libraries panic where a driver, a header or memory is missing, and sometimes on a thread of
//! their own first. What every panic said is kept: of those that follow from one another the first
//! is told.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

/// Panics that are remembered at a time. Of more only the last matter: whoever catches takes what
/// is its own.
const REMEMBERED: usize = 64;

/// A panic that nobody has caught yet.
struct Said {
    number: u64,
    thread: ThreadId,
    /// Whether it was on one of the threads that share the work.
    pooled: bool,
    text: String,
    place: String,
}

/// All of them, and the number of the next.
static SAID: Mutex<(VecDeque<Said>, u64)> = Mutex::new((VecDeque::new(), 0));

fn said() -> MutexGuard<'static, (VecDeque<Said>, u64)> {
    SAID.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on a panic is remembered for [`caught`] and not printed.
pub fn remember_quietly() {
    panic::set_hook(Box::new(|info: &PanicHookInfo<'_>| {
        let place = info.location().map_or(String::new(), |place| format!(" ({place})"));
        let (thread, pooled) = (thread::current().id(), rayon::current_thread_index().is_some());
        let text = text(info.payload());
        let (all, next) = &mut *said();
        all.push_back(Said { number: *next, thread, pooled, text, place });
        *next += 1;
        if all.len() > REMEMBERED {
            all.pop_front();
        }
    }));
}

/// Runs `body`.
///
/// What `body` was changing when it panicked may be half changed: use none of it afterwards, or
/// only what is written whole.
///
/// # Errors
/// What the first panic since `body` began said, with its place, if `body` panics. Where threads of
/// the pool run different bodies at the same time, each gets its own.
pub fn caught<T>(body: impl FnOnce() -> T) -> Result<T, String> {
    let begin = said().1;
    let ended = panic::catch_unwind(AssertUnwindSafe(body));
    let (me, pooled) = (thread::current().id(), rayon::current_thread_index().is_some());
    // Of threads that no pool has, such as those of a GPU library, it may be the cause.
    let own = |one: &Said| one.number >= begin && (!pooled || !one.pooled || one.thread == me);
    let all = &mut said().0;
    let ended = ended.map_err(|panic| {
        let last = text(panic.as_ref());
        // Of another thread of the pool only what was passed on from there.
        let passed_on = |one: &Said| one.number >= begin && one.text == last;
        let first = all.iter().position(own).or_else(|| all.iter().position(passed_on));
        let first = first.and_then(|place| all.remove(place));
        first.map_or(last, |first| format!("{}{}", first.text, first.place))
    });
    // What was survived, or followed from that, is of no later body.
    all.retain(|one| !own(one));
    ended
}

/// What `panic!` was called with.
fn text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hook of the test harness is left in place, so that nothing is remembered here.
    #[test]
    fn a_panic_becomes_its_text() {
        assert_eq!(caught(|| 3), Ok(3));
        assert_eq!(caught(|| -> u8 { panic!("plain") }), Err("plain".to_owned()));
        let number = 7;
        assert_eq!(caught(|| -> u8 { panic!("number {number}") }), Err("number 7".to_owned()));
        let other = caught(|| -> u8 { panic::panic_any(7u8) });
        assert_eq!(other, Err("a panic without a message".to_owned()));
    }
}
