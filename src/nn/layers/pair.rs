//! Numbers for the rows and the columns of an image, as layers are given them.

use crate::config::{FromSetting, Setting};

/// A number for rows and one for columns: `2` stands for both, `[2, 3]` for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair(pub [usize; 2]);

impl From<usize> for Pair {
    fn from(both: usize) -> Self {
        Self([both; 2])
    }
}

impl From<[usize; 2]> for Pair {
    fn from(each: [usize; 2]) -> Self {
        Self(each)
    }
}

impl From<(usize, usize)> for Pair {
    fn from((rows, columns): (usize, usize)) -> Self {
        Self([rows, columns])
    }
}

/// A list, as Keras has it.
impl From<Pair> for Setting {
    fn from(pair: Pair) -> Self {
        pair.0.to_vec().into()
    }
}

/// A list of two, or one number for both.
impl FromSetting for Pair {
    fn from_setting(setting: &Setting) -> Result<Self, String> {
        if let Setting::Int(_) = setting {
            return usize::from_setting(setting).map(Self::from);
        }
        let each = Vec::<usize>::from_setting(setting)?;
        let two: [usize; 2] =
            each.try_into().map_err(|each: Vec<_>| format!("expected two numbers, found {}", each.len()))?;
        Ok(Self(two))
    }
}
