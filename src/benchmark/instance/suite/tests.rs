//! The suite of the repository is what the generators make, and a suite can be made, extended and checked.

use std::path::Path;
use std::time::Duration;

use super::{add, check, make_of};
use crate::benchmark::instance::fixtures::{small, suite};
use crate::benchmark::instance::manifest::{BestKnown, LowerBound, Manifest, Track};
use crate::benchmark::instance::{COSTS, CatalogSource, InstanceDocument, Loaded, Origin, generator};
use crate::domain::money::UsdPerHour;
use crate::planning::{plan, plan_by, verifier};
use crate::solver::{Clock, Problem, Progress, Rival, SolveConfig, solve_as};

/// Instances with no more pods are planned by the tests.
const SMALL: usize = 250;

/// A suite with one instance and the shared catalog.
fn with_one() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let name = "us-east-1-2026-11";
    let to = folder.path().join("catalogs").join(name);
    std::fs::create_dir_all(&to).expect("a folder");
    for file in std::fs::read_dir(suite().join("catalogs").join(name)).expect("the catalog is there") {
        let file = file.expect("an entry");
        std::fs::copy(file.path(), to.join(file.file_name())).expect("it can be copied");
    }
    make_of(folder.path(), vec![generated()]).expect("a suite");
    folder
}

/// The fixture as if a generator made it.
fn generated() -> InstanceDocument {
    let origin = Origin { source: "supercargo".to_owned(), generator: Some("fixture".to_owned()), seed: Some(1) };
    InstanceDocument { origin, ..small() }
}

fn wrong(suite: &Path) -> String {
    let only = |entry: &super::Entry| entry.name == "small";
    let all = check(suite, &only).expect("a MANIFEST").into_iter().map(|problem| problem.to_string());
    // The generators' own instances are not in the suite of this test.
    all.filter(|problem| !problem.contains("is missing")).collect::<Vec<String>>().join("\n")
}

#[test]
fn the_suite_is_what_the_generators_make() {
    let manifest = Manifest::read(suite()).expect("the MANIFEST is there");
    let made = generator::all();
    for (name, sha256) in &manifest.catalogs {
        super::check_catalog(suite(), name, sha256).expect("the catalog is as it was");
    }
    assert!(!manifest.catalogs.is_empty());
    for document in &made {
        let entry = manifest.find(&document.name).expect("it is in the MANIFEST");
        assert_eq!(entry.sha256, document.sha256(), "{}: its generator makes another one", document.name);
        assert_eq!(entry.read(suite()).expect("its file is what the MANIFEST says"), *document);
        assert_eq!((&entry.family, &entry.origin), (&document.family, &document.origin));
    }
    assert!(made.len() >= 60, "{} instances", made.len());
    assert!(
        manifest.instances.iter().any(|entry| entry.pods <= 10) && manifest.instances.iter().any(|entry| entry.pods == 100_000)
    );
    for track in Track::ALL {
        assert!(manifest.select(None, Some(track)).count() >= 3, "{}", track.as_str());
    }
    let mut names: Vec<&str> = made.iter().map(|document| document.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), made.len(), "two instances have one name");
}

#[test]
fn every_small_instance_has_a_plan_that_the_verifier_accepts() {
    let manifest = Manifest::read(suite()).expect("the MANIFEST is there");
    let mut planned = 0;
    for entry in manifest.instances.iter().filter(|entry| entry.pods <= SMALL) {
        let Loaded { cluster, catalog } = entry.read(suite()).expect("sound").load(suite()).expect("sound");
        assert_eq!(cluster.pods.len(), entry.pods, "{}", entry.name);
        let config = SolveConfig { gap: 0.05, work_limit: Some(200_000), deadline: None, seed: 1 };
        let made = plan(&cluster, &catalog, &COSTS, &config, &|| Duration::ZERO, &mut |_| {}).expect("a plan").plan;
        let verdict = verifier::verify(&cluster, &catalog, &made, &|_| UsdPerHour::ZERO, &COSTS.interruptions);
        assert_eq!(verdict.violations, [], "{}", entry.name);
        assert!(made.nodes.len() + made.existing.len() > 0, "{}", entry.name);
        planned += 1;
    }
    assert!(planned >= 10, "{planned} small instances");
}

/// First-fit places no group whole here, and roundings of the relaxation few: pods are left because there is no room for them, and not
/// because the search for whole groups gave up.
#[test]
fn as_many_atomic_groups_are_placed_as_a_limit_allows() {
    let manifest = Manifest::read(suite()).expect("the MANIFEST is there");
    let entry = manifest.instances.iter().find(|entry| entry.name == "rules-atomic-groups").expect("it is of the suite");
    let Loaded { cluster, catalog } = entry.read(suite()).expect("sound").load(suite()).expect("sound");
    for work in [20_000, 1_000_000] {
        let config = SolveConfig { gap: 0.0, work_limit: Some(work), deadline: None, seed: 1 };
        let made = plan(&cluster, &catalog, &COSTS, &config, &|| Duration::ZERO, &mut |_| {}).expect("a plan").plan;
        let verdict = verifier::verify(&cluster, &catalog, &made, &|_| UsdPerHour::ZERO, &COSTS.interruptions);
        assert_eq!(verdict.violations, []);
        // The best that is known of 209; without the search 104 and 73.
        assert!(made.unplaced.len() <= 50, "{} pods are left after {work} units of work", made.unplaced.len());
    }
}

