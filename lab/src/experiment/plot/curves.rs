//! Curves over logarithmic axes: how many requests take longer than a time.

use super::{
    Area, BLACK_LINE, FAINT, LARGE, MARGIN, SMALL, TITLE, WIDTH, axis_number, colour, legend_height, legend_lines,
    line, picture, text,
};
use anyhow::anyhow;
use plotters::{
    prelude::{BLACK, Color, PathElement},
    style::text_anchor::HPos,
};
use std::path::Path;

/// Width of what is left of the curves, and height of what is below them.
const LEFT: i32 = 190;
const FOOT: i32 = 76;
/// Height of the curves.
const HEIGHT: i32 = 520;
/// The parts of the requests that have a line of their own, and what they are called.
const PARTS: [(f64, &str); 7] = [
    (1.0, "100 %"),
    (0.5, "50 % (median)"),
    (0.2, "20 %"),
    (0.1, "10 % (p90)"),
    (0.05, "5 % (p95)"),
    (0.01, "1 % (p99)"),
    (0.001, "0.1 % (p99.9)"),
];

/// Curves of how many requests take longer than a time. Both axes are logarithmic: so is what people feel, and so the
/// slowest one of a thousand takes as much room as the slowest of ten.
#[derive(Clone, Debug)]
pub struct Curves {
    /// What it shows.
    pub title: String,
    /// The curves.
    pub curves: Vec<Curve>,
}

/// One curve.
#[derive(Clone, Debug)]
pub struct Curve {
    /// What it is about.
    pub label: String,
    /// Times in milliseconds, and which part of the requests takes longer; in the order of the times.
    pub points: Vec<(f64, f64)>,
    /// Whether it is drawn thin, so that others stand out.
    pub thin: bool,
}

/// Where times and parts are in the picture.
struct Frame {
    least: f64,
    most: f64,
    top: i32,
}

impl Frame {
    fn x(&self, ms: f64) -> i32 {
        let width = f64::from(WIDTH as i32 - MARGIN - LEFT);
        LEFT + (width * (ms.max(self.least) / self.least).ln() / (self.most / self.least).ln()).round() as i32
    }

    fn y(&self, part: f64) -> i32 {
        self.top + (f64::from(HEIGHT) * part.max(0.001).log10() / -3.0).round() as i32
    }

    fn bottom(&self) -> i32 {
        self.top + HEIGHT
    }
}

impl Curves {
    /// Draws it.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn draw(&self, path: &Path) -> anyhow::Result<()> {
        let times = || self.curves.iter().flat_map(|curve| &curve.points).map(|point| point.0);
        let (least, most) = (times().fold(f64::MAX, f64::min), times().fold(0.002, f64::max));
        let names: Vec<&str> = self.curves.iter().map(|curve| curve.label.as_str()).collect();
        let frame =
            Frame { least: least.clamp(0.001, most / 1.1) * 0.95, most: most * 1.05, top: legend_height(&names) + 24 };
        picture(path, &self.title, TITLE + (frame.bottom() + FOOT) as u32, |area| {
            legend_lines(area, &names, |n| self.curves[n].width())?;
            axes(area, &frame)?;
            self.curves.iter().zip(0..).try_for_each(|(curve, n)| curve.draw(area, &frame, n))
        })
    }
}

fn axes(area: &Area<'_>, frame: &Frame) -> anyhow::Result<()> {
    let right = WIDTH as i32 - MARGIN;
    for (part, name) in PARTS {
        let y = frame.y(part);
        line(area, (LEFT, y), (right, y), FAINT, 1)?;
        text(area, name, (LEFT - 12, y), SMALL, HPos::Right)?;
    }
    let powers = frame.least.log10().floor() as i32..=frame.most.log10().ceil() as i32;
    let ticks = powers.flat_map(|power| [1.0, 2.0, 3.0, 5.0, 7.0].map(|step| step * 10_f64.powi(power)));
    for ms in ticks.filter(|ms| (frame.least..=frame.most).contains(ms)) {
        let x = frame.x(ms);
        line(area, (x, frame.top), (x, frame.bottom()), FAINT, 1)?;
        text(area, &axis_number(ms), (x, frame.bottom() + 18), SMALL, HPos::Center)?;
    }
    line(area, (LEFT, frame.top), (LEFT, frame.bottom()), BLACK, BLACK_LINE)?;
    line(area, (LEFT, frame.bottom()), (right, frame.bottom()), BLACK, BLACK_LINE)?;
    let words = "time until the answer, in milliseconds (up: how many requests take longer)";
    text(area, words, ((LEFT + right) / 2, frame.bottom() + 48), LARGE - 6, HPos::Center)
}

impl Curve {
    fn width(&self) -> u32 {
        if self.thin { 3 } else { 5 }
    }

    fn draw(&self, area: &Area<'_>, frame: &Frame, n: usize) -> anyhow::Result<()> {
        let points: Vec<(i32, i32)> = self.points.iter().map(|(ms, part)| (frame.x(*ms), frame.y(*part))).collect();
        let drawn = area.draw(&PathElement::new(points, colour(n).stroke_width(self.width())));
        drawn.map_err(|error| anyhow!("A curve cannot be drawn: {error}"))
    }
}
