//! What is known of instances besides the catalog: the operator's settings, the memory that nodes reported, and NodeOverlays.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::run::{Said, run_in};

const POOL: &str = "apiVersion: karpenter.sh/v1\nkind: NodePool\nmetadata: {name: default}\nspec: {template: {spec: {nodeClassRef: {group: \
                    karpenter.k8s.aws, kind: EC2NodeClass, name: default}, requirements: [{key: node.kubernetes.io/instance-type, \
                    operator: In, values: [m5.large]}, {key: karpenter.sh/capacity-type, operator: In, values: [on-demand]}]}}}\n---\n";
const POD: &str =
    "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {containers: [{name: a, resources: {requests: {cpu: 1}}}]}\n---\n";

fn class(amis: &str) -> String {
    format!(
        "apiVersion: karpenter.k8s.aws/v1\nkind: EC2NodeClass\nmetadata: {{name: default}}\nspec: {{amiSelectorTerms: [{{alias: \
         al2023@latest}}], subnetSelectorTerms: [], securityGroupSelectorTerms: []}}\nstatus: {{amis: [{amis}]}}\n---\n"
    )
}

fn node(name: &str, memory: &str, registered: bool) -> String {
    format!(
        "apiVersion: v1\nkind: Node\nmetadata: {{name: {name}, labels: {{karpenter.sh/registered: \"{registered}\", \
         karpenter.k8s.aws/ec2nodeclass: default, node.kubernetes.io/instance-type: m5.large}}}}\nspec: {{providerID: \
         \"aws:///us-east-1a/i-{name}\"}}\nstatus: {{capacity: {{memory: {memory}}}}}\n---\n"
    )
}

fn claim(name: &str, image: &str) -> String {
    format!(
        "apiVersion: karpenter.sh/v1\nkind: NodeClaim\nmetadata: {{name: {name}}}\nspec: {{requirements: [], nodeClassRef: {{group: \
         karpenter.k8s.aws, kind: EC2NodeClass, name: default}}}}\nstatus: {{providerID: \"aws:///us-east-1a/i-{name}\", nodeName: {name}, \
         imageID: {image}}}\n---\n"
    )
}

/// A folder with a place for the table.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder for the test") }
    }

    fn table(&self) -> PathBuf {
        self.folder.path().join("state/memory.csv")
    }

    /// Runs the command on manifests from stdin, with the table of this place.
    fn run(&self, arguments: &[&str], manifests: &str) -> Said {
        let table = self.table();
        let named = ["--discovered-memory", table.to_str().expect("a path of this test is text"), "-f", "-"];
        run_in(self.folder.path(), &[arguments, &named].concat(), manifests)
    }

    fn learn(&self, nodes: &str) -> Said {
        self.run(&["catalog", "learn"], &(class("{id: ami-1, requirements: []}") + nodes))
    }

    /// The first node of the plan for one pod, and the notices.
    fn planned(&self, arguments: &[&str], amis: &str) -> (Value, Value) {
        let said = self.run(&[&["plan", "-o", "json"], arguments].concat(), &(class(amis) + POOL + POD));
        assert_eq!(said.code, 0, "{}", said.text());
        let plan: Value = serde_json::from_str(&said.stdout).expect("it is JSON");
        (plan["nodes"][0].clone(), plan["notices"].clone())
    }
}

fn memory(node: &Value) -> &str {
    node["allocatable"]["memory"].as_str().expect("a quantity")
}

const AMI: &str = "{id: ami-1, requirements: []}";

#[test]
fn karpenters_settings_decide_the_room() {
    let place = Place::new();
    let (node, _) = place.planned(&[], "");
    assert_eq!((memory(&node), &node["allocatable"]["pods"]), ("6903Mi", &Value::from("29")));
    let (node, _) = place.planned(&["--vm-memory-overhead-percent", "0.05", "--reserved-enis", "1"], "");
    assert_eq!((memory(&node), &node["allocatable"]["pods"]), ("7108Mi", &Value::from("20")));
    for (option, value, problem) in [
        ("--vm-memory-overhead-percent", "1.5", "a share is from 0 to below 1"),
        ("--vm-memory-overhead-percent", "7.5%", "a share is from 0 to below 1"),
        ("--reserved-enis", "-1", "--reserved-enis"),
    ] {
        let said = place.run(&["plan", &format!("{option}={value}")], POD);
        assert!(said.code == 2 && said.stderr.contains(problem), "{}", said.text());
    }
}

