//! The rows of a file and the columns they are under, with errors that name file, line and column.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use ::csv::{ByteRecord, ErrorKind, ReaderBuilder, StringRecord};

use super::line_ends::LineEnds;
use super::survey::number;
use super::{Csv, Missing};
use crate::data::idx::gunzipped;
use crate::error::{Error, Result};
use crate::io::unpacking::{Limited, most};
use crate::io::whole;
use crate::suggest;

/// What lines are read of, as often as is needed.
pub(super) struct Input {
    path: PathBuf,
    /// Of what is no file, or one that can be read once.
    bytes: Option<Vec<u8>>,
}

impl Input {
    /// Files; a pipe is read here.
    pub fn files<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Result<Vec<Self>> {
        let file = |path: P| Ok(Self { path: path.as_ref().into(), bytes: whole::piped(path.as_ref())? });
        paths.into_iter().map(file).collect()
    }

    pub fn text(bytes: &[u8]) -> [Self; 1] {
        [Self { path: "text".into(), bytes: Some(bytes.into()) }]
    }
}

/// A file, or several one after the other: its columns known, its rows yet to be read.
pub(super) struct Lines<'a> {
    reader: csv::Reader<LineEnds<Box<dyn Read + 'a>>>,
    /// How many fields the first line of this file has; none before it is read.
    width: Option<usize>,
    path: PathBuf,
    /// The files behind this one.
    rest: &'a [Input],
    /// Where in this file the columns of the first one stand, if elsewhere.
    order: Option<Vec<usize>>,
    pub columns: Vec<String>,
    /// Where each column stands.
    places: HashMap<String, usize>,
    /// Of a file without a header: read to count the columns, and a row as well.
    first: Option<StringRecord>,
    csv: Csv,
    /// Whether a column is named to [`Csv::numbers`].
    numbers: Vec<bool>,
}

/// The fields of a row.
pub(super) struct Row<'a> {
    pub record: StringRecord,
    /// Where in the record the columns stand, if elsewhere.
    pub order: Option<&'a [usize]>,
    pub source: Source<'a>,
    pub columns: &'a [String],
    pub csv: &'a Csv,
    pub numbers: &'a [bool],
}

/// Where a row stands, for errors.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    /// In a file.
    File(&'a Path),
    /// Among records that a program gives, from 1.
    Record(usize),
}

/// The bytes behind a byte order mark, if there is one. csv-core passes over it only if it gets its three bytes at once.
fn without_mark<'a>(mut source: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut start = Vec::new();
    source.by_ref().take(3).read_to_end(&mut start)?;
    if start == "\u{feff}".as_bytes() {
        start.clear();
    }
    Ok(Box::new(io::Cursor::new(start).chain(source)))
}

impl<'a> Lines<'a> {
    pub fn open(inputs: &'a [Input], csv: &Csv) -> Result<Self> {
        let [first, rest @ ..] = inputs else {
            return Err(Error::argument("files", "there are none; give one or more"));
        };
        Ok(Self { rest, ..Self::one(first, csv)? })
    }

    fn one(Input { path, bytes }: &'a Input, csv: &Csv) -> Result<Self> {
        if let Some(bytes) = bytes {
            return Self::of(&bytes[..], bytes.len() as u64, path, csv);
        }
        let file = File::open(path).map_err(Error::io(path, "open"))?;
        let stored = file.metadata().map_err(Error::io(path, "read"))?.len();
        Self::of(file, stored, path, csv)
    }

    /// Goes on with the next file, which has the same columns in any order.
    fn turn(&mut self) -> Result<bool> {
        let [next, rest @ ..] = self.rest else { return Ok(false) };
        let next = Self::one(next, &self.csv)?;
        let refused = |message: String| Error::format(&next.path, message);
        let began = self.path.display();
        if let Some(more) = next.columns.iter().find(|name| !self.places.contains_key(*name)) {
            return Err(refused(format!(
                "has a column {more:?}, which {began} does not have; give all files the same columns"
            )));
        }
        let find = |name: &String| {
            let missing =
                || refused(format!("has no column {name:?}, which {began} has; give all files the same columns"));
            next.places.get(name).copied().ok_or_else(missing)
        };
        let order: Vec<usize> = self.columns.iter().map(find).collect::<Result<_>>()?;
        self.order = (!order.is_sorted()).then_some(order);
        (self.reader, self.path, self.first, self.width, self.rest) =
            (next.reader, next.path, next.first, next.width, rest);
        Ok(true)
    }

