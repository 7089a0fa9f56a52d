//! PNG files, <https://www.w3.org/TR/png-3/>, all but interlaced ones.

use std::io::Read as _;
use std::path::Path;

use flate2::Crc;
use flate2::read::ZlibDecoder;

use crate::error::{Error, Result};
use crate::io::whole;
use crate::tensor::Tensor;

const MAGIC: &[u8; 8] = b"\x89PNG\r\n\x1a\n";
/// More than any sensor has, and little enough for memory.
const MOST_PIXELS: u64 = 1 << 28;

/// Reads the PNG file at `path`: `u8` of shape `(height, width, channels)`, where grey has one channel, grey with alpha
/// two, colour three and colour with alpha four. Samples of other widths than eight bits are brought to it; palettes
/// become colour.
///
/// # Errors
/// [`Error::Io`] where the system refuses; [`Error::Format`] where the file is no PNG, is damaged or interlaced.
pub fn read_png(path: impl AsRef<Path>) -> Result<Tensor> {
    let path = path.as_ref();
    parse_png(&whole::read(path)?, path)
}

/// [`read_png`] of bytes in memory. `path` stands in the errors only.
///
/// # Errors
/// [`Error::Format`], as of [`read_png`].
pub fn parse_png(bytes: &[u8], path: &Path) -> Result<Tensor> {
    parse(bytes).map_err(|e| Error::format(path, e))
}

/// What the file says of its pixels.
struct Header {
    width: usize,
    height: usize,
    /// Bits a sample.
    depth: usize,
    /// Samples a pixel in the file.
    samples: usize,
    indexed: bool,
}

impl Header {
    fn parse(content: &[u8]) -> Result<Self, String> {
        let [w0, w1, w2, w3, h0, h1, h2, h3, depth, colour, compression, filter, interlace] = *content else {
            return Err(format!("its header has {} bytes, expected 13", content.len()));
        };
        let [width, height] = [[w0, w1, w2, w3], [h0, h1, h2, h3]].map(u32::from_be_bytes);
        let (samples, depths): (_, &[u8]) = match colour {
            0 => (1, &[1, 2, 4, 8, 16]),
            2 => (3, &[8, 16]),
            3 => (1, &[1, 2, 4, 8]),
            4 => (2, &[8, 16]),
            6 => (4, &[8, 16]),
            _ => return Err(format!("its colour type {colour} is none of PNG's")),
        };
        if !depths.contains(&depth) || compression != 0 || filter != 0 || interlace > 1 {
            return Err(format!("its header is none of PNG's: {content:?}"));
        }
        if interlace == 1 {
            return Err("is interlaced, which cannot be read; save it without".into());
        }
        if width == 0 || height == 0 || u64::from(width) * u64::from(height) > MOST_PIXELS {
            return Err(format!("has {width} x {height} pixels; 1 to {MOST_PIXELS} in all can be read"));
        }
        let [width, height] = [width, height].map(|extent| extent as usize);
        Ok(Self { width, height, depth: depth.into(), samples, indexed: colour == 3 })
    }

    /// Bytes of a row, without the one that names its filter.
    fn row_len(&self) -> usize {
        (self.width * self.samples * self.depth).div_ceil(8)
    }
}

fn parse(bytes: &[u8]) -> Result<Tensor, String> {
    let mut rest = bytes.strip_prefix(MAGIC).ok_or("is no PNG file")?;
    let (mut header, mut palette, mut packed) = (None, Vec::new(), Vec::new());
    loop {
        let (name, content, after) = chunk(rest)?;
        rest = after;
        match name {
            b"IHDR" => header = Some(Header::parse(content)?),
            b"PLTE" => palette = content.as_chunks().0.to_vec(),
            b"IDAT" => packed.extend_from_slice(content),
            b"IEND" => break,
            _ => {}
        }
    }
    let header = header.ok_or("has no header")?;
    let len = (1 + header.row_len()) * header.height;
    let mut rows = Vec::new();
    // No more than the pixels take: a few bytes can unpack to more than memory holds.
    let unpacked = ZlibDecoder::new(&packed[..]).take(len as u64).read_to_end(&mut rows);
    unpacked.map_err(|e| format!("its pixels cannot be unpacked: {e}"))?;
    if rows.len() != len {
        return Err(format!("is cut off: {} bytes of pixels, expected {len}", rows.len()));
    }
    pixels(&header, &palette, unfiltered(&header, rows)?)
}

