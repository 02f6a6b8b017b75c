//! Figures over time: panels below each other that share their time, with spans in which something was different.

use super::{
    Area, BLACK_LINE, FAINT, MARGIN, SMALL, TITLE, USUAL, WIDTH, axis_number, colour, fill, legend_height,
    legend_lines, line, picture, step, text,
};
use anyhow::anyhow;
use plotters::{
    prelude::{BLACK, Color, PathElement, RGBColor},
    style::text_anchor::HPos,
};
use std::path::Path;

/// Width of what is left of the panels; height of a panel, of its words above, and of what is below all.
const LEFT: i32 = 110;
const PANEL: i32 = 170;
const WORDS: i32 = 44;
const FOOT: i32 = 70;
/// Width of a curve.
const THICK: u32 = 3;
/// The colour of spans.
const SPAN: RGBColor = RGBColor(250, 226, 214);

/// Panels over one time.
#[derive(Clone, Debug)]
pub struct Series {
    /// What they show.
    pub title: String,
    /// What the curves of a panel are about, in the order of their colours; what a panel does not have is left out in it.
    pub names: Vec<String>,
    /// What the spans are about.
    pub spans_are: String,
    /// From when to when, in seconds.
    pub spans: Vec<(f64, f64)>,
    /// The panels.
    pub panels: Vec<Chart>,
}

/// One of them.
#[derive(Clone, Debug)]
pub struct Chart {
    /// The figure and its unit.
    pub axis: String,
    /// Where its axis begins.
    pub floor: f64,
    /// Curves of seconds and figures, each with its place among the names.
    pub curves: Vec<(usize, Vec<(f64, f64)>)>,
}

impl Series {
    /// Draws them.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn draw(&self, path: &Path) -> anyhow::Result<()> {
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        let points = || self.panels.iter().flat_map(|panel| &panel.curves).flat_map(|(_, points)| points);
        let end = points().map(|point| point.0).fold(f64::MIN_POSITIVE, f64::max);
        let head = legend_height(&names) + 20;
        let bottom = head + self.panels.len() as i32 * (PANEL + WORDS);
        let right = WIDTH as i32 - MARGIN;
        let x = |seconds: f64| LEFT + (f64::from(right - LEFT) * (seconds / end).clamp(0.0, 1.0)).round() as i32;
        picture(path, &self.title, TITLE + (bottom + FOOT) as u32, |area| {
            legend_lines(area, &names, |_| THICK + 2)?;
            for (panel, n) in self.panels.iter().zip(0..) {
                panel.draw(area, head + WORDS + n * (PANEL + WORDS), &x, &self.spans)?;
            }
            let step = step(end, 12);
            for n in 0..=(end / step) as i32 {
                let seconds = f64::from(n) * step;
                text(area, &axis_number(seconds), (x(seconds), bottom + 16), SMALL, HPos::Center)?;
            }
            let spans = if self.spans.is_empty() { String::new() } else { format!("; coloured: {}", self.spans_are) };
            text(area, &format!("seconds{spans}"), ((LEFT + right) / 2, bottom + 48), USUAL, HPos::Center)
        })
    }
}

impl Chart {
    fn draw(&self, area: &Area<'_>, top: i32, x: &dyn Fn(f64) -> i32, spans: &[(f64, f64)]) -> anyhow::Result<()> {
        let (bottom, right) = (top + PANEL, WIDTH as i32 - MARGIN);
        let figures = || self.curves.iter().flat_map(|(_, points)| points).map(|point| point.1);
        let span = (figures().fold(self.floor, f64::max) - self.floor).max(f64::MIN_POSITIVE) * 1.06;
        let y = |value: f64| bottom - (f64::from(PANEL) * (value - self.floor) / span).round() as i32;
        for (from, to) in spans {
            fill(area, (x(*from), top), (x(*to).max(x(*from) + 2), bottom), SPAN)?;
        }
        let step = step(span, 4);
        for n in 0..=(span / step) as i32 {
            let value = self.floor + f64::from(n) * step;
            line(area, (LEFT, y(value)), (right, y(value)), FAINT, 1)?;
            text(area, &axis_number(value), (LEFT - 12, y(value)), SMALL, HPos::Right)?;
        }
        for (n, points) in &self.curves {
            let points: Vec<(i32, i32)> = points.iter().map(|(at, value)| (x(*at), y(value.max(self.floor)))).collect();
            let drawn = area.draw(&PathElement::new(points, colour(*n).stroke_width(THICK)));
            drawn.map_err(|error| anyhow!("A curve cannot be drawn: {error}"))?;
        }
        line(area, (LEFT, top), (LEFT, bottom), BLACK, BLACK_LINE)?;
        line(area, (LEFT, bottom), (right, bottom), BLACK, BLACK_LINE)?;
        text(area, &self.axis, (LEFT, top - 16), USUAL, HPos::Left)
    }
}
