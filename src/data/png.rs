//! PNG files, decoded by the `png` crate.

use std::cell::Cell;
use std::io::Cursor;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Once;

use ::png::{Decoder, DecodingError, Limits, Transformations};

use crate::error::{Error, Result};
use crate::io::unpacking::refusal;
use crate::io::whole;
use crate::memory;
use crate::tensor::Tensor;

/// Reads the PNG file at `path`: `u8` of shape `(height, width, channels)`, where grey has one channel, grey with alpha
/// two, colour three and colour with alpha four. Samples of 16 bits lose the lower eight, those of fewer than eight are
/// scaled to 0 to 255; palettes become colour; a transparent colour or palette becomes alpha.
///
/// ```no_run
/// let picture = kiln::data::read_png("seven.png")?;
/// println!("{}", picture.shape());
/// # Ok::<(), kiln::Error>(())
/// ```
///
/// # Errors
/// [`Error::Io`] where the system refuses; [`Error::Format`] where the file is no PNG, is damaged, or holds more than
/// 64 MB and 1024 times its own size: no file that is worth reading does.
pub fn read_png(path: impl AsRef<Path>) -> Result<Tensor> {
    let path = path.as_ref();
    parse_png(&whole::read(path)?, path)
}

/// [`read_png`] of bytes in memory. `path` stands in the errors only.
///
/// # Errors
/// [`Error::Format`], as of [`read_png`].
pub fn parse_png(bytes: &[u8], path: &Path) -> Result<Tensor> {
    parse_png_within(bytes, path, most_bytes(bytes.len()) as u64)
}

/// [`parse_png`] of bytes that may unpack to `max_unpacked` bytes.
///
/// # Errors
/// [`Error::Format`], as of [`read_png`].
pub fn parse_png_within(bytes: &[u8], path: &Path, max_unpacked: u64) -> Result<Tensor> {
    let most = usize::try_from(max_unpacked).unwrap_or(usize::MAX);
    without_panic(|| parse(bytes, most)).map_err(|e| Error::format(path, e))
}

/// A colour's brightness as Keras has it, which is TensorFlow's `rgb_to_grayscale`: 0.2989 of red, 0.587 of green and 0.114
/// of blue (ITU-R BT.601). What is grey stays as it is.
pub fn rgb_to_grayscale([red, green, blue]: [u8; 3]) -> u8 {
    let [red, green, blue] = [red, green, blue].map(|x| f32::from(x) / 255.0);
    ((0.2989 * red + 0.587 * green + 0.114 * blue) * 255.5) as u8
}

/// The bytes that a file may unpack to: a few bytes can unpack to more than memory holds. Deflate packs by 1032 at most.
pub(super) fn most_bytes(len: usize) -> usize {
    len.saturating_mul(1024).saturating_add(64 << 20)
}

fn refused(e: DecodingError) -> String {
    format!("cannot be read as PNG: {e}; mend it, or save it anew")
}

fn parse(bytes: &[u8], most: usize) -> Result<Tensor, String> {
    if !bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        return Err("is no PNG file".into());
    }
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), Limits { bytes: most });
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let header = decoder.read_header_info().map_err(refused)?;
    let (height, width) = (header.height, header.width);
    let held = |len: Option<usize>| match len {
        Some(len) if len <= most => Ok(len),
        _ => Err(format!("has {height} x {width} pixels in {} bytes: {}", bytes.len(), refusal(most as u64))),
    };
    // Before anything is made for a row, and again when it is known whether there is a palette or a transparent colour.
    held((width as usize).checked_mul(height as usize).and_then(|n| n.checked_mul(header.color_type.samples())))?;
    let mut reader = decoder.read_info().map_err(refused)?;
    let len = held(reader.output_buffer_size())?;
    let mut samples = memory::room(len, "the samples of a picture").map_err(|e| e.to_string())?;
    samples.resize(len, 0);
    let frame = reader.next_frame(&mut samples).map_err(refused)?;
    // Up to its end, so that one which is cut off behind its pixels is found.
    reader.finish().map_err(refused)?;
    let shape = [frame.height as usize, frame.width as usize, frame.color_type.samples()];
    Tensor::new(shape, samples).map_err(|e| e.to_string())
}

thread_local! {
    /// Whether a panic of this thread is caught and told by [`without_panic`].
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// What a decoder returns; where it panics, that as an error: the fault is in the file's bytes, and no caller's.
pub(super) fn without_panic<T>(decode: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !CAUGHT.get() {
                others(info);
            }
        }));
    });
    let before = CAUGHT.replace(true);
    let decoded = panic::catch_unwind(AssertUnwindSafe(decode));
    CAUGHT.set(before);
    decoded.unwrap_or_else(|_| Err("cannot be decoded: its bytes are none that a picture has; save it anew".into()))
}