/// A chunk's name and content, and what comes after it.
type Chunk<'a> = (&'a [u8; 4], &'a [u8], &'a [u8]);

/// The first chunk.
fn chunk(bytes: &[u8]) -> Result<Chunk<'_>, String> {
    let cut = || "is cut off: its end is missing".to_string();
    let (len, rest) = bytes.split_first_chunk::<4>().ok_or_else(cut)?;
    let len = u32::from_be_bytes(*len) as usize;
    let (named, _) = rest.split_at_checked(len.saturating_add(4)).ok_or_else(cut)?;
    let (name, content) = named.split_first_chunk::<4>().ok_or_else(cut)?;
    let (sum, after) = rest[len + 4..].split_first_chunk::<4>().ok_or_else(cut)?;
    let mut computed = Crc::new();
    computed.update(named);
    if computed.sum() != u32::from_be_bytes(*sum) {
        return Err(format!("the check sum of its {} is wrong; the file was damaged", name.escape_ascii()));
    }
    Ok((name, content, after))
}

/// The rows without their filters' names, each byte with what was predicted added to it.
fn unfiltered(header: &Header, rows: Vec<u8>) -> Result<Vec<u8>, String> {
    let step = (header.samples * header.depth).div_ceil(8);
    let len = header.row_len();
    let mut above = vec![0; len];
    let mut all = Vec::with_capacity(len * header.height);
    for row in rows.chunks_exact(1 + len) {
        let (filter, row) = (row[0], &row[1..]);
        let mut line = vec![0u8; len];
        for (i, &x) in row.iter().enumerate() {
            let (a, c) = if i < step { (0, 0) } else { (line[i - step], above[i - step]) };
            let b: u8 = above[i];
            let predicted = match filter {
                0 => 0,
                1 => a,
                2 => b,
                3 => a.midpoint(b),
                4 => paeth(a, b, c),
                _ => return Err(format!("a row has filter {filter}, which is none of PNG's")),
            };
            line[i] = x.wrapping_add(predicted);
        }
        all.extend_from_slice(&line);
        above = line;
    }
    Ok(all)
}

/// The one of left, above and above left that is nearest to left + above - above left.
fn paeth(a: u8, b: u8, c: u8) -> u8 {
    let estimate = i16::from(a) + i16::from(b) - i16::from(c);
    // The first of equals is taken.
    [a, b, c].into_iter().min_by_key(|&x| (estimate - i16::from(x)).abs()).expect("there are three")
}

