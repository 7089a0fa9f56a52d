//! How much packed files may unpack to.

use clap::Args;

/// Of `.npz` archives, gzipped files and pictures.
#[derive(Args)]
pub struct UnpackedArgs {
    /// How much a packed file may unpack to, in bytes or such as 4G [default: 64M, and a hundred times its own size]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub max_unpacked: Option<u64>,
}

/// An error's text with this option's name in place of the library's.
pub fn in_options(text: &str) -> String {
    text.replace("more to max_unpacked", "more to --max-unpacked")
}

/// Bytes, or thousands of 1,024 of them: 500M, 4G.
pub fn size(text: &str) -> Result<u64, String> {
    let units = [('K', 10), ('M', 20), ('G', 30), ('T', 40)];
    let unit = units.into_iter().find(|(unit, _)| text.ends_with([*unit, unit.to_ascii_lowercase()]));
    let digits = unit.map_or(text, |_| &text[..text.len() - 1]);
    let number = digits.parse().ok().filter(|&number: &u64| number > 0);
    let bytes = number.and_then(|number| number.checked_mul(1 << unit.map_or(0, |(_, bits)| bits)));
    bytes.ok_or_else(|| "give bytes, or a number with K, M, G or T behind it, such as 4G".to_string())
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_have_units() {
        assert_eq!([size("100"), size("2K"), size("3g")], [Ok(100), Ok(2048), Ok(3 << 30)]);
        for wrong in ["", "G", "0", "-1", "1.5G", "9999999999T", "5€"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
