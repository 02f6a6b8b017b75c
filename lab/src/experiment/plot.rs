//! Plots, as SVG, to be read from the last row: few words, large letters, colours that everybody can tell apart.
//!
//! The only place that knows the library `plotters`. What is drawn is described by a value ([`Stacks`], [`Panels`],
//! [`Groups`], [`Curves`], [`Lines`], [`Series`]); how it is drawn is the same for all. Sizes are in pixels of a picture of 1,280 × 720 or a little higher.
//!
//! Colours: M. Okabe, K. Ito, *Color Universal Design*, 2008, which the colour-blind can tell apart, too.

mod bars;
mod curves;
mod groups;
mod lines;
mod series;

pub use bars::{Bar, Panel, Panels, Row, Stacks};
pub use curves::{Curve, Curves};
pub use groups::Groups;
pub use lines::Lines;
pub use series::{Chart, Series};

use anyhow::anyhow;
use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};
use std::path::Path;

/// Width of every picture.
const WIDTH: u32 = 1_280;
/// Height of the title.
const TITLE: u32 = 64;
/// Space around everything.
const MARGIN: i32 = 36;
/// Letters of the title, of labels, and of what is small.
const LARGE: u32 = 30;
const USUAL: u32 = 22;
const SMALL: u32 = 18;
/// What letters look like: any sans-serif that is there.
const LETTERS: &str = "sans-serif";

/// The colours, in the order in which they are used.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(213, 94, 0),
    RGBColor(86, 180, 233),
    RGBColor(110, 110, 110),
];
/// Width of lines that count.
const BLACK_LINE: u32 = 2;
/// Lines that only help the eye.
const FAINT: RGBColor = RGBColor(215, 215, 215);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// The colour of the nth thing.
fn colour(n: usize) -> RGBColor {
    COLOURS[n % COLOURS.len()]
}

/// The colour of letters on it.
fn ink(n: usize) -> RGBColor {
    if matches!(n % COLOURS.len(), 0 | 4 | 6) { WHITE } else { BLACK }
}

/// Draws a picture of this height with a title into a file.
fn picture(
    path: &Path,
    title: &str,
    height: u32,
    draw: impl FnOnce(&Area<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let failed = |error: &dyn std::fmt::Display| anyhow!("The plot {} cannot be made: {error}", path.display());
    let area = SVGBackend::new(path, (WIDTH, height)).into_drawing_area();
    area.fill(&WHITE).map_err(|error| failed(&error))?;
    text(&area, title, (MARGIN, TITLE as i32 / 2 + 4), LARGE, HPos::Left)?;
    let (_, below) = area.split_vertically(TITLE);
    draw(&below)?;
    area.present().map_err(|error| failed(&error))
}

/// Writes a text; its middle is at this height.
fn text(area: &Area<'_>, words: &str, at: (i32, i32), size: u32, side: HPos) -> anyhow::Result<()> {
    text_in(BLACK, area, words, at, size, side)
}

/// The same in any colour.
fn text_in(
    colour: RGBColor,
    area: &Area<'_>,
    words: &str,
    at: (i32, i32),
    size: u32,
    side: HPos,
) -> anyhow::Result<()> {
    let style = TextStyle::from((LETTERS, size)).color(&colour).pos(Pos::new(side, VPos::Center));
    area.draw_text(words, &style, at).map_err(|error| anyhow!("A text cannot be drawn: {error}"))
}

/// Fills a rectangle.
fn fill(area: &Area<'_>, from: (i32, i32), to: (i32, i32), colour: RGBColor) -> anyhow::Result<()> {
    let drawn = area.draw(&Rectangle::new([from, to], colour.filled()));
    drawn.map_err(|error| anyhow!("A bar cannot be drawn: {error}"))
}

/// Draws a line.
fn line(area: &Area<'_>, from: (i32, i32), to: (i32, i32), colour: RGBColor, width: u32) -> anyhow::Result<()> {
    let drawn = area.draw(&PathElement::new([from, to], colour.stroke_width(width)));
    drawn.map_err(|error| anyhow!("A line cannot be drawn: {error}"))
}

/// A legend in one line: squares of the colours and what they stand for.
fn legend(area: &Area<'_>, names: &[String], at: (i32, i32)) -> anyhow::Result<()> {
    let mut x = at.0;
    for (name, n) in names.iter().zip(0..) {
        fill(area, (x, at.1 - 9), (x + 18, at.1 + 9), colour(n))?;
        text(area, name, (x + 26, at.1), USUAL, HPos::Left)?;
        x += 26 + letters_wide(name) + 36;
    }
    Ok(())
}

/// Height of a line of a legend of lines.
const LEGEND_LINE: i32 = 32;

/// How many names of lines stand side by side.
fn legend_columns(names: &[&str]) -> usize {
    let longest = names.iter().map(|name| letters_wide(name)).max().unwrap_or(0);
    ((WIDTH as i32 - 2 * MARGIN) / (longest + 70)).clamp(1, 3) as usize
}

/// How high a legend of lines with these names is.
fn legend_height(names: &[&str]) -> i32 {
    names.len().div_ceil(legend_columns(names)) as i32 * LEGEND_LINE
}

/// A legend of lines, each as thick as told.
fn legend_lines(area: &Area<'_>, names: &[&str], thick: impl Fn(usize) -> u32) -> anyhow::Result<()> {
    let columns = legend_columns(names);
    let width = (WIDTH as i32 - 2 * MARGIN) / columns as i32;
    for (name, n) in names.iter().zip(0..) {
        let (column, row) = (n % columns, n / columns);
        let (x, y) = (MARGIN + column as i32 * width, 10 + row as i32 * LEGEND_LINE);
        line(area, (x, y), (x + 36, y), colour(n), thick(n))?;
        text(area, name, (x + 46, y), USUAL, HPos::Left)?;
    }
    Ok(())
}

/// About how wide a text of the usual size is. The library has no fonts here; a letter is about half as wide as high.
fn letters_wide(text: &str) -> i32 {
    text.chars().count() as i32 * 11
}

/// A step of 1, 2 or 5 times a power of ten with which so large a value is reached in at most this many.
fn step(largest: f64, most: u32) -> f64 {
    let least = (largest / f64::from(most.max(1))).max(f64::MIN_POSITIVE);
    let power = 10_f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0].iter().map(|part| part * power).find(|step| *step >= least * 0.999).unwrap_or(power * 10.0)
}

/// A number with as many digits as matter.
fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// The same at an axis, where all are round.
fn axis_number(value: f64) -> String {
    let text = number(value);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round() {
        let steps: Vec<f64> = [1.0, 7.0, 100.0, 0.04, 33.0].map(|largest| step(largest, 5)).to_vec();
        for (step, wanted) in steps.iter().zip([0.2, 2.0, 20.0, 0.01, 10.0]) {
            assert!((step / wanted - 1.0).abs() < 1e-9, "{steps:?}");
        }
    }

    #[test]
    fn numbers_have_the_digits_that_matter() {
        assert_eq!([0.0, 0.1234, 1.234, 12.34, 123.4].map(number), ["0", "0.123", "1.23", "12.3", "123"]);
        assert_eq!([0.0, 0.5, 2.0, 50.0, 100.0].map(axis_number), ["0", "0.5", "2", "50", "100"]);
    }
}
