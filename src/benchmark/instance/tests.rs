//! Documents: there and back, what they describe, and what is said of bad ones.

use std::collections::BTreeMap;
use std::time::Duration;

use super::fixtures::{small, suite, with_catalog};
use super::reading::packed;
use super::{COSTS, CatalogSource, InstanceDocument, Loaded};
use crate::adapters::files::catalog;
use crate::planning::plan;
use crate::solver::SolveConfig;

/// What the plan of an instance costs, and on how many types it had to choose from.
fn planned(document: &InstanceDocument) -> (String, usize) {
    let Loaded { cluster, catalog } = document.load(suite()).expect("a sound instance");
    let config = SolveConfig { gap: 0.0, work_limit: Some(1_000_000), deadline: None, seed: 1 };
    let made = plan(&cluster, &catalog, &COSTS, &config, &|| Duration::ZERO, &mut |_| {}).expect("a plan");
    (format!("{:?}", made.plan), catalog.instance_types.len())
}

/// What is said of `text` that is no instance.
fn refusal(text: &str) -> String {
    InstanceDocument::from_bytes("x.json", text.as_bytes()).expect_err(text).to_string()
}

#[test]
fn a_document_is_read_as_it_was_written_packed_or_not() {
    let document = small();
    let bytes = document.to_bytes();
    assert_eq!(bytes.last(), Some(&b'\n'));
    assert!(bytes.starts_with(br#"{"catalog":{"shared":"us-east-1-2026-11"},"description""#), "keys are in the order of bytes");
    let packed = packed(&bytes).expect("memory");
    for text in [&bytes, &packed] {
        let read = InstanceDocument::from_bytes("x", text).expect("an instance");
        assert_eq!(read, document);
        assert_eq!(read.sha256(), document.sha256());
    }
    let other = InstanceDocument { name: "other".to_owned(), ..small() };
    assert_ne!(other.sha256(), document.sha256());
}

#[test]
fn an_instance_with_its_catalog_in_it_has_the_same_plan_on_fewer_types() {
    let document = small();
    let alone = document.self_contained(suite()).expect("a sound instance");
    assert!(matches!(&alone.catalog, CatalogSource::Inline(texts) if texts.len() == 5));
    let (whole, cut) = (planned(&document), planned(&alone));
    assert_eq!(whole.0, cut.0);
    assert!(cut.1 < 40 && whole.1 > 500, "{} of {} types", cut.1, whole.1);
}

#[test]
fn commitments_and_the_share_of_a_spot_pool_reach_the_cluster() {
    let commitments = serde_json::json!({ "reservedInstances": [{ "id": "ri", "instanceType": "m5.xlarge", "count": 2 }] });
    let document = InstanceDocument { commitments: Some(commitments), max_spot_pool_share: Some("12.5%".to_owned()), ..small() };
    let cluster = document.load(suite()).expect("a sound instance").cluster;
    assert_eq!(cluster.max_spot_pool_share, Some(125));
    assert_eq!(cluster.commitments.pools.len(), 1);
    let alone = document.self_contained(suite()).expect("a sound instance").load(suite()).expect("sound").catalog;
    assert_eq!(alone, document.load(suite()).expect("sound").catalog, "commitments keep the catalog whole");
}

#[test]
fn a_bad_document_is_one_error_with_its_place() {
    let text = String::from_utf8(small().to_bytes()).expect("UTF-8");
    let cases = [
        ("[".to_owned(), "x.json: not valid JSON"),
        ("{}".to_owned(), "x.json: format: is missing"),
        (text.replace("instance/1", "instance/9"), "format: is `supercargo-instance/9`"),
        (text.replace("\"shared\"", "\"elsewhere\""), "catalog: unknown variant `elsewhere`"),
        (text.replace("\"family\"", "\"famly\""), "unknown field `famly`"),
        (text.replace("\"name\":\"small\"", "\"name\":\"Small One\""), "name: `Small One` is no name"),
        (text.replace("\"source\":\"supercargo\"", "\"source\":3"), "origin.source: invalid type"),
    ];
    for (text, expected) in cases {
        let said = refusal(&text);
        assert!(said.contains(expected) && said.contains("\n  hint: "), "{said}\nhas no {expected}");
    }
    let cut_off = packed(&small().to_bytes()).expect("memory");
    let said = InstanceDocument::from_bytes("x.zst", &cut_off[..cut_off.len() / 2]).expect_err("half of it").to_string();
    assert!(said.contains("x.zst: cannot be unpacked"), "{said}");
}

#[test]
fn what_a_document_holds_is_refused_with_its_place() {
    let refused = |document: &InstanceDocument| document.load(suite()).expect_err("it is wrong").to_string();
    let mut objects = small();
    objects.objects[0]["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "3 cores".into();
    let said = refused(&objects);
    assert!(said.contains("instance small: Deployment default/a: spec.template.spec.containers[0].resources.requests"), "{said}");

    for (name, expected) in [("../secrets", "`../secrets` is no name"), ("nowhere", "cannot read"), ("", "`` is no name")] {
        let said = refused(&InstanceDocument { catalog: CatalogSource::Shared(name.to_owned()), ..small() });
        assert!(said.contains("instance small: catalog") && said.contains(expected), "{said}");
    }

    let mut texts = catalog::texts(&suite().join("catalogs/us-east-1-2026-11")).expect("the catalog is there");
    texts.remove("spot.csv");
    assert!(refused(&with_catalog(texts.clone())).contains("instance small: catalog: spot.csv: is missing"));
    texts.insert("spot.tsv".to_owned(), String::new());
    assert!(refused(&with_catalog(texts)).contains("spot.tsv: is no file of a catalog"));
    assert!(refused(&with_catalog(BTreeMap::new())).contains("catalog.properties: is missing"));

    let bought = serde_json::json!({ "reservedInstances": [{ "id": "ri", "instanceType": "m5.xlarge", "count": 0 }] });
    let said = refused(&InstanceDocument { commitments: Some(bought), ..small() });
    assert!(said.contains("instance small: commitments: Reserved Instances ri: the number of instances is 0"), "{said}");
    let said = refused(&InstanceDocument { max_spot_pool_share: Some("25".to_owned()), ..small() });
    assert!(said.contains("instance small: maxSpotPoolShare: is `25`"), "{said}");
}
