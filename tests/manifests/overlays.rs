//! NodeOverlays: what is read, and what every mistake in one is answered with.

use supercargo::adapters::files::manifests::InputError;
use supercargo::domain::money::UsdPerHour;
use supercargo::domain::node_overlay::PriceChange;

use crate::load_text;

fn overlay(spec: &str) -> String {
    format!("apiVersion: karpenter.sh/v1alpha1\nkind: NodeOverlay\nmetadata: {{name: discount}}\nspec: {spec}\n")
}

fn first_error(text: &str) -> InputError {
    let errors = load_text(text).expect_err("the input of this test is wrong");
    errors.as_slice().first().expect("there is at least one error").clone()
}

/// `field` and a piece of the problem and of the mend.
fn check(spec: &str, field: &str, problem: &str, mend: &str) {
    let error = first_error(&overlay(spec));
    assert_eq!(error.object.as_deref(), Some("NodeOverlay discount"), "{error}");
    assert_eq!(error.field.as_deref().unwrap_or_default(), field, "{error}");
    assert!(error.problem.contains(problem) && error.mend.contains(mend), "{error}");
}

#[test]
fn an_overlay_is_read_as_it_is_meant() {
    let text = overlay(
        "{weight: 10, priceAdjustment: \"-12.5%\", capacity: {example.com/fpga: 2, hugepages-2Mi: 1Gi}, requirements: [{key: \
         karpenter.sh/nodepool, operator: In, values: [a]}, {key: team, operator: Exists}, {key: \
         karpenter.k8s.aws/instance-cpu, operator: Gte, values: [\"4\"]}]}",
    );
    let cluster = load_text(text).expect("it is valid").cluster;
    let [made] = &cluster.node_overlays[..] else { panic!("one overlay") };
    assert_eq!((made.name.as_str(), made.weight), ("discount", 10));
    assert_eq!(made.price, Some(PriceChange::ByShare(-12_500_000)));
    assert_eq!(made.capacity, [("example.com/fpga".to_owned(), 2), ("hugepages-2Mi".to_owned(), 1 << 30)].into());
    let required: Vec<String> = made.requirements.iter().map(|(key, wanted)| format!("{key} {wanted}")).collect();
    assert_eq!(required, ["karpenter.k8s.aws/instance-cpu Exists >= 4", "karpenter.sh/nodepool In [a]", "team Exists"]);

    let plain = load_text(overlay("{requirements: [], price: \"0.05\"}")).expect("it is valid").cluster;
    assert_eq!(plain.node_overlays[0].price, Some(PriceChange::To(UsdPerHour::from_micros(50_000))));
    assert_eq!(plain.node_overlays[0].weight, 0);
}

#[test]
fn an_overlay_that_is_being_deleted_is_not_used() {
    let text = overlay("{requirements: [], price: \"0\"}")
        .replace("{name: discount}", "{name: discount, deletionTimestamp: \"2026-01-01T00:00:00Z\"}");
    let loaded = load_text(text).expect("it is valid");
    assert!(loaded.cluster.node_overlays.is_empty());
    assert!(loaded.notices.iter().any(|notice| notice == "NodeOverlay `discount` is not used: it is being deleted"));
}

#[test]
fn every_bad_field_is_named_with_what_to_write_instead() {
    let with = |fields: &str| format!("{{requirements: [], {fields}}}");
    check(&with("price: \"1.\""), "spec.price", "`1.` is not a price", "\"0.25\"");
    check(&with("price: \"-1\""), "spec.price", "`-1` is not a price", "priceAdjustment");
    check(&with("price: 1"), "spec.price", "invalid type", "quotes");
    check(&with("priceAdjustment: 10%"), "spec.priceAdjustment", "`10%` is not a change", "\"+10%\"");
    check(&with("priceAdjustment: \"-101%\""), "spec.priceAdjustment", "`-101%` is not a change", "at least -100%");
    check(&with("price: \"1\", priceAdjustment: \"+1\""), "spec.priceAdjustment", "there is a `price`, too", "remove one");
    for weight in [0, -1, 10_001] {
        check(&with(&format!("weight: {weight}")), "spec.weight", &format!("{weight} is not between 1 and 10000"), "leave");
    }
    for name in ["cpu", "memory", "ephemeral-storage", "pods"] {
        let field = format!("spec.capacity.{name}");
        check(&with(&format!("capacity: {{{name}: 1}}")), &field, &format!("`{name}` cannot be overlaid"), "other resources");
    }
    check(&with("capacity: {example.com/a: -1}"), "spec.capacity[\"example.com/a\"]", "`-1` is negative", "at least 0");
    check(&with("capacity: {example.com/a: some}"), "spec.capacity[\"example.com/a\"]", "`some` is not a quantity", "number");
    check("{price: \"1\"}", "spec", "missing field `requirements`", "Kubernetes API");
}

#[test]
fn requirements_are_held_to_the_labels_that_offerings_have() {
    let one = |key: &str, operator: &str, values: &str| {
        format!("{{requirements: [{{key: {key}, operator: {operator}, values: {values}}}]}}")
    };
    let at = |field: &str| format!("spec.requirements[0].{field}");
    check(&one("a", "In", "[]"), &at("values"), "at least one value", "");
    check(&one("a", "NotIn", "[]"), &at("values"), "at least one value", "");
    check(&one("a", "Gt", "[\"-1\"]"), &at("values[0]"), "not a label value", "");
    check(&one("a", "Gt", "[\"1\", \"2\"]"), &at("values"), "exactly one value", "");
    check(&one("a", "Above", "[\"1\"]"), &at("operator"), "unknown operator `Above`", "Gte");
    check(&one("kubernetes.io/hostname", "In", "[a]"), &at("key"), "different on every node", "");
    check(&one("karpenter.sh/registered", "In", "[\"true\"]"), &at("key"), "reserved", "");
    check(&one("karpenter.k8s.aws/instance-colour", "In", "[red]"), &at("key"), "no such label", "");
    check(&one("karpenter.k8s.aws/instance-tenancy", "In", "[default]"), &at("key"), "tenancy", "");
    check(&one("karpenter.k8s.aws/capacity-reservation-id", "In", "[cr-1]"), &at("key"), "capacity reservations", "");
    check(&one("karpenter.k8s.aws/placement-group-id", "In", "[pg-1]"), &at("key"), "placement group", "");
    check(&one("karpenter.sh/capacity-type", "In", "[cheap]"), &at("values"), "never any of [cheap]", "spot");
    let many = vec!["{key: a, operator: Exists}"; 101].join(", ");
    check(&format!("{{requirements: [{many}]}}"), "spec.requirements", "101 entries", "at most 100");
}
