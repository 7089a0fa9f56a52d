//! IDX files: `00 00`, a type code, the number of axes, each axis as a big-endian `u32`, then the elements.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::Dataset;
use crate::error::{Error, Result};
use crate::tensor::{Shape, Tensor};

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const U8_CODE: u8 = 0x08;

/// Reads the IDX file at `path`, raw or gzipped (its first bytes tell, not its name), as `u8` in the file's shape.
///
/// # Errors
/// [`Error::Io`] where the system refuses; [`Error::Format`] where the file is no IDX file of bytes, or holds fewer
/// or more bytes than its header promises.
pub fn read_idx(path: impl AsRef<Path>) -> Result<Tensor> {
    let path = path.as_ref();
    let file = File::open(path).map_err(Error::io(path, "open"))?;
    let stored = file.metadata().map_err(Error::io(path, "read"))?.len();
    parse(file, stored, path)
}

/// Parses the bytes of an IDX file, raw or gzipped. `path` stands in the errors only.
///
/// # Errors
/// [`Error::Format`], as of [`read_idx`].
pub fn parse_idx(bytes: &[u8], path: &Path) -> Result<Tensor> {
    parse(bytes, bytes.len() as u64, path)
}

/// Reads a file of images, of shape `(n, ...)`, and one of their labels, of shape `(n,)`.
///
/// # Errors
/// Those of [`read_idx`]; [`Error::Format`] where the labels are not one a row, or the counts differ, naming both
/// files; [`Error::Shape`] where the files hold nothing.
pub fn read_pair(images: impl AsRef<Path>, labels: impl AsRef<Path>) -> Result<Dataset> {
    let (images, labels) = (images.as_ref(), labels.as_ref());
    let (x, y) = (read_idx(images)?, read_idx(labels)?);
    if let [_, _, ..] = **y.shape() {
        let message = format!("has shape {}, a file of labels has one axis: is it a file of images?", y.shape());
        return Err(Error::format(labels, message));
    }
    if x.rows() != y.rows() {
        let message = format!("holds {} labels, {} holds {} images", y.rows(), images.display(), x.rows());
        return Err(Error::format(labels, message));
    }
    Dataset::new(x, y)
}

/// The bytes of `source`, through a gzip decoder where they start as gzip does; and whether they do.
///
/// The decoder takes several gzip members: one that stops after the first would pass over garbage at the end.
pub(super) fn gunzipped<'a>(mut source: impl Read + 'a) -> io::Result<(Box<dyn Read + 'a>, bool)> {
    let mut start = Vec::new();
    source.by_ref().take(GZIP_MAGIC.len() as u64).read_to_end(&mut start)?;
    let zipped = start == GZIP_MAGIC;
    let whole = io::Cursor::new(start).chain(source);
    Ok(if zipped { (Box::new(MultiGzDecoder::new(whole)), true) } else { (Box::new(whole), false) })
}

struct Source<'a> {
    reader: Box<dyn Read + 'a>,
    zipped: bool,
    path: &'a Path,
}

impl Source<'_> {
    /// Up to `n` bytes, fewer at the end. `present` bytes are known to be there: only they are allocated at once.
    fn read(&mut self, n: usize, present: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(n.min(present));
        match self.reader.by_ref().take(n as u64).read_to_end(&mut bytes) {
            Ok(_) => Ok(bytes),
            Err(e) => Err(self.failed(e)),
        }
    }

    /// Bytes that are left; reading them has the gzip decoder check its sum, too.
    fn drain(&mut self) -> Result<u64> {
        io::copy(&mut self.reader, &mut io::sink()).map_err(|e| self.failed(e))
    }

    /// The decoder gives what is wrong with the file as an I/O error, as it does what the system refuses.
    fn failed(&self, e: io::Error) -> Error {
        match e.kind() {
            io::ErrorKind::UnexpectedEof if self.zipped => {
                self.format("the gzip stream ends early: the file is truncated")
            }
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData if self.zipped => {
                self.format(format!("the gzip stream is damaged: {e}"))
            }
            _ => Error::io(self.path, "read")(e),
        }
    }

    fn format(&self, message: impl Into<String>) -> Error {
        Error::format(self.path, message)
    }

    fn shape(&mut self) -> Result<Shape> {
        let start = self.read(4, 4)?;
        if start.iter().zip([0, 0]).any(|(&byte, zero)| byte != zero) {
            let found = start.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
            return Err(self.format(format!(
                "is no IDX file: it starts with the bytes {found}, IDX starts with 00 00, a type code and the number of axes"
            )));
        }
        let [_, _, code, axes] = start[..] else {
            let message = format!("is truncated: {} bytes, an IDX header has at least 4", start.len());
            return Err(self.format(message));
        };
        if code != U8_CODE {
            let message =
                format!("holds elements of type {} (code {code:#04x}), Kiln reads u8 (0x08)", type_name(code));
            return Err(self.format(message));
        }
        if axes == 0 {
            return Err(self.format("has no axes, the first one must count the rows"));
        }
        let needed = 4 * usize::from(axes);
        let extents = self.read(needed, needed)?;
        if extents.len() < needed {
            let message = format!(
                "is truncated: {} bytes, the header of {axes} axes alone has {}",
                4 + extents.len(),
                4 + needed
            );
            return Err(self.format(message));
        }
        let (extents, _) = extents.as_chunks::<4>();
        Ok(extents.iter().map(|&bytes| u32::from_be_bytes(bytes) as usize).collect::<Vec<_>>().into())
    }
}

fn type_name(code: u8) -> &'static str {
    match code {
        0x09 => "i8",
        0x0b => "i16",
        0x0c => "i32",
        0x0d => "f32",
        0x0e => "f64",
        _ => "unknown",
    }
}

/// `stored`: the bytes at rest, an upper bound of what a raw file can hold.
fn parse<'a>(source: impl Read + 'a, stored: u64, path: &'a Path) -> Result<Tensor> {
    let (reader, zipped) = gunzipped(source).map_err(Error::io(path, "read"))?;
    let mut source = Source { reader, zipped, path };
    let shape = source.shape()?;
    let promised = shape.iter().try_fold(1usize, |product, &extent| product.checked_mul(extent));
    let Some(promised) = promised.filter(|&n| isize::try_from(n).is_ok()) else {
        return Err(source.format(format!("its shape {shape} promises more bytes than memory can address")));
    };
    let present = if zipped { 0 } else { usize::try_from(stored).unwrap_or(promised) };
    let mut bytes = source.read(promised, present)?;
    if bytes.len() < promised {
        let message =
            format!("is truncated: {} bytes after the header, its shape {shape} promises {promised}", bytes.len());
        return Err(source.format(message));
    }
    match source.drain()? {
        0 => {
            bytes.shrink_to_fit();
            Tensor::new(shape, bytes)
        }
        more => Err(source.format(format!("{more} bytes follow the {promised} that its shape {shape} promises"))),
    }
}
