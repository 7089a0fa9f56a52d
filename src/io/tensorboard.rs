//! TensorBoard's event files, <https://www.tensorflow.org/tensorboard>.
//!
//! A file is a series of events, each a protobuf message in a frame of its own: TensorFlow's
//! [`event.proto`](https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/util/event.proto) and
//! [`summary.proto`](https://github.com/tensorflow/tensorboard/blob/master/tensorboard/compat/proto/summary.proto), by
//! whose numbers the fields go here.

mod histogram;
mod record;

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use super::protobuf::{Field, Fields, Message};
use super::whole;
use crate::clock::SystemTime;
use crate::error::{Error, Result};
use crate::tensor::Tensor;
use histogram::Histogram;

/// What the names of event files begin with.
const PREFIX: &str = "events.out.tfevents.";

/// `DT_STRING` of TensorFlow's `types.proto`.
const STRING: u64 = 7;

/// Writes an event file. Each value has a tag, by which TensorBoard gathers it with those of other steps; values of one tag
/// are of one kind.
///
/// ```
/// use kiln::io::tensorboard::EventWriter;
/// let folder = std::env::temp_dir().join("kiln-doc-events");
/// let mut writer = EventWriter::create(&folder)?;
/// writer.scalar("loss", 0, 0.7)?;
/// writer.scalar("loss", 1, 0.4)?;
/// writer.flush()?;
/// # std::fs::remove_dir_all(folder).unwrap();
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Debug)]
pub struct EventWriter {
    path: PathBuf,
    file: BufWriter<File>,
}

impl EventWriter {
    /// Opens a new file in a folder, which TensorBoard shows as a run of the folder's name, and makes the folder where
    /// there is none.
    ///
    /// # Errors
    /// [`Error::Io`] that names what cannot be made.
    pub fn create(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        fs::create_dir_all(folder).map_err(Error::io(folder, "create"))?;
        let (path, file) = new_file(folder)?;
        let mut writer = Self { path, file: BufWriter::new(file) };
        writer.event(Message::default().bytes(3, b"brain.Event:2"))?;
        Ok(writer)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A number, which is kept as `f32`. NaN and infinities may be among a tag's numbers.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be written.
    pub fn scalar(&mut self, tag: &str, step: u64, value: f64) -> Result<()> {
        self.value(tag, step, |message| message.float(2, value as f32))
    }

    /// How often a tensor's elements lie where: counted in TensorFlow's buckets, whose limits are powers of 1.1 on both
    /// sides of zero. NaN and infinities are left out; the count says how many are not.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be written.
    pub fn histogram(&mut self, tag: &str, step: u64, values: &Tensor) -> Result<()> {
        let histogram = Histogram::new(&values.values().to_f64()).message();
        self.value(tag, step, |message| message.message(5, &histogram))
    }

    /// A text, which TensorBoard reads as Markdown.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be written.
    pub fn text(&mut self, tag: &str, step: u64, markdown: &str) -> Result<()> {
        // A tensor without axes. What the plugin is to know of its tensors is its name alone.
        let tensor = Message::default().uint(1, STRING).bytes(2, b"").bytes(8, markdown.as_bytes());
        let plugin = Message::default().bytes(1, b"text");
        let metadata = Message::default().message(1, &plugin);
        self.value(tag, step, |message| message.message(8, &tensor).message(9, &metadata))
    }

    /// A picture: the bytes of a PNG file.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be written; [`Error::Argument`] where the bytes are no PNG file.
    pub fn image(&mut self, tag: &str, step: u64, png: &[u8]) -> Result<()> {
        let message = "the bytes do not begin as a PNG file does; give one whole, as it lies on the disk";
        let header = png_header(png).ok_or_else(|| Error::argument("png", message))?;
        let image = (1..).zip(header).fold(Message::default(), |message, (field, value)| message.uint(field, value));
        self.value(tag, step, |message| message.message(4, &image.bytes(4, png)))
    }

    /// Leaves nothing in memory: from now on others see all that was written.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be written.
    pub fn flush(&mut self) -> Result<()> {
        self.file.flush().map_err(Error::io(&self.path, "write"))
    }

    /// An event of one value of a summary.
    fn value(&mut self, tag: &str, step: u64, content: impl FnOnce(Message) -> Message) -> Result<()> {
        let value = content(Message::default().bytes(1, tag.as_bytes()));
        self.event(Message::default().uint(2, step).message(5, &Message::default().message(1, &value)))
    }

    /// Writes an event, and when that was.
    fn event(&mut self, content: Message) -> Result<()> {
        let event = content.double(1, since_1970()).into_bytes();
        self.file.write_all(&record::framed(&event)).map_err(Error::io(&self.path, "write"))
    }
}

/// Takes the events out of a folder's other files than `own` of which each value's tag and step are not to be kept, and what
/// was cut at a file's end. What is no event of values stays. What was damaged before a file's end is taken out, too, and
/// named by file and place.
pub(crate) fn keep(folder: &Path, own: &Path, keep: impl Fn(&str, u64) -> bool) -> Result<Vec<String>> {
    let mut damaged = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io(folder, "read"))? {
        let path = entry.map_err(Error::io(folder, "read"))?.path();
        let is_log = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
        if !is_log || path == own {
            continue;
        }
        let there = whole::read(&path)?;
        let stays = |event: &[u8]| tag_and_step(event).is_none_or(|(tag, step)| keep(&tag, step));
        let (mut kept, mut end) = (Vec::new(), 0);
        for frame in record::frames(&there) {
            if frame.at > end {
                let (path, bytes) = (path.display(), frame.at - end);
                damaged.push(format!("{path}: {bytes} bytes from byte {end} on are damaged and were left out"));
            }
            end = frame.at + frame.bytes.len();
            kept.extend(stays(frame.data).then_some(frame.bytes));
        }
        if kept.iter().map(|frame| frame.len()).sum::<usize>() < there.len() {
            whole::write(&path, &kept)?;
        }
    }
    Ok(damaged)
}

