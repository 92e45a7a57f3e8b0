//! Line charts as inline SVG: steps over a linear or a logarithmic axis.
//!
//! Each line has a colour and a dash pattern of its own, so that it is told apart without colours too; both are in the key, which is HTML
//! and wraps on a phone. The colours keep a contrast of 3 to 1 on white and on the dark page.

use std::fmt::Write as _;
use std::ops::Range;

use maud::{Markup, PreEscaped, html};
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::prelude::*;

const WIDTH: u32 = 720;
const HEIGHT: u32 = 360;
const FONT: &str = "sans-serif";
const FONT_SIZE: u32 = 15;
/// Of axes and grid; texts have the page's ink.
const GREY: RGBColor = RGBColor(0x80, 0x88, 0x90);

/// Colours of lines, after the first eight once more.
const COLOURS: [RGBColor; 8] = [
    RGBColor(0x3b, 0x82, 0xc4),
    RGBColor(0xc8, 0x6a, 0x1e),
    RGBColor(0x2b, 0x94, 0x64),
    RGBColor(0xa6, 0x62, 0xc4),
    RGBColor(0xd1, 0x49, 0x5b),
    RGBColor(0x1f, 0x93, 0x9f),
    RGBColor(0x96, 0x76, 0x3a),
    RGBColor(0x7c, 0x7f, 0x8a),
];
/// Dash patterns that go with them; the first line is solid.
const DASHES: [&str; 8] = ["none", "9 4", "2 3", "9 3 2 3", "5 3", "14 4", "1 4", "6 2 1 2"];

/// How an axis is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Evenly.
    Linear,
    /// By powers of ten; its values are above 0.
    Logarithmic,
}

/// An axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// What it shows, with the unit.
    pub title: String,
    /// Least and largest value; the least is smaller.
    pub range: (f64, f64),
    /// How it is divided.
    pub scale: Scale,
}

/// A line.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// What it is called in the key.
    pub name: String,
    /// Which of the colours and dashes it has: the same solver has the same in every chart.
    pub style: usize,
    /// How broad it is, in points: 2, or 1 for what only goes with another line.
    pub width: u32,
    /// Where it steps to, by `x`: it keeps a value until the next one.
    pub steps: Vec<(f64, f64)>,
}

/// A chart.
#[derive(Clone, Debug, PartialEq)]
pub struct LineChart {
    /// What it shows and how it is read, in a sentence or two.
    pub caption: String,
    /// To the right.
    pub x: Axis,
    /// Upwards.
    pub y: Axis,
    /// Its lines.
    pub lines: Vec<Line>,
}

impl LineChart {
    /// The chart with its caption and key.
    #[must_use]
    pub fn to_html(&self) -> Markup {
        html! {
            figure class="chart" {
                figcaption { (self.caption) }
                (PreEscaped(self.svg()))
                ul class="keys" {
                    @for line in &self.lines { li { (key(line)) (line.name) } }
                }
            }
        }
    }

    fn svg(&self) -> String {
        let mut text = String::new();
        self.draw(&mut text).expect("text in memory takes every drawing");
        // An inline drawing is of no use to a screen reader by its parts, needs no namespace, and takes the width that there is.
        let mut label = String::new();
        for c in self.caption.chars() {
            match c {
                '&' => label.push_str("&amp;"),
                '<' => label.push_str("&lt;"),
                '"' => label.push_str("&quot;"),
                c => label.push(c),
            }
        }
        let opening = format!(r#"<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">"#);
        match text.split_once('>') {
            Some((_, drawing)) => opening + drawing,
            None => String::new(),
        }
    }

    fn draw(&self, text: &mut String) -> Result<(), DrawingAreaErrorKind<std::io::Error>> {
        let root = SVGBackend::with_string(text, (WIDTH, HEIGHT)).into_drawing_area();
        let mut chart = ChartBuilder::on(&root)
            .margin(10)
            .margin_right(24)
            .x_label_area_size(48)
            .y_label_area_size(76)
            .build_cartesian_2d(Places::of(&self.x), Places::of(&self.y))?;
        let font = (FONT, FONT_SIZE).into_font().color(&GREY);
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GREY.mix(0.3))
            .axis_style(GREY)
            .label_style(font.clone())
            .axis_desc_style(font)
            .x_desc(&self.x.title)
            .y_desc(&self.y.title)
            .x_label_formatter(&|at| self.x.label(*at))
            .y_label_formatter(&|at| self.y.label(*at))
            .draw()?;
        for line in &self.lines {
            let corners = self.corners(line);
            chart.draw_series(std::iter::once(PathElement::new(corners, colour(line.style).stroke_width(line.width))))?;
        }
        root.present()
    }

