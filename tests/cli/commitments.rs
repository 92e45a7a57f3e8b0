//! Commitments on the command line: every kind of file, and what is wrong with some.

use insta::assert_snapshot;
use serde_json::Value;

use crate::run::{Said, data, run_in};

/// Three pods of three cores, on demand.
const PODS: &str = "apiVersion: v1\nkind: List\nitems:\n\
- {apiVersion: karpenter.sh/v1, kind: NodePool, metadata: {name: default}, spec: {template: {spec: {nodeClassRef: {group: karpenter.k8s.aws, kind: EC2NodeClass, name: default}, requirements: [{key: karpenter.sh/capacity-type, operator: In, values: [on-demand]}, {key: node.kubernetes.io/instance-type, operator: In, values: [m7i.xlarge, m7i.2xlarge, c7g.xlarge]}]}}}}\n\
- {apiVersion: karpenter.k8s.aws/v1, kind: EC2NodeClass, metadata: {name: default}, spec: {role: node, amiSelectorTerms: [{alias: al2023@latest}], subnetSelectorTerms: [{tags: {a: b}}], securityGroupSelectorTerms: [{tags: {a: b}}]}}\n\
- {apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: shop}, spec: {replicas: 3, selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: web, resources: {requests: {cpu: \"3\", memory: 4Gi}}}]}}}}\n";

fn plan(files: &[&str], more: &[&str]) -> Said {
    let mut arguments = vec!["plan", "-f", "-", "--gap", "0"];
    files.iter().for_each(|file| arguments.extend(["--commitments", file]));
    arguments.extend(more);
    run_in(&data().join("commitments"), &arguments, PODS)
}

fn refused(file: &str, text: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder for a while");
    std::fs::write(folder.path().join(file), text).expect("the folder can be written");
    let said = run_in(folder.path(), &["plan", "-f", "-", "--commitments", file], PODS);
    assert_eq!((said.code, said.stdout.as_str()), (2, ""), "{}", said.text());
    said.stderr
}

#[test]
fn answers_of_aws_are_read() {
    let said =
        plan(&["reserved-instances.json", "savings-plans.json", "rates.json", "inventory.csv", "discount.yaml"], &["-o", "json"]);
    assert_eq!(said.code, 0, "{}", said.text());
    let plan: Value = serde_json::from_str(&said.stdout).expect("it is JSON");
    let commitments = serde_json::to_string_pretty(&plan["commitments"]).expect("it came from JSON");
    let nodes = plan["nodes"].as_array().expect("a list").iter();
    let nodes: Vec<String> =
        nodes.map(|node| format!("{} {} covers {}", node["instanceType"], node["cost"], node["covers"])).collect();
    assert_snapshot!(format!("{commitments}\n{}\n{}", nodes.join("\n"), said.stderr));
}

#[test]
fn what_is_used_is_said() {
    let said = plan(&["reserved-instances.json"], &[]);
    let lines: Vec<&str> = said.stdout.lines().collect();
    let at = lines.iter().position(|line| line.starts_with("Committed")).unwrap_or_else(|| panic!("{}", said.text()));
    assert_snapshot!(lines[at..at + 2].join("\n"));
}

#[test]
fn a_plan_names_commitments_that_verify_must_be_given() {
    let said = plan(&["reserved-instances.json"], &["-o", "json"]);
    let folder = tempfile::tempdir().expect("a folder for a while");
    std::fs::write(folder.path().join("plan.json"), &said.stdout).expect("the folder can be written");
    let verify = |more: &[&str]| run_in(folder.path(), &[&["verify", "plan.json", "-f", "-"], more].concat(), PODS);
    let file = data().join("commitments/reserved-instances.json");
    assert_eq!(verify(&["--commitments", file.to_str().expect("a plain path")]).code, 0);
    let without = verify(&[]);
    assert_eq!(without.code, 2);
    assert!(without.stderr.contains("covers[0].commitment: there is no commitment"), "{}", without.text());
}

