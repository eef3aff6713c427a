//! The panic hook, which is global: a program of its own.

use std::sync::Barrier;

use headprof::system::panics::{caught, remember_quietly};

#[test]
fn the_first_panic_is_told_with_its_place() {
    remember_quietly();
    of_one_after_the_other();
    of_threads_at_the_same_time();
}

fn of_one_after_the_other() {
    let told = caught(|| {
        // As a GPU library does: the cause on its own thread, then what follows from it.
        let cause = std::thread::spawn(|| panic!("no memory left"));
        assert!(cause.join().is_err());
        panic!("the other thread is gone");
    });
    let told: String = told.map(|()| String::new()).unwrap_err();
    assert!(told.starts_with("no memory left (tests/panics.rs:"), "{told}");
    // An earlier panic that was survived is no part of the next one.
    assert!(std::thread::spawn(|| panic!("survived")).join().is_err());
    let told = caught(|| -> u8 { panic!("the next") }).unwrap_err();
    assert!(told.starts_with("the next (tests/panics.rs:"), "{told}");
    // Nor is one within it.
    let told = caught(|| {
        assert!(caught(|| std::thread::spawn(|| panic!("survived")).join().is_err()).unwrap());
        panic!("the last");
    });
    let told: String = told.map(|()| String::new()).unwrap_err();
    assert!(told.starts_with("the last (tests/panics.rs:"), "{told}");
}

/// Threads of a pool that run bodies of their own: each is told its own panic, however they
/// overlap.
fn of_threads_at_the_same_time() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    let (begun, panicked) = (Barrier::new(2), Barrier::new(2));
    let body = |thread: usize, same: bool| {
        let told = caught(|| {
            begun.wait();
            // One survives while the other is on its way out.
            let inner = caught(|| -> u8 { panic!("inner {thread}") }).unwrap_err();
            assert!(inner.starts_with(&format!("inner {thread} (tests/panics.rs:")), "{inner}");
            panicked.wait();
            match same {
                true => panic!("the same"),
                false => panic!("thread {thread}"),
            }
        });
        told.map(|()| String::new()).unwrap_err()
    };
    for (thread, told) in pool.broadcast(|on| body(on.index(), false)).iter().enumerate() {
        assert!(told.starts_with(&format!("thread {thread} (tests/panics.rs:")), "{told}");
    }
    for told in pool.broadcast(|on| body(on.index(), true)) {
        assert!(told.starts_with("the same (tests/panics.rs:"), "{told}");
    }
    // What a piece of work panics with on another thread is passed on, with its place.
    let told = pool.install(|| {
        let piece = || {
            caught(|| {
                rayon::join(
                    || begun.wait(),
                    || {
                        begun.wait();
                        panic!("a piece");
                    },
                )
            })
        };
        piece().map(|_| String::new()).unwrap_err()
    });
    assert!(told.starts_with("a piece (tests/panics.rs:"), "{told}");
}
