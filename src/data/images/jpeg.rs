//! JPEG files, decoded by the `zune-jpeg` crate.

use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::io::unpacking::refusal;
use crate::memory;
use crate::tensor::Tensor;

/// What the first bytes of a JPEG file are.
pub(super) const SIGNATURE: &[u8] = b"\xff\xd8\xff";

/// `u8` of shape `(height, width, channels)`: one where it is grey, else red, green and blue. It may unpack to `most` bytes.
pub(super) fn parse(bytes: &[u8], most: usize) -> Result<Tensor, String> {
    let (mut decoder, channels) = header(bytes)?;
    let (width, height) = decoder.dimensions().ok_or("has no size")?;
    let len = width.checked_mul(height).and_then(|pixels| pixels.checked_mul(channels)).filter(|&len| len <= most);
    let too_large = || format!("has {height} x {width} pixels in {} bytes: {}", bytes.len(), refusal(most as u64));
    let len = len.ok_or_else(too_large)?;
    if !is_whole(bytes) {
        return Err("cannot be read as JPEG: its end is missing; mend it, or save it anew".into());
    }
    let mut samples = memory::room(len, "the samples of a picture").map_err(|e| e.to_string())?;
    samples.resize(len, 0);
    decoder.decode_into(&mut samples).map_err(refused)?;
    Tensor::new([height, width, channels], samples).map_err(|e| e.to_string())
}

type Decoder<'b> = JpegDecoder<ZCursor<&'b [u8]>>;

/// A decoder that has read the header, and the channels that it gives.
fn header(bytes: &[u8]) -> Result<(Decoder<'_>, usize), String> {
    // What most programs pass over is no error: bytes behind the picture, among others.
    let options = DecoderOptions::default().set_strict_mode(false);
    let options = options.set_max_width(usize::MAX).set_max_height(usize::MAX);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(refused)?;
    let (space, channels) = match decoder.input_colorspace() {
        Some(ColorSpace::Luma) => (ColorSpace::Luma, 1),
        _ => (ColorSpace::RGB, 3),
    };
    decoder.set_options(options.jpeg_set_out_colorspace(space));
    Ok((decoder, channels))
}

fn refused(e: DecodeErrors) -> String {
    let text = format!("{e:?}").replace('\n', " ");
    format!("cannot be read as JPEG: {}; mend it, or save it anew", text.trim())
}

/// Whether the mark of the end stands behind that of the last scan. Where it is missing the decoder makes what is left grey.
fn is_whole(bytes: &[u8]) -> bool {
    let last = |mark: u8| bytes.windows(2).rposition(|pair| pair == [0xff, mark]);
    last(0xd9) > last(0xda)
}