    /// `stored`: the bytes at rest, by which it is judged what zipped ones may unpack to.
    fn of(source: impl Read + 'a, stored: u64, path: &Path, csv: &Csv) -> Result<Self> {
        let (mut source, zipped) = gunzipped(source).map_err(Error::io(path, "read"))?;
        if zipped {
            source = Box::new(Limited::new(source, most(stored, csv.max_unpacked)));
        }
        let source = without_mark(source).map_err(Error::io(path, "read"))?;
        let mut builder = ReaderBuilder::new();
        let builder = builder.delimiter(csv.separator).has_headers(false).flexible(true);
        let mut lines = Self {
            reader: builder.from_reader(LineEnds::new(source)),
            path: path.into(),
            rest: &[],
            order: None,
            columns: Vec::new(),
            places: HashMap::new(),
            first: None,
            width: None,
            csv: csv.clone(),
            numbers: Vec::new(),
        };
        let Some(first) = lines.record()? else {
            return Err(Error::format(path, "is empty; the first line is to name the columns"));
        };
        if csv.header {
            lines.columns = first.iter().map(String::from).collect();
        } else {
            lines.columns = (1..=first.len()).map(|number| number.to_string()).collect();
            lines.first = Some(first);
        }
        for (at, name) in lines.columns.iter().enumerate() {
            if lines.places.insert(name.clone(), at).is_some() {
                return Err(Error::format(path, format!("line 1: two columns are named {name:?}")));
            }
        }
        lines.numbers = csv.are_numbers(&lines.columns);
        Ok(lines)
    }

    fn record(&mut self) -> Result<Option<StringRecord>> {
        let mut record = ByteRecord::new();
        if !self.reader.read_byte_record(&mut record).map_err(|e| self.refused(e))? {
            return Ok(None);
        }
        let line = self.line_of(&record);
        let mut position = self.reader.position().clone();
        position.set_line(line);
        record.set_position(Some(position));
        let len = record.len();
        let width = *self.width.get_or_insert(len);
        if len != width {
            let message =
                format!("line {line} has {len} fields, the first line has {width}; look for a quote that does not end");
            return Err(Error::format(&self.path, message));
        }
        let mut record = StringRecord::from_byte_record(record).map_err(|e| {
            let field = e.utf8_error().field() + 1;
            Error::format(&self.path, format!("line {line}, field {field}: is no UTF-8; save the file as UTF-8"))
        })?;
        record.trim();
        Ok(Some(record))
    }

    /// Where the record that was read last begins. The crate's own position is where the one before it ended, before lines without fields.
    fn line_of(&self, record: &ByteRecord) -> u64 {
        let within = record.as_slice().iter().filter(|&&byte| byte == b'\n').count() as u64;
        // A quote that does not end is seen at the end of the file, behind the end of its last line.
        let end = u64::from(!self.reader.get_ref().has_ended);
        self.reader.position().line() - within - end
    }

    fn refused(&self, error: csv::Error) -> Error {
        let message = match error.into_kind() {
            ErrorKind::Io(e) if e.kind() == io::ErrorKind::FileTooLarge => e.to_string(),
            ErrorKind::Io(e) => return Error::io(&self.path, "read")(e),
            other => format!("{other:?}"),
        };
        Error::format(&self.path, message)
    }

    /// The next row.
    pub fn next(&mut self) -> Result<Option<Row<'_>>> {
        let record = loop {
            let record = match self.first.take() {
                Some(first) => Some(first),
                None => self.record()?,
            };
            if record.is_some() || !self.turn()? {
                break record;
            }
        };
        let Self { path, order, columns, csv, numbers, .. } = self;
        let (order, source) = (order.as_deref(), Source::File(path));
        Ok(record.map(|record| Row { record, order, source, columns, csv, numbers }))
    }

    /// Where the column stands.
    pub fn find(&self, option: &str, name: &str) -> Result<usize> {
        self.places.get(name).copied().ok_or_else(|| {
            let names: Vec<&str> = self.columns.iter().map(String::as_str).collect();
            let mut message = format!("{}: column {}", self.path.display(), suggest::unknown(name, &names));
            if let [only] = names[..]
                && let Some(other) = [',', ';', '\t', '|'].into_iter().find(|&other| only.contains(other))
            {
                message.push_str(&format!("; is the separator {other:?}?"));
            }
            Error::argument(option, message)
        })
    }

    pub fn refused_whole(&self, message: &str) -> Error {
        Error::format(&self.path, message)
    }
}

