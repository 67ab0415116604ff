//! Samples and what is said about them: the median, and the middle half as the spread.

/// Measurements of one thing, in one unit.
#[derive(Debug, Clone, Default)]
pub(crate) struct Samples(Vec<f64>);

/// What is said about them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Summary {
    pub median: f64,
    /// A quarter of the samples lies below.
    pub low: f64,
    /// A quarter of the samples lies above.
    pub high: f64,
    pub runs: usize,
}

impl Samples {
    pub(crate) fn push(&mut self, sample: f64) {
        self.0.push(sample);
    }

    /// `None` without a sample.
    pub(crate) fn summary(&self) -> Option<Summary> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        Some(Summary {
            median: quantile(&sorted, 0.5)?,
            low: quantile(&sorted, 0.25)?,
            high: quantile(&sorted, 0.75)?,
            runs: sorted.len(),
        })
    }
}

/// By linear interpolation between the two nearest samples.
fn quantile(sorted: &[f64], part: f64) -> Option<f64> {
    let at = part * sorted.len().checked_sub(1)? as f64;
    let low = *sorted.get(at.floor() as usize)?;
    let high = *sorted.get(at.ceil() as usize)?;
    Some(low + (high - low) * at.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_and_the_middle_half() {
        let mut samples = Samples::default();
        assert_eq!(samples.summary(), None);
        for sample in [5.0, 1.0, 3.0, 2.0, 4.0] {
            samples.push(sample);
        }
        let summary = samples.summary().expect("five samples");
        assert_eq!((summary.low, summary.median, summary.high), (2.0, 3.0, 4.0));
        samples.push(6.0);
        assert_eq!(samples.summary().map(|s| s.median), Some(3.5));
    }
}
