//! The documents: chapters are compiled and listed, links lead somewhere, pictures are small.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Bytes that a picture may have.
const PICTURE: u64 = 60_000;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files of a folder below the root with this ending.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|e| e == ending)).collect()
}

fn documents() -> Vec<PathBuf> {
    let top = ["README.md", "ARCHITECTURE.md", "BENCHMARKS.md", "CHANGELOG.md"].map(|name| root().join(name));
    [files("docs", "md"), files("docs/book", "md"), top.into()].concat()
}

/// A document's text outside of blocks of code.
fn prose(text: &str) -> String {
    let mut inside = false;
    let lines = text.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        inside ^= fence;
        !inside && !fence
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Where the links of a text lead: what stands between `](` and `)`.
fn links(text: &str) -> Vec<&str> {
    let targets = text.match_indices("](").map(|(at, _)| &text[at + 2..]);
    targets.filter_map(|rest| rest.split_once(')')).map(|(target, _)| target).collect()
}

/// The anchors of a document's headings, as GitHub makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let letter = |c: char| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c.to_ascii_lowercase()),
        _ => None,
    };
    headings.map(|heading| heading.chars().filter_map(letter).collect()).collect()
}

#[test]
fn links_lead_to_files_and_headings_that_are_there() {
    let mut complaints = Vec::new();
    for document in documents() {
        let text = prose(&fs::read_to_string(&document).unwrap());
        // What is between a call's brackets in a line of code, such as `f[0](x)`, is no link.
        for link in links(&text).into_iter().filter(|link| !link.contains([' ', ',', '&', '"'])) {
            if link.starts_with("http") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { document.clone() } else { document.parent().unwrap().join(path) };
            let is_there = target.exists()
                && (anchor.is_empty() || anchors(&prose(&fs::read_to_string(&target).unwrap())).contains(anchor));
            if !is_there {
                complaints.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(complaints.is_empty(), "links that lead nowhere:\n  {}", complaints.join("\n  "));
}

#[test]
fn each_chapter_is_compiled_and_listed() {
    let library = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let contents = fs::read_to_string(root().join("docs/README.md")).unwrap();
    let chapters = files("docs/book", "md");
    assert!(chapters.len() >= 7, "{} chapters are too few to be all", chapters.len());
    for chapter in chapters {
        let name = chapter.file_name().unwrap().to_str().unwrap();
        assert!(library.contains(&format!("include_str!(\"../docs/book/{name}\")")), "no test compiles {name}");
        assert!(contents.contains(&format!("](book/{name})")), "docs/README.md does not list {name}");
    }
}

#[test]
fn pictures_are_small_and_shown() {
    let texts: Vec<String> = documents().iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    for picture in [files("docs/images", "png"), files("docs/images", "svg")].concat() {
        let name = picture.file_name().unwrap().to_str().unwrap();
        let bytes = fs::metadata(&picture).unwrap().len();
        assert!(bytes <= PICTURE, "{name} has {bytes} bytes, at most {PICTURE}");
        assert!(texts.iter().any(|text| text.contains(&format!("images/{name})"))), "no document shows {name}");
    }
}
