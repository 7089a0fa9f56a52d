//! TFRecord, the frame of an event in its file, <https://www.tensorflow.org/tutorials/load_data/tfrecord>.

/// The polynomial of CRC-32C (Castagnoli), the lowest bit first: not that of zlib and PNG.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// What each value of a byte does to the sum.
const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut sum, mut bit) = (byte as u32, 0);
        while bit < 8 {
            sum = if sum & 1 == 1 { sum >> 1 ^ POLYNOMIAL } else { sum >> 1 };
            bit += 1;
        }
        table[byte] = sum;
        byte += 1;
    }
    table
};

fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum: u32, &byte| sum >> 8 ^ TABLE[usize::from(sum as u8 ^ byte)])
}

/// A sum of data that holds sums of its own says little: it is turned and moved.
fn masked(bytes: &[u8]) -> [u8; 4] {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

/// Length, the length's sum, the data, the data's sum.
pub fn framed(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    [&length[..], &masked(&length), data, &masked(data)].concat()
}

/// A frame of a file.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Where it begins.
    pub at: usize,
    /// All of it.
    pub bytes: &'a [u8],
    pub data: &'a [u8],
}

/// The whole frames of a file. Bytes that are part of none, because they were cut or damaged, are passed over.
pub fn frames(file: &[u8]) -> impl Iterator<Item = Frame<'_>> {
    let mut next = 0;
    std::iter::from_fn(move || {
        let (at, frame) = (next..file.len()).find_map(|at| Some((at, first_frame(&file[at..])?)))?;
        next = at + frame.len();
        Some(Frame { at, bytes: frame, data: &frame[12..frame.len() - 4] })
    })
}

/// The frame that some bytes begin with, if they do.
fn first_frame(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = bytes.split_first_chunk()?;
    if !rest.starts_with(&masked(length)) {
        return None;
    }
    let len = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let frame = bytes.get(..len.checked_add(16)?)?;
    frame.ends_with(&masked(&frame[12..12 + len])).then_some(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check value of the catalogue of CRCs, and the examples of iSCSI (RFC 3720, B.4).
    #[test]
    fn sums_are_the_published_ones() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(b""), 0);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(&std::array::from_fn::<u8, 32, _>(|i| i as u8)), 0x46dd_794e);
    }

    #[test]
    fn a_frame_is_sixteen_bytes_around_the_data() {
        let frame = framed(b"123456789");
        // 0xe3069283 turned right by 15 bits is 0x2507c60d.
        let sum = 0x2507_c60du32.wrapping_add(0xa282_ead8).to_le_bytes();
        assert_eq!(
            (&frame[..8], &frame[12..21], &frame[21..]),
            (&[9, 0, 0, 0, 0, 0, 0, 0][..], &b"123456789"[..], &sum[..])
        );
        assert_eq!(frame[8..12], masked(&frame[..8]));
        assert_eq!(framed(b"").len(), 16);
        let file = [framed(b"one"), framed(b""), framed(b"three")].concat();
        let data = |file: &[u8]| {
            frames(file).map(|frame| (frame.at, frame.bytes.len(), frame.data.to_vec())).collect::<Vec<_>>()
        };
        let all = [(0, 19, b"one".to_vec()), (19, 16, Vec::new()), (35, 21, b"three".to_vec())];
        assert_eq!(data(&file), all);
        assert_eq!(data(&file[..file.len() - 1]), all[..2]);
        assert_eq!((data(&file[..7]), data(&[0xff; 40]), data(&[0; 40])), (vec![], vec![], vec![]));
        // Whatever was damaged, others are found again; and where bytes are missing.
        for (at, frame) in all.iter().flat_map(|(at, len, _)| (*at..at + len).map(move |byte| (byte, *at))) {
            let mut damaged = file.clone();
            damaged[at] ^= 0x10;
            let others: Vec<_> = all.iter().filter(|(at, ..)| *at != frame).cloned().collect();
            assert_eq!(data(&damaged), others, "byte {at}");
        }
        let moved = [(11, 16, Vec::new()), (27, 21, b"three".to_vec())];
        assert_eq!(data(&file[8..]), moved);
    }
}
