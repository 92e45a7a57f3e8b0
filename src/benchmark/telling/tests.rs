//! The whole report: what it says, that a page is sound, and that it says what the records say.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use scraper::{ElementRef, Html, Selector};

use crate::benchmark::record::{Record, Solved};
use crate::benchmark::telling::chapters::report;
use crate::benchmark::telling::document::Document;
use crate::benchmark::telling::fixtures::{
    bounded, failed, kept, on, planned_shop, record, solved, two_instances_and_four_solvers, write,
};
use crate::benchmark::telling::known::Known;
use crate::benchmark::telling::reading::Runs;
use crate::benchmark::telling::results::{Verdict, amount};

fn told(records: Vec<Record>) -> Document {
    let runs = Runs::new(kept(records)).expect("one instance a name");
    report(&runs, &BTreeMap::new()).expect("nothing is to be read")
}

fn all<'a>(within: ElementRef<'a>, selector: &str) -> Vec<ElementRef<'a>> {
    within.select(&Selector::parse(selector).expect("a selector")).collect()
}

fn text(of: ElementRef<'_>) -> String {
    of.text().collect()
}

/// Parses a page and checks what every page promises.
fn sound(page: &str) -> Html {
    let parsed = Html::parse_document(page);
    assert_eq!(parsed.errors, Vec::<std::borrow::Cow<'_, str>>::new(), "the page is well-formed");
    assert!(!page.contains("http") && !page.contains("src=") && !page.contains("@import") && !page.contains("url("));
    let root = parsed.root_element();
    let ids: Vec<&str> = all(root, "[id]").iter().filter_map(|element| element.value().id()).collect();
    let unique: BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(ids.len(), unique.len(), "every id is there once: {ids:?}");
    for link in all(root, "a[href]") {
        let target = link.attr("href").and_then(|target| target.strip_prefix('#')).expect("links stay on the page");
        assert!(unique.contains(target), "{target} is nowhere");
    }
    for table in all(root, "table") {
        assert_eq!(all(table, "caption").len(), 1);
        let columns = all(table, "thead th[scope=col]").len();
        for row in all(table, "tbody tr") {
            assert_eq!(row.child_elements().count(), columns, "{}", text(row));
        }
    }
    for drawing in all(root, "svg:not([aria-hidden])") {
        assert!(drawing.attr("role") == Some("img") && drawing.attr("aria-label").is_some_and(|label| !label.is_empty()));
    }
    assert!(root.attr("lang").is_some_and(|language| !language.is_empty()));
    assert_eq!(all(root, "h1").len(), 1);
    parsed
}

/// The cells of the rows of an instance's table, each with its column's title.
fn runs_on(page: &Html, instance: &str) -> Vec<BTreeMap<String, String>> {
    let part = all(page.root_element(), &format!("details#instance-{instance}"))[0];
    let titles: Vec<String> = all(part, "thead th").into_iter().map(text).collect();
    let row = |row: ElementRef<'_>| titles.iter().cloned().zip(row.child_elements().map(text)).collect();
    all(part, "tbody tr").into_iter().map(row).collect()
}

#[test]
fn the_markdown_is_as_reviewed() {
    insta::assert_snapshot!(told(two_instances_and_four_solvers()).to_markdown());
}

#[test]
fn the_page_is_sound_and_says_what_the_records_say() {
    let records = two_instances_and_four_solvers();
    let page = sound(&told(records.clone()).to_html());
    for record in &records {
        let runs = runs_on(&page, &record.instance);
        let row = runs.iter().find(|row| row["Solver"] == record.solver).expect("every run has a row");
        match Verdict::of(record) {
            Verdict::Plan(plan) => {
                assert_eq!(row["$/h"], amount(plan.cost).to_string());
                assert_eq!(row["Bound, $/h"], plan.bound.map_or_else(|| "–".to_owned(), |bound| amount(bound).to_string()));
                assert_eq!(row["Seconds"], format!("{:.2} s", plan.seconds));
                assert_eq!((row["Nodes"].as_str(), row["Pods left"].as_str(), row["Memory"].as_str()), ("2", "0", "3 MiB"));
            }
            verdict => {
                assert_eq!(row["Outcome"], format!("{}: {}", verdict.word(), verdict.reason()));
                assert_eq!((row["$/h"].as_str(), row["Nodes"].as_str()), (verdict.word(), "–"));
            }
        }
    }
    assert_eq!(runs_on(&page, "hard").iter().find(|row| row["Solver"] == "supercargo").expect("ours")["Gap"], "10.0 %");
}

#[test]
fn losses_are_listed_by_name() {
    let page = sound(&told(two_instances_and_four_solvers()).to_html());
    let lost = all(page.root_element(), "table").into_iter().find(|table| text(*table).starts_with("Lost to first-fit: 1 case."));
    let row = all(lost.expect("there is a loss"), "tbody tr")[0];
    let cells: Vec<String> = row.child_elements().map(text).collect();
    assert_eq!(cells, ["hard", "20.0000", "19.0000", "1.0526", "0", "0", "4.00"]);
}

#[test]
fn the_order_of_the_records_does_not_matter() {
    let mut records = two_instances_and_four_solvers();
    let one = told(records.clone());
    records.reverse();
    let other = told(records);
    assert_eq!(one.to_html(), other.to_html());
    assert_eq!(one.to_markdown(), other.to_markdown());
}

#[test]
fn names_and_reasons_cannot_break_out() {
    let hostile = "<script>alert(\"1\")</script> | **x** \n# y";
    let records = vec![record("a", hostile, failed(hostile)), record("a", "supercargo", solved(1.0))];
    let document = told(records);
    let page = sound(&document.to_html());
    assert_eq!(all(page.root_element(), "script").len(), 1);
    let markdown = document.to_markdown();
    assert!(!markdown.contains("<script>") && !markdown.lines().any(|line| line.starts_with("# y")), "{markdown}");
}

#[test]
fn seeds_tracks_and_pods_left_are_told_apart() {
    let controller = |seed, outcome: Solved| Record {
        track: "controller".to_owned(),
        budget_seconds: 1.0,
        seed,
        ..record("a", "supercargo", outcome)
    };
    let left = Solved { unplaced: 3, ..solved(2.0) };
    let records = vec![record("a", "supercargo", bounded(9.0, 9.0)), controller(1, solved(10.0)), controller(2, left)];
    let page = sound(&told(records).to_html());
    let runs = runs_on(&page, "a");
    let column = |title: &str| runs.iter().map(|row| row[title].clone()).collect::<Vec<String>>();
    assert_eq!(column("Track"), ["exact, 60 s", "controller, 1 s", "controller, 1 s"]);
    assert_eq!(column("Seed"), ["1", "1", "2"]);
    assert_eq!(column("Ratio to best"), ["1.0000", "1.1111", "–"]);
    assert_eq!(column("Pods left"), ["0", "0", "3"]);
    assert_eq!(column("Outcome"), ["proven optimal", "ended", "ended"]);
}

#[test]
fn the_best_plan_is_drawn_with_its_pods() {
    let folder = tempfile::tempdir().expect("a folder");
    let (cluster, plan, record) = planned_shop(folder.path());
    write(folder.path(), &[record]);
    let runs = Runs::read(&[folder.path().to_owned()]).expect("a record");
    let known = Known { description: Some("A small shop.".to_owned()), cluster: Some(cluster.clone()), ..Known::default() };
    let page = report(&runs, &BTreeMap::from([("shop".to_owned(), known)])).expect("the certificate is a plan").to_html();
    let page = sound(&page);
    let part = all(page.root_element(), "details#instance-shop")[0];
    assert!(text(part).contains("A small shop."));
    let boxes = all(part, "li.node");
    let nodes: usize =
        boxes.iter().map(|one| text(all(*one, "strong")[0]).split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0)).sum();
    assert_eq!(nodes, plan.nodes.len());
    // Each pod is a rectangle of its own: a path with one `z` for each.
    let rectangles = |one: &ElementRef<'_>| -> usize {
        let copies: usize = text(all(*one, "strong")[0]).split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0);
        let bars =
            all(*one, "path.pods").iter().filter_map(|path| path.attr("d")).map(|path| path.matches('z').count()).sum::<usize>();
        copies * bars
    };
    // Every pod of the example asks for CPU and for memory.
    assert_eq!(boxes.iter().map(rectangles).sum::<usize>(), 2 * cluster.pods.len());
}

#[test]
fn a_certificate_that_is_missing_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let gone = Solved { certificate: Some("plans/gone.json".to_owned()), ..solved(1.0) };
    write(folder.path(), &[record("a", "supercargo", gone)]);
    let runs = Runs::read(&[folder.path().to_owned()]).expect("a record");
    let problem = report(&runs, &BTreeMap::new()).expect_err("the file is not there").to_string();
    assert!(problem.contains(&Path::new("plans").join("gone.json").display().to_string()), "{problem}");
}

#[test]
fn a_plan_on_the_way_is_on_the_chart() {
    let slow = Solved { seconds: 30.0, trajectory: vec![on(3.0, 20.0), on(30.0, 10.0)], ..solved(10.0) };
    let page = sound(&told(vec![record("a", "supercargo", slow)]).to_html());
    let charts = all(page.root_element(), "details#instance-a figure.chart");
    assert_eq!(charts.len(), 1);
    let lines = all(charts[0], "svg[role=img] polyline[fill=none]");
    let corners = |line: &ElementRef<'_>| line.attr("points").map_or(0, |points| points.split_whitespace().count());
    // To 20, along and down to 10, along to the end.
    assert!(lines.iter().any(|line| corners(line) == 4), "{}", charts[0].html());
}
