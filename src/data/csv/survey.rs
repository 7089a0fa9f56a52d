//! What the columns of a table are, numbers or words: all rows decide it, in whatever order they stand.

use std::collections::{BTreeMap, HashSet};

use super::lines::{Lines, Row};
use super::{Csv, Missing, Targets};
use crate::error::{Error, Result};

/// More different words than this are names of rows, not of kinds.
const MOST_WORDS: usize = 1000;
/// What to do about labels that are numbers.
const AS_NUMBERS: &str = "predict it by Csv::targets, or take each number for a class by Csv::words";
/// Fields that an error lists.
const LISTED: usize = 5;

/// The number that a field is, if it is one.
pub(super) fn number(field: &str) -> Option<f64> {
    field.parse().ok().filter(|number: &f64| !number.is_nan())
}

/// Whether two labels are one: the same text, or the same number.
pub(super) fn is_same(a: &str, b: &str) -> bool {
    a == b || number(a).is_some_and(|a| a.is_finite() && Some(a) == number(b))
}

/// By value where all are numbers, else by letters.
fn sort(names: &mut [String]) {
    if names.iter().all(|name| number(name).is_some()) {
        names.sort_by(|a, b| number(a).partial_cmp(&number(b)).expect("no NaN").then_with(|| a.cmp(b)));
    } else {
        names.sort_unstable();
    }
}

/// Of several spellings of a number, such as 0 and 0.0, the shortest, whatever stood first.
fn without_spellings(mut names: Vec<String>) -> Vec<String> {
    let order = |a: &String, b: &String| a.len().cmp(&b.len()).then_with(|| a.cmp(b));
    let value = |name: &String| number(name).unwrap_or(f64::NAN) + 0.0;
    names.sort_by(|a, b| value(a).total_cmp(&value(b)).then_with(|| order(a, b)));
    names.dedup_by(|later, first| is_same(later, first));
    names
}

/// The different words of a column.
#[derive(Default)]
struct Words {
    known: HashSet<String>,
    /// Why there are too many.
    refusal: Option<Error>,
}

impl Words {
    fn note(&mut self, word: &str, row: &Row<'_>, column: usize) {
        if self.refusal.is_some() || self.known.contains(word) {
            return;
        }
        if self.known.len() == MOST_WORDS {
            let message = format!("{word:?} is one word more than the {MOST_WORDS} that a column may have");
            let hint = "if it names rows, leave it out by Csv::without";
            self.refusal = Some(row.refused(column, format!("{message}; {hint}")));
            return;
        }
        self.known.insert(word.into());
    }

    fn sorted(self) -> Result<Vec<String>> {
        let mut words: Vec<String> = self.refusal.map_or(Ok(self.known), Err)?.into_iter().collect();
        sort(&mut words);
        Ok(words)
    }
}

/// What the rows say of a column that samples are made of.
struct Column {
    at: usize,
    /// By [`Csv::words`].
    is_words: bool,
    /// Whether numbers are kept among the words; other columns of numbers need not have theirs remembered.
    keeps_numbers: bool,
    /// Whether the rows are still to be gone through for it.
    is_open: bool,
    /// Fields that are not missing, and those of them that are numbers.
    present: usize,
    numbers: usize,
    /// The first fields that are none.
    others: Vec<String>,
    words: Words,
}

impl Column {
    fn new(at: usize, is_words: bool, keeps_numbers: bool) -> Self {
        let (others, words) = (Vec::new(), Words::default());
        Self { at, is_words, keeps_numbers, is_open: true, present: 0, numbers: 0, others, words }
    }

    /// Takes a row's field in; whether it is missing.
    fn note(&mut self, row: &Row<'_>) -> bool {
        let Some(field) = row.field(self.at) else { return true };
        let is_number = number(field).is_some();
        self.present += 1;
        self.numbers += usize::from(is_number);
        if !is_number && self.others.len() < LISTED {
            self.others.push(format!("line {} {field:?}", row.line()));
        }
        if !is_number || self.keeps_numbers {
            self.words.note(field, row, self.at);
        }
        false
    }

    /// Whether it is one of words.
    fn decide(&self, name: &str) -> Result<bool, String> {
        let (all, numbers) = (self.present, self.numbers);
        if self.is_words || numbers == all {
            return Ok(self.is_words);
        }
        if 2 * numbers <= all {
            return Ok(true);
        }
        let (others, listed) = (all - numbers, self.others.join(", "));
        let more = if others > LISTED { format!(" and {} more", others - LISTED) } else { String::new() };
        Err(format!(
            "column {name:?}: {numbers} of {all} fields are numbers, these are not: {listed}{more}. Take all for words by \
             Csv::words, take those that are no numbers for missing by Csv::numbers, or say by Csv::missing_values which \
             texts mean that a field is missing"
        ))
    }

