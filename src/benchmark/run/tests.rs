//! Runs against peers that are shell scripts: one for every way in which a peer can end.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::*;
use crate::benchmark::instance::fixtures::{small, suite};
use crate::benchmark::instance::manifest::{self, BestKnown, Manifest};
use crate::benchmark::instance::{InstanceDocument, Origin};
use crate::benchmark::peers::PeerDocument;
use crate::benchmark::protocol::{Point, Status};
use crate::benchmark::record::Solved;
use crate::benchmark::shards::{self, PLANS, RECORDS, Shard};

/// A suite of the small instance under these names, and a folder for peers.
struct Bed {
    folder: tempfile::TempDir,
    manifest: Manifest,
}

impl Bed {
    fn new(names: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let whole = small().self_contained(suite()).expect("its catalog is in the repository");
        let instances = names.iter().map(|name| {
            let document = InstanceDocument { name: (*name).to_owned(), ..whole.clone() };
            let file = format!("{name}.json");
            fs::write(folder.path().join(&file), document.to_bytes()).expect("a file");
            Entry {
                name: document.name.clone(),
                family: document.family.clone(),
                file,
                sha256: document.sha256(),
                pods: 3,
                workloads: 1,
                origin: Origin { source: "a test".to_owned(), generator: None, seed: None },
                tracks: vec![Track::Controller],
                best_known: None,
                bound: None,
                certificate: None,
            }
        });
        let manifest =
            Manifest { format: manifest::FORMAT.to_owned(), catalogs: BTreeMap::new(), instances: instances.collect() };
        manifest.write(folder.path()).expect("a file");
        Self { folder, manifest }
    }

    fn setting(&self) -> Setting<'_> {
        Setting {
            suite: self.folder.path(),
            ask_built_in: Program { command: vec!["./no-such-program".to_owned()], folder: self.folder.path().to_owned() },
            track: CUSTOM,
            seed: 1,
            commit: "c0ffee".to_owned(),
            machine: Machine::here(),
        }
    }

    /// A peer of this script.
    fn peer(&self, name: &str, script: &str) -> Contestant {
        let folder = self.folder.path().join("peers").join(name);
        fs::create_dir_all(&folder).expect("a folder");
        let program = folder.join("run");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).expect("a file");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("it is ours");
        let document = PeerDocument {
            name: name.to_owned(),
            title: "A script".to_owned(),
            command: vec!["./run".to_owned()],
            setup: "make peer".to_owned(),
            version: Some("7".to_owned()),
        };
        Contestant::Peer(Box::new(Peer { document, folder }))
    }

    /// A peer that gives this answer whatever it is asked.
    fn parrot(&self, name: &str, answer: &Answer) -> Contestant {
        let text = serde_json::to_string(answer).expect("an answer");
        let contestant = self.peer(name, "cat > question.json; cat answer.json");
        fs::write(self.folder.path().join("peers").join(name).join("answer.json"), text).expect("a file");
        contestant
    }

    fn run(&self, contestant: &Contestant) -> Record {
        let setting = self.setting();
        let subject = Subject::read(&self.manifest.instances[0], &setting).expect("the instance is sound");
        subject.run(contestant, 1.0, &setting).record
    }

    fn answer(&self, solver: BuiltIn) -> Answer {
        let subject = Subject::read(&self.manifest.instances[0], &self.setting()).expect("the instance is sound");
        solver.answer(&subject.loaded, Duration::from_secs(2), 1)
    }
}

fn solved(record: &Record) -> &Solved {
    match &record.outcome {
        Outcome::Solved(solved) => solved,
        other => panic!("{}: {other:?}", record.solver),
    }
}

#[test]
fn a_peer_with_a_plan_is_verified_and_timed() {
    let mut bed = Bed::new(&["one"]);
    let answer = Answer { version: "parrot 1".to_owned(), peak_bytes: None, ..bed.answer(BuiltIn::FirstFit) };
    let parrot = bed.parrot("parrot", &answer);
    let first = bed.run(&parrot);
    assert_eq!((first.solver.as_str(), first.solver_version.as_str(), first.pods), ("parrot", "parrot 1", 3));
    let plan = solved(&first);
    assert!(plan.verified && plan.unplaced == 0 && plan.cost > 0.0, "{plan:?}");
    assert!(plan.process_seconds.is_some_and(|seconds| seconds > 0.0));
    assert_eq!(plan.primal_integral, None, "nothing is known to compare with");
    let asked = fs::read(bed.folder.path().join("peers/parrot/question.json")).expect("it kept the question");
    let asked: Request = serde_json::from_slice(&asked).expect("a request");
    assert_eq!((asked.budget_seconds, asked.pods[0].pods.len()), (1.0, 3));

    let (cost, unplaced) = (plan.cost, 0);
    let best = BestKnown { cost, unplaced, solver: String::new(), version: String::new(), date: String::new() };
    bed.manifest.instances[0].best_known = Some(best);
    let again = bed.run(&parrot);
    assert!(solved(&again).primal_integral.is_some_and(|area| area < 1.0), "{again:?}");
}

#[test]
fn records_are_read_back_as_they_were_written() {
    let bed = Bed::new(&["one"]);
    let records = [bed.run(&bed.parrot("parrot", &bed.answer(BuiltIn::MeanPod))), bed.run(&bed.peer("bad", "exit 2"))];
    fs::write(bed.folder.path().join(RECORDS), records.iter().map(Record::to_line).collect::<String>()).expect("a file");
    assert_eq!(shards::read(bed.folder.path()).expect("they are records"), records);
}

