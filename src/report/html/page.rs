//! The frame of a page: head, styles, script.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::chart;

const STYLES: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// A page with a title and what is in it. `contents` opens with the heading.
#[must_use]
pub fn page(title: &str, contents: &Markup) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(STYLES)) (PreEscaped(chart::styles())) }
            }
            body {
                a class="skip" href="#contents" { "Skip to the contents" }
                main id="contents" { (contents) }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
    .into_string()
}

/// `text` as the value of an `id`: lowercase letters, digits and `-`; whatever else it has becomes a `-`.
#[must_use]
pub fn anchor(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let mut made = String::new();
    for c in text.chars().map(plain) {
        if c != '-' || !made.ends_with('-') {
            made.push(c);
        }
    }
    made.trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_and_texts_cannot_break_out() {
        let made = page("<script>alert(1)</script>", &html! { h1 { "a & b" } });
        assert!(made.starts_with("<!DOCTYPE html>"));
        assert!(made.contains("<title>&lt;script&gt;alert(1)&lt;/script&gt;</title>"), "{made}");
        assert!(made.contains("<h1>a &amp; b</h1>"));
    }

    #[test]
    fn anchors_are_plain() {
        for (text, expected) in [("exact, 60 s", "exact-60-s"), ("micro-100", "micro-100"), ("  A/B ", "a-b"), ("é", "")] {
            assert_eq!(anchor(text), expected);
        }
    }
}