/// The tag of an event's first value, and its step.
fn tag_and_step(event: &[u8]) -> Option<(String, u64)> {
    let field = |message, number| Fields::of(message).find(|(field, _)| *field == number).map(|(_, value)| value);
    let bytes = |message, number| match field(message, number) {
        Some(Field::Bytes(bytes)) => Some(bytes),
        _ => None,
    };
    let tag = bytes(bytes(bytes(event, 5)?, 1)?, 1)?;
    // A step of 0 need not be written.
    let step = if let Some(Field::Uint(step)) = field(event, 2) { step } else { 0 };
    Some((String::from_utf8_lossy(tag).into_owned(), step))
}

/// Seconds.
fn since_1970() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// A file that was not there before, named as TensorFlow's are: by time, host, process, and a number of its own.
fn new_file(folder: &Path) -> Result<(PathBuf, File)> {
    let (seconds, host, process) = (since_1970() as u64, host(), std::process::id());
    let mut number = 0;
    loop {
        let path = folder.join(format!("{PREFIX}{seconds:010}.{host}.{process}.{number}.v2"));
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => number += 1,
            opened => return opened.map_err(Error::io(&path, "create")).map(|file| (path, file)),
        }
    }
}

/// This machine's name, as far as the system tells it without being asked by its own calls.
fn host() -> String {
    let kernel = || fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let named = std::env::var("HOSTNAME").or_else(|_| std::env::var("COMPUTERNAME")).ok().or_else(kernel);
    let allowed = |c: &char| c.is_ascii_alphanumeric() || "-_.".contains(*c);
    let name: String = named.iter().flat_map(|name| name.chars()).filter(allowed).collect();
    if name.is_empty() { "localhost".into() } else { name }
}

/// Height, width and number of colours of a PNG file, in the order of TensorFlow's fields.
fn png_header(png: &[u8]) -> Option<[u64; 3]> {
    let header = png.strip_prefix(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")?;
    let (width, rest) = header.split_first_chunk()?;
    let (height, rest) = rest.split_first_chunk()?;
    // A palette's colours have three parts.
    let colours = match rest.get(1)? {
        0 => 1,
        4 => 2,
        2 | 3 => 3,
        6 => 4,
        _ => return None,
    };
    Some([u32::from_be_bytes(*height).into(), u32::from_be_bytes(*width).into(), colours])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_a_damaged_event_is_kept() {
        let folder = tempfile::TempDir::new().unwrap();
        let mut writer = EventWriter::create(folder.path()).unwrap();
        (0..5).for_each(|step| writer.scalar("loss", step, 0.5).unwrap());
        writer.flush().unwrap();
        let path = writer.path().to_path_buf();
        let own = EventWriter::create(folder.path()).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        let frames: Vec<_> = record::frames(&bytes).map(|frame| (frame.at, frame.bytes.len())).collect();
        let ((at, len), last) = (frames[2], bytes.len() - 3);
        bytes[at + len / 2] ^= 1;
        // Cut at the end, as by a run that was killed, of which nobody need hear.
        fs::write(&path, &bytes[..last]).unwrap();
        let steps = |path: &Path| {
            let bytes = fs::read(path).unwrap();
            record::frames(&bytes).filter_map(|frame| Some(tag_and_step(frame.data)?.1)).collect::<Vec<_>>()
        };
        let said = keep(folder.path(), own.path(), |_, step| step < 3).unwrap();
        let wanted = format!("{}: {len} bytes from byte {at} on are damaged and were left out", path.display());
        assert_eq!((said, steps(&path)), (vec![wanted], vec![0, 2]));
        assert!(keep(folder.path(), own.path(), |_, _| true).unwrap().is_empty());
    }
}
