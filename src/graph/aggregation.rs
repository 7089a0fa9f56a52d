//! How several numbers become one.

/// What the numbers along the reduced axes become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregation {
    /// Their sum.
    Sum,
    /// Their mean.
    Mean,
    /// The largest; NaN where there is one.
    Max,
    /// The smallest; NaN where there is one.
    Min,
    /// All multiplied.
    Prod,
    /// Where the first largest stands, or the first NaN.
    ArgMax,
    /// Where the first smallest stands, or the first NaN.
    ArgMin,
}