    /// Where nearly every row has a word of its own.
    fn remark(&self, name: &str, words: usize) -> Option<String> {
        let (rows, most) = (self.present, words == self.present || words > 10 && 2 * words > self.present);
        (most && words > 1).then(|| {
            let each = format!("{words} different words in {rows} rows become {words} columns of samples");
            format!("column {name:?}: {each}; if it names rows, leave it out by Csv::without")
        })
    }
}

/// What is learned of a table as its rows are gone through.
pub(super) struct Survey<'c> {
    csv: &'c Csv,
    columns: Vec<Column>,
    /// Of targets and weights.
    targets: Vec<usize>,
    classes: Words,
    missing: MissingFields,
}

/// Where fields are missing, and nothing is to come of it but an error.
#[derive(Default)]
struct MissingFields {
    /// The error of the first one.
    first: Option<Error>,
    rows: usize,
    /// Of each column the rows in which it is missing.
    columns: BTreeMap<usize, usize>,
    /// Of all rows.
    of: usize,
}

impl MissingFields {
    fn note(&mut self, row: &Row<'_>, columns: &[usize]) {
        self.of += 1;
        let Some(&first) = columns.first() else { return };
        self.first.get_or_insert_with(|| row.missing(first));
        self.rows += 1;
        columns.iter().for_each(|&column| *self.columns.entry(column).or_default() += 1);
    }

    /// An error that says how much is missing, where anything is.
    fn result(self, names: &[String]) -> Result<()> {
        let Some(first) = self.first else { return Ok(()) };
        let Error::Format { path, message } = first else { return Err(first) };
        let (rows, of) = (self.rows, self.of);
        let mut columns: Vec<(usize, usize)> = self.columns.into_iter().collect();
        columns.sort_by_key(|&(column, rows)| (std::cmp::Reverse(rows), column));
        let each = |&(column, rows): &(usize, usize)| format!("{:?} in {rows}", names[column]);
        let mut said: Vec<String> = columns.iter().take(LISTED).map(each).collect();
        said.extend((columns.len() > LISTED).then(|| format!("{} more columns", columns.len() - LISTED)));
        let said = said.join(", ");
        Err(Error::format(path, format!("{message}. Fields are missing in {rows} of {of} rows: {said}")))
    }
}

/// What a survey found: the columns' names with their words, the classes, and what should be said.
pub(super) struct Found {
    pub columns: Vec<(String, Option<Vec<String>>)>,
    pub classes: Vec<String>,
    pub remarks: Vec<String>,
}

