//! From an EC2NodeClass to the domain: what changes the room on an instance or its price.
//!
//! Only those fields are checked; the selectors of subnets, images and security groups mean nothing until AWS is asked.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;
use serde_json::{Map, Value};

use crate::adapters::kube::convert::{FieldError, amount, annotations, entry};
use crate::adapters::kube::crd;
use crate::domain::node_class::{
    AmiFamily, BlockDevice, CapacityReservation, EvictionThreshold, Images, KubeletSettings, NetworkInterface, NodeClass,
};
use crate::domain::stable_hash::fnv1a;

/// EBS's own default is `gp2`, but Karpenter's default volumes are `gp3`, and so is a mapping without a type.
const DEFAULT_VOLUME_TYPE: &str = "gp3";
const MILLION: i64 = 1_000_000;

/// Converts the class called `name`.
///
/// # Errors
/// When a field that matters is malformed; the field is relative to the object.
pub fn from_api(name: &str, class: &crd::EC2NodeClass) -> Result<NodeClass, FieldError> {
    let spec = &class.spec;
    let inside_spec = |error: FieldError| error.inside("spec");
    let (capacity_reservations, uncounted_reservations) = capacity_reservations(class)?;
    Ok(NodeClass {
        name: name.to_owned(),
        ami_family: ami_family(spec).map_err(inside_spec)?,
        images: images(class),
        kubelet: spec.kubelet.as_ref().map_or_else(|| Ok(KubeletSettings::default()), kubelet).map_err(inside_spec)?,
        block_devices: block_devices(spec).map_err(inside_spec)?,
        instance_store_raid0: spec.instance_store_policy.as_deref() == Some("RAID0"),
        zones: zones(class),
        network_interfaces: network_interfaces(spec),
        nested_virtualization: spec
            .cpu_options
            .as_ref()
            .is_some_and(|options| options.nested_virtualization.as_deref() == Some("enabled")),
        enclaves: spec.enclave_options.as_ref().is_some_and(|options| options.enabled),
        connection_tracking: spec.connection_tracking.is_some(),
        capacity_reservations,
        uncounted_reservations,
    })
}

/// The reservations in which instances can be started. One that is about to expire takes none (AWS provider v1.15.1,
/// `pkg/providers/instancetype/offering`).
fn usable(class: &crd::EC2NodeClass) -> impl Iterator<Item = &crd::CapacityReservationStatus> {
    let all = class.status.iter().flat_map(|status| status.capacity_reservations.iter().flatten());
    all.filter(|reservation| reservation.state.as_deref() != Some("expiring"))
}

/// Those of which the annotation says how many instances are free, and the others.
fn capacity_reservations(class: &crd::EC2NodeClass) -> Result<(Vec<CapacityReservation>, Vec<CapacityReservation>), FieldError> {
    let free = annotations::reserved_instances(&class.metadata.annotations)?;
    let status = class.status.as_ref().and_then(|status| status.capacity_reservations.as_ref());
    let known: BTreeSet<&String> = status.iter().flat_map(|all| all.iter().map(|reservation| &reservation.id)).collect();
    if let Some(id) = free.keys().find(|id| !known.contains(id)) {
        return Err(annotations::unknown_reservation(id));
    }
    let convert = |reservation: &crd::CapacityReservationStatus| {
        let counted = free.get(&reservation.id);
        let made = CapacityReservation {
            id: reservation.id.clone(),
            instance_type: reservation.instance_type.clone(),
            zone: reservation.availability_zone.clone(),
            reservation_type: reservation.reservation_type.clone().unwrap_or_else(|| "default".to_owned()),
            interruptible: reservation.interruptible == Some(true),
            free: counted.copied().unwrap_or(0),
        };
        (made, counted.is_some())
    };
    let mut all: Vec<(CapacityReservation, bool)> = usable(class).map(convert).collect();
    all.sort();
    all.dedup_by(|a, b| a.0.id == b.0.id);
    let (counted, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|of| of.1);
    let alone = |list: Vec<(CapacityReservation, bool)>| list.into_iter().map(|of| of.0).collect();
    Ok((alone(counted), alone(others)))
}

