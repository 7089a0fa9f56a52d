//! Windows over a series: of numbers in the order of time, or of a text's tokens.

use super::{Dataset, Source};
use crate::error::{Error, Result};
use crate::memory;
use crate::tensor::Tensor;

/// Which windows of a series are samples, by the names of Keras' `timeseries_dataset_from_array`.
///
/// ```
/// use kiln::data::Windows;
/// let windows = Windows::new(12).sequence_stride(3).end_index(120);
/// # let _ = windows;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    sequence_length: usize,
    sequence_stride: usize,
    sampling_rate: usize,
    start_index: usize,
    end_index: Option<usize>,
}

impl Windows {
    /// Windows of so many steps, one from each step on for which there are as many.
    pub fn new(sequence_length: usize) -> Self {
        Self { sequence_length, sequence_stride: 1, sampling_rate: 1, start_index: 0, end_index: None }
    }

    /// How many steps of the series lie between the beginnings of two windows; default 1. As many as the window has is windows side by
    /// side.
    #[must_use]
    pub fn sequence_stride(mut self, steps: usize) -> Self {
        self.sequence_stride = steps;
        self
    }

    /// Takes each so many-th step of the series into a window; default 1, all.
    #[must_use]
    pub fn sampling_rate(mut self, steps: usize) -> Self {
        self.sampling_rate = steps;
        self
    }

    /// The first step that windows may have; default 0.
    #[must_use]
    pub fn start_index(mut self, step: usize) -> Self {
        self.start_index = step;
        self
    }

    /// The step before which windows end; default the series' end.
    #[must_use]
    pub fn end_index(mut self, step: usize) -> Self {
        self.end_index = Some(step);
        self
    }

    fn check(&self, steps: usize) -> Result<()> {
        for (name, value) in [
            ("sequence_length", self.sequence_length),
            ("sequence_stride", self.sequence_stride),
            ("sampling_rate", self.sampling_rate),
        ] {
            if value == 0 {
                return Err(Error::argument(name, "is 0; give 1 or more"));
            }
        }
        let end = self.end_index.unwrap_or(steps);
        if end > steps || self.start_index >= end {
            let message = format!("windows from step {} to {end} are none of a series of {steps}", self.start_index);
            return Err(Error::argument("start_index, end_index", message));
        }
        Ok(())
    }

    /// The steps of the window that begins `at` steps behind the first one.
    fn steps(&self, at: usize) -> impl Iterator<Item = usize> {
        let first = self.start_index + at;
        (0..self.sequence_length).map(move |step| first + step * self.sampling_rate)
    }
}

/// Windows over a series as samples, read from the series when they are batched: however much windows overlap, the series is there
/// once. Keras' `timeseries_dataset_from_array`.
///
/// ```
/// use kiln::data::{TimeseriesDataset, Windows};
/// use kiln::prelude::*;
/// // Three months to the one that follows.
/// let passengers = Tensor::from([112f32, 118.0, 132.0, 129.0, 121.0]);
/// let next = passengers.slice("3:")?;
/// let months = TimeseriesDataset::from_array(passengers, next, Windows::new(3))?.to_dataset()?;
/// assert_eq!(months.x().to_vec::<f32>(), [112.0, 118.0, 132.0, 118.0, 132.0, 129.0]);
/// assert_eq!(months.y().to_vec::<f32>(), [129.0, 121.0]);
///
/// // Tokens of a text to those that follow each of them.
/// let text = Tensor::from([5u32, 1, 4, 1, 3]);
/// let next = TimeseriesDataset::next_steps(text, Windows::new(2).sequence_stride(2))?.to_dataset()?;
/// assert_eq!(next.x().to_vec::<u32>(), [5, 1, 4, 1]);
/// assert_eq!(next.y().to_vec::<u32>(), [1, 4, 1, 3]);
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct TimeseriesDataset {
    /// (steps, ...)
    data: Tensor,
    /// One for each window, by the step where that begins; `None`: the window a step later.
    targets: Option<Tensor>,
    windows: Windows,
    /// How many there are.
    len: usize,
}

