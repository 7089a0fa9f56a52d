//! IDX files: `00 00`, a type code, the number of axes, each axis as a big-endian `u32`, then the elements, big-endian.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::{Dataset, integers};
use crate::error::{Error, Result};
use crate::io::unpacking::{self, Limited, most};
use crate::io::whole;
use crate::tensor::{Shape, Tensor, Values};

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The types that IDX knows, with their codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    U8 = 0x08,
    I8 = 0x09,
    I16 = 0x0b,
    I32 = 0x0c,
    F32 = 0x0d,
    F64 = 0x0e,
}

impl Kind {
    const ALL: [Self; 6] = [Self::U8, Self::I8, Self::I16, Self::I32, Self::F32, Self::F64];

    /// Bytes an element.
    fn size(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::I16 => 2,
            Self::I32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format!("{self:?}").to_lowercase())
    }
}

/// Reads the IDX file at `path`, raw or gzipped (its first bytes tell, not its name), in the file's shape.
///
/// | the file's type | the tensor's | |
/// |---|---|---|
/// | u8 | `u8` | |
/// | i8, i16 | `f32` | exact |
/// | i32 | `f32` | exact; what `f32` does not hold exactly, from 2^24 + 1 on, is an error |
/// | f32 | `f32` | |
/// | f64 | `f64` | [`Dataset::new`] rounds it to `f32` |
///
/// [`read_pair`] reads labels of any integer type as class indices instead.
///
/// ```no_run
/// let images = kiln::data::read_idx("t10k-images-idx3-ubyte.gz")?;
/// println!("{} of {}", images.shape(), images.dtype());
/// # Ok::<(), kiln::Error>(())
/// ```
///
/// # Errors
/// [`Error::Io`] where the system refuses; [`Error::Format`] where the file is no IDX file, or holds fewer or more bytes
/// than its header promises, or at the first number that its tensor cannot hold.
pub fn read_idx(path: impl AsRef<Path>) -> Result<Tensor> {
    let path = path.as_ref();
    open(path, None)?.values(path)
}

/// Writes a tensor as an IDX file that is not gzipped: `u8`, `f32` and `f64` in their own type, `u32` as i32.
///
/// # Errors
/// [`Error::Io`] where the system refuses; [`Error::Format`] where IDX cannot hold the tensor: a scalar, 256 axes or
/// more, an extent of 2^32 or more, or a number of 2^31 or more.
pub fn write_idx(path: impl AsRef<Path>, tensor: &Tensor) -> Result<()> {
    let path = path.as_ref();
    let shape = tensor.shape();
    let axes = u8::try_from(shape.rank()).ok().filter(|&axes| axes > 0);
    let extents: Option<Vec<u32>> = shape.iter().map(|&extent| u32::try_from(extent).ok()).collect();
    let (Some(axes), Some(extents)) = (axes, extents) else {
        let message = format!("the shape {shape} does not fit IDX, which has 1 to 255 axes of less than 2^32");
        return Err(Error::format(path, message));
    };
    let (kind, elements): (_, Vec<u8>) = match tensor.values() {
        Values::U8(v) => (Kind::U8, v.clone()),
        Values::F32(v) => (Kind::F32, v.iter().flat_map(|x| x.to_be_bytes()).collect()),
        Values::F64(v) => (Kind::F64, v.iter().flat_map(|x| x.to_be_bytes()).collect()),
        Values::U32(v) => {
            if let Some(at) = v.iter().position(|&x| i32::try_from(x).is_err()) {
                let message = format!("{} at {} is beyond i32, IDX's widest integer", v[at], shape.position(at));
                return Err(Error::format(path, message));
            }
            (Kind::I32, v.iter().flat_map(|x| x.to_be_bytes()).collect())
        }
    };
    let mut bytes = vec![0, 0, kind as u8, axes];
    bytes.extend(extents.into_iter().flat_map(u32::to_be_bytes));
    bytes.extend(elements);
    whole::write(path, &[&bytes])
}

/// Parses the bytes of an IDX file, raw or gzipped. `path` stands in the errors only.
///
/// # Errors
/// [`Error::Format`], as of [`read_idx`].
pub fn parse_idx(bytes: &[u8], path: &Path) -> Result<Tensor> {
    let stored = bytes.len() as u64;
    parse(bytes, [stored, most(stored, None)], path)?.values(path)
}

/// [`parse_idx`] of bytes that may unpack to `max_unpacked` bytes. Others may to 64 MiB, and to a hundred times their number.
///
/// # Errors
/// As [`parse_idx`].
pub fn parse_idx_within(bytes: &[u8], path: &Path, max_unpacked: u64) -> Result<Tensor> {
    parse(bytes, [bytes.len() as u64, max_unpacked], path)?.values(path)
}

fn open(path: &Path, max_unpacked: Option<u64>) -> Result<Elements> {
    let file = File::open(path).map_err(Error::io(path, "open"))?;
    let stored = file.metadata().map_err(Error::io(path, "read"))?.len();
    parse(file, [stored, most(stored, max_unpacked)], path)
}

