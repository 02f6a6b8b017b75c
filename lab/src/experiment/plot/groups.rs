//! Groups of bars that lie: for each thing a bar for each of its parts, from one beginning, so that they can be compared.

use super::{
    BLACK_LINE, FAINT, MARGIN, SMALL, TITLE, USUAL, WIDTH, axis_number, colour, fill, letters_wide, line, picture,
    step, text,
};
use plotters::{
    prelude::{BLACK, WHITE},
    style::text_anchor::HPos,
};
use std::path::Path;

/// Height of a bar, of the space between two groups, and of what is above and below all.
const BAR: i32 = 22;
const SPACE: i32 = 20;
const HEAD: i32 = 20;
const FOOT: i32 = 64;
/// Space for the figure behind the longest bar.
const FIGURE: i32 = 90;

/// Groups of bars.
#[derive(Clone, Debug)]
pub struct Groups {
    /// What it shows.
    pub title: String,
    /// The figure and its unit.
    pub axis: String,
    /// Where each bar would end if all of a group were alike, and what that is called.
    pub mark: (f64, String),
    /// The groups: what each is about, and its bars.
    pub groups: Vec<(String, Vec<u64>)>,
}

impl Groups {
    /// Draws it.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn draw(&self, path: &Path) -> anyhow::Result<()> {
        let body: i32 = self.groups.iter().map(|(_, bars)| bars.len() as i32 * BAR + SPACE).sum();
        let bottom = HEAD + body;
        let left = self.groups.iter().map(|(label, _)| letters_wide(label)).max().unwrap_or(0) + MARGIN + 14;
        let right = WIDTH as i32 - MARGIN - FIGURE;
        let largest = self.groups.iter().flat_map(|(_, bars)| bars).copied().max().unwrap_or(1).max(1) as f64;
        let x = |value: f64| left + (f64::from(right - left) * value / largest).round() as i32;
        picture(path, &self.title, TITLE + (bottom + FOOT) as u32, |area| {
            let step = step(largest, 6);
            for n in 0..=(largest / step) as i32 {
                let value = f64::from(n) * step;
                line(area, (x(value), HEAD - 8), (x(value), bottom), FAINT, 1)?;
                text(area, &axis_number(value), (x(value), bottom + 16), SMALL, HPos::Center)?;
            }
            for Placed { top, n, value } in self.bars() {
                fill(area, (left, top + 2), (x(value as f64), top + BAR - 2), colour(n))?;
            }
            let (mark, words) = &self.mark;
            line(area, (x(*mark), HEAD - 8), (x(*mark), bottom), BLACK, BLACK_LINE)?;
            text(area, words, (x(*mark), HEAD - 20), SMALL, HPos::Center)?;
            // Figures last, on white, so that no line goes through them.
            for Placed { top, value, .. } in self.bars() {
                let (from, figure) = (x(value as f64) + 4, value.to_string());
                fill(area, (from, top + 2), (from + letters_wide(&figure), top + BAR - 2), WHITE)?;
                text(area, &figure, (from + 4, top + BAR / 2), SMALL, HPos::Left)?;
            }
            let mut top = HEAD + SPACE / 2;
            for (label, bars) in &self.groups {
                let height = bars.len() as i32 * BAR;
                text(area, label, (left - 14, top + height / 2), USUAL, HPos::Right)?;
                top += height + SPACE;
            }
            line(area, (left, HEAD - 8), (left, bottom), BLACK, BLACK_LINE)?;
            text(area, &self.axis, ((left + right) / 2, bottom + 44), USUAL, HPos::Center)
        })
    }

    /// All bars, from the top.
    fn bars(&self) -> Vec<Placed> {
        let (mut placed, mut top) = (Vec::new(), HEAD + SPACE / 2);
        for (_, bars) in &self.groups {
            for (n, value) in bars.iter().copied().enumerate() {
                placed.push(Placed { top, n, value });
                top += BAR;
            }
            top += SPACE;
        }
        placed
    }
}

/// A bar, where it begins from the top, and which of its group it is.
struct Placed {
    top: i32,
    n: usize,
    value: u64,
}
