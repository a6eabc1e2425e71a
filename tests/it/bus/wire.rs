//! The wire format: golden bytes, and bytes of others.

use porchlight::bus::wire::{Unreadable, VERSION, decode, encode};
use proptest::prelude::*;
use uuid::Uuid;

use super::{arrived, created, every_event, from};

const A: Uuid = Uuid::from_u128(1);
const B: Uuid = Uuid::from_u128(2);

#[test]
fn every_event_comes_back() {
    for event in every_event(&["ann", "bob"]) {
        let bytes = encode(&from(event.clone()), A);
        let back = decode(&bytes, B).expect("readable").expect("another's");
        assert_eq!(format!("{back:?}"), format!("{:?}", from(arrived(&event))));
        assert!(matches!(decode(&bytes, A), Ok(None)), "one's own");
    }
}

/// Nodes of two versions run together during an upgrade: what is there does not change.
#[test]
fn the_bytes_of_version_1() {
    let bytes = encode(&from(created("r", 300)), A);
    let shown: String = bytes.escape_ascii().to_string();
    insta::assert_snapshot!(shown, @r#"\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x01\x01\x08a-device\x05m-300\x01r\xac\x02\x03ann\x0fann \xc3\x9cnl\xc3\xbc \xf0\x9f\x8f\xae\x01\x0fann@example.org\x00\x01\x05key-1\x04text\x0eso \"it\" goes\x00\n\x01\x04up-1\x07cat.png\timage/png\xc0\xc4\x07\x01\x80\x05\xe0\x03\x01\x01%{\"reply_to\":[1,2.5,null],\"\xf0\x9f\x98\x80\":true}\xf6\xa1\xab\xfe\xf9b"#);
}

#[test]
fn what_is_behind_the_known_is_left_alone() {
    for event in every_event(&["ann"]) {
        let mut bytes = encode(&from(event), A);
        bytes.extend_from_slice(b"of a later version");
        assert!(matches!(decode(&bytes, B), Ok(Some(_))));
    }
}

#[test]
fn versions_and_kinds_to_come_are_told_from_garbage() {
    let mut bytes = encode(&from(created("r", 1)), A);
    bytes[0] = VERSION + 1;
    assert_eq!(
        decode(&bytes, B).expect_err("unreadable"),
        Unreadable::Unknown
    );
    bytes[0] = VERSION;
    bytes[17] = 200;
    assert_eq!(
        decode(&bytes, B).expect_err("unreadable"),
        Unreadable::Unknown
    );
    for garbage in [
        b"".as_slice(),
        b"{}",
        b"\x93\xa7emitter",
        b"\x01",
        b"hello",
        b"\x01aaaaaaaaaaaaaaaa",
    ] {
        assert_eq!(
            decode(garbage, B).expect_err("unreadable"),
            Unreadable::Garbage
        );
    }
}

#[test]
fn a_part_is_garbage() {
    for event in every_event(&["ann", "bob"]) {
        let bytes = encode(&from(event), A);
        for end in 0..bytes.len() {
            assert_eq!(
                decode(&bytes[..end], B).expect_err("unreadable"),
                Unreadable::Garbage
            );
        }
    }
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(&bytes, B);
        if let Some(first) = bytes.first_mut() {
            *first = VERSION;
        }
        let _ = decode(&bytes, B);
    }

    #[test]
    fn damage_does_not_either(which in 0_usize..11, at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = encode(&from(every_event(&["ann"]).swap_remove(which)), A);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = decode(&bytes, B);
    }
}
