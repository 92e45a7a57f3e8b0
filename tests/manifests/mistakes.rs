//! What every mistake is answered with: one clear error with file, object, field and mend, and never a panic.

use supercargo::adapters::files::manifests::{InputError, Source, load};

use crate::load_text;

fn first_error(text: impl Into<Vec<u8>>) -> InputError {
    let errors = load_text(text).expect_err("the input of this test is wrong");
    errors.as_slice().first().expect("there is at least one error").clone()
}

/// `object`, `field` and a piece of the problem.
fn check(text: impl Into<Vec<u8>>, object: &str, field: &str, problem: &str) {
    let error = first_error(text);
    assert_eq!(error.object.as_deref().unwrap_or_default(), object, "{error}");
    assert_eq!(error.field.as_deref().unwrap_or_default(), field, "{error}");
    assert!(error.problem.contains(problem), "{error}");
    assert!(!error.mend.is_empty() && error.file == "standard input", "{error}");
}

fn deployment(spec: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: cart, namespace: shop}}\nspec:\n  replicas: 2\n  template:\n    \
         spec: {spec}\n"
    )
}

#[test]
fn a_malformed_field_is_named_with_its_object() {
    let cpu = |cpu: &str| deployment(&format!("{{containers: [{{name: c, resources: {{requests: {{cpu: {cpu}}}}}}}]}}"));
    let field = "spec.template.spec.containers[0].resources.requests.cpu";
    check(cpu("500x"), "Deployment shop/cart", field, "`500x` is not a quantity");
    check(cpu("-1"), "Deployment shop/cart", field, "`-1` is negative");
    check(cpu("NaN"), "Deployment shop/cart", field, "`NaN` is not a quantity");
    let affinity = |operator: &str, values: &str| {
        deployment(&format!(
            "{{containers: [{{name: c}}], affinity: {{nodeAffinity: {{requiredDuringSchedulingIgnoredDuringExecution: \
             {{nodeSelectorTerms: [{{matchExpressions: [{{key: cores, operator: {operator}, values: {values}}}]}}]}}}}}}}}"
        ))
    };
    let term = "spec.template.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].\
                matchExpressions[0]";
    check(affinity("Above", "[\"4\"]"), "Deployment shop/cart", &format!("{term}.operator"), "unknown operator `Above`");
    check(affinity("In", "[]"), "Deployment shop/cart", &format!("{term}.values"), "at least one value");
    check(affinity("Gt", "[x]"), "Deployment shop/cart", &format!("{term}.values"), "`x` is not an integer");
    check(deployment("{containers: []}"), "Deployment shop/cart", "spec.template.spec.containers", "no containers");
    check(deployment("{containers: 3}"), "Deployment shop/cart", "spec.template.spec.containers", "invalid type");
    check(
        deployment("{nodeSelector: {gen: 7}, containers: [{name: c}]}"),
        "Deployment shop/cart",
        "spec.template.spec.nodeSelector.gen",
        "invalid type",
    );
}

#[test]
fn replicas_are_within_reason() {
    let with = |replicas: &str| deployment("{containers: [{name: c}]}").replace("replicas: 2", &format!("replicas: {replicas}"));
    check(with("-1"), "Deployment shop/cart", "spec.replicas", "-1 is not between");
    check(with("1000001"), "Deployment shop/cart", "spec.replicas", "1000001 is not between");
    check(with("99999999999"), "Deployment shop/cart", "spec.replicas", "invalid value");
    let two = with("600000") + "---\n" + &with("600000").replace("cart", "cart2");
    let error = first_error(two);
    assert!(error.problem.contains("more than 1000000"), "{error}");
}

#[test]
fn objects_that_are_none_are_refused() {
    check("apiVersion: v1\nmetadata: {name: x}\n", "document 1 (line 1)", "", "no `kind`");
    check("a: 1\n", "document 1 (line 1)", "", "no `kind`");
    check("# first\n---\nkind: Pod\nmetadata: {name: x}\n", "document 1 (line 2)", "", "no `apiVersion`");
    check("apiVersion: v1\nkind: Pod\nspec: {}\n", "document 1 (line 1)", "metadata.name", "has no name");
    check("apiVersion: apps/v1beta1\nkind: Deployment\nmetadata: {name: x}\n", "Deployment default/x", "apiVersion", "apps/v1");
    check("apiVersion: v1\nkind: List\nitems: [3]\n", "document 1 (line 1)", "", "a plain value is not a Kubernetes object");
    check("apiVersion: v1\nitems: [{a: 1}]\nkind: Pod\nmetadata: {name: x}\n", "document 1 (line 1)", "", "belong to a list");
    check("just text", "document 1 (line 1)", "", "not valid YAML");
    check("[1, 2]", "document 1", "", "not valid JSON");
}

