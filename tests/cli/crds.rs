//! The CustomResourceDefinitions: whatever changes in them shows here.

use insta::assert_snapshot;

use crate::run::run;

/// What clusters depend on: groups, versions, names, printed columns, types, defaults and CEL rules.
#[test]
fn the_definitions_are_printed_as_yaml() {
    let said = run(&["crds"]);
    assert_eq!((said.code, said.stderr.as_str()), (0, ""));
    assert_snapshot!(said.stdout);
}
