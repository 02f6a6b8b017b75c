//! Bars that lie, so that their labels can be long and are read without turning one's head.

use super::{
    BLACK_LINE, FAINT, MARGIN, SMALL, USUAL, WIDTH, axis_number, colour, fill, ink, legend, letters_wide, line, number,
    picture, step, text, text_in,
};
use plotters::{
    prelude::{BLACK, RGBColor},
    style::text_anchor::HPos,
};
use std::path::Path;

/// Width of the labels of the rows.
const LABELS: i32 = 300;
/// Height of a row, and of the bars in it.
const ROW: i32 = 58;
const THICK: i32 = 26;
const THIN: i32 = 12;
/// Height of what is above and below the rows.
const HEAD: i32 = 44;
const FOOT: i32 = 64;
/// Height of what is above the rows of panels, which have no legend.
const TOP: i32 = 12;

/// Rows of whole things and their parts: of each two bars, the thick one as measured, the thin one below as expected.
#[derive(Clone, Debug)]
pub struct Stacks {
    /// What it shows.
    pub title: String,
    /// The parts, in the order of the bars.
    pub parts: Vec<String>,
    /// The rows.
    pub rows: Vec<Row>,
}

/// A row of [`Stacks`].
#[derive(Clone, Debug)]
pub struct Row {
    /// What it is about.
    pub label: String,
    /// The parts as measured; together 1.
    pub measured: Vec<f64>,
    /// The same as expected.
    pub expected: Vec<f64>,
}

impl Stacks {
    /// Draws it.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn draw(&self, path: &Path) -> anyhow::Result<()> {
        let height = HEAD + ROW * self.rows.len() as i32 + FOOT;
        let (left, right) = (LABELS, WIDTH as i32 - MARGIN);
        let x = |share: f64| left + (f64::from(right - left) * share).round() as i32;
        picture(path, &self.title, super::TITLE + height as u32, |area| {
            legend(area, &self.parts, (left, 12))?;
            for tenth in 0..=10 {
                let at = x(f64::from(tenth) / 10.0);
                line(area, (at, HEAD - 8), (at, height - FOOT + 4), FAINT, 1)?;
                text(area, &format!("{} %", tenth * 10), (at, height - FOOT + 20), SMALL, HPos::Center)?;
            }
            let words = "share of the requests (thick: measured, thin: expected)";
            text(area, words, ((left + right) / 2, height - 18), USUAL, HPos::Center)?;
            for (row, n) in self.rows.iter().zip(0..) {
                let top = HEAD + n * ROW + 4;
                text(area, &row.label, (left - 14, top + (THICK + THIN) / 2 + 2), USUAL, HPos::Right)?;
                let mut from = 0.0;
                for (share, part) in row.measured.iter().zip(0..) {
                    fill(area, (x(from), top), (x(from + share), top + THICK), colour(part))?;
                    if *share > 0.06 {
                        let words = format!("{:.1}", share * 100.0);
                        text_in(
                            ink(part),
                            area,
                            &words,
                            (x(from + share / 2.0), top + THICK / 2),
                            SMALL,
                            HPos::Center,
                        )?;
                    }
                    from += share;
                }
                let mut from = 0.0;
                for (share, part) in row.expected.iter().zip(0..) {
                    let (top, bottom) = (top + THICK + 3, top + THICK + 3 + THIN);
                    fill(area, (x(from), top), (x(from + share), bottom), colour(part))?;
                    from += share;
                }
            }
            line(area, (left, HEAD - 8), (left, height - FOOT + 4), BLACK, BLACK_LINE)
        })
    }
}

/// The same rows in several panels side by side, each with a figure of its own.
#[derive(Clone, Debug)]
pub struct Panels {
    /// What it shows.
    pub title: String,
    /// The rows.
    pub rows: Vec<String>,
    /// The panels.
    pub panels: Vec<Panel>,
}

/// A panel of [`Panels`].
#[derive(Clone, Debug)]
pub struct Panel {
    /// The figure and its unit.
    pub axis: String,
    /// A bar for each row.
    pub bars: Vec<Bar>,
}

/// A bar, and how far the samples behind it lie apart.
#[derive(Clone, Copy, Debug)]
pub struct Bar {
    /// How long it is.
    pub value: f64,
    /// From the least to the greatest, if there are several.
    pub spread: Option<(f64, f64)>,
}

impl Panels {
    /// Draws it.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn draw(&self, path: &Path) -> anyhow::Result<()> {
        let height = TOP + ROW * self.rows.len() as i32 + FOOT;
        picture(path, &self.title, super::TITLE + height as u32, |area| {
            let labels = self.rows.iter().map(|label| letters_wide(label)).max().unwrap_or(0) + 40;
            for (label, n) in self.rows.iter().zip(0..) {
                text(area, label, (labels - 14, TOP + n * ROW + ROW / 2), USUAL, HPos::Right)?;
            }
            let width = (WIDTH as i32 - MARGIN - labels) / self.panels.len().max(1) as i32;
            for (panel, n) in self.panels.iter().zip(0..) {
                panel.draw(area, labels + n * width, width - 70, height, colour(n as usize))?;
            }
            Ok(())
        })
    }
}

impl Panel {
    fn draw(&self, area: &super::Area<'_>, left: i32, width: i32, height: i32, colour: RGBColor) -> anyhow::Result<()> {
        let reach = |bar: &Bar| bar.spread.map_or(bar.value, |(_, most)| most.max(bar.value));
        let largest = self.bars.iter().map(reach).fold(0.0, f64::max);
        let (step, full) = (step(largest, 3), largest.max(f64::MIN_POSITIVE));
        let x = |value: f64| left + (f64::from(width) * value / full).round() as i32;
        let bottom = height - FOOT + 4;
        for n in 0..=(largest / step) as i32 {
            let value = f64::from(n) * step;
            line(area, (x(value), TOP - 8), (x(value), bottom), FAINT, 1)?;
            text(area, &axis_number(value), (x(value), bottom + 16), SMALL, HPos::Center)?;
        }
        text(area, &self.axis, (left + width / 2, height - 18), USUAL, HPos::Center)?;
        for (bar, n) in self.bars.iter().zip(0..) {
            let middle = TOP + n * ROW + ROW / 2;
            fill(area, (left, middle - THICK / 2), (x(bar.value), middle + THICK / 2), colour)?;
            if let Some((least, most)) = bar.spread {
                line(area, (x(least), middle), (x(most), middle), BLACK, BLACK_LINE)?;
                for end in [x(least), x(most)] {
                    line(area, (end, middle - 6), (end, middle + 6), BLACK, BLACK_LINE)?;
                }
            }
            text(area, &number(bar.value), (x(reach(bar)) + 10, middle), SMALL, HPos::Left)?;
        }
        line(area, (left, TOP - 8), (left, bottom), BLACK, BLACK_LINE)
    }
}