#[cfg(test)]
mod tests {
    use ::png::{BitDepth, ColorType, Encoder};

    use super::*;

    /// A file of a colour type, from rows of samples.
    fn file([width, height]: [u32; 2], kind: (BitDepth, ColorType), palette: &[&[u8]], rows: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, width, height);
        encoder.set_depth(kind.0);
        encoder.set_color(kind.1);
        if let [colours, alphas @ ..] = palette {
            encoder.set_palette(colours.to_vec());
            alphas.iter().for_each(|alphas| encoder.set_trns(alphas.to_vec()));
        }
        encoder.write_header().unwrap().write_image_data(rows).unwrap();
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Tensor> {
        parse_png(bytes, Path::new("x.png"))
    }

    #[test]
    fn every_type_is_read() {
        use BitDepth::{Eight, One, Sixteen, Two};
        use ColorType::{Grayscale, GrayscaleAlpha, Indexed, Rgb, Rgba};
        let palette: &[u8] = &[1, 2, 3, 4, 5, 6];
        for (size, kind, colours, rows, shape, samples) in [
            ([3, 2], (Eight, Grayscale), &[][..], &[1, 2, 3, 4, 5, 6][..], [2, 3, 1], &[1u8, 2, 3, 4, 5, 6][..]),
            ([5, 1], (Two, Grayscale), &[], &[0b0001_1011, 0b1000_0000], [1, 5, 1], &[0, 85, 170, 255, 170]),
            ([2, 1], (Sixteen, Grayscale), &[], &[1, 255, 3, 4], [1, 2, 1], &[1, 3]),
            ([1, 2], (Eight, GrayscaleAlpha), &[], &[9, 8, 7, 6], [2, 1, 2], &[9, 8, 7, 6]),
            ([1, 1], (Sixteen, Rgb), &[], &[1, 0, 2, 0, 3, 0], [1, 1, 3], &[1, 2, 3]),
            ([1, 1], (Eight, Rgba), &[], &[1, 2, 3, 4], [1, 1, 4], &[1, 2, 3, 4]),
            ([2, 1], (One, Indexed), &[palette], &[0b0100_0000], [1, 2, 3], palette),
            ([2, 1], (One, Indexed), &[palette, &[7]], &[0b0100_0000], [1, 2, 4], &[1, 2, 3, 7, 4, 5, 6, 255]),
        ] {
            let found = read(&file(size, kind, colours, rows)).unwrap();
            assert_eq!(found, Tensor::new(shape, samples.to_vec()).unwrap(), "{kind:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_and_nothing_panics() {
        let good = file([2, 2], (BitDepth::Eight, ColorType::Grayscale), &[], &[1, 2, 3, 4]);
        let mut damaged = good.clone();
        damaged[20] ^= 1;
        for (bytes, part) in [
            (&b"GIF89a"[..], "is no PNG file"),
            (&good[..good.len() - 13], "cannot be read as PNG: "),
            (&good[..good.len() / 2], "cannot be read as PNG: "),
            (&damaged, "cannot be read as PNG: CRC error"),
            (include_bytes!("../../tests/fixtures/plte4.png"), "cannot be decoded"),
            (include_bytes!("../../tests/fixtures/wide.png"), "has 1 x 268435456 pixels in 32680 bytes"),
        ] {
            let text = read(bytes).unwrap_err().to_string();
            assert!(text.starts_with("x.png: ") && text.contains(part), "{text}");
        }
        for at in 0..good.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bytes = good.clone();
                bytes[at] = value;
                let _ = read(&bytes);
                let _ = read(&bytes[..at]);
            }
        }
    }

    #[test]
    fn only_a_decoders_panic_is_quiet() {
        let caught = without_panic(|| -> Result<(), String> { panic!("not to be seen") });
        assert!(caught.unwrap_err().contains("its bytes"));
        assert!(!CAUGHT.get());
        assert_eq!(without_panic(|| Ok(3)), Ok(3));
    }

    /// TensorFlow's `rgb_to_grayscale`.
    #[test]
    fn grey_is_keras() {
        let colours = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [10, 20, 200]];
        assert_eq!(colours.map(rgb_to_grayscale), [76, 149, 29, 255, 37]);
        assert!((0..=255).all(|grey| rgb_to_grayscale([grey; 3]) == grey));
    }
}
