//! How often values lie where, in TensorFlow's buckets.

use std::sync::OnceLock;

use crate::io::protobuf::Message;

/// Each limit is so many times the last one.
const GROWTH: f64 = 1.1;
const SMALLEST: f64 = 1e-12;
const LARGEST: f64 = 1e20;

/// Where buckets end, a bucket's end not included: the largest of all numbers, before it powers of [`GROWTH`] from
/// [`SMALLEST`] to [`LARGEST`], zero, and the same below zero.
fn limits() -> &'static [f64] {
    static LIMITS: OnceLock<Vec<f64>> = OnceLock::new();
    LIMITS.get_or_init(|| {
        let powers = std::iter::successors(Some(SMALLEST), |limit| Some(limit * GROWTH));
        let above: Vec<f64> = powers.take_while(|&limit| limit < LARGEST).chain([f64::MAX]).collect();
        above.iter().rev().map(|limit| -limit).chain([0.0]).chain(above.iter().copied()).collect()
    })
}

/// The counts of the buckets, and what else the values are known by.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Histogram {
    least: f64,
    most: f64,
    count: f64,
    sum: f64,
    sum_of_squares: f64,
    /// Each bucket's end and how many values it holds. Empty ones in a row are one.
    buckets: Vec<(f64, f64)>,
}

impl Histogram {
    /// NaN and infinities have no place in it, and are left out.
    pub fn new(values: &[f64]) -> Self {
        let limits = limits();
        let mut counts = vec![0.0; limits.len()];
        let finite = || values.iter().copied().filter(|value| value.is_finite());
        for value in finite() {
            // The largest number of all is no end of a bucket that holds it.
            counts[limits.partition_point(|&limit| limit <= value).min(limits.len() - 1)] += 1.0;
        }
        let mut buckets: Vec<(f64, f64)> = Vec::new();
        for (&limit, count) in limits.iter().zip(counts) {
            match buckets.last_mut() {
                Some(last) if count == 0.0 && last.1 == 0.0 => last.0 = limit,
                _ => buckets.push((limit, count)),
            }
        }
        let count = finite().count() as f64;
        let extreme = |better: fn(f64, f64) -> f64| finite().reduce(better).unwrap_or(0.0);
        Self {
            least: extreme(f64::min),
            most: extreme(f64::max),
            count,
            sum: finite().sum(),
            sum_of_squares: finite().map(|value| value * value).sum(),
            buckets,
        }
    }

    /// TensorFlow's `HistogramProto`.
    pub fn message(&self) -> Message {
        let (limits, counts): (Vec<f64>, Vec<f64>) = self.buckets.iter().copied().unzip();
        let known = [self.least, self.most, self.count, self.sum, self.sum_of_squares];
        let message = (1..).zip(known).fold(Message::default(), |message, (field, value)| message.double(field, value));
        message.doubles(6, &limits).doubles(7, &counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first power of 1.1 above a value, and the one before it, as factors of the smallest.
    fn around(value: f64) -> (f64, f64) {
        let above = ((value / SMALLEST).ln() / GROWTH.ln()).floor() + 1.0;
        (SMALLEST * GROWTH.powf(above - 1.0), SMALLEST * GROWTH.powf(above))
    }

    #[track_caller]
    fn near(found: f64, wanted: f64) {
        assert!((found - wanted).abs() <= 1e-9 * wanted.abs(), "{found} is not {wanted}");
    }

    #[test]
    fn limits_are_powers_on_both_sides_of_zero() {
        let limits = limits();
        // 1.1^774 is the first power above 10^32.
        assert_eq!((limits.len(), limits[774], limits[775]), (2 * 774 + 3, -1e-12, 0.0));
        assert!(limits.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(limits.iter().zip(limits.iter().rev()).all(|(a, b)| *a == -b));
        near(limits[775 + 11], 1e-12 * 1.1f64.powi(10));
    }

    #[test]
    fn values_are_counted_between_the_powers_around_them() {
        let histogram = Histogram::new(&[0.5, -3.0, 0.5, 0.0, 7.0]);
        let (least, most, count, sum) = (histogram.least, histogram.most, histogram.count, histogram.sum);
        assert_eq!((least, most, count, sum, histogram.sum_of_squares), (-3.0, 7.0, 5.0, 5.0, 58.5));
        let full: Vec<usize> = (0..histogram.buckets.len()).filter(|&i| histogram.buckets[i].1 > 0.0).collect();
        let counts: Vec<f64> = full.iter().map(|&i| histogram.buckets[i].1).collect();
        assert_eq!(counts, [1.0, 1.0, 2.0, 1.0], "of -3, 0, 0.5, 7");
        // What lies between two that hold something is one empty bucket, and so is what lies before and behind.
        assert_eq!((full, histogram.buckets.len()), (vec![1, 3, 5, 7], 9));
        let limits: Vec<f64> = histogram.buckets.iter().map(|bucket| bucket.0).collect();
        let ([half, seven], three) = ([0.5, 7.0].map(around), around(3.0));
        for (i, limit) in [-three.1, -three.0, 0.0, 1e-12, half.0, half.1, seven.0, seven.1].into_iter().enumerate() {
            near(limits[i], limit);
        }
        assert_eq!(limits[8], f64::MAX);
    }

    #[test]
    fn a_limit_belongs_to_the_bucket_above_and_the_largest_numbers_to_the_last() {
        let of = |value: f64| {
            let buckets = Histogram::new(&[value]).buckets;
            let at = buckets.iter().position(|bucket| bucket.1 == 1.0).unwrap();
            (at.checked_sub(1).map(|before| buckets[before].0), buckets[at].0)
        };
        assert_eq!(of(1e-12), (Some(1e-12), 1e-12 * GROWTH));
        assert_eq!(of(-0.0), (Some(0.0), 1e-12));
        assert_eq!(of(-1e-12), (Some(-1e-12), 0.0));
        assert_eq!((of(f64::MAX).1, of(1e30).1), (f64::MAX, f64::MAX));
        assert_eq!((of(-f64::MAX).0, of(-1e30).0), (Some(-f64::MAX), Some(-f64::MAX)));
    }

    #[test]
    fn what_is_no_number_is_left_out() {
        let lost = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
        assert_eq!(Histogram::new(&[&lost[..], &[1.0, 2.0]].concat()), Histogram::new(&[1.0, 2.0]));
        let nothing = Histogram::new(&lost);
        assert_eq!(nothing, Histogram::new(&[]));
        assert_eq!(
            (nothing.least, nothing.most, nothing.count, nothing.buckets),
            (0.0, 0.0, 0.0, vec![(f64::MAX, 0.0)])
        );
    }
}
