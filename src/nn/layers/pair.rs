//! Numbers for the rows and the columns of an image, as layers are given them.

use crate::config::{Config, FromSetting, Setting};
use crate::error::Result;

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

/// Settings of layers with one or two spatial axes. With one, which sequences have, the number for rows means nothing.
impl Pair {
    /// A number for the steps of sequences, which are an image's only row.
    pub(super) fn of_steps(steps: usize) -> Self {
        Self([1, steps])
    }

    /// The numbers that were given.
    pub(super) fn given(&self, spatial: usize) -> &[usize] {
        &self.0[2 - spatial..]
    }

    /// As layers of so many spatial axes keep it: as Keras has it, a list of one or two numbers.
    pub(super) fn kept(&self, spatial: usize) -> Setting {
        self.given(spatial).to_vec().into()
    }

    /// In words.
    pub(super) fn said(&self, spatial: usize) -> String {
        match self.given(spatial) {
            [steps] => steps.to_string(),
            several => format!("{several:?}"),
        }
    }

    /// One of so many spatial axes out of `config`.
    pub(super) fn taken(config: &mut Config, key: &str, spatial: usize) -> Result<Self> {
        if spatial == 1 {
            config.take::<Steps>(key).map(|Steps(steps)| Self::of_steps(steps))
        } else {
            config.take(key)
        }
    }

    /// The same, where there is one and it is not null.
    pub(super) fn taken_if(config: &mut Config, key: &str, spatial: usize) -> Result<Option<Self>> {
        match spatial {
            1 => Ok(config.take_or::<Option<Steps>>(key, None)?.map(|Steps(steps)| Self::of_steps(steps))),
            _ => config.take_or(key, None),
        }
    }
}

/// A number for the steps of sequences: a list of one, or the number.
struct Steps(usize);

impl FromSetting for Steps {
    fn from_setting(setting: &Setting) -> Result<Self, String> {
        match setting {
            Setting::List(each) if each.len() == 1 => usize::from_setting(&each[0]),
            Setting::List(each) => Err(format!("expected one number, found {}", each.len())),
            one => usize::from_setting(one),
        }
        .map(Self)
    }
}