/// Reads a file of images, of shape `(n, ...)`, and one of their labels, of shape `(n,)` or `(n, 1)`: class indices where the file's
/// type is an integer's, else values.
///
/// # Errors
/// Those of [`read_idx`]; [`Error::Format`] where the labels are not one a row, or the counts differ, naming both
/// files, or where a class index is negative; [`Error::Shape`] where the files hold nothing; [`Error::Argument`] where a
/// value is not finite.
pub fn read_pair(images: impl AsRef<Path>, labels: impl AsRef<Path>) -> Result<Dataset> {
    let (images, labels) = (images.as_ref(), labels.as_ref());
    let (x, y) = (read_idx(images)?, open(labels, None)?.labels(labels)?);
    if !matches!(**y.shape(), [_] | [_, 1]) {
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

impl<'a> Source<'a> {
    /// `most`: what a zipped one may unpack to.
    fn new(source: impl Read + 'a, most: u64, path: &'a Path) -> Result<Self> {
        let (mut reader, zipped) = gunzipped(source).map_err(Error::io(path, "read"))?;
        if zipped {
            reader = Box::new(Limited::new(reader, most));
        }
        Ok(Self { reader, zipped, path })
    }

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
            io::ErrorKind::FileTooLarge if self.zipped => self.format(e.to_string()),
            _ => Error::io(self.path, "read")(e),
        }
    }

    fn format(&self, message: impl Into<String>) -> Error {
        Error::format(self.path, message)
    }

    fn header(&mut self) -> Result<(Kind, Shape)> {
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
        let Some(kind) = Kind::ALL.into_iter().find(|&kind| kind as u8 == code) else {
            let known = Kind::ALL.map(|kind| format!("{:#04x} {kind}", kind as u8));
            let message = format!("has the type code {code:#04x}; IDX knows {}", known.join(", "));
            return Err(self.format(message));
        };
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
        Ok((kind, extents.iter().map(|&bytes| u32::from_be_bytes(bytes) as usize).collect::<Vec<_>>().into()))
    }
}

/// What a file holds, as it stands there.
struct Elements {
    kind: Kind,
    shape: Shape,
    bytes: Vec<u8>,
}

impl Elements {
    fn numbers<const N: usize, T>(&self, of: impl Fn([u8; N]) -> T) -> Vec<T> {
        self.bytes.as_chunks::<N>().0.iter().map(|&bytes| of(bytes)).collect()
    }

    /// The elements, where they are integers of more than eight bits or a sign.
    fn integers(&self) -> impl Iterator<Item = i128> + use<> {
        let integers: Vec<i32> = match self.kind {
            Kind::I8 => self.numbers(|b| i32::from(i8::from_be_bytes(b))),
            Kind::I16 => self.numbers(|b| i32::from(i16::from_be_bytes(b))),
            Kind::I32 => self.numbers(i32::from_be_bytes),
            Kind::U8 | Kind::F32 | Kind::F64 => unreachable!("{:?} has a tensor of its own", self.kind),
        };
        integers.into_iter().map(i128::from)
    }

    /// As [`read_idx`] reads them.
    fn values(self, path: &Path) -> Result<Tensor> {
        match self.kind {
            Kind::U8 => Tensor::new(self.shape, self.bytes),
            Kind::F32 => Tensor::new(self.shape.clone(), self.numbers(f32::from_be_bytes)),
            Kind::F64 => Tensor::new(self.shape.clone(), self.numbers(f64::from_be_bytes)),
            Kind::I8 | Kind::I16 | Kind::I32 => {
                integers::values(&self.shape, self.integers()).map_err(|e| Error::format(path, e))
            }
        }
    }

    /// As class indices, where they are integers.
    fn labels(self, path: &Path) -> Result<Tensor> {
        match self.kind {
            Kind::U8 | Kind::F32 | Kind::F64 => self.values(path),
            _ => integers::labels(&self.shape, self.integers()).map_err(|e| Error::format(path, e)),
        }
    }
}

/// The text of a file, raw or gzipped.
pub(super) fn text(path: &Path) -> Result<String> {
    let file = File::open(path).map_err(Error::io(path, "open"))?;
    let stored = file.metadata().map_err(Error::io(path, "read"))?.len();
    let mut source = Source::new(file, unpacking::most(stored, None), path)?;
    let mut bytes = Vec::new();
    source.reader.read_to_end(&mut bytes).map_err(|e| source.failed(e))?;
    String::from_utf8(bytes).map_err(|e| source.format(format!("is no text: {e}")))
}

/// `stored`: the bytes at rest, an upper bound of what a raw file can hold; `most`: what a zipped one may unpack to.
fn parse<'a>(source: impl Read + 'a, [stored, most]: [u64; 2], path: &'a Path) -> Result<Elements> {
    let mut source = Source::new(source, most, path)?;
    let zipped = source.zipped;
    let (kind, shape) = source.header()?;
    let promised = shape.iter().try_fold(kind.size(), |product, &extent| product.checked_mul(extent));
    let Some(promised) = promised.filter(|&n| isize::try_from(n).is_ok()) else {
        return Err(source.format(format!("its shape {shape} promises more bytes than memory can address")));
    };
    if zipped && promised as u64 > most {
        return Err(source.format(unpacking::refusal(most)));
    }
    let present = if zipped { 0 } else { usize::try_from(stored).unwrap_or(promised) };
    let mut bytes = source.read(promised, present)?;
    if bytes.len() < promised {
        let message = format!(
            "is truncated: {} bytes after the header, its shape {shape} of {kind} promises {promised}",
            bytes.len()
        );
        return Err(source.format(message));
    }
    match source.drain()? {
        0 => {
            bytes.shrink_to_fit();
            Ok(Elements { kind, shape, bytes })
        }
        more => {
            Err(source.format(format!("{more} bytes follow the {promised} that its shape {shape} of {kind} promises")))
        }
    }
}
