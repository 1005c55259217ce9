use super::*;

/// Every documented operation says what it needs, and nothing else does.
#[test]
fn the_table_and_the_description_name_the_same_operations() {
    let document = crate::openapi::document();
    let mut documented: Vec<String> = document
        .paths
        .paths
        .values()
        .flat_map(|item| [&item.get, &item.put, &item.post, &item.delete])
        .flatten()
        .map(|operation| operation.operation_id.clone().expect("an id"))
        .collect();
    let mut listed: Vec<String> = NEEDS.iter().map(|(id, _)| (*id).to_owned()).collect();
    documented.sort();
    listed.sort();
    assert_eq!(documented, listed);
}

/// What changes something is not for those who only look; what only looks may
/// need more, but never nothing.
#[test]
fn what_changes_something_is_not_for_viewers() {
    let document = crate::openapi::document();
    for (path, item) in &document.paths.paths {
        for operation in [&item.put, &item.post, &item.delete].into_iter().flatten() {
            let Needs::Role(role) = named(operation).needs else {
                panic!("{path} changes something and needs nothing");
            };
            assert!(role > Role::Viewer, "{path}");
        }
    }
}

#[test]
fn what_is_not_listed_is_for_administrators() {
    let operation = utoipa::openapi::path::OperationBuilder::new()
        .operation_id(Some("forgotten"))
        .build();
    assert_eq!(named(&operation).needs, ADMIN);
}