/// `amiFamily`, or else the family of the alias.
fn ami_family(spec: &crd::EC2NodeClassSpec) -> Result<AmiFamily, FieldError> {
    let known = "use AL2, AL2023, Bottlerocket, Custom, Windows2019, Windows2022 or Windows2025";
    if let Some(family) = &spec.ami_family {
        return match family.as_str() {
            "AL2" => Ok(AmiFamily::Al2),
            "AL2023" => Ok(AmiFamily::Al2023),
            "Bottlerocket" => Ok(AmiFamily::Bottlerocket),
            "Custom" => Ok(AmiFamily::Custom),
            "Windows2019" => Ok(AmiFamily::Windows2019),
            "Windows2022" => Ok(AmiFamily::Windows2022),
            "Windows2025" => Ok(AmiFamily::Windows2025),
            other => Err(FieldError::new("amiFamily", format!("unknown family `{other}`"), known)),
        };
    }
    let alias = spec.ami_selector_terms.iter().enumerate().find_map(|(index, term)| Some((index, term.alias.as_ref()?)));
    let Some((index, alias)) = alias else {
        return Err(FieldError::new("amiFamily", "there is neither a family nor an alias to tell it from", known));
    };
    match alias.split_once('@').map_or(alias.as_str(), |(family, _)| family) {
        "al2" => Ok(AmiFamily::Al2),
        "al2023" => Ok(AmiFamily::Al2023),
        "bottlerocket" => Ok(AmiFamily::Bottlerocket),
        "windows2019" => Ok(AmiFamily::Windows2019),
        "windows2022" => Ok(AmiFamily::Windows2022),
        "windows2025" => Ok(AmiFamily::Windows2025),
        _ => {
            let mend = "write `family@version`, such as al2023@latest or bottlerocket@v1.46.0";
            Err(FieldError::new(format!("amiSelectorTerms[{index}].alias"), format!("unknown alias `{alias}`"), mend))
        }
    }
}

/// The images of the class. They are told apart by the ids in the status; while it names none, by the alias, or else by everything in
/// the spec that chooses them. By ids alone, because names and requirements follow from them.
fn images(class: &crd::EC2NodeClass) -> Images {
    let found = class.status.iter().flat_map(|status| status.amis.iter().flatten());
    let ids: BTreeSet<String> = found.map(|image| image.id.clone()).collect();
    let spec = &class.spec;
    let identity = match (&spec.ami_selector_terms[..], &spec.ami_family) {
        _ if !ids.is_empty() => {
            let listed: Vec<&str> = ids.iter().map(String::as_str).collect();
            format!("amis:{:016x}", fnv1a(listed.join(" ").bytes()))
        }
        ([crd::AmiSelectorTerm { alias: Some(alias), .. }], None) => format!("alias:{alias}"),
        (terms, family) => format!("spec:{:016x}", fnv1a(serde_json::json!([family, terms]).to_string().bytes())),
    };
    Images { identity, ids }
}

fn kubelet(settings: &Map<String, Value>) -> Result<KubeletSettings, FieldError> {
    let convert = || {
        Ok(KubeletSettings {
            max_pods: count(settings, "maxPods")?,
            pods_per_core: count(settings, "podsPerCore")?,
            kube_reserved: reserved(settings, "kubeReserved")?,
            system_reserved: reserved(settings, "systemReserved")?,
            eviction_hard: eviction_hard(settings)?,
        })
    };
    convert().map_err(|error: FieldError| error.inside("kubelet"))
}

fn count(settings: &Map<String, Value>, field: &str) -> Result<Option<i64>, FieldError> {
    match settings.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_i64().filter(|count| *count >= 0).map(Some).ok_or_else(|| {
            let mend = "write a whole number of at least 0; expressions over the instance type are not supported";
            FieldError::new(field, format!("`{value}` is not a count"), mend)
        }),
    }
}

/// The entries of a map of the kubelet's settings; numbers count as their text.
fn text_entries(settings: &Map<String, Value>, field: &str) -> Result<Vec<(String, String)>, FieldError> {
    let map = match settings.get(field) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Object(map)) => map,
        Some(other) => {
            return Err(FieldError::new(field, format!("`{other}` is not a map"), "write one entry per resource or signal"));
        }
    };
    let mut entries = Vec::new();
    for (key, value) in map {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            other => {
                return Err(FieldError::new(
                    entry(field, key),
                    format!("`{other}` is not a quantity"),
                    "write it as text, in quotes",
                ));
            }
        };
        entries.push((key.clone(), text));
    }
    Ok(entries)
}

