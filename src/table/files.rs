//! Folders of tables.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The tables in a folder, in the order of their names: files whose names end in `.csv` or `.tsv`, gzipped ones (`.csv.gz`) too, except
/// hidden ones. Those of folders in it are none of them.
///
/// # Errors
/// [`Error::Io`] where the system refuses to list the folder.
pub fn files(folder: impl AsRef<Path>) -> Result<Vec<PathBuf>> {
    let folder = folder.as_ref();
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io(folder, "list"))? {
        let path = entry.map_err(Error::io(folder, "list"))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let stem = name.strip_suffix(".gz").unwrap_or(&name);
        if !name.starts_with('.') && (stem.ends_with(".csv") || stem.ends_with(".tsv")) && path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Files as they are, folders as the [`files`] in them.
pub(super) fn all_files<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for path in paths {
        let path = path.as_ref();
        if !path.is_dir() {
            all.push(path.into());
            continue;
        }
        let inside = files(path)?;
        if inside.is_empty() {
            return Err(Error::format(path, "holds no tables: files whose names end in .csv or .tsv"));
        }
        all.extend(inside);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_stands_for_its_tables() {
        let folder = tempfile::tempdir().unwrap();
        assert!(all_files([folder.path()]).unwrap_err().to_string().contains("holds no tables"));
        for name in ["b.csv", "a.CSV.gz", "c.tsv", ".d.csv", "notes.txt"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        fs::create_dir(folder.path().join("more.csv")).unwrap();
        let names = ["a.CSV.gz", "b.csv", "c.tsv"].map(|name| folder.path().join(name));
        assert_eq!(files(folder.path()).unwrap(), names);
        let one = PathBuf::from("one.csv");
        assert_eq!(all_files([folder.path(), &one]).unwrap(), [&names[..], &[one]].concat());
    }
}