/// The samples in eight bits each, a palette's numbers replaced by its colours.
fn pixels(header: &Header, palette: &[[u8; 3]], bytes: Vec<u8>) -> Result<Tensor, String> {
    let Header { width, height, depth, samples, indexed } = *header;
    let values: Vec<u8> = match depth {
        8 => bytes,
        16 => bytes.into_iter().step_by(2).collect(),
        _ => {
            let most = (1u8 << depth) - 1;
            let scale = if indexed { 1 } else { 255 / most };
            let row = |row: &[u8]| {
                let value = |x: usize| row[x * depth / 8] >> (8 - depth - x * depth % 8) & most;
                (0..width).map(|x| value(x) * scale).collect::<Vec<_>>()
            };
            bytes.chunks_exact(header.row_len()).flat_map(row).collect()
        }
    };
    let (values, channels) = if indexed {
        let colour = |&i: &u8| palette.get(usize::from(i)).copied();
        let colours: Option<Vec<_>> = values.iter().map(colour).collect();
        (colours.ok_or("has a pixel whose colour is not in its palette")?.into_flattened(), 3)
    } else {
        (values, samples)
    };
    Tensor::new([height, width, channels], values).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;

    use super::*;

    fn named(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
        let mut sum = Crc::new();
        sum.update(name);
        sum.update(content);
        [&(content.len() as u32).to_be_bytes()[..], name, content, &sum.sum().to_be_bytes()].concat()
    }

    /// A file of a colour type, from rows with their filters' names.
    fn file(width: u32, height: u32, [depth, colour, interlace]: [u8; 3], palette: &[u8], rows: &[u8]) -> Vec<u8> {
        let mut packer = ZlibEncoder::new(Vec::new(), Compression::default());
        packer.write_all(rows).unwrap();
        let extents = [width.to_be_bytes(), height.to_be_bytes()].concat();
        let header = [&extents[..], &[depth, colour, 0, 0, interlace]].concat();
        let chunks = [named(b"IHDR", &header), named(b"PLTE", palette), named(b"IDAT", &packer.finish().unwrap())];
        [&MAGIC[..], &chunks.concat(), &named(b"IEND", &[])].concat()
    }

    fn read(bytes: &[u8]) -> Result<Tensor> {
        parse_png(bytes, Path::new("x.png"))
    }

    #[test]
    fn every_type_and_filter_is_read() {
        let values = |bytes: &[u8]| read(bytes).unwrap().into_values();
        // Filters one after the other: none, left, above, mean, Paeth; 3 grey pixels each.
        let rows = [0, 10, 20, 30, 1, 5, 5, 5, 2, 1, 2, 3, 3, 1, 1, 1, 4, 1, 1, 1];
        let grey = [10u8, 20, 30, 5, 10, 15, 6, 12, 18, 4, 9, 14, 5, 10, 15];
        assert_eq!(values(&file(3, 5, [8, 0, 0], &[], &rows)), grey.to_vec().into());
        // Five pixels of two bits, the last in a byte of its own.
        assert_eq!(
            values(&file(5, 1, [2, 0, 0], &[], &[0, 0b0001_1011, 0b1000_0000])),
            vec![0u8, 85, 170, 255, 170].into()
        );
        assert_eq!(values(&file(2, 1, [16, 0, 0], &[], &[0, 1, 2, 3, 4])), vec![1u8, 3].into());
        let palette = [1, 2, 3, 4, 5, 6];
        assert_eq!(values(&file(2, 1, [1, 3, 0], &palette, &[0, 0b0100_0000])), palette.to_vec().into());
        let colour = read(&file(1, 2, [8, 6, 0], &[], &[0, 1, 2, 3, 4, 2, 1, 1, 1, 1])).unwrap();
        assert_eq!(colour, Tensor::new([2, 1, 4], vec![1u8, 2, 3, 4, 2, 3, 4, 5]).unwrap());
    }

    #[test]
    fn what_is_wrong_is_said() {
        let good = file(2, 2, [8, 0, 0], &[], &[0, 1, 2, 0, 3, 4]);
        let mut damaged = good.clone();
        damaged[20] ^= 1;
        for (bytes, part) in [
            (b"GIF89a".to_vec(), "is no PNG file"),
            (good[..good.len() - 13].to_vec(), "is cut off: its end is missing"),
            (damaged, "the check sum of its IHDR is wrong"),
            (file(2, 2, [8, 0, 1], &[], &[]), "is interlaced"),
            (file(2, 2, [3, 0, 0], &[], &[]), "none of PNG's"),
            (file(0, 2, [8, 0, 0], &[], &[]), "0 x 2 pixels"),
            (file(1 << 20, 1 << 20, [8, 0, 0], &[], &[]), "1048576 x 1048576 pixels"),
            (file(2, 2, [8, 0, 0], &[], &[0, 1, 2]), "is cut off: 3 bytes of pixels, expected 6"),
            (file(2, 1, [8, 0, 0], &[], &[9, 1, 2]), "filter 9"),
            (file(1, 1, [8, 3, 0], &[1, 2, 3], &[0, 1]), "not in its palette"),
        ] {
            let text = read(&bytes).unwrap_err().to_string();
            assert!(text.starts_with("x.png: ") && text.contains(part), "{text}");
        }
        // No byte of a file leads to a panic.
        for at in 0..good.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bytes = good.clone();
                bytes[at] = value;
                let _ = read(&bytes);
                let _ = read(&bytes[..at]);
            }
        }
        // Nor do headers, with check sums that are right.
        for [depth, colour] in (0..=17).flat_map(|depth| (0..8).map(move |colour| [depth, colour])) {
            for (width, height) in [(1, 1), (3, 2), (9, 1), (u32::MAX, 1)] {
                let _ = read(&file(width, height, [depth, colour, 0], &[1, 2, 3, 4], &[4; 40]));
            }
        }
    }
}