#[test]
fn every_bad_end_is_told_apart() {
    let bed = Bed::new(&["one"]);
    let cannot = Answer::without_plan("p 1".to_owned(), Status::CannotState, "no spread".to_owned(), 0.1);
    let nothing = Answer { status: Status::NothingFound, ..cannot.clone() };
    let cases = [
        (bed.parrot("cannot", &cannot), Outcome::CannotState { reason: "no spread".to_owned() }),
        (bed.parrot("nothing", &nothing), Outcome::NothingFound { reason: "no spread".to_owned() }),
        (bed.peer("missing", "exit 127"), not_installed()),
        (bed.peer("loud", "echo what >&2; exit 4"), failed("exit code 4; it said: what")),
        (bed.peer("silent", "true"), failed("no answer: .: EOF while parsing a value at line 1 column 0")),
    ];
    for (contestant, expected) in cases {
        assert_eq!(bed.run(&contestant).outcome, expected, "{}", contestant.name());
    }
    let Contestant::Peer(mut gone) = bed.peer("gone", "true") else { panic!("it is a peer") };
    gone.document.command = vec!["./elsewhere".to_owned()];
    let record = bed.run(&Contestant::Peer(gone));
    assert_eq!((record.outcome, record.solver_version.as_str()), (not_installed(), "gone 7"));
    let itself = bed.run(&Contestant::BuiltIn(BuiltIn::Supercargo));
    assert_eq!(itself.outcome, failed("this program cannot start itself"));
}

fn not_installed() -> Outcome {
    Outcome::NotInstalled { reason: "not installed: `make peer` installs it".to_owned() }
}

fn failed(reason: &str) -> Outcome {
    Outcome::Failed { reason: reason.to_owned() }
}

#[test]
fn a_peer_that_hangs_has_failed() {
    let late = Ended { end: End::Late, output: Vec::new(), complaint: "busy".to_owned(), seconds: 32.0, peak_bytes: None };
    let outcome = answer_of(Some(late), &Contestant::BuiltIn(BuiltIn::MeanPod), 1.0).expect_err("there is no answer");
    assert_eq!(outcome, failed("ended after 32 s without an answer; it said: busy"));
}

#[test]
fn nonsense_is_refused_with_what_is_wrong() {
    let bed = Bed::new(&["one"]);
    let good = bed.answer(BuiltIn::FirstFit);
    let changed = |change: fn(&mut Answer)| {
        let mut answer = good.clone();
        change(&mut answer);
        answer
    };
    let cases = [
        (changed(|of| of.nodes[0].pods[0].push('x')), "nodes[0].pods: there is no pod `default/a-"),
        (changed(|of| of.nodes[0].instance_type = "m5.tiny".to_owned()), "node 0: NodePool default cannot buy m5.tiny"),
        (changed(|of| of.nodes[0].capacity_type = "gift".to_owned()), "nodes[0].capacityType: is `gift`"),
        (changed(|of| of.solve_seconds = -1.0), "solveSeconds: is -1"),
        (changed(|of| of.bound = Some(-1.0)), "bound: is -1"),
        (changed(|of| of.format = "peer/9".to_owned()), "format: is `peer/9`"),
        (changed(|of| of.trajectory.insert(0, Point { seconds: 9e9, cost: None, bound: None })), "trajectory[1]"),
    ];
    for (answer, expected) in cases {
        match bed.run(&bed.parrot("parrot", &answer)).outcome {
            Outcome::Failed { reason } => assert!(reason.contains(expected), "{reason}"),
            other => panic!("{expected}: {other:?}"),
        }
    }
}

#[test]
fn a_plan_that_breaks_a_rule_does_not_count() {
    let bed = Bed::new(&["one"]);
    let mut answer = bed.answer(BuiltIn::FirstFit);
    let pod = answer.nodes[0].pods[0].clone();
    answer.nodes[0].pods.push(pod);
    let twice = bed.run(&bed.parrot("twice", &answer));
    assert!(!solved(&twice).verified && !solved(&twice).violations.is_empty(), "{twice:?}");

    let boast = Answer { bound: Some(1e6), ..bed.answer(BuiltIn::FirstFit) };
    let boast = bed.run(&bed.parrot("boast", &boast));
    assert!(!solved(&boast).verified && solved(&boast).violations[0].contains("lies above"), "{boast:?}");
}

#[test]
fn shards_merged_equal_the_whole() {
    let bed = Bed::new(&["one", "three", "two"]);
    let contestants = [bed.parrot("parrot", &bed.answer(BuiltIn::PriceGuided)), bed.peer("silent", "exit 127")];
    let setting = bed.setting();
    let run = |name: &str, shard: Shard| -> PathBuf {
        let folder = bed.folder.path().join(name);
        fs::create_dir_all(folder.join(PLANS)).expect("a folder");
        let mut lines = String::new();
        for entry in shard.of(&bed.manifest.instances) {
            let subject = Subject::read(entry, &setting).expect("the instance is sound");
            for contestant in &contestants {
                lines.push_str(&subject.run(contestant, 1.0, &setting).record.to_line());
            }
        }
        fs::write(folder.join(RECORDS), lines).expect("a file");
        folder
    };
    let whole = run("whole", Shard::WHOLE);
    let parts = [run("0", Shard { index: 0, of: 2 }), run("1", Shard { index: 1, of: 2 })];
    let out = bed.folder.path().join("out");
    assert_eq!(shards::merge(&out, &parts).expect("they are parts of one"), 6);
    assert_eq!(timeless(&out), timeless(&whole));
}

/// The records of a folder without what differs from run to run.
fn timeless(folder: &Path) -> Vec<Record> {
    let mut records = shards::read(folder).expect("they are records");
    for record in &mut records {
        record.date.clear();
        if let Outcome::Solved(solved) = &mut record.outcome {
            solved.process_seconds = None;
            solved.peak_bytes = None;
        }
    }
    records
}