impl<'c> Survey<'c> {
    /// Goes through a file once, and once more where words and numbers are mixed.
    pub fn of<'a>(mut lines: impl FnMut() -> Result<Lines<'a>>, csv: &'c Csv) -> Result<Found> {
        let mut first = lines()?;
        let mut survey = Self::new(&first, csv)?;
        survey.read(&mut first)?;
        let mut is_mixed = false;
        for column in &mut survey.columns {
            let is_words = column.decide(&first.columns[column.at]).map_err(|why| first.refused_whole(&why))?;
            column.is_open = is_words && column.numbers > 0 && !column.keeps_numbers;
            is_mixed |= column.is_open;
            if column.is_open {
                *column = Column::new(column.at, true, true);
            }
            column.is_words |= is_words;
        }
        std::mem::take(&mut survey.missing).result(&first.columns)?;
        if is_mixed {
            survey.read(&mut lines()?)?;
        }
        survey.found(&first.columns)
    }

    fn new(lines: &Lines<'_>, csv: &'c Csv) -> Result<Self> {
        let targets = targets(lines, csv)?;
        let left_out: HashSet<usize> = columns(lines, "without", &csv.without)?.into_iter().collect();
        let words: HashSet<usize> = columns(lines, "words", &csv.words)?.into_iter().collect();
        if let Some(&both) = columns(lines, "numbers", &csv.numbers)?.iter().find(|column| words.contains(column)) {
            let message = format!("column {:?} is named for words and for numbers; name it once", lines.columns[both]);
            return Err(Error::argument("numbers", message));
        }
        let taken = (0..lines.columns.len()).filter(|c| !targets.contains(c) && !left_out.contains(c));
        let columns: Vec<Column> = taken.map(|c| Column::new(c, words.contains(&c), words.contains(&c))).collect();
        if columns.is_empty() {
            return Err(lines.refused_whole("has no columns beside the targets, the weights and those left out"));
        }
        Ok(Self { csv, columns, targets, classes: Words::default(), missing: MissingFields::default() })
    }

    fn read(&mut self, lines: &mut Lines<'_>) -> Result<()> {
        let places: Vec<usize> = self.columns.iter().map(|column| column.at).collect();
        let mut missing = Vec::new();
        while let Some(row) = lines.next()? {
            if row.dropped(&places, &self.targets).is_some() {
                continue;
            }
            missing.clear();
            for column in self.columns.iter_mut().filter(|column| column.is_open) {
                if column.note(&row) {
                    missing.push(column.at);
                    // It is known as a word from here on.
                    self.csv.missing_word.iter().for_each(|word| column.words.note(word, &row, column.at));
                }
            }
            missing.extend(self.targets.iter().copied().filter(|&column| row.field(column).is_none()));
            if self.csv.missing == Missing::Error {
                self.missing.note(&row, &missing);
            }
            if let Targets::Label(name) = &self.csv.targets {
                note_class(&row, self.targets[0], self.csv.words.contains(name), &self.csv.classes, &mut self.classes)?;
            }
        }
        Ok(())
    }

    fn found(self, names: &[String]) -> Result<Found> {
        let mut found = Found { columns: Vec::new(), classes: self.csv.classes.clone(), remarks: Vec::new() };
        for mut column in self.columns {
            let name = &names[column.at];
            let words = column.is_words.then(|| std::mem::take(&mut column.words).sorted()).transpose()?;
            found.remarks.extend(words.as_ref().and_then(|words| column.remark(name, words.len())));
            found.columns.push((name.clone(), words));
        }
        if found.classes.is_empty() {
            found.classes = self.classes.sorted()?;
            let is_text = matches!(&self.csv.targets, Targets::Label(name) if self.csv.words.contains(name));
            if !is_text {
                found.classes = without_spellings(found.classes);
                sort(&mut found.classes);
            }
        }
        Ok(found)
    }
}

/// Of more classes than this, with fewer rows each than this, numbers are no classes.
const MOST_CLASSES: usize = 20;
const ROWS_A_CLASS: usize = 10;

/// That labels, of so many rows, are not plainly numbers to predict.
pub(super) fn check_classes(csv: &Csv, classes: &[String], rows: usize) -> Result<()> {
    let Targets::Label(name) = &csv.targets else { return Ok(()) };
    let count = classes.len();
    let are_told = csv.words.contains(name) || !csv.classes.is_empty();
    let are_few = count <= MOST_CLASSES || rows >= ROWS_A_CLASS * count;
    if are_told || are_few || classes.iter().any(|class| number(class).is_none()) {
        return Ok(());
    }
    let (first, last) = (&classes[0], &classes[count - 1]);
    let what = format!("column {name:?} holds {count} different numbers in {rows} rows, from {first} to {last}");
    Err(Error::argument("label", format!("{what}; {AS_NUMBERS}")))
}

/// Adds the row's label to the classes, unless these are `given`: what is none of them is found when it is read.
fn note_class(row: &Row<'_>, column: usize, is_text: bool, given: &[String], classes: &mut Words) -> Result<()> {
    let Some(label) = row.field(column).filter(|_| given.is_empty()) else { return Ok(()) };
    let is_value = !is_text && number(label).is_some();
    if is_value && number(label).is_some_and(|number| number.fract() != 0.0) {
        return Err(
            row.refused(column, format!("{label} is no class: classes are words or whole numbers; {AS_NUMBERS}"))
        );
    }
    if is_value && classes.known.len() == MOST_WORDS && !classes.known.contains(label) {
        let message = format!("{label} is one more than the {MOST_WORDS} classes that there may be; {AS_NUMBERS}");
        return Err(row.refused(column, message));
    }
    classes.note(label, row, column);
    Ok(())
}

/// The columns of targets, then that of weights.
pub(super) fn targets(lines: &Lines<'_>, csv: &Csv) -> Result<Vec<usize>> {
    let mut targets = columns(lines, csv.targets.option(), csv.targets.columns())?;
    targets.extend(columns(lines, "sample_weight", csv.sample_weight.as_slice())?);
    Ok(targets)
}

fn columns(lines: &Lines<'_>, option: &str, names: &[String]) -> Result<Vec<usize>> {
    names.iter().map(|name| lines.find(option, name)).collect()
}