#[test]
fn a_broken_file_says_where() {
    check("apiVersion: v1\nkind: [\n", "document 1 (line 1)", "", "not valid YAML");
    let error = first_error("a: 1\nkind: x\n---\nkind: Pod\n  name: x: y\n");
    assert_eq!(error.object.as_deref(), Some("document 1 (line 1)"), "the first document has no apiVersion");
    let error = first_error("---\nkind: Pod\n  name: x: y\n");
    assert!(error.problem.contains("at line 3"), "{error}");
    check(r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"na"#, "document 1", "", "EOF");
    assert!(first_error(r#"{"kind": "Po"#).mend.contains("cut off"));
    assert!(first_error("apiVersion: v1\nkind: {{ .Values.kind }}\nx: y: z\n").mend.contains("helm template"));
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    for bytes in [&b"kind: Pod\nname: \xff\xfe\n"[..], b"\x1f\x8b\x08\x00\xff", b"{\"kind\": \"\xff\"}"] {
        let error = first_error(bytes);
        assert!(error.problem.contains("not UTF-8"), "{error}");
    }
}

#[test]
fn a_bomb_of_anchors_ends_in_an_error() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let inner = format!("*a{}", level - 1);
        text.push_str(&format!("a{level}: &a{level} [{}]\n", vec![inner; 10].join(", ")));
    }
    let error = first_error(text);
    assert!(error.problem.contains("not valid YAML"), "{error}");
}

#[test]
fn deep_nesting_ends_in_an_error() {
    let yaml = format!("apiVersion: v1\nkind: Pod\nspec: {}{}\n", "[".repeat(5000), "]".repeat(5000));
    assert!(first_error(yaml).problem.contains("not valid YAML"));
    let json = format!("{{\"a\": {}{}}}", "[".repeat(5000), "]".repeat(5000));
    assert!(first_error(json).problem.contains("not valid JSON"));
}

#[test]
fn ten_thousand_copies_of_a_name_are_one_error() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: twin}\nspec: {containers: [{name: c}]}\n---\n";
    let errors = load_text(pod.repeat(10_000)).expect_err("a name is there 10,000 times");
    let [error] = errors.as_slice() else { panic!("one error, not {}", errors.as_slice().len()) };
    assert_eq!(error.object.as_deref(), Some("Pod default/twin"));
    assert_eq!(error.field.as_deref(), Some("metadata.name"));
    assert_eq!(error.problem, "defined 10000 times");
}

#[test]
fn errors_are_collected_up_to_twenty() {
    let broken = |number: usize| format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: p{number}}}\n---\n");
    let three = load_text((0..3).map(broken).collect::<String>()).expect_err("three are wrong");
    assert_eq!(three.as_slice().len(), 3);
    let many = load_text((0..50).map(broken).collect::<String>()).expect_err("fifty are wrong");
    assert_eq!(many.as_slice().len(), 20);
    assert!(many.to_string().ends_with("(stopped after 20 errors)"));
}

#[test]
fn an_error_prints_file_object_field_problem_and_hint() {
    let text = deployment("{containers: [{name: c, resources: {limits: {memory: 2gb}}}]}");
    let printed = load_text(text).expect_err("2gb is no quantity").to_string();
    assert_eq!(
        printed,
        "standard input: Deployment shop/cart: spec.template.spec.containers[0].resources.limits.memory: `2gb` is not a \
         quantity\n  hint: did you mean `2Gi`? write a number with an optional suffix: 500m, 2, 1.5Gi (m, k, M, G, T or Ki, Mi, \
         Gi, Ti)"
    );
}

#[test]
fn files_that_are_not_there_are_named() {
    let missing = load(&[Source::Path("no/such/file.yaml".into())]).expect_err("there is no such file");
    assert!(missing.as_slice()[0].file == "no/such/file.yaml" && missing.as_slice()[0].problem.contains("cannot be read"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let empty = load(&[Source::Path(folder.path().to_owned())]).expect_err("the folder is empty");
    assert!(empty.as_slice()[0].problem.contains("no manifests"));
}

#[test]
fn annotations_that_cannot_be_meant_are_named() {
    let pool = |dollars: &str| {
        format!(
            "apiVersion: karpenter.sh/v1\nkind: NodePool\nmetadata: {{name: web, annotations: \
             {{supercargo.io/max-usd-per-hour: \"{dollars}\"}}}}\nspec: {{template: {{spec: {{nodeClassRef: {{group: \
             karpenter.k8s.aws, kind: EC2NodeClass, name: default}}, requirements: []}}}}}}\n"
        )
    };
    let field = "metadata.annotations[\"supercargo.io/max-usd-per-hour\"]";
    for amount in ["a lot", "-1", "1e3", ""] {
        check(pool(amount), "NodePool web", field, &format!("`{amount}` is no amount of dollars per hour"));
    }
    let deployment = |key: &str, value: &str| {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web}}\nspec:\n  selector: {{}}\n  template:\n    metadata: \
             {{annotations: {{supercargo.io/{key}: \"{value}\"}}}}\n    spec: {{containers: [{{name: a}}]}}\n"
        )
    };
    for key in ["on-demand-floor", "max-spot-pool-share"] {
        let field = format!("spec.template.metadata.annotations[\"supercargo.io/{key}\"]");
        for portion in ["most", "-1", "120%", "1.25%", ""] {
            let problem = format!("`{portion}` is no number of pods and no percentage");
            check(deployment(key, portion), "Deployment default/web", &field, &problem);
        }
    }
    let field = "spec.template.metadata.annotations[\"supercargo.io/atomic-group\"]";
    check(deployment("atomic-group", " "), "Deployment default/web", field, "the name of the group is empty");
    let class = |reserved: &str| {
        format!(
            "apiVersion: karpenter.k8s.aws/v1\nkind: EC2NodeClass\nmetadata: {{name: default, annotations: \
             {{supercargo.io/reserved-instances: \"{reserved}\"}}}}\nspec: {{amiSelectorTerms: [{{alias: al2023@latest}}], \
             subnetSelectorTerms: [], securityGroupSelectorTerms: []}}\n"
        )
    };
    let field = "metadata.annotations[\"supercargo.io/reserved-instances\"]";
    check(class("cr-1: 3"), "EC2NodeClass default", field, "`cr-1: 3` is not a capacity reservation with a number");
    check(class("cr-1=3"), "EC2NodeClass default", field, "`status.capacityReservations` has no `cr-1`");
}
