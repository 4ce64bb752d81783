//! The table and what is made of it.

use super::*;

#[test]
fn no_two_operations_are_the_same() {
    let mut seen = std::collections::BTreeSet::new();
    let mut ids = std::collections::BTreeSet::new();
    for operation in OPERATIONS {
        assert!(seen.insert((operation.path, operation.method.word())), "{}", operation.id);
        assert!(ids.insert(operation.id), "{}", operation.id);
        assert!(!operation.answers.is_empty(), "{}", operation.id);
    }
}
