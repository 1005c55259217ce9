//! Saved states, and bytes that are none.

use faultline_sdk::{Fault, state};
use proptest::prelude::*;

fn sealed() -> Vec<u8> {
    state::seal("acme/test", 3, &("hello", 7_u64)).expect("plain data")
}

#[test]
fn what_was_saved_can_be_read() {
    let sealed = sealed();
    let opened = state::open("acme/test", &sealed).expect("a state of this name");
    assert_eq!(opened.version, 3);
    let read: (String, u64) = state::from_bytes(opened.bytes).expect("the same shape");
    assert_eq!(read, ("hello".to_owned(), 7));
}

#[test]
fn a_state_of_another_name_is_refused() {
    let fault = state::open("acme/other", &sealed()).expect_err("another name");
    assert_eq!(fault.code, "state");
    assert!(fault.message.contains("`acme/test`"), "{}", fault.message);
}

#[test]
fn any_damage_is_noticed() {
    let sealed = sealed();
    for at in 0..sealed.len() {
        for bit in 0..8 {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1 << bit;
            let opened = state::open("acme/test", &damaged);
            assert!(opened.is_err(), "bit {bit} of byte {at}");
        }
        assert!(state::open("acme/test", &sealed[..at]).is_err());
    }
    let longer = [sealed.as_slice(), &[0]].concat();
    assert!(state::open("acme/test", &longer).is_err());
}

#[test]
fn another_shape_is_refused() {
    let bytes = state::to_bytes(&(1_u8, 2_u8)).expect("plain data");
    let shorter: Result<u8, Fault> = state::from_bytes(&bytes);
    let longer: Result<(u8, u8, u8), Fault> = state::from_bytes(&bytes);
    for fault in [
        shorter.expect_err("a rest"),
        longer.map(|_| 0).expect_err("an end"),
    ] {
        assert!(fault.message.contains("STATE_VERSION"), "{}", fault.message);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        prop_assert!(state::open("acme/test", &bytes).is_err());
        let mut marked = b"FLST\x01".to_vec();
        marked.extend(&bytes);
        prop_assert!(state::open("acme/test", &marked).is_err());
    }
}
