//! Quantities against Go's `resource.Quantity` (a table) and against themselves (any text).

use proptest::prelude::*;
use supercargo::domain::quantity::Quantity;

use crate::config;

/// Made by `tests/oracles/quantity`: text as JSON, canonical form, Value, MilliValue.
const ORACLE: &str = include_str!("../data/quantities.tsv");

#[test]
fn every_row_of_the_table_of_go_is_reproduced() {
    let rows: Vec<&str> = ORACLE.lines().skip(1).collect();
    assert!(rows.len() > 500, "the table is complete");
    for row in rows {
        let columns: Vec<&str> = row.split('\t').collect();
        let [text, canonical, value, milli_value] = columns[..] else { panic!("four columns in {row:?}") };
        let text: String = serde_json::from_str(text).expect("the first column is a JSON string");
        match Quantity::parse(&text) {
            Err(_) => assert_eq!(canonical, "error", "{text:?} is a quantity to Go"),
            Ok(quantity) => {
                assert_ne!(canonical, "error", "{text:?} is no quantity to Go");
                assert_eq!(quantity.value().to_string(), value, "value of {text:?}");
                assert_eq!(quantity.milli_value().to_string(), milli_value, "milli-value of {text:?}");
                if canonical != "-" {
                    assert_eq!(quantity.to_string(), canonical, "canonical form of {text:?}");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(config(2000))]

    /// No text makes the parser panic; what it accepts prints in a form that means the same, and prints the same again.
    #[test]
    fn the_canonical_form_is_a_fixed_point(text in "[-+]?[0-9]{1,25}(\\.[0-9]{0,25})?([numkMGTPE]|[KMGTPE]i|[eE][-+]?[0-9]{1,4})?") {
        let quantity = Quantity::parse(&text).expect("the grammar of this test is that of quantities");
        let printed = quantity.to_string();
        let again = Quantity::parse(&printed).expect("a canonical form is a quantity");
        prop_assert_eq!(again.to_string(), printed);
        prop_assert_eq!((again.value(), again.milli_value()), (quantity.value(), quantity.milli_value()));
    }

    /// Any text at all: an error or a quantity, and rounding away from zero never loses demand.
    #[test]
    fn any_text_is_parsed_or_refused(text in "\\PC{0,12}") {
        if let Ok(quantity) = Quantity::parse(&text) {
            prop_assert!(quantity.amount("cpu") >= quantity.amount_floor("cpu") || quantity.is_negative());
        }
    }
}