/// What a record is called in errors.
pub(super) fn record(number: usize) -> String {
    format!("record {number}")
}

impl Csv {
    /// Of each column, whether it is named to [`Csv::numbers`].
    pub(super) fn are_numbers(&self, columns: &[String]) -> Vec<bool> {
        let numbers: HashSet<&String> = self.numbers.iter().collect();
        columns.iter().map(|name| numbers.contains(name)).collect()
    }
}

impl Row<'_> {
    /// What stands in a column.
    pub fn text(&self, column: usize) -> &str {
        self.record.get(self.order.map_or(column, |order| order[column])).unwrap_or_default()
    }

    /// The field of a column, unless it is missing.
    pub fn field(&self, column: usize) -> Option<&str> {
        let field = self.text(column);
        let is_missing = field.is_empty()
            || self.csv.missing_values.iter().any(|text| field.eq_ignore_ascii_case(text))
            || self.numbers[column] && number(field).is_none();
        (!is_missing).then_some(field)
    }

    /// Where the row is to be passed over, since a field of its samples' columns or of its targets is missing, the first such column.
    pub fn dropped(&self, columns: &[usize], targets: &[usize]) -> Option<usize> {
        let columns = if self.csv.missing == Missing::DropRow { columns } else { &[] };
        let targets = if self.csv.missing == Missing::DropRow || self.csv.drops_unlabelled { targets } else { &[] };
        columns.iter().chain(targets).copied().find(|&column| self.field(column).is_none())
    }

    pub fn line(&self) -> u64 {
        self.record.position().map_or(0, csv::Position::line)
    }

    /// The number in a column.
    pub fn number(&self, column: usize) -> Result<Option<f32>> {
        self.number_of(column, "")
    }

    /// [`Row::number`] with what else may be done about a field that is none.
    pub fn number_of(&self, column: usize, more: &str) -> Result<Option<f32>> {
        let Some(field) = self.field(column) else { return Ok(None) };
        let refused =
            || self.refused(column, format!("{field:?} is no number, as the column's fields are; mend it{more}"));
        number(field).ok_or_else(refused)?;
        // From the text: by way of f64 it would be rounded twice.
        if let Some(number) = field.parse().ok().filter(|number: &f32| number.is_finite()) {
            return Ok(Some(number));
        }
        Err(self.refused(column, format!("{field} is beyond f32's range, which ends at 3.4e38")))
    }

    pub fn refused(&self, column: usize, message: impl std::fmt::Display) -> Error {
        let name = &self.columns[column];
        match self.source {
            Source::File(path) => Error::format(path, format!("line {}, column {name:?}: {message}", self.line())),
            Source::Record(number) => Error::argument(record(number), format!("column {name:?}: {message}")),
        }
    }

    pub fn missing(&self, column: usize) -> Error {
        let text = self.text(column);
        let why = if text.is_empty() { String::new() } else { format!(", as {text:?} means") };
        let why = if self.numbers[column] && !text.is_empty() { format!(", as {text:?} is no number") } else { why };
        // Where samples' fields are filled in, it is one of the targets or weights.
        let is_target = matches!(self.csv.missing, Missing::Nan | Missing::Fill(_));
        let answers = match self.source {
            Source::File(_) if is_target => "targets and weights are not filled in; drop such rows, by Csv::missing",
            Source::File(_) => {
                "drop such rows or fill them in, by Csv::missing; Csv::missing_values says which texts mean that"
            }
            Source::Record(_) => "the model was told of no value to fill in; give one",
        };
        self.refused(column, format!("the field is missing{why}; {answers}"))
    }
}
