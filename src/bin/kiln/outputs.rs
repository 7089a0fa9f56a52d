//! What a command writes beside what it prints: checked before it works, and no reason to lose the rest of the work.

use std::cell::RefCell;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::{Context as _, Result, bail, ensure};
use kiln::io::{check_file, check_log, printable};
use kiln::train::callbacks::{Callback, Hook, Waiting};
use kiln::train::{Logs, Run};
use kiln::{Error, plot};

/// A text of several lines as a terminal may have it.
pub fn printable_lines(text: &str) -> String {
    text.split('\n').map(printable).collect::<Vec<_>>().join("\n")
}

/// How an option writes to its path.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A model, put in place whole.
    Model,
    /// A picture, put in place whole.
    Picture,
    /// Another file, put in place whole.
    File,
    /// A file that gets line after line.
    Log,
    /// Files in a folder.
    Folder,
}

/// An option that names a place to write to.
pub struct Output<'a> {
    pub option: &'static str,
    pub path: &'a Path,
    pub kind: Kind,
}

/// The outputs of the options that are given.
pub fn outputs<'a>(options: &[(&'static str, &'a Option<PathBuf>, Kind)]) -> Vec<Output<'a>> {
    let given = options.iter().filter_map(|&(option, path, kind)| Some(Output { option, path: path.as_ref()?, kind }));
    given.collect()
}

