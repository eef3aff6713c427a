//! The panic hook, which is global: a program of its own.

use headprof::panics::{caught, remember_quietly};

#[test]
fn the_first_panic_is_told_with_its_place() {
    remember_quietly();
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
}
