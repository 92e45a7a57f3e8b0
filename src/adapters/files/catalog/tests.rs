//! A small valid catalog, and what is said when it is not valid.

use super::*;
use crate::domain::catalog::{CapacityType, PriceKind};

const VALID: [(&str, &str); 5] = [
    (
        "catalog.properties",
        "# two types\nregion = eu-west-1\ninstance_types.origin = a\ninstance_types.as_of = 2026-01-02\nzones.origin = b\n\
         zones.as_of = 2026-01-03\non_demand.origin = c\non_demand.as_of = 2026-01-04\nspot.kind = listed\nspot.origin = d\n\
         spot.as_of = 2026-01-05\nebs.origin = e\nebs.as_of = 2026-01-06\n",
    ),
    (
        "ebs.csv",
        "volume_type,usd_per_gib_month\ngp2,0.11\ngp3,0.088\nio1,0.138\nio2,0.138\nsc1,0.0168\nst1,0.05\nstandard,0.055\n",
    ),
    (
        "instance-types.csv",
        "instance_type,architecture,vcpus,memory_mib,cpu_manufacturer,clock_mhz,hypervisor,bare_metal,burstable,\
         current_generation,on_demand,spot,nested_virtualization,enclaves,interfaces_per_card,default_card,ipv4_per_interface,\
         ena,efa_interfaces,branch_interfaces,encryption_in_transit,bandwidth_mbps,ebs_bandwidth_mbps,instance_store_gb,\
         instance_store_nvme,gpus,accelerators,neuron_devices\n\
         p4d.24xlarge,amd64,96,1179648,Intel,3000,nitro,false,false,true,true,true,false,true,15 14,1,50,true,4,62,true,400000,\
         19000,8000,true,A100:NVIDIA:8:40960:0,,\n\
         t4g.nano,arm64,2,512,AWS,2500,nitro,false,true,true,true,true,false,false,2,0,2,true,0,4,true,32,2085,,false,,,\n",
    ),
    (
        "offerings.csv",
        "instance_type,usd_per_hour,zones\np4d.24xlarge,21.957642,eu-west-1b\nt4g.nano,0.0046,eu-west-1b eu-west-1a\n",
    ),
    ("spot.csv", "instance_type,eu-west-1a,eu-west-1b\np4d.24xlarge,,10.5\nt4g.nano,0.0015,\n"),
];

