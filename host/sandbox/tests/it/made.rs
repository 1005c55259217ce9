//! Components that are made of text, for guests that no toolchain would make.

use std::path::PathBuf;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// A core module in the text format, as a component for a world of these, which
/// may speak of the contract.
pub(crate) fn component(module: &str, worlds: &str, world: &str) -> Vec<u8> {
    let mut module = wat::parse_str(module).unwrap_or_else(|error| panic!("{error}"));
    let mut wit = Resolve::default();
    let contract = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../wit");
    wit.push_dir(contract).expect("the contract");
    let package = wit
        .push_str("worlds.wit", worlds)
        .unwrap_or_else(|error| panic!("{error:?}"));
    let world = wit.select_world(&[package], Some(world)).expect("a world");
    embed_component_metadata(&mut module, &wit, world, StringEncoding::UTF8).expect("metadata");
    ComponentEncoder::default()
        .module(&module)
        .expect("a module for this world")
        .validate(true)
        .encode()
        .unwrap_or_else(|error| panic!("{error:?}"))
}
