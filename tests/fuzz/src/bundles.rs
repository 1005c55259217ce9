//! Bundles, as their authors write them.

use std::collections::BTreeMap;

use faultline_bundle::{Bundle, ConfigSchema, Manifest};

use crate::parts;

/// `plugin.toml`. A refusal names the file.
pub fn manifest(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match Manifest::parse("plugin.toml", text) {
        Ok(manifest) => {
            for component in &manifest.components {
                assert_eq!(manifest.component(&component.name), Some(component));
            }
        }
        Err(error) => assert!(error.to_string().contains("plugin.toml"), "{error}"),
    }
}

/// Files of a bundle: name, content, name, content, … between NUL bytes. The
/// digest names the files and nothing else.
pub fn bundle(data: &[u8]) {
    let parts = parts(data, 16);
    let files: BTreeMap<String, Vec<u8>> = parts
        .chunks_exact(2)
        .map(|pair| {
            (
                String::from_utf8_lossy(pair[0]).into_owned(),
                pair[1].to_vec(),
            )
        })
        .collect();
    if let Ok(bundle) = Bundle::from_files(files.clone()) {
        let again = Bundle::from_files(files).expect("it was good");
        assert_eq!(bundle.digest(), again.digest());
    }
}

/// A JSON Schema, a NUL byte, a configuration. What was filled in and checked is
/// as the schema wants it, and stays as it is.
pub fn config_schema(data: &[u8]) {
    let [schema, config] = parts(data, 2)[..] else {
        return;
    };
    let (Ok(schema), Ok(config)) = (std::str::from_utf8(schema), std::str::from_utf8(config))
    else {
        return;
    };
    let Ok(schema) = ConfigSchema::parse(schema) else {
        return;
    };
    if let Ok(resolved) = schema.resolve(config) {
        let again = schema.resolve(&resolved.to_string());
        assert_eq!(again.ok(), Some(resolved), "what is filled in is not good");
    }
}