    /// The line as a path in the coordinates of the axes: across, then up or down.
    fn corners(&self, line: &Line) -> Vec<(f64, f64)> {
        let mut corners: Vec<(f64, f64)> = Vec::new();
        for &(x, y) in &line.steps {
            let (x, y) = (self.x.place(x), self.y.place(y));
            if let Some(&(_, before)) = corners.last() {
                corners.push((x, before));
            }
            corners.push((x, y));
        }
        if let Some(&(_, last)) = corners.last() {
            corners.push((self.x.bounds().1, last));
        }
        // What is told twice is drawn once.
        corners.dedup();
        corners
    }
}

impl Axis {
    /// Where a value is; values beyond the range are at its end.
    fn place(&self, value: f64) -> f64 {
        let held = value.clamp(self.range.0, self.range.1);
        match self.scale {
            Scale::Linear => held,
            Scale::Logarithmic => held.log10(),
        }
    }

    fn bounds(&self) -> (f64, f64) {
        (self.place(self.range.0), self.place(self.range.1))
    }

    /// Places with a label: about six.
    fn ticks(&self) -> Vec<f64> {
        let (low, high) = self.bounds();
        let wide = high - low;
        let step = match self.scale {
            Scale::Logarithmic if wide > 1.5 => (wide / 6.0).ceil(),
            // Within a decade or so, even steps in the logarithm say little, but there are round numbers.
            Scale::Logarithmic => return round_numbers(self.range).iter().map(|value| value.log10()).collect(),
            Scale::Linear => even_step(wide),
        };
        let first = (low / step - 1e-9).ceil() as i64;
        (first..).map(|count| count as f64 * step).take_while(|at| *at <= high + step * 1e-9).collect()
    }

    fn label(&self, place: f64) -> String {
        let value = match self.scale {
            Scale::Linear => place,
            Scale::Logarithmic => 10_f64.powf(place),
        };
        let step = even_step(self.range.1 - self.range.0);
        let finest = if self.scale == Scale::Linear { step } else { value.min(step) };
        // As many decimals as it takes to tell two labels apart.
        let decimals = (-finest.abs().max(1e-9).log10().floor()).clamp(0.0, 6.0) as usize;
        let text = format!("{value:.decimals$}");
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
    }
}

/// The places of an axis as plotters asks for them, with ticks of our own.
struct Places {
    ends: (f64, f64),
    ticks: Vec<f64>,
}

impl Places {
    fn of(axis: &Axis) -> Self {
        Self { ends: axis.bounds(), ticks: axis.ticks() }
    }
}

impl Ranged for Places {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, place: &f64, (from, to): (i32, i32)) -> i32 {
        let share = (place - self.ends.0) / (self.ends.1 - self.ends.0);
        from + (share * f64::from(to - from)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        // Only the ticks with a label: no finer grid.
        if hint.weight().allow_light_points() { Vec::new() } else { self.ticks.clone() }
    }

    fn range(&self) -> Range<f64> {
        self.ends.0..self.ends.1
    }
}

/// 1, 2 or 5 times a power of ten, about a sixth of `wide`.
fn even_step(wide: f64) -> f64 {
    let rough = (wide / 6.0).max(1e-9);
    let power = 10_f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|factor| factor * power).find(|step| *step >= rough * (1.0 - 1e-9)).unwrap_or(10.0 * power)
}

/// Multiples of an even step within a range above 0.
fn round_numbers((low, high): (f64, f64)) -> Vec<f64> {
    let step = even_step(high - low);
    let first = (low / step - 1e-9).ceil() as i64;
    (first..)
        .map(|count| count as f64 * step)
        .take_while(|value| *value <= high * (1.0 + 1e-9))
        .filter(|value| *value > 0.0)
        .collect()
}