fn reserved(settings: &Map<String, Value>, field: &str) -> Result<BTreeMap<String, i64>, FieldError> {
    let mut reserved = BTreeMap::new();
    for (resource, text) in text_entries(settings, field)? {
        if !matches!(resource.as_str(), "cpu" | "memory" | "ephemeral-storage" | "pid") {
            let mend = "use cpu, memory, ephemeral-storage or pid";
            return Err(FieldError::new(entry(field, &resource), format!("`{resource}` cannot be reserved"), mend));
        }
        let quantity = amount(&ApiQuantity(text), || entry(field, &resource))?;
        reserved.insert(resource.clone(), quantity.amount(&resource));
    }
    Ok(reserved)
}

fn eviction_hard(settings: &Map<String, Value>) -> Result<BTreeMap<String, EvictionThreshold>, FieldError> {
    let mut thresholds = BTreeMap::new();
    for (signal, text) in text_entries(settings, "evictionHard")? {
        let threshold = match text.strip_suffix('%') {
            Some(percent) => percentage(percent).ok_or_else(|| {
                let mend = "write a percentage from 0% to 100%, or a quantity such as 200Mi";
                FieldError::new(entry("evictionHard", &signal), format!("`{text}` is not a percentage"), mend)
            })?,
            None => {
                let quantity = amount(&ApiQuantity(text), || entry("evictionHard", &signal))?;
                EvictionThreshold::Bytes(quantity.value())
            }
        };
        thresholds.insert(signal, threshold);
    }
    Ok(thresholds)
}

/// The threshold that is `text` percent; exactly 100 % switches the threshold off, to the kubelet as to Karpenter.
fn percentage(text: &str) -> Option<EvictionThreshold> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > 3 || !digits(whole) || !digits(fraction) {
        return None;
    }
    let (kept, lost) = fraction.split_at(fraction.len().min(4));
    let parts: i64 = format!("{whole}{kept:0<4}").parse().ok()?;
    // What is finer than a millionth reserves a millionth more.
    let parts = parts + i64::from(lost.bytes().any(|byte| byte != b'0'));
    match parts {
        MILLION => Some(EvictionThreshold::Bytes(0)),
        0..MILLION => Some(EvictionThreshold::PartsPerMillion(parts)),
        _ => None,
    }
}

fn block_devices(spec: &crd::EC2NodeClassSpec) -> Result<Vec<BlockDevice>, FieldError> {
    let mut devices = Vec::new();
    for (index, mapping) in spec.block_device_mappings.iter().flatten().enumerate() {
        let ebs = mapping.ebs.clone().unwrap_or_default();
        let size = match &ebs.volume_size {
            None => None,
            Some(size) => Some(amount(size, || format!("blockDeviceMappings[{index}].ebs.volumeSize"))?.value()),
        };
        devices.push(BlockDevice {
            device_name: mapping.device_name.clone(),
            root_volume: mapping.root_volume == Some(true),
            size,
            volume_type: ebs.volume_type.unwrap_or_else(|| DEFAULT_VOLUME_TYPE.to_owned()),
        });
    }
    if devices.iter().filter(|device| device.root_volume).count() > 1 {
        return Err(FieldError::new(
            "blockDeviceMappings",
            "more than one mapping has rootVolume",
            "mark one as the root volume",
        ));
    }
    Ok(devices)
}

fn zones(class: &crd::EC2NodeClass) -> Option<BTreeMap<String, Option<String>>> {
    let subnets = class.status.as_ref()?.subnets.as_ref().filter(|subnets| !subnets.is_empty())?;
    Some(subnets.iter().map(|subnet| (subnet.zone.clone(), subnet.zone_id.clone())).collect())
}

