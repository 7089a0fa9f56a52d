//! What a file is, by its first bytes: for errors about one that is none of what was expected.

/// What a file with these first bytes is, in words that follow "is": `a GIF picture`, `a PDF document`. `None` where they tell nothing.
///
/// ```
/// use kiln::io::file_kind;
/// assert_eq!(file_kind(b"GIF89a and more"), Some("a GIF picture"));
/// assert_eq!(file_kind(b"name,legs\nfrog,4\n"), None);
/// ```
pub fn file_kind(bytes: &[u8]) -> Option<&'static str> {
    let by_start = STARTS.iter().find(|(start, _)| bytes.starts_with(start)).map(|(_, kind)| *kind);
    by_start.or_else(|| inside(bytes)).or_else(|| as_text(bytes))
}

/// What files of each kind begin with. Longer beginnings stand before those that they begin with.
const STARTS: [(&[u8], &str); 21] = [
    (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"II*\0", "a TIFF picture"),
    (b"MM\0*", "a TIFF picture"),
    (b"8BPS", "a Photoshop picture"),
    (b"\0\0\x01\0", "an icon (ICO)"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
    (b"%PDF-", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive, as .npz, .keras and .xlsx are"),
    (b"\x1f\x8b", "a file packed by gzip"),
    (b"BZh", "a file packed by bzip2"),
    (b"\xfd7zXZ\0", "a file packed by xz"),
    (b"(\xb5/\xfd", "a file packed by zstd"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"\x93NUMPY", "one array of NumPy's (.npy)"),
    (b"PAR1", "a Parquet table"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old document of Office, such as .xls"),
];

/// Of files whose kind stands further in.
fn inside(bytes: &[u8]) -> Option<&'static str> {
    let at = |place: usize, len: usize| bytes.get(place..place + len);
    match (at(0, 4)?, at(8, 4)) {
        (b"RIFF", Some(b"WEBP")) => return Some("a WebP picture"),
        (b"RIFF", Some(b"WAVE")) => return Some("a WAVE sound"),
        _ => {}
    }
    if at(4, 4) == Some(b"ftyp") {
        return at(8, 4).map(|brand| match brand {
            b"avif" | b"avis" => "an AVIF picture",
            b"heic" | b"heix" | b"hevc" | b"mif1" | b"msf1" => "a HEIC picture",
            _ => "a video",
        });
    }
    // The length of the whole file behind the name, or none.
    let is_bitmap = at(0, 2) == Some(b"BM") && at(6, 4) == Some(&[0; 4]);
    // A length, then an object of JSON.
    let is_safetensors = at(4, 4) == Some(&[0; 4]) && at(8, 1).is_some_and(|first| first == b"{");
    // Two zeros, the kind of number, the number of axes.
    let is_idx = at(0, 2) == Some(&[0; 2]) && (8..=14).contains(&bytes[2]) && (1..=8).contains(&bytes[3]);
    let kinds = [
        (is_bitmap, "a BMP picture"),
        (is_safetensors, "a safetensors file, as models are saved in"),
        (is_idx, "an IDX file, as MNIST's are"),
    ];
    kinds.into_iter().find(|(is, _)| *is).map(|(_, kind)| kind)
}

/// Of texts that begin with a tag.
fn as_text(bytes: &[u8]) -> Option<&'static str> {
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(512)]).to_lowercase();
    let start = start.trim_start_matches('\u{feff}').trim_start();
    match start {
        _ if start.starts_with("<svg") => Some("an SVG drawing"),
        _ if start.starts_with("<?xml") && start.contains("<svg") => Some("an SVG drawing"),
        _ if start.starts_with("<!doctype html") || start.starts_with("<html") => Some("a web page (HTML)"),
        _ if start.starts_with("<?xml") => Some("an XML document"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_their_first_bytes() {
        for (bytes, kind) in [
            (&b"\x89PNG\r\n\x1a\nIHDR"[..], "a PNG picture"),
            (b"\xff\xd8\xff\xe0..JFIF", "a JPEG picture"),
            (b"GIF87a", "a GIF picture"),
            (b"RIFF\x24\0\0\0WEBPVP8 ", "a WebP picture"),
            (b"BM\x36\x10\0\0\0\0\0\0\x36\0\0\0", "a BMP picture"),
            (b"\0\0\0\x18ftypheic\0\0\0\0", "a HEIC picture"),
            (b"\0\0\0\x20ftypisom\0\0\0\0", "a video"),
            (b"\x40\0\0\0\0\0\0\0{\"a\":1}", "a safetensors file, as models are saved in"),
            (b"\0\0\x08\x03\0\0\x27\x10", "an IDX file, as MNIST's are"),
            (b"\0\0\x01\0\x01\0", "an icon (ICO)"),
            (b"\xef\xbb\xbf <!DOCTYPE HTML>", "a web page (HTML)"),
            (b"<?xml version='1.0'?>\n<svg xmlns='x'>", "an SVG drawing"),
            (b"<?xml version='1.0'?>\n<a/>", "an XML document"),
        ] {
            assert_eq!(file_kind(bytes), Some(kind));
            // However short, nothing panics, and no other kind is taken for it.
            (0..bytes.len()).for_each(|len| {
                assert!([None, Some(kind), Some("an XML document")].contains(&file_kind(&bytes[..len])))
            });
        }
        for other in [&b""[..], b"a,b\n1,2\n", b"BMW,3\nFord,4\n", b"{\"class\": 1}", b"\xff\xfe", b"PKW,1\n", b"RIFF"]
        {
            assert_eq!(file_kind(other), None, "{other:?}");
        }
    }
}
