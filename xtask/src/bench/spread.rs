//! Several measurements of one thing, in a few words.

/// Median, quartiles and range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) min: f64,
    pub(super) lower: f64,
    pub(super) median: f64,
    pub(super) upper: f64,
    pub(super) max: f64,
}

impl Spread {
    /// The spread of the values; none if there are none.
    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let at = |share: f64| {
            let place = share * (values.len() - 1) as f64;
            let (low, high) = (values[place.floor() as usize], values[place.ceil() as usize]);
            low + (high - low) * place.fract()
        };
        Some(Self { min, lower: at(0.25), median: at(0.5), upper: at(0.75), max })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_of_seven_rounds_lie_between_the_rounds() {
        let spread = Spread::of([7.0, 1.0, 6.0, 2.0, 5.0, 3.0, 4.0]).unwrap();
        let expected = Spread { min: 1.0, lower: 2.5, median: 4.0, upper: 5.5, max: 7.0 };
        assert_eq!(spread, expected);
    }

    #[test]
    fn one_round_is_its_own_median_and_none_has_no_spread() {
        let one = Spread::of([3.0]).unwrap();
        assert_eq!((one.min, one.lower, one.median, one.max), (3.0, 3.0, 3.0, 3.0));
        assert_eq!(Spread::of([]), None);
    }
}
