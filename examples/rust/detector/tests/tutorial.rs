//! The tutorial and the example are the same.

const TUTORIAL: &str = include_str!("../../../../sdk/rust/README.md");

fn pieces(language: &str) -> Vec<&'static str> {
    TUTORIAL
        .split(&format!("```{language}\n"))
        .skip(1)
        .map(|rest| rest.split("```").next().expect("a closing fence"))
        .collect()
}

#[test]
fn the_pieces_of_the_tutorial_make_the_example() {
    let example = include_str!("../src/lib.rs");
    assert_eq!(pieces("rust,ignore").join("\n"), example);
}

#[test]
fn so_do_its_schema_and_what_its_manifest_says_of_the_component() {
    assert!(pieces("json").contains(&include_str!("../../detector.schema.json")));
    let manifest = include_str!("../../plugin.toml");
    let pieces = pieces("toml");
    let piece = pieces.iter().find(|piece| piece.starts_with("schema = 1"));
    let (plugin, component) = piece
        .and_then(|piece| piece.split_once("[[component]]"))
        .expect("a manifest");
    assert!(manifest.contains(component));
    assert!(plugin.contains("id = \"example/hello-detector\""));
}
