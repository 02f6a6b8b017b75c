//! Lines over steps that have names: how a figure goes up and down.

use super::{
    Area, BLACK_LINE, COLOURS, FAINT, MARGIN, SMALL, TITLE, USUAL, WIDTH, axis_number, colour, legend_height,
    legend_lines, line, picture, step, text,
};
use anyhow::anyhow;
use plotters::{
    prelude::{BLACK, Circle, Color, PathElement, WHITE},
    style::text_anchor::HPos,
};
use std::path::Path;

/// Width of what is left of the lines, their height, and the height of what is below.
const LEFT: i32 = 110;
const HEIGHT: i32 = 480;
const FOOT: i32 = 76;
/// Width of a line, and of those that come when all colours are used up and begin again.
const THICK: u32 = 4;
const THIN: u32 = 2;
/// Half the width of a point.
const POINT: i32 = 6;

/// Lines over steps.
#[derive(Clone, Debug)]
pub struct Lines {
    /// What it shows.
    pub title: String,
    /// What the steps are.
    pub axis: String,
    /// The steps.
    pub steps: Vec<String>,
    /// Where the figures begin.
    pub floor: f64,
    /// What each line is about, and its figures, one for each step.
    pub lines: Vec<(String, Vec<f64>)>,
}

impl Lines {
    /// Draws it.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn draw(&self, path: &Path) -> anyhow::Result<()> {
        let names: Vec<&str> = self.lines.iter().map(|(name, _)| name.as_str()).collect();
        let top = legend_height(&names) + 24;
        let (bottom, right) = (top + HEIGHT, WIDTH as i32 - MARGIN);
        let most = self.lines.iter().flat_map(|(_, figures)| figures).copied().fold(self.floor, f64::max);
        let span = (most - self.floor).max(f64::MIN_POSITIVE) * 1.04;
        let between = (right - LEFT) / self.steps.len().max(1) as i32;
        let x = |at: usize| LEFT + between / 2 + between * at as i32;
        let y = |value: f64| bottom - (f64::from(HEIGHT) * (value - self.floor) / span).round() as i32;
        picture(path, &self.title, TITLE + (bottom + FOOT) as u32, |area| {
            legend_lines(area, &names, thick)?;
            let step = step(span, 6);
            for n in 0..=(span / step) as i32 {
                let value = self.floor + f64::from(n) * step;
                line(area, (LEFT, y(value)), (right, y(value)), FAINT, 1)?;
                text(area, &axis_number(value), (LEFT - 12, y(value)), SMALL, HPos::Right)?;
            }
            for (name, at) in self.steps.iter().zip(0..) {
                text(area, name, (x(at), bottom + 18), USUAL, HPos::Center)?;
            }
            for ((_, figures), n) in self.lines.iter().zip(0..) {
                let points = figures.iter().zip(0..).map(|(figure, at)| (x(at), y(*figure))).collect();
                one(area, points, n)?;
            }
            line(area, (LEFT, top), (LEFT, bottom), BLACK, BLACK_LINE)?;
            line(area, (LEFT, bottom), (right, bottom), BLACK, BLACK_LINE)?;
            text(area, &self.axis, ((LEFT + right) / 2, bottom + 50), USUAL, HPos::Center)
        })
    }
}

fn thick(n: usize) -> u32 {
    if n < COLOURS.len() { THICK } else { THIN }
}

/// One line with its points, which are hollow on a thin one.
fn one(area: &Area<'_>, points: Vec<(i32, i32)>, n: usize) -> anyhow::Result<()> {
    let failed = |error: &dyn std::fmt::Display| anyhow!("A line cannot be drawn: {error}");
    let drawn = area.draw(&PathElement::new(points.clone(), colour(n).stroke_width(thick(n))));
    drawn.map_err(|error| failed(&error))?;
    for point in points {
        let (inside, edge) = if thick(n) == THICK { (colour(n), 0) } else { (WHITE, THIN) };
        area.draw(&Circle::new(point, POINT, inside.filled())).map_err(|error| failed(&error))?;
        area.draw(&Circle::new(point, POINT, colour(n).stroke_width(edge))).map_err(|error| failed(&error))?;
    }
    Ok(())
}