/// The greedy rules are 5 % dearer where 2,000 pods make 2,000 classes, and a second is not enough to make up for that.
#[test]
fn a_scattered_program_is_never_dearer_than_its_mean_pod() {
    let manifest = Manifest::read(suite()).expect("the MANIFEST is there");
    let entry = manifest.instances.iter().find(|entry| entry.name == "diverse-2000").expect("it is of the suite");
    let Loaded { cluster, catalog } = entry.read(suite()).expect("sound").load(suite()).expect("sound");
    let config = SolveConfig { gap: 0.0, work_limit: Some(1), deadline: None, seed: 1 };
    let ours = plan(&cluster, &catalog, &COSTS, &config, &|| Duration::ZERO, &mut |_| {}).expect("a plan").plan;
    let mean_pod = |problem: &Problem, config: &SolveConfig, clock: Clock<'_>, observer: &mut dyn FnMut(Progress)| {
        solve_as(Rival::MeanPod, problem, config, clock, observer)
    };
    let theirs = plan_by(&mean_pod, &cluster, &catalog, &COSTS, &config, &|| Duration::ZERO, &mut |_| {}).expect("a plan").plan;
    assert_eq!((ours.unplaced.len(), theirs.unplaced.len()), (0, 0));
    assert!(ours.value() <= theirs.value(), "{} against {}", ours.value(), theirs.value());
}

#[test]
fn what_is_known_stays_as_long_as_the_digest() {
    let folder = with_one();
    let mut manifest = Manifest::read(folder.path()).expect("a MANIFEST");
    let known = BestKnown {
        cost: 1.0,
        unplaced: 0,
        solver: "supercargo".to_owned(),
        version: "1".to_owned(),
        date: "2026-11-27".to_owned(),
    };
    manifest.instances[0].best_known = Some(known.clone());
    manifest.write(folder.path()).expect("it can be written");
    let again = make_of(folder.path(), vec![generated()]).expect("a suite");
    assert_eq!((again.kept, again.changed.len()), (1, 0));
    assert_eq!(Manifest::read(folder.path()).expect("a MANIFEST").instances[0].best_known, Some(known));
    let other = InstanceDocument { description: "Another.".to_owned(), ..generated() };
    let changed = make_of(folder.path(), vec![other]).expect("a suite");
    assert_eq!(changed.changed, ["small"]);
    assert_eq!(Manifest::read(folder.path()).expect("a MANIFEST").instances[0].best_known, None);
    assert_eq!(make_of(folder.path(), Vec::new()).expect("a suite").gone, ["small"]);
    assert!(!folder.path().join("instances/small.json.zst").exists());
}

#[test]
fn imported_instances_stay_and_keep_their_names() {
    let folder = with_one();
    let imported = InstanceDocument { name: "snapshot".to_owned(), ..small() };
    add(folder.path(), &imported).expect("a new instance");
    let refused = add(folder.path(), &imported).expect_err("the name is taken").to_string();
    assert!(refused.contains("there is an instance `snapshot` already"), "{refused}");
    assert_eq!(make_of(folder.path(), vec![generated()]).expect("a suite").kept, 2);
    let manifest = Manifest::read(folder.path()).expect("a MANIFEST");
    let read = manifest.find("snapshot").expect("it is there").read(folder.path()).expect("it is as it was");
    assert_eq!(read, imported);
    let broken = InstanceDocument { name: "broken".to_owned(), catalog: CatalogSource::Shared("none".to_owned()), ..small() };
    assert!(add(folder.path(), &broken).is_err(), "an instance that cannot be loaded is not added");
}

#[test]
fn a_catalog_that_instances_share_never_changes() {
    let folder = with_one();
    let prices = folder.path().join("catalogs/us-east-1-2026-11/offerings.csv");
    let text = std::fs::read_to_string(&prices).expect("the catalog is there");
    std::fs::write(&prices, text.replacen("0.2040", "0.2041", 1)).expect("it can be written");
    assert!(wrong(folder.path()).contains("catalogs/us-east-1-2026-11: SHA-256 is"));
    let refused = make_of(folder.path(), vec![generated()]).expect_err("the catalog has changed").to_string();
    assert!(refused.contains("catalogs of a suite never change"), "{refused}");
}

#[test]
fn a_check_names_what_is_wrong() {
    let folder = with_one();
    assert!(wrong(folder.path()).contains("no generator makes it"), "the fixture is none of the generators'");
    let whole = Manifest::read(folder.path()).expect("a MANIFEST");
    // As an imported one it is sound.
    let mut imported = whole.clone();
    imported.instances.clear();
    imported.write(folder.path()).expect("it can be written");
    add(folder.path(), &small()).expect("a new instance");
    assert_eq!(wrong(folder.path()), "");
    let sound = Manifest::read(folder.path()).expect("a MANIFEST");
    let spoil = |change: &dyn Fn(&mut super::Entry), expected: &str| {
        let mut spoiled = sound.clone();
        change(&mut spoiled.instances[0]);
        spoiled.write(folder.path()).expect("it can be written");
        let said = wrong(folder.path());
        assert!(said.contains(expected), "{said}\nhas no {expected}");
    };
    let bound = |value| LowerBound { value, solver: String::new(), version: String::new(), date: String::new() };
    let known = |cost| BestKnown { cost, unplaced: 0, solver: String::new(), version: String::new(), date: String::new() };
    spoil(&|entry| entry.pods += 1, "the MANIFEST says otherwise");
    spoil(&|entry| entry.sha256.push('0'), "instances never change");
    spoil(&|entry| entry.bound = Some(bound(1.0)), "without a best known cost");
    spoil(&|entry| entry.best_known = Some(known(1.0)), "has no certificate");
    spoil(
        &|entry| {
            entry.best_known = Some(known(1.0));
            entry.certificate = Some("certificates/small.json.zst".to_owned());
        },
        "small.json.zst: cannot be read",
    );
}
