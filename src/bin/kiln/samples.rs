//! What is trained on: samples in memory, or pictures that are read from their files as they are needed.

use anyhow::{Result, ensure};
use kiln::data::{Dataset, ImageFolder, Source};
use kiln::nn::Model;
use kiln::tensor::Shape;

use crate::model::shaped;
use crate::pictures::in_options;

/// Bytes of pictures that are held in memory, at most: a device that they rest on has them a second time.
pub const MOST_HELD: usize = 2 << 30;

/// Bytes of pictures that are read at once to see that none is damaged.
const AT_ONCE: usize = 64 << 20;

/// Samples to train on, to validate on or to measure on.
pub enum Samples {
    Held(Dataset),
    /// Pictures of files, and what a model takes them as where that is something else.
    Files {
        folder: ImageFolder,
        shape: Option<Shape>,
        scale: Option<f32>,
    },
}

/// What is trained, validated and measured on.
pub struct Loaded {
    pub train: Samples,
    pub validation: Option<Samples>,
    pub test: Samples,
}

impl Loaded {
    /// As the model takes them, in memory as far as they have room there.
    pub fn settled_for(self, model: &Model) -> Result<Self> {
        // A net of --layers, or of a file, says what it takes.
        let settled = |samples: Samples| match model.sample_shape() {
            Ok(sample) => samples.shaped(sample)?.settled(),
            Err(_) => samples.settled(),
        };
        let Self { train, validation, test } = self;
        Ok(Self { train: settled(train)?, validation: validation.map(settled).transpose()?, test: settled(test)? })
    }
}

impl Samples {
    /// The first `n` to train on, where so many are asked for.
    pub fn limited(self, limit: Option<usize>) -> Result<Self> {
        let Some(limit) = limit else { return Ok(self) };
        ensure!(limit > 0, "limit: 0 leaves no sample to train on; give 1 to {}", self.len());
        Ok(match self {
            Self::Held(data) => Self::Held(data.head(limit)),
            Self::Files { folder, shape, scale } => {
                let rows: Vec<usize> = (0..folder.len().min(limit)).collect();
                Self::Files { folder: folder.subset(&rows)?, shape, scale }
            }
        })
    }

    /// As a model of these samples takes them: flattened, or with an axis more.
    pub fn shaped(self, sample: &Shape) -> Result<Self> {
        Ok(match self {
            Self::Held(data) => Self::Held(shaped(data, sample)?),
            Self::Files { folder, scale, .. } => Self::Files { folder, shape: Some(sample.clone()), scale },
        })
    }

    /// With elements that are multiplied, when they are batched, as those were that the model was trained on.
    pub fn scaled_for(self, model: &Model) -> Result<Self> {
        Ok(match self {
            Self::Held(data) => {
                let scale = model.input_scale(data.x())?;
                Self::Held(data.with_scale(scale))
            }
            // Bytes all of them.
            Self::Files { folder, shape, .. } => {
                let scale = Some(model.input_scale(folder.read(&[0])?.x())?);
                Self::Files { folder, shape, scale }
            }
        })
    }

    /// Those in memory that have room there. The others are read once, so that a damaged file is known before anything is trained.
    pub fn settled(self) -> Result<Self> {
        self.settled_within(MOST_HELD)
    }

    fn settled_within(self, most: usize) -> Result<Self> {
        let Self::Files { folder, .. } = &self else { return Ok(self) };
        let read = |rows: &[usize]| folder.read(rows).map_err(|e| in_options(&e));
        let bytes = read(&[0])?.sample_shape().len();
        if bytes.saturating_mul(folder.len()) <= most {
            return self.held().map(Self::Held);
        }
        let rows: Vec<usize> = (0..folder.len()).collect();
        rows.chunks((AT_ONCE / bytes).max(1)).try_for_each(|some| read(some).map(drop))?;
        Ok(self)
    }

    /// All of them in memory.
    pub fn held(self) -> Result<Dataset> {
        match self {
            Self::Held(data) => Ok(data),
            Self::Files { .. } => self.read(&(0..self.len()).collect::<Vec<_>>()).map_err(|e| in_options(&e)),
        }
    }
}

impl From<ImageFolder> for Samples {
    fn from(folder: ImageFolder) -> Self {
        Self::Files { folder, shape: None, scale: None }
    }
}

impl From<Dataset> for Samples {
    fn from(data: Dataset) -> Self {
        Self::Held(data)
    }
}

impl Source for Samples {
    fn len(&self) -> usize {
        match self {
            Self::Held(data) => data.len(),
            Self::Files { folder, .. } => folder.len(),
        }
    }

    fn read(&self, rows: &[usize]) -> kiln::Result<Dataset> {
        match self {
            Self::Held(data) => data.subset(rows),
            Self::Files { folder, shape, scale } => {
                let data = folder.read(rows)?;
                let data = shape.iter().try_fold(data, shaped)?;
                Ok(scale.iter().fold(data, |data, &scale| data.with_scale(scale)))
            }
        }
    }

    fn resident(&self) -> Option<&Dataset> {
        match self {
            Self::Held(data) => Some(data),
            Self::Files { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use image::{Rgb, RgbImage};
    use kiln::prelude::*;

    use super::*;

    /// Eight pictures of two classes, of 4 x 5 pixels.
    fn pictures(folder: &Path) -> ImageFolder {
        for number in 0..8u8 {
            let class = folder.join(if number % 2 == 0 { "dark" } else { "light" });
            fs::create_dir_all(&class).unwrap();
            let pixel = |x: u32, y: u32| Rgb([number * 20, (x + y) as u8, 100 * (number % 2)]);
            RgbImage::from_fn(5, 4, pixel).save(class.join(format!("{number}.png"))).unwrap();
        }
        ImageFolder::open(folder).unwrap()
    }

    #[test]
    fn pictures_without_room_in_memory_train_to_the_same_bits() {
        let folder = tempfile::TempDir::new().unwrap();
        let [train, test] = pictures(folder.path()).stratified_split(0.25, 3).unwrap();
        let trained = |most: usize, is_held: bool| {
            let samples = |folder: &ImageFolder| {
                let samples = Samples::from(folder.clone()).limited(Some(5)).unwrap().shaped(&[60].into()).unwrap();
                samples.settled_within(most).unwrap()
            };
            let (train, test) = (samples(&train), samples(&test));
            assert_eq!((train.len(), test.len()), (5, 2));
            assert_eq!([train.resident(), test.resident()].map(|set| set.is_some()), [is_held; 2], "{most} bytes");
            let mut model = Sequential::new().add(Dense::new(2).activation("softmax")).device(Device::cpu()).seed(4);
            model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"]).unwrap();
            model.fit(&train, Fit::new().epochs(3).batch_size(2).validation_data(&test).verbose(0)).unwrap();
            let logs = model.evaluate(&test).unwrap();
            (model.weights().unwrap(), logs.get("loss").map(f64::to_bits))
        };
        let [held, read] = [trained(300, true), trained(119, false)];
        assert!(held == read, "{held:?} is not {read:?}");
    }

    #[test]
    fn a_damaged_picture_is_told_whether_or_not_all_are_held() {
        let folder = tempfile::TempDir::new().unwrap();
        let all = pictures(folder.path());
        fs::write(&all.files()[7], b"no picture").unwrap();
        for most in [usize::MAX, 0] {
            let said = Samples::from(all.clone()).settled_within(most).err().expect("a damaged one").to_string();
            assert!(said.contains("7.png: cannot be read as PNG or JPEG"), "{most} bytes: {said}");
        }
    }
}