#[test]
fn plans_reckon_with_the_memory_that_nodes_reported() {
    let place = Place::new();
    let said = place.learn(&(node("a", "7900Mi", true) + &node("b", "7800Mi", true) + &node("c", "7000Mi", false)));
    assert_eq!((said.code, said.stdout.trim_end()), (0, place.table().to_str().expect("text")), "{}", said.text());
    assert!(said.stderr.contains("1 of 2 reports counted"), "{}", said.text());
    let (known, notices) = place.planned(&[], AMI);
    // 7800 - 574 - 100.
    assert_eq!(memory(&known), "7126Mi");
    let told = "1 instance type has the memory that nodes reported (supercargo catalog learn)";
    assert!(notices.as_array().expect("a list").contains(&Value::from(told)), "{notices}");
    let (other, notices) = place.planned(&[], "{id: ami-2, requirements: []}");
    assert_eq!(memory(&other), "6903Mi", "another image");
    assert!(!notices.to_string().contains("reported"), "{notices}");
    let again = place.learn(&node("d", "7850Mi", true));
    assert!(again.stderr.contains("0 of 1 report counted"), "{}", again.text());
    assert_eq!(memory(&place.planned(&[], AMI).0), "7126Mi");

    let plan = place.run(&["plan", "-o", "json"], &(class(AMI) + POOL + POD)).stdout;
    let file = place.folder.path().join("plan.json");
    std::fs::write(&file, plan).expect("the folder takes files");
    let verify = ["verify", file.to_str().expect("text")];
    assert_eq!(place.run(&verify, &(class(AMI) + POOL + POD)).code, 0);
    std::fs::remove_file(place.table()).expect("it is there");
    let without = place.run(&verify, &(class(AMI) + POOL + POD));
    assert!(without.code == 1 && without.stdout.contains("allocatable"), "{}", without.text());
}

#[test]
fn a_node_of_an_image_that_is_gone_teaches_nothing() {
    let place = Place::new();
    let said = place.learn(&(node("a", "7000Mi", true) + &claim("a", "ami-0")));
    assert!(said.code == 1 && said.stderr.contains("nothing to learn"), "{}", said.text());
    assert!(!place.table().exists());
    assert_eq!(place.learn(&(node("b", "7900Mi", true) + &claim("b", "ami-1"))).code, 0);
    assert_eq!(memory(&place.planned(&[], AMI).0), "7226Mi");
}

#[test]
fn old_reports_are_forgotten_and_broken_tables_refused() {
    let place = Place::new();
    std::fs::create_dir_all(place.folder.path().join("state")).expect("the folder takes folders");
    let header = "instance_type,images,memory_bytes,observed\n";
    let old = format!("{header}m5.large,alias:al2023@latest,8000000000,2020-01-01\n");
    std::fs::write(place.table(), old).expect("the folder takes files");
    assert_eq!(memory(&place.planned(&[], "").0), "6903Mi");
    let new = format!("{header}m5.large,alias:al2023@latest,8000000000,2999-01-01\n");
    std::fs::write(place.table(), &new).expect("the folder takes files");
    assert_ne!(memory(&place.planned(&[], "").0), "6903Mi");
    std::fs::write(place.table(), new.replace("8000000000", "8Gi")).expect("the folder takes files");
    for command in [&["plan"][..], &["catalog", "learn"]] {
        let said = place.run(command, &(class(AMI) + &node("a", "7900Mi", true) + POOL + POD));
        assert_eq!(said.code, 2, "{}", said.text());
        assert!(said.stderr.contains("memory.csv:2: `8Gi` is no number of bytes of memory; mend the line"), "{}", said.text());
    }
}

fn overlaid(format: &str) -> Said {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/overlays-decide-the-price");
    run_in(&folder, &["plan", "-f", ".", "-o", format], "")
}

#[test]
fn every_output_says_which_prices_overlays_decide_and_which_are_ignored() {
    let ignored = "NodeOverlay `discount` is IGNORED: NodeOverlay `wrong` of the same weight sets the price of m6g.large in NodePool \
                   `graviton` as well; give one of them a higher weight";
    let table = overlaid("table");
    assert!(table.stdout.contains(&format!("!          {ignored}\n")), "{}", table.text());
    assert!(table.stdout.contains("*          1 node has a price that NodeOverlay `contract` decides\n"), "{}", table.text());
    assert!(table.stdout.contains("*0.0522"), "{}", table.text());
    let markdown = overlaid("markdown").stdout;
    assert!(markdown.contains(&format!("- **{ignored}**\n")) && markdown.contains("| \\*0.0522 |"), "{markdown}");
    let json = overlaid("json");
    let plan: Value = serde_json::from_str(&json.stdout).expect("it is JSON");
    assert!(plan["notices"].as_array().expect("a list").contains(&Value::from(ignored)), "{}", json.stdout);
    assert!(json.stderr.contains(&format!("warning: {ignored}\n")), "{}", json.stderr);
    let nodes = plan["nodes"].as_array().expect("a list");
    let contract = nodes.iter().find(|node| node["priceOverlay"] == "contract").expect("one node has that price");
    assert_eq!((&contract["priceKind"], &contract["price"]), (&Value::from("overlay"), &Value::from(0.05)));
    let yaml = overlaid("yaml").stdout;
    let marked = yaml.matches("karpenter.sh/price-overlay-applied").count();
    assert!(marked > 0 && marked < yaml.matches("kind: NodeClaim").count(), "{yaml}");
}
