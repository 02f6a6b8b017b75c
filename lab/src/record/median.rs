//! The middle of several samples, and how far they lie apart.

use serde::Serialize;

/// What several samples of one figure come to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// Half of them are not greater.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl Spread {
    /// The spread of these samples. None of nothing.
    #[must_use]
    pub fn of(samples: &[f64]) -> Option<Self> {
        let (min, max) = (samples.iter().copied().reduce(f64::min)?, samples.iter().copied().reduce(f64::max)?);
        Some(Self { median: median(samples.to_vec())?, min, max })
    }
}

/// The middle one; of an even number, the mean of the two in the middle. None of nothing.
#[must_use]
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        length if length % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn a_spread_has_its_ends() {
        assert_eq!(Spread::of(&[3.0, 1.0, 2.5]), Some(Spread { median: 2.5, min: 1.0, max: 3.0 }));
        assert_eq!(Spread::of(&[]), None);
    }
}
