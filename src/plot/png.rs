//! A PNG file of RGB pixels, <https://www.w3.org/TR/png-3/>.

use std::io::Write as _;

use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};

/// The bytes of a picture of `width` by `height` pixels of three bytes, row by row.
pub(super) fn encode(pixels: &[u8], width: u32, height: u32) -> Vec<u8> {
    assert_eq!(pixels.len(), 3 * width as usize * height as usize, "{width} x {height} RGB pixels");
    let mut header = [width.to_be_bytes(), height.to_be_bytes()].concat();
    // Eight bits a sample, RGB, deflate, adaptive filters, not interlaced.
    header.extend([8, 2, 0, 0, 0]);
    let mut data = ZlibEncoder::new(Vec::new(), Compression::default());
    for row in pixels.chunks_exact(3 * width as usize) {
        // Each row says which filter it went through: 0, none.
        data.write_all(&[0]).and_then(|()| data.write_all(row)).expect("memory takes what is written");
    }
    let data = data.finish().expect("memory takes what is written");
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    for (name, content) in [(b"IHDR", &header), (b"IDAT", &data), (b"IEND", &Vec::new())] {
        let mut sum = Crc::new();
        sum.update(name);
        sum.update(content);
        file.extend(u32::try_from(content.len()).expect("a picture has less than 4 GB").to_be_bytes());
        file.extend(name);
        file.extend(content);
        file.extend(sum.sum().to_be_bytes());
    }
    file
}
