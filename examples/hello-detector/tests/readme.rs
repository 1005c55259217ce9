//! The tutorial and the example are the same.

const TUTORIAL: &str = include_str!("../../../sdk/rust/README.md");

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
fn so_do_its_manifest_and_its_schema() {
    assert!(pieces("toml").contains(&include_str!("../plugin.toml")));
    assert!(pieces("json").contains(&include_str!("../config.schema.json")));
}