fn colour(style: usize) -> RGBColor {
    COLOURS[style % COLOURS.len()]
}

/// A colour as plotters writes it.
fn hex(RGBColor(red, green, blue): RGBColor) -> String {
    format!("#{red:02X}{green:02X}{blue:02X}")
}

/// A short piece of a line, for a key.
fn key(line: &Line) -> Markup {
    html! {
        svg width="28" height="10" viewBox="0 0 28 10" aria-hidden="true" {
            polyline points="0,5 28,5" fill="none" stroke=(hex(colour(line.style))) stroke-width=(line.width + 1) {}
        }
    }
}

/// The dashes that go with the colours, as style rules.
pub(super) fn styles() -> String {
    let mut text = String::new();
    for (colour, dash) in COLOURS.iter().zip(DASHES) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, ".chart polyline[stroke=\"{}\"] {{ stroke-dasharray: {dash}; }}", hex(*colour));
    }
    text
}

/// The colour of the `style`-th kind of things in a drawing, as CSS has it.
pub(super) fn css_colour(style: usize) -> String {
    hex(colour(style))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(range: (f64, f64), scale: Scale) -> Axis {
        Axis { title: "x".to_owned(), range, scale }
    }

    fn labels(axis: &Axis) -> Vec<String> {
        axis.ticks().into_iter().map(|at| axis.label(at)).collect()
    }

    #[test]
    fn axes_have_round_labels() {
        let cases = [
            (axis((0.0, 1.0), Scale::Linear), vec!["0", "0.2", "0.4", "0.6", "0.8", "1"]),
            (axis((0.0, 0.012), Scale::Linear), vec!["0", "0.002", "0.004", "0.006", "0.008", "0.01", "0.012"]),
            (axis((9.9, 10.6), Scale::Linear), vec!["10", "10.2", "10.4", "10.6"]),
            (axis((0.01, 100.0), Scale::Logarithmic), vec!["0.01", "0.1", "1", "10", "100"]),
            (axis((1.0, 1.5), Scale::Logarithmic), vec!["1", "1.1", "1.2", "1.3", "1.4", "1.5"]),
        ];
        for (axis, expected) in cases {
            assert_eq!(labels(&axis), expected, "{axis:?}");
        }
    }

    #[test]
    fn a_line_keeps_its_value_until_the_next_step() {
        let steps = vec![(1.0, 5.0), (10.0, 3.0)];
        let line = Line { name: "a".to_owned(), style: 0, width: 2, steps };
        let chart = LineChart {
            caption: "A < \"b\".".to_owned(),
            x: axis((1.0, 100.0), Scale::Logarithmic),
            y: axis((0.0, 4.0), Scale::Linear),
            lines: vec![line.clone()],
        };
        // 5 is beyond the range.
        assert_eq!(chart.corners(&line), [(0.0, 4.0), (1.0, 4.0), (1.0, 3.0), (2.0, 3.0)]);
        let text = chart.to_html().into_string();
        assert!(text.contains(r#"aria-label="A &lt; &quot;b&quot;.""#), "{text}");
        assert!(text.contains("<polyline") && text.contains("</svg>"), "{text}");
        assert!(!text.contains("http") && !text.contains("xmlns"), "{text}");
    }

    /// Relative luminance and contrast of the Web Content Accessibility Guidelines 2.2.
    #[test]
    fn colours_are_seen_in_the_light_and_in_the_dark() {
        let part = |value: u8| {
            let share = f64::from(value) / 255.0;
            if share <= 0.040_45 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
        };
        let luminance = |RGBColor(r, g, b): RGBColor| 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
        let contrast = |a: f64, b: f64| (a.max(b) + 0.05) / (a.min(b) + 0.05);
        for colour in COLOURS {
            for paper in [RGBColor(0xff, 0xff, 0xff), RGBColor(0x15, 0x18, 0x1c)] {
                let found = contrast(luminance(colour), luminance(paper));
                assert!(found >= 3.0, "{} on {}: {found}", hex(colour), hex(paper));
            }
        }
    }
}