fn network_interfaces(spec: &crd::EC2NodeClassSpec) -> Vec<NetworkInterface> {
    let convert = |interface: &crd::NetworkInterfaceSpec| NetworkInterface {
        card: interface.network_card_index.into(),
        device: interface.device_index.into(),
        efa_only: interface.interface_type == "efa-only",
    };
    spec.network_interfaces.iter().flatten().map(convert).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn convert(spec: &serde_json::Value, status: &serde_json::Value) -> Result<NodeClass, FieldError> {
        let mut class = serde_json::json!({
            "apiVersion": "karpenter.k8s.aws/v1", "kind": "EC2NodeClass", "metadata": {"name": "default"},
            "spec": {"subnetSelectorTerms": [], "securityGroupSelectorTerms": [], "amiSelectorTerms": []}, "status": status});
        for (key, value) in spec.as_object().expect("a map") {
            class["spec"][key] = value.clone();
        }
        from_api("default", &serde_json::from_value(class).expect("the class of this test is one"))
    }

    #[test]
    fn the_family_is_named_or_told_from_the_alias() {
        let family = |spec| convert(&spec, &serde_json::json!({})).map(|class| class.ami_family);
        let alias = |alias: &str| serde_json::json!([{"alias": alias}]);
        assert_eq!(family(serde_json::json!({"amiFamily": "AL2"})), Ok(AmiFamily::Al2));
        assert_eq!(family(serde_json::json!({"amiSelectorTerms": alias("bottlerocket@latest")})), Ok(AmiFamily::Bottlerocket));
        let custom = serde_json::json!({"amiFamily": "Custom", "amiSelectorTerms": alias("al2023@latest")});
        assert_eq!(family(custom), Ok(AmiFamily::Custom));
        assert_eq!(family(serde_json::json!({})).expect_err("neither").field, "spec.amiFamily");
        let unknown = family(serde_json::json!({"amiSelectorTerms": alias("ubuntu@latest")})).expect_err("unknown");
        assert_eq!(unknown.field, "spec.amiSelectorTerms[0].alias");
    }

    #[test]
    fn kubelet_settings_are_exact() {
        let kubelet = serde_json::json!({"maxPods": 58, "kubeReserved": {"cpu": "200m", "memory": 0},
            "evictionHard": {"memory.available": "7.5%", "nodefs.available": "100%", "imagefs.available": "1Gi"}});
        let settings = convert(&serde_json::json!({"amiFamily": "AL2023", "kubelet": kubelet}), &serde_json::json!({}))
            .expect("valid")
            .kubelet;
        assert_eq!(settings.max_pods, Some(58));
        assert_eq!(settings.kube_reserved, [("cpu".to_owned(), 200), ("memory".to_owned(), 0)].into());
        let expected = [
            ("imagefs.available".to_owned(), EvictionThreshold::Bytes(1 << 30)),
            ("memory.available".to_owned(), EvictionThreshold::PartsPerMillion(75_000)),
            ("nodefs.available".to_owned(), EvictionThreshold::Bytes(0)),
        ];
        assert_eq!(settings.eviction_hard, expected.into());
    }

    #[test]
    fn malformed_kubelet_settings_name_their_field() {
        for (kubelet, field) in [
            (serde_json::json!({"maxPods": "vcpus * 8"}), "spec.kubelet.maxPods"),
            (serde_json::json!({"kubeReserved": {"cpu": "-1"}}), "spec.kubelet.kubeReserved.cpu"),
            (serde_json::json!({"systemReserved": {"gpu": "1"}}), "spec.kubelet.systemReserved.gpu"),
            (
                serde_json::json!({"evictionHard": {"memory.available": "101%"}}),
                "spec.kubelet.evictionHard[\"memory.available\"]",
            ),
            (serde_json::json!({"evictionHard": "5%"}), "spec.kubelet.evictionHard"),
        ] {
            let found = convert(&serde_json::json!({"amiFamily": "AL2023", "kubelet": kubelet}), &serde_json::json!({}));
            assert_eq!(found.expect_err("malformed").field, field);
        }
    }

    #[test]
    fn reservations_count_as_far_as_their_free_instances_are_known() {
        let reservation = |id: &str, state: &str| {
            serde_json::json!({"id": id, "availabilityZone": "us-east-1a", "instanceMatchCriteria": "targeted",
                "instanceType": "m5.large", "ownerID": "111122223333", "reservationType": "default", "state": state})
        };
        let class = |annotation: &str| -> crd::EC2NodeClass {
            serde_json::from_value(serde_json::json!({
                "apiVersion": "karpenter.k8s.aws/v1", "kind": "EC2NodeClass",
                "metadata": {"name": "default", "annotations": {"supercargo.io/reserved-instances": annotation}},
                "spec": {"amiFamily": "AL2023", "subnetSelectorTerms": [], "securityGroupSelectorTerms": [], "amiSelectorTerms": []},
                "status": {"capacityReservations": [reservation("cr-b", "active"), reservation("cr-a", "active"), reservation("cr-c", "expiring")]}}))
            .expect("the class of this test is one")
        };
        let one = class("cr-a=3, cr-c=2");
        let made = from_api("default", &one).expect("valid");
        let known: Vec<(&str, u32)> = made.capacity_reservations.iter().map(|of| (of.id.as_str(), of.free)).collect();
        assert_eq!(known, [("cr-a", 3)]);
        assert_eq!(made.uncounted_reservations.iter().map(|of| of.id.as_str()).collect::<Vec<_>>(), ["cr-b"]);
        // What is learned later counts too, and never more than somebody says.
        let mut learned = made;
        learned.count_reservations(&[("cr-a".to_owned(), 1), ("cr-b".to_owned(), 4)].into());
        let known: Vec<(&str, u32)> = learned.capacity_reservations.iter().map(|of| (of.id.as_str(), of.free)).collect();
        assert_eq!((known, learned.uncounted_reservations.len()), (vec![("cr-a", 1), ("cr-b", 4)], 0));
        for (annotation, problem) in [
            ("cr-a", "`cr-a` is not a capacity reservation with a number"),
            ("cr-a=-1", "`cr-a=-1` is not"),
            ("cr-a=1,cr-a=2", "`cr-a` is there twice"),
            ("cr-z=1", "`status.capacityReservations` has no `cr-z`"),
        ] {
            let found = from_api("default", &class(annotation)).expect_err("malformed");
            assert_eq!(found.field, "metadata.annotations[\"supercargo.io/reserved-instances\"]");
            assert!(found.problem.contains(problem), "{}", found.problem);
        }
    }

    #[test]
    fn images_are_told_apart_by_the_status_or_else_by_the_spec() {
        let alias = serde_json::json!({"amiSelectorTerms": [{"alias": "al2023@latest"}]});
        let images = |spec: &serde_json::Value, ids: &[&str]| {
            let amis: Vec<_> = ids.iter().map(|id| serde_json::json!({"id": id, "requirements": []})).collect();
            convert(spec, &serde_json::json!({ "amis": amis })).expect("valid").images.identity
        };
        assert_eq!(images(&alias, &[]), "alias:al2023@latest");
        // FNV-1a of `ami-1 ami-2`.
        assert_eq!(images(&alias, &["ami-2", "ami-1"]), "amis:8af41b9a25e61b82");
        assert_ne!(images(&alias, &["ami-1"]), images(&alias, &["ami-1", "ami-2"]));
        let by_id = |id: &str| serde_json::json!({"amiFamily": "Custom", "amiSelectorTerms": [{"id": id}]});
        assert!(images(&by_id("ami-1"), &[]).starts_with("spec:"));
        assert_ne!(images(&by_id("ami-1"), &[]), images(&by_id("ami-2"), &[]));
        assert_eq!(images(&by_id("ami-1"), &["ami-1", "ami-2"]), "amis:8af41b9a25e61b82");
    }

    #[test]
    fn zones_come_from_the_subnets_of_the_status() {
        let status = serde_json::json!({"subnets": [{"id": "subnet-1", "zone": "us-east-1b", "zoneID": "use1-az2"}, {"id": "subnet-2", "zone": "us-east-1a"}]});
        let spec = serde_json::json!({"amiFamily": "AL2023"});
        let zones = convert(&spec, &status).expect("valid").zones;
        assert_eq!(zones, Some([("us-east-1a".to_owned(), None), ("us-east-1b".to_owned(), Some("use1-az2".to_owned()))].into()));
        assert_eq!(convert(&spec, &serde_json::json!({"subnets": []})).expect("valid").zones, None);
    }
}