impl TimeseriesDataset {
    /// Windows over `data`, of shape `(steps, ...)`, to targets: that of the window which begins at step `i` is `targets[i]`. Where there
    /// are fewer targets, there are fewer windows.
    ///
    /// # Errors
    /// [`Error::Argument`] where a setting is 0 or there is no window.
    pub fn from_array(data: Tensor, targets: Tensor, windows: Windows) -> Result<Self> {
        for (name, tensor) in [("data", &data), ("targets", &targets)] {
            if tensor.shape().is_scalar() {
                return Err(Error::argument(name, "is a scalar; its first axis counts the steps"));
            }
        }
        let after = targets.rows().min(windows.end_index.unwrap_or(usize::MAX)).saturating_sub(windows.start_index);
        Self::new(data, Some(targets), windows, after)
    }

    /// Windows over `data`, of shape `(steps, ...)`, to the same windows a step later: for each step the one that follows, such as the
    /// next token.
    ///
    /// # Errors
    /// [`Error::Argument`] where a setting is 0 or there is no window with a step behind it.
    pub fn next_steps(data: Tensor, windows: Windows) -> Result<Self> {
        if data.shape().is_scalar() {
            return Err(Error::argument("data", "is a scalar; its first axis counts the steps"));
        }
        Self::new(data, None, windows, usize::MAX)
    }

    /// Windows of which at most `most` begins are taken.
    fn new(data: Tensor, targets: Option<Tensor>, windows: Windows, most: usize) -> Result<Self> {
        let steps = data.rows();
        windows.check(steps)?;
        // With the target's, where that is the next one.
        let span = (windows.sequence_length - 1).saturating_mul(windows.sampling_rate);
        let span = span.saturating_add(usize::from(targets.is_none()));
        let range = windows.end_index.unwrap_or(steps) - windows.start_index;
        let len = range.saturating_sub(span).min(most).div_ceil(windows.sequence_stride);
        if len == 0 {
            let message = match range.checked_sub(span) {
                // There are windows, and no targets of theirs.
                Some(1..) => format!("no target is of a window that begins at step {} or later", windows.start_index),
                _ => {
                    let span = span.saturating_add(1);
                    format!("a window and its target take {span} steps; there are {range} to take them from")
                }
            };
            return Err(Error::argument("sequence_length", message));
        }
        Ok(Self { data, targets, windows, len })
    }

    /// All windows at once, copied: what a series that is short may well be.
    ///
    /// # Errors
    /// [`Error::Memory`] where the machine has none for as many.
    pub fn to_dataset(&self) -> Result<Dataset> {
        self.read(&memory::list(0..self.len, "the windows of a series")?)
    }

    /// The windows that begin `later` steps after those of these numbers.
    fn gather(&self, rows: &[usize], later: usize) -> Result<Tensor> {
        let Windows { sequence_length, sequence_stride, .. } = self.windows;
        let mut steps = memory::room(rows.len().saturating_mul(sequence_length), "the windows of a series")?;
        steps.extend(rows.iter().flat_map(|row| self.windows.steps(row * sequence_stride + later)));
        let shape = [&[rows.len(), sequence_length], &self.data.shape()[1..]].concat();
        Tensor::new(shape, self.data.take(&steps)?.into_values())
    }
}

impl Source for TimeseriesDataset {
    fn len(&self) -> usize {
        self.len
    }

    fn read(&self, rows: &[usize]) -> Result<Dataset> {
        if let Some(row) = rows.iter().find(|&&row| row >= self.len) {
            return Err(Error::argument("rows", format!("there is no window {row} of {}", self.len)));
        }
        let y = match &self.targets {
            None => self.gather(rows, 1)?,
            Some(targets) => {
                let start = |row: &usize| self.windows.start_index + row * self.windows.sequence_stride;
                targets.take(&rows.iter().map(start).collect::<Vec<_>>())?
            }
        };
        Dataset::new(self.gather(rows, 0)?, y)
    }
}