/// The error of the valid catalog with `from` in `file` replaced by `to`.
fn broken(file: &str, from: &str, to: &str) -> String {
    let texts = VALID.map(|(name, text)| {
        assert!(name != file || text.contains(from), "{file} has no {from:?}");
        (name, if name == file { text.replacen(from, to, 1) } else { text.to_owned() })
    });
    match parse(&texts.each_ref().map(|(name, text)| (*name, text.as_str())), &mut Faults::Refused) {
        Ok(_) => "no error".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn reads_what_the_files_say() {
    let catalog = parse(&VALID, &mut Faults::Refused).expect("the catalog is valid");
    assert_eq!((catalog.region.as_str(), catalog.prices_as_of.as_str()), ("eu-west-1", "2026-01-04"));
    assert_eq!(catalog.ebs_prices["gp3"], 88_000);
    assert_eq!(catalog.provenance.spot.origin, "d");

    let gpu_type = catalog.get("p4d.24xlarge").expect("it is there");
    assert_eq!((gpu_type.network.interfaces_per_card.as_slice(), gpu_type.network.default_card), ([15, 14].as_slice(), 1));
    assert_eq!((gpu_type.gpus[0].name.as_str(), gpu_type.gpus[0].count, gpu_type.gpus[0].memory_mib), ("A100", 8, 40_960));

    let offered: Vec<_> =
        catalog.offerings().map(|(t, o)| (t.name.as_str(), o.zone.as_str(), o.capacity_type, o.price.micros())).collect();
    let expected = [
        ("p4d.24xlarge", "eu-west-1b", CapacityType::OnDemand, 21_957_642),
        ("p4d.24xlarge", "eu-west-1b", CapacityType::Spot, 10_500_000),
        ("t4g.nano", "eu-west-1a", CapacityType::OnDemand, 4_600),
        ("t4g.nano", "eu-west-1a", CapacityType::Spot, 1_500),
        ("t4g.nano", "eu-west-1b", CapacityType::OnDemand, 4_600),
    ];
    assert_eq!(offered, expected);
    assert!(catalog.offerings().all(|(_, offering)| offering.price_kind == PriceKind::Listed));
}

#[test]
fn a_file_that_was_cut_off_anywhere_is_refused() {
    for (at, (name, text)) in VALID.iter().enumerate() {
        for end in 0..text.len() {
            let mut files = VALID;
            files[at].1 = &text[..end];
            assert!(parse(&files, &mut Faults::Refused).is_err(), "{name} cut to {end} of {} bytes", text.len());
        }
    }
}

#[test]
fn a_price_that_cannot_be_is_refused_with_its_place() {
    for price in ["NaN", "inf", "-1", "0", "0.0000", "1e3", "1000.01", "0.00000001", "1,0"] {
        let said = broken("offerings.csv", "0.0046", price);
        assert!(said.starts_with("offerings.csv:3: "), "{price:?}: {said}");
    }
    assert_eq!(
        broken("offerings.csv", "0.0046", "NaN"),
        "offerings.csv:3: column `usd_per_hour`: `NaN` is not a price; write dollars above 0 and up to 1000.0000 with at most \
         six decimals, such as 0.0416"
    );
    assert!(broken("spot.csv", "0.0015", "-0.0015").starts_with("spot.csv:3: column `eu-west-1a`: `-0.0015` is not a price; "));
    assert!(broken("ebs.csv", "0.088", "0").starts_with("ebs.csv:3: column `usd_per_gib_month`: `0` is not a price; "));
}

#[test]
fn every_other_fault_is_named_with_place_and_mend() {
    let cases = [
        (
            "offerings.csv",
            "eu-west-1b eu-west-1a",
            "eu-west-1b eu-west-1x",
            "offerings.csv:3: column `zones`: unknown zone `eu-west-1x`; write some of eu-west-1a, eu-west-1b with one space \
             between, or add a column to spot.csv",
        ),
        (
            "offerings.csv",
            " eu-west-1a",
            " eu-west-1b",
            "offerings.csv:3: column `zones`: `eu-west-1b` is there twice; name it once",
        ),
        (
            "offerings.csv",
            "t4g.nano,",
            "t4g.tiny,",
            "offerings.csv:3: column `instance_type`: `t4g.tiny` is not in instance-types.csv; remove the line, or restore the \
             other file if it was cut off",
        ),
        (
            "offerings.csv",
            "t4g.nano,",
            "p4d.24xlarge,",
            "offerings.csv:3: column `instance_type`: `p4d.24xlarge` is there twice; remove one of the lines",
        ),
        (
            "offerings.csv",
            "usd_per_hour",
            "price",
            "offerings.csv:1: column `usd_per_hour`: the column is missing; add it to the header and to every line",
        ),
        (
            "spot.csv",
            "eu-west-1b\n",
            "eu-west-1a\n",
            "spot.csv:1: column `eu-west-1a`: the column is there twice; remove one of them",
        ),
        (
            "spot.csv",
            "eu-west-1b\n",
            "us-east-1b\n",
            "spot.csv:1: column `us-east-1b`: the column is no zone of the region; name the columns after the zones of eu-west-1",
        ),
        (
            "spot.csv",
            "p4d.24xlarge,,",
            "p4d.24xlarge,9,",
            "spot.csv: `p4d.24xlarge` has a price in eu-west-1a, where offerings.csv does not sell it; empty the cell, or add the \
             zone there",
        ),
        (
            "instance-types.csv",
            "t4g.nano,",
            "p4d.24xlarge,",
            "instance-types.csv:3: column `instance_type`: `p4d.24xlarge` is there twice; remove one of the lines",
        ),
        (
            "instance-types.csv",
            "arm64",
            "riscv64",
            "instance-types.csv:3: column `architecture`: `riscv64` is no architecture of a node; write `amd64` or `arm64`",
        ),
        (
            "instance-types.csv",
            ",512,",
            ",0,",
            "instance-types.csv:3: column `memory_mib`: `0` is not a number that can be here; write an integer from 1 to 1000000000",
        ),
        (
            "instance-types.csv",
            "15 14,1,",
            "15 14,2,",
            "instance-types.csv:2: column `default_card`: `2` is not a number that can be here; write an integer from 0 to 1",
        ),
        (
            "instance-types.csv",
            "A100:NVIDIA:8",
            "A100:NVIDIA",
            "instance-types.csv:2: column `gpus`: `A100:NVIDIA:40960:0` is no list of devices; write \
             `name:manufacturer:count:memory in MiB:cores`, several with `;` between",
        ),
        (
            "instance-types.csv",
            "true,true,true,false,true,15",
            "true,true,yes,false,true,15",
            "instance-types.csv:2: column `spot`: `yes` is neither true nor false; write one of the two",
        ),
        ("ebs.csv", "gp3,0.088\n", "", "ebs.csv: no line for `gp3`; add it, with an empty cell if it is not sold"),
        (
            "catalog.properties",
            "2026-01-04",
            "yesterday",
            "catalog.properties:8: column `on_demand.as_of`: `yesterday` cannot be here; write a day as 2026-07-20, or a minute in UTC as \
             2026-07-20T13:05Z",
        ),
        (
            "catalog.properties",
            "listed",
            "guessed",
            "catalog.properties:9: column `spot.kind`: `guessed` cannot be here; write `listed` for observed prices and `estimate` \
             for all others",
        ),
        (
            "catalog.properties",
            "region = eu-west-1\n",
            "",
            "catalog.properties: no value for `region`; add a line `region = ...`",
        ),
    ];
    for (file, from, to, expected) in cases {
        assert_eq!(broken(file, from, to), expected);
    }
}

#[test]
fn a_folder_that_is_none_is_named() {
    let said = read(Path::new("no/such/folder")).map(|_| ()).expect_err("it is not there").to_string();
    assert!(said.starts_with("cannot read `no/such/folder/catalog.properties`: "), "{said}");
}

#[test]
fn a_file_of_200_mb_is_refused_unread() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    for (name, text) in VALID {
        std::fs::write(folder.path().join(name), text).expect("the folder takes files");
    }
    assert!(read(folder.path()).is_ok());
    let spot = File::options().write(true).open(folder.path().join("spot.csv")).expect("it was just written");
    spot.set_len(200 << 20).expect("a sparse file takes no room");
    let said = read(folder.path()).map(|_| ()).expect_err("it is too large").to_string();
    assert!(said.ends_with("spot.csv: larger than 32 MiB, so it is no catalog; name another folder"), "{said}");
}

#[test]
fn what_is_written_is_what_the_rebuild_tool_writes() {
    let embedded = embedded().expect("the embedded catalog is valid");
    let texts = writing::texts(&embedded).expect("memory takes it");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("pricing-cache/us-east-1");
    for (name, text) in texts {
        let committed = std::fs::read_to_string(folder.join(name)).expect("the file is committed");
        assert!(text == committed, "{name} is not written as it was read");
    }
}

#[test]
fn a_type_without_an_on_demand_price_is_sold_on_the_spot_market_alone() {
    let files = VALID.map(|(name, text)| (name, text.replace("t4g.nano,0.0046,", "t4g.nano,,")));
    let files = files.each_ref().map(|(name, text)| (*name, text.as_str()));
    let catalog = parse(&files, &mut Faults::Refused).expect("the price may be absent");
    let offerings = &catalog.get("t4g.nano").expect("it is there").offerings;
    assert_eq!(offerings.iter().map(|o| o.capacity_type).collect::<Vec<_>>(), [CapacityType::Spot]);
    let written = writing::texts(&catalog).expect("memory takes it");
    let read = parse(&written.each_ref().map(|(name, text)| (*name, text.as_str())), &mut Faults::Refused);
    assert_eq!(read.expect("it is valid"), catalog);
}

#[test]
fn a_volume_type_that_the_region_does_not_sell_has_an_empty_cell() {
    let files = VALID.map(|(name, text)| (name, text.replace("io2,0.138", "io2,")));
    let catalog = parse(&files.each_ref().map(|(name, text)| (*name, text.as_str())), &mut Faults::Refused);
    let catalog = catalog.expect("the price may be absent");
    assert!(!catalog.ebs_prices.contains_key("io2"));
    let written = writing::texts(&catalog).expect("memory takes it");
    let read = parse(&written.each_ref().map(|(name, text)| (*name, text.as_str())), &mut Faults::Refused);
    assert_eq!(read.expect("it is valid"), catalog);
    assert_eq!(broken("ebs.csv", "gp3,0.088", "gp3,"), "ebs.csv: no price for `gp3`; fill it in");
}

#[test]
fn an_inspection_names_every_price_that_cannot_be() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    for (name, text) in VALID {
        let text = text.replace("0.0046", "0").replace(",10.5", ",NaN").replace("st1,0.05\n", "st1,-1\n");
        std::fs::write(folder.path().join(name), text).expect("the folder takes files");
    }
    let (catalog, faults) = inspect(folder.path()).expect("only prices are wrong");
    let places: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(places.len(), 3, "{places:?}");
    for (place, expected) in places.iter().zip(["ebs.csv:7: ", "spot.csv:2: ", "offerings.csv:3: "]) {
        assert!(place.contains(expected), "{place}");
    }
    assert_eq!(catalog.offerings().count(), 2);
    assert!(read(folder.path()).is_err());
}

#[test]
fn on_demand_prices_may_be_estimates_and_times_may_have_minutes() {
    let changed =
        VALID[0].1.replace("on_demand.as_of = 2026-01-04", "on_demand.as_of = 2026-01-04T23:59Z\non_demand.kind = estimate");
    let files = VALID.map(|(name, text)| (name, if name == VALID[0].0 { changed.as_str() } else { text }));
    let catalog = parse(&files, &mut Faults::Refused).expect("it is valid");
    assert_eq!(catalog.prices_as_of, "2026-01-04T23:59Z");
    assert!(catalog.has_estimates(CapacityType::OnDemand) && !catalog.has_estimates(CapacityType::Spot));
    assert!(catalog.summary().contains("On-Demand prices are an ESTIMATE (c), Spot prices as of 2026-01-05 (d)"));
    assert!(broken("catalog.properties", "2026-01-04", "2026-01-04T24:00Z").contains("cannot be here; write a day as"));
}