/// That all of it can be written, each to a place of its own, and nothing over what the command reads: `inputs`, each with
/// what it is.
pub fn check(outputs: &[Output<'_>], inputs: &[(&str, &Path)]) -> Result<()> {
    for (i, Output { option, path, kind }) in outputs.iter().enumerate() {
        let name = path.display();
        if let Some(other) = outputs[..i].iter().find(|other| same(other.path, path)) {
            bail!("{option}: {name} is where --{} writes, too; give each a file of its own", other.option);
        }
        let resumes = |what: &str| *kind == Kind::Model && what == RESUMED;
        if let Some((what, _)) = inputs.iter().find(|(what, input)| !resumes(what) && same(input, path)) {
            bail!("{option}: {name} is {what}, which would be lost; give another name");
        }
        let checked = match kind {
            Kind::Picture => match plot::check_path(path) {
                // It names the option itself.
                Err(e @ Error::Argument { .. }) => return Err(e.into()),
                checked => checked,
            },
            Kind::Model => kiln::io::check_path(path),
            Kind::File => check_file(path),
            Kind::Log => check_log(path),
            Kind::Folder => check_folder(path),
        };
        checked.with_context(|| option.to_string())?;
    }
    Ok(())
}

/// What `--resume` reads: the run that goes on may write its model over it.
pub const RESUMED: &str = "the file of --resume";

/// That a folder can be written to, or be made.
fn check_folder(path: &Path) -> kiln::Result<()> {
    let whole = env::current_dir().unwrap_or_default().join(path);
    for folder in whole.ancestors() {
        match fs::symlink_metadata(folder) {
            Ok(_) if folder.is_dir() => return check_file(folder.join("kiln")),
            Ok(_) => return Err(Error::format(folder, "is no folder; give the name of one")),
            Err(e) if [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&e.kind()) => {}
            // A name that is too long, among others.
            Err(e) => return Err(Error::io(folder, "make this folder")(e)),
        }
    }
    Ok(())
}

/// Whether two paths lead to one file or folder, or would. Devices and pipes may be written to by several.
fn same(a: &Path, b: &Path) -> bool {
    match (fs::metadata(a), fs::metadata(b)) {
        (Ok(of_a), Ok(of_b)) => (of_a.is_file() || of_a.is_dir()) && same_place(a, b, &of_a, &of_b),
        (Err(_), Err(_)) => {
            let place = |path: &Path| Some((fs::canonicalize(folder_of(path)).ok()?, path.file_name()?.to_owned()));
            a == b || place(a).is_some_and(|of_a| place(b) == Some(of_a))
        }
        _ => false,
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// By the file itself: one may have two names.
#[cfg(unix)]
fn same_place(_a: &Path, _b: &Path, of_a: &fs::Metadata, of_b: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    (of_a.dev(), of_a.ino()) == (of_b.dev(), of_b.ino())
}

#[cfg(not(unix))]
fn same_place(a: &Path, b: &Path, _of_a: &fs::Metadata, _of_b: &fs::Metadata) -> bool {
    fs::canonicalize(a).is_ok_and(|a| fs::canonicalize(b).is_ok_and(|b| a == b))
}

/// Prints a line on standard error; nobody may be there to read it.
pub fn say(line: impl std::fmt::Display) {
    let _gone = writeln!(io::stderr(), "{line}");
}

/// What failed while the rest was done: said when it does, and again at the end, with the exit code 1.
pub struct Faults {
    told: RefCell<Vec<String>>,
    /// Whether the terminal is free to be written to at once.
    at_once: bool,
}

impl Faults {
    pub fn new(at_once: bool) -> Self {
        Self { told: RefCell::default(), at_once }
    }

    /// Keeps what failed. A reader of standard output that has gone away has seen enough: nothing failed.
    pub fn hear(&self, result: Result<(), impl Into<anyhow::Error>>) {
        let Err(e) = result.map_err(Into::into) else { return };
        if !is_gone(&e) {
            self.told.borrow_mut().push(crate::one_line_of_causes(&e));
        }
    }

    /// [`Faults::hear`] of what fails within a run, which goes on.
    fn within(&self, e: Error) {
        let text = crate::one_line_of_causes(&e.into());
        if self.at_once {
            // Behind what is there of a bar's line.
            let bar = if io::stderr().is_terminal() { "\n" } else { "" };
            say(format_args!("{bar}{text}; the run goes on without it"));
        }
        self.told.borrow_mut().push(text);
    }

    /// Says each.
    pub fn tell(&self) {
        self.told.borrow().iter().for_each(|text| say(format_args!("error: {text}")));
    }

    /// Whether anything failed that has to do with this path.
    pub fn tell_of(&self, path: &Path) -> bool {
        let name = path.display().to_string();
        self.told.borrow().iter().any(|text| text.contains(&name))
    }

    /// An error of them all, where there is one.
    pub fn result(self) -> Result<()> {
        let told = self.told.into_inner();
        ensure!(told.is_empty(), "{}", told.join("\nerror: "));
        Ok(())
    }
}

/// Whether a reader has gone away, as of `kiln devices | head -1`.
pub fn is_gone(e: &anyhow::Error) -> bool {
    e.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

/// A callback that writes beside the model. Where a file cannot be written in the course of the run, it goes on.
pub struct Beside<'a, C> {
    callback: Option<C>,
    /// Whether it is called again after it failed: it writes anew each time.
    again: bool,
    faults: &'a Faults,
}

impl<'a, C: Callback> Beside<'a, C> {
    /// That is not called any more once it failed.
    pub fn once(callback: C, faults: &'a Faults) -> Self {
        Self { callback: Some(callback), again: false, faults }
    }

    /// That is called again, too, after it failed.
    pub fn each(callback: C, faults: &'a Faults) -> Self {
        Self { callback: Some(callback), again: true, faults }
    }

    fn call(&mut self, call: impl FnOnce(&mut C) -> kiln::Result<()>) -> kiln::Result<()> {
        let called = self.callback.as_mut().map_or(Ok(()), call);
        self.heard(called)
    }

    fn heard(&mut self, called: kiln::Result<()>) -> kiln::Result<()> {
        match called {
            // Of files. What the device reports ends the run.
            Err(e @ (Error::Io { .. } | Error::Format { .. })) => {
                self.faults.within(e);
                if !self.again {
                    self.callback = None;
                }
                Ok(())
            }
            other => other,
        }
    }
}

impl<C: Callback> Callback for Beside<'_, C> {
    fn wants_batches(&self) -> bool {
        self.callback.as_ref().is_some_and(C::wants_batches)
    }

    fn wants_progress(&self) -> bool {
        self.callback.as_ref().is_some_and(C::wants_progress)
    }

    /// What fails here ends the run: nothing is trained yet.
    fn on_train_begin(&mut self, run: &mut Run<'_>) -> kiln::Result<()> {
        self.callback.as_mut().map_or(Ok(()), |callback| callback.on_train_begin(run))
    }

    fn on_train_end(&mut self, run: &mut Run<'_>) -> kiln::Result<()> {
        self.call(|callback| callback.on_train_end(run))
    }

    fn on_epoch_begin(&mut self, run: &mut Run<'_>) -> kiln::Result<()> {
        self.call(|callback| callback.on_epoch_begin(run))
    }

    fn on_epoch_end(&mut self, run: &mut Run<'_>) -> kiln::Result<()> {
        self.call(|callback| callback.on_epoch_end(run))
    }

    fn on_batch_begin(&mut self, run: &mut Run<'_>) -> kiln::Result<()> {
        self.call(|callback| callback.on_batch_begin(run))
    }

    fn on_batch_end(&mut self, run: &mut Run<'_>) -> kiln::Result<()> {
        self.call(|callback| callback.on_batch_end(run))
    }

    fn after<'b>(&'b mut self, hook: Hook, run: &'b mut Run<'_>) -> Option<Waiting<'b>> {
        Some(Box::pin(async move {
            let Some(waiting) = self.callback.as_mut().and_then(|callback| callback.after(hook, run)) else {
                return Ok(());
            };
            let called = waiting.await;
            if hook == Hook::TrainBegin { called } else { self.heard(called) }
        }))
    }

    fn on_progress(&mut self, step: usize, logs: &Logs) -> kiln::Result<()> {
        self.call(|callback| callback.on_progress(step, logs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_is_known_by_its_names() {
        let folder = tempfile::tempdir().unwrap();
        let inside = |name: &str| folder.path().join(name);
        fs::write(inside("there"), "").unwrap();
        assert!(same(&inside("there"), &inside("./there")) && same(&inside("new"), &inside("./new")));
        assert!(!same(&inside("there"), &inside("new")) && !same(&inside("old"), &inside("new")));
        assert!(same(folder.path(), &inside(".")));
        #[cfg(unix)]
        {
            fs::hard_link(inside("there"), inside("hard")).unwrap();
            std::os::unix::fs::symlink(folder.path(), inside("soft")).unwrap();
            assert!(same(&inside("hard"), &inside("there")) && same(&inside("soft/new"), &inside("new")));
            assert!(!same(Path::new("/dev/null"), Path::new("/dev/null")));
        }
    }
}