#[test]
fn free_instances_of_capacity_reservations_are_counted() {
    let status = "spec: {role: node,";
    let reserved = PODS
        .replace("values: [on-demand]", "values: [on-demand, reserved]")
        .replace(
            status,
            "status: {capacityReservations: [\
             {id: cr-0a1b, availabilityZone: us-east-1a, instanceMatchCriteria: targeted, instanceType: m7i.xlarge, ownerID: \"111122223333\", reservationType: default, state: active}, \
             {id: cr-7x7x, availabilityZone: us-east-1a, instanceMatchCriteria: targeted, instanceType: m7i.xlarge, ownerID: \"111122223333\", reservationType: default, state: active}]}, \
             spec: {role: node,",
        );
    assert!(reserved.contains("cr-7x7x"), "{reserved}");
    let arguments = ["plan", "-f", "-", "--gap", "0", "--commitments", "capacity-reservations.json", "-o", "json"];
    let said = run_in(&data().join("commitments"), &arguments, &reserved);
    assert_eq!(said.code, 0, "{}", said.text());
    let plan: Value = serde_json::from_str(&said.stdout).expect("it is JSON");
    let kinds: Vec<&str> =
        plan["nodes"].as_array().expect("a list").iter().filter_map(|node| node["capacityType"].as_str()).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "reserved").count(), 1, "{kinds:?}");
    assert!(said.stderr.contains("capacity reservation `cr-7x7x` of EC2NodeClass `default` is not used"), "{}", said.stderr);
}

#[test]
fn mistakes_are_named() {
    let cases = [
        ("a.txt", ""),
        ("a.yaml", "savingsPlan: []\n"),
        ("a.yaml", "savingsPlans:\n- {id: sp-1, type: Compute, commitment: \"-3\", discountPercent: 20}\n"),
        ("a.yaml", "savingsPlans:\n- {id: sp-1, type: SageMaker, commitment: \"3\", discountPercent: 20}\n"),
        ("a.yaml", "savingsPlans:\n- {id: sp-1, type: Compute, commitment: \"3\"}\n"),
        ("a.yaml", "savingsPlans:\n- {id: sp-1, type: EC2Instance, commitment: \"3\", discountPercent: 20}\n"),
        ("a.yaml", "savingsPlans:\n- {id: sp-1, type: Compute, commitment: \"3\", discountPercent: 120}\n"),
        ("a.yaml", "savingsPlans:\n- {id: sp-1, type: Compute, discountPercent: 20}\n"),
        ("a.yaml", "reservedInstances:\n- {id: ri-1, instanceType: m5.large, count: 0}\n"),
        (
            "a.yaml",
            "reservedInstances:\n- {id: ri-1, instanceType: m5.large, count: 1}\n- {id: ri-1, instanceType: m5.large, count: 2}\n",
        ),
        ("a.json", "{\"Reservations\": []}"),
        (
            "a.json",
            "{\"ReservedInstances\": [{\"ReservedInstancesId\": \"x\", \"InstanceType\": \"m5.large\", \"InstanceCount\": \"two\", \"State\": \"active\"}]}",
        ),
        (
            "a.json",
            "{\"savingsPlans\": [{\"savingsPlanId\": \"x\", \"savingsPlanType\": \"Compute\", \"commitment\": \"1\", \"currency\": \"CNY\", \"state\": \"active\"}]}",
        ),
        ("a.csv", "Savings Plan ID,Status\nx,Active\n"),
        (
            "a.yaml",
            "savingsPlans:\n- {id: x, type: Compute, commitment: 1, discountPercent: 20}\nreservedInstances:\n- {id: x, instanceType: m5.large, count: 1}\n",
        ),
    ];
    let said: Vec<String> = cases.iter().map(|(file, text)| refused(file, text)).collect();
    assert_snapshot!(said.join("\n"));
}
