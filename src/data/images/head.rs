//! What the first bytes of a PNG or JPEG file say of its picture, without decoding it.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;

use super::{ColorMode, jpeg, neither};
use crate::error::{Error, Result};

/// A picture's size and colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Height and width.
    pub size: [u32; 2],
    pub color_mode: ColorMode,
}

impl Head {
    /// The head of a file, of which a few hundred bytes are read.
    ///
    /// # Errors
    /// [`Error::Io`] where the system refuses; [`Error::Format`] where the file is neither PNG nor JPEG or ends too early.
    pub fn read(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io(path, "open"))?;
        let mut file = BufReader::with_capacity(512, file);
        match Self::of(&mut file) {
            Ok(Some(head)) => Ok(head),
            Ok(None) => Err(Error::format(path, neither(&first_bytes(&mut file).map_err(Error::io(path, "read"))?))),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                Err(Error::format(path, "ends before it says how large its picture is; mend or remove it"))
            }
            Err(e) => Err(Error::io(path, "read")(e)),
        }
    }

    /// `None` where it is neither PNG nor JPEG.
    fn of(file: &mut (impl Read + Seek)) -> io::Result<Option<Self>> {
        let start: [u8; 3] = next(file)?;
        if start == *jpeg::SIGNATURE {
            return Self::of_jpeg(file).map(Some);
        }
        // The rest of the signature, the first chunk's length and name, the picture's width, height, depth and kind of colour.
        let [rest @ .., w0, w1, w2, w3, h0, h1, h2, h3, _, kind]: [u8; 23] = next(file)?;
        if start != *b"\x89PN" || rest[..5] != *b"G\r\n\x1a\n" {
            return Ok(None);
        }
        let size = [[h0, h1, h2, h3], [w0, w1, w2, w3]].map(u32::from_be_bytes);
        Ok(Some(Self::new(size, [0, 4].contains(&kind))))
    }

    /// Behind the signature, whose last byte begins the first segment: goes from segment to segment until one describes the picture.
    fn of_jpeg(file: &mut (impl Read + Seek)) -> io::Result<Self> {
        loop {
            let [mut mark]: [u8; 1] = next(file)?;
            // What fills the gaps between segments.
            while mark == 0xff {
                [mark] = next(file)?;
            }
            match mark {
                // Frames of all kinds: C4, C8 and CC stand for something else.
                0xc0..=0xcf if ![0xc4, 0xc8, 0xcc].contains(&mark) => {
                    let [_, _, _, h0, h1, w0, w1, channels]: [u8; 8] = next(file)?;
                    let size = [[h0, h1], [w0, w1]].map(|extent| u32::from(u16::from_be_bytes(extent)));
                    return Ok(Self::new(size, channels == 1));
                }
                // Marks that stand alone.
                0x01 | 0xd0..=0xd7 => {}
                // The pixels, or the end.
                0xd9 | 0xda => return Err(io::ErrorKind::UnexpectedEof.into()),
                _ => {
                    let len = u16::from_be_bytes(next(file)?);
                    file.seek_relative(i64::from(len.saturating_sub(2)))?;
                }
            }
            // Bytes between segments are passed over, as the decoder passes over them.
            while next(file)? != [0xff] {}
        }
    }

    fn new(size: [u32; 2], is_grey: bool) -> Self {
        Self { size, color_mode: if is_grey { ColorMode::Grayscale } else { ColorMode::Rgb } }
    }
}

/// Enough of a file to tell what it is.
fn first_bytes(file: &mut (impl Read + Seek)) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.take(512).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn next<const N: usize>(file: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn of(bytes: &[u8]) -> Result<Option<Head>, io::ErrorKind> {
        Head::of(&mut Cursor::new(bytes)).map_err(|e| e.kind())
    }

    fn encoded(format: image::ImageFormat, picture: &image::DynamicImage) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn heads_are_read_however_much_stands_before_them() {
        let grey = image::DynamicImage::ImageLuma8(image::GrayImage::new(5, 3));
        let colour = image::DynamicImage::ImageRgb8(image::RgbImage::new(300, 2));
        for format in [image::ImageFormat::Png, image::ImageFormat::Jpeg] {
            let wanted = Head { size: [3, 5], color_mode: ColorMode::Grayscale };
            assert_eq!(of(&encoded(format, &grey)), Ok(Some(wanted)));
            assert_eq!(of(&encoded(format, &colour)), Ok(Some(Head { size: [2, 300], color_mode: ColorMode::Rgb })));
        }
        let bytes = encoded(image::ImageFormat::Jpeg, &grey);
        // A thumbnail, which is a JPEG itself, in a segment of its own, and what fills the gap behind it.
        let thumbnail = [&[0xff, 0xe1, 0x02, 0x02], &[0xff, 0xd8, 0xff, 0xc0][..], &[7; 508], &[0xff]].concat();
        let with_thumbnail = [&bytes[..2], &thumbnail, &bytes[2..]].concat();
        assert_eq!(of(&with_thumbnail), of(&bytes));
        let segment = 4 + usize::from(u16::from_be_bytes([bytes[4], bytes[5]])) - 2;
        let with_rubbish = [&bytes[..segment + 2], b"between", &bytes[segment + 2..]].concat();
        assert_eq!(of(&with_rubbish), of(&bytes));
    }

    #[test]
    fn files_that_end_too_early_or_are_something_else_have_no_head() {
        let picture = image::DynamicImage::ImageRgb8(image::RgbImage::new(2, 3));
        for format in [image::ImageFormat::Png, image::ImageFormat::Jpeg] {
            let bytes = encoded(format, &picture);
            let first = (0..bytes.len()).find(|&len| of(&bytes[..len]).is_ok()).unwrap();
            assert!((0..first).all(|len| of(&bytes[..len]) == Err(io::ErrorKind::UnexpectedEof)), "{format:?}");
            assert!((first..bytes.len()).all(|len| of(&bytes[..len]) == of(&bytes)), "{format:?}");
        }
        assert_eq!(of(b"GIF89a and more than twenty-six bytes"), Ok(None));
        assert_eq!(of(b"\xff\xd8\xff\xe0\0\x02no segment"), Err(io::ErrorKind::UnexpectedEof));
    }
}
