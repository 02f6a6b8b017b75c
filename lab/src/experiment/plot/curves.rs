//! Curves over logarithmic axes: how many requests take longer than a time.

use super::{FAINT, LETTERS, SMALL, USUAL, colour, picture};
use anyhow::anyhow;
use plotters::prelude::*;
use std::path::Path;

/// Height of the picture below its title.
const HEIGHT: u32 = 656;

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

impl Curves {
    /// Draws it.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn draw(&self, path: &Path) -> anyhow::Result<()> {
        let times = || self.curves.iter().flat_map(|curve| &curve.points).map(|point| point.0);
        let (least, most) = (times().fold(f64::MAX, f64::min).max(0.001), times().fold(0.002, f64::max));
        picture(path, &self.title, super::TITLE + HEIGHT, |area| {
            self.draw_into(area, (least * 0.9, most * 1.1))
                .map_err(|error| anyhow!("The curves cannot be drawn: {error}"))
        })
    }

    fn draw_into(
        &self,
        area: &super::Area<'_>,
        (least, most): (f64, f64),
    ) -> Result<(), DrawingAreaErrorKind<std::io::Error>> {
        let mut chart = ChartBuilder::on(area)
            .margin(16)
            .margin_right(40)
            .x_label_area_size(72)
            .y_label_area_size(110)
            .build_cartesian_2d((least..most).log_scale(), (0.001..1.0).log_scale())?;
        let letters = |size| TextStyle::from((LETTERS, size));
        chart
            .configure_mesh()
            .x_desc("time until the answer, in milliseconds")
            .y_desc("requests that take longer")
            .x_label_formatter(&|ms| super::number(*ms).trim_end_matches(".00").trim_end_matches(".0").to_owned())
            .y_label_formatter(&|part| percent(*part))
            .axis_desc_style(letters(USUAL))
            .label_style(letters(SMALL))
            .bold_line_style(FAINT)
            .light_line_style(WHITE)
            .draw()?;
        for (curve, n) in self.curves.iter().zip(0..) {
            let style = colour(n).stroke_width(if curve.thin { 2 } else { 4 });
            chart
                .draw_series(LineSeries::new(curve.points.iter().copied(), style))?
                .label(&*curve.label)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 28, y)], style));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .legend_area_size(40)
            .margin(14)
            .label_font(letters(USUAL))
            .background_style(WHITE.mix(0.9))
            .border_style(FAINT)
            .draw()
    }
}

/// 0.01 → `1 %`.
fn percent(part: f64) -> String {
    let text = format!("{:.3}", part * 100.0);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_in_percent() {
        assert_eq!([1.0, 0.5, 0.01, 0.001].map(percent), ["100 %", "50 %", "1 %", "0.1 %"]);
    }
}
