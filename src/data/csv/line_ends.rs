//! Line ends of any kind as one, so that lines can be counted.

use std::io::{self, Read};

/// A text in which each line ends with `\n`, the last one too, whether the source ends them so, with `\r\n` or with `\r`.
pub(super) struct LineEnds<R> {
    source: R,
    /// Of what was read so far.
    last: Option<u8>,
    /// Whether the reader was told that nothing follows.
    pub has_ended: bool,
}

impl<R> LineEnds<R> {
    pub fn new(source: R) -> Self {
        Self { source, last: None, has_ended: false }
    }
}

impl<R: Read> Read for LineEnds<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            let count = self.source.read(out)?;
            let read = &mut out[..count];
            let Some(&last) = read.last() else {
                let is_open = self.last.replace(b'\n').is_some_and(|last| !b"\r\n".contains(&last));
                out[0] = b'\n';
                self.has_ended = !is_open;
                return Ok(usize::from(is_open));
            };
            let before = self.last.replace(last);
            if before != Some(b'\r') && !read.contains(&b'\r') {
                return Ok(count);
            }
            let (mut before, mut kept) = (before, 0);
            for at in 0..count {
                let byte = read[at];
                if (before, byte) != (Some(b'\r'), b'\n') {
                    read[kept] = if byte == b'\r' { b'\n' } else { byte };
                    kept += 1;
                }
                before = Some(byte);
            }
            if kept > 0 {
                return Ok(kept);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A source that gives so many bytes at a time.
    struct Pieces<'a>(&'a [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let most = self.1.min(out.len());
            self.0.read(&mut out[..most])
        }
    }

    #[test]
    fn lines_end_alike_wherever_reads_end() {
        for (text, wanted) in [
            ("", ""),
            ("a", "a\n"),
            ("a\n", "a\n"),
            ("a\r\nb\r\n", "a\nb\n"),
            ("a\rb\r", "a\nb\n"),
            ("a\r\r\n\nb", "a\n\n\nb\n"),
            ("\r\n\r\n", "\n\n"),
            ("\n\r", "\n\n"),
        ] {
            for most in 1..5 {
                let mut found = String::new();
                LineEnds::new(Pieces(text.as_bytes(), most)).read_to_string(&mut found).unwrap();
                assert_eq!(found, wanted, "{text:?} by {most}");
            }
        }
    }
}
