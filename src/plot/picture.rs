//! Draws a picture with plotters, four units to a pixel: SVG scales them down, PNG averages them.

use std::path::Path;
use std::sync::Once;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::register_font;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{Format, png};
use crate::error::{Error, Result};

/// Units a pixel of an SVG. Plotters places everything at whole units.
pub(crate) const UNITS: u32 = 4;
/// Units a pixel of a PNG, which is therefore fine enough for a screen of double density.
const PNG_UNITS: u32 = 2;

const HEAD: u32 = 48 * UNITS;
pub(super) const MARGIN: u32 = 20 * UNITS;
const TITLE: u32 = 18 * UNITS;
pub(crate) const TEXT: u32 = 14 * UNITS;

const INK: RGBColor = RGBColor(0x26, 0x26, 0x26);
/// Those of Okabe and Ito that differ most in lightness first, <https://jfly.uni-koeln.de/color/>: they stay apart for
/// the colour-blind, and in grey.
pub(super) const COLOURS: [RGBColor; 6] = [
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0xe6, 0x9f, 0x00),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x56, 0xb4, 0xe9),
];

/// How far below its place plotters has to put text in pixels for its capitals to stand in the middle there.
const DROP: i32 = (TEXT / 5) as i32;

/// What the SVG asks its viewer for. PNG takes the font of a crate, whatever the machine has.
const FAMILY: &str = "Ubuntu, Helvetica, Arial, sans-serif";

pub(crate) type Area<DB> = DrawingArea<DB, Shift>;
pub(crate) type Drawn<DB> = Result<(), DrawingAreaErrorKind<<DB as DrawingBackend>::ErrorType>>;

/// What is drawn below a title, within margins.
pub(crate) trait Picture {
    fn title(&self) -> &str;

    /// Width and height of what is below the title, in units.
    fn size(&self) -> (u32, u32);

    /// Draws it; text goes `drop` units below its place.
    fn draw<DB: DrawingBackend>(&self, area: &Area<DB>, drop: i32) -> Drawn<DB>;
}

/// Writes a picture as PNG or SVG, as the file's name ends.
pub(crate) fn save(picture: &impl Picture, path: &Path) -> Result<()> {
    let bytes = match Format::of(path)? {
        Format::Svg => svg(picture),
        Format::Png => png(picture),
    };
    let bytes = bytes.map_err(|what| Error::format(path, format!("the picture was not drawn: {what}")))?;
    crate::io::write_file(path, bytes)
}

fn svg(picture: &impl Picture) -> Result<Vec<u8>, String> {
    let (width, height) = whole(picture);
    let mut text = String::new();
    draw(picture, SVGBackend::with_string(&mut text, (width, height)), 0).map_err(|e| e.to_string())?;
    let size = |units| format!("width=\"{}\" height=\"{}\"", width / units, height / units);
    Ok(text.replacen(&size(1), &size(UNITS), 1).into_bytes())
}

/// The bytes of a PNG file, or what went wrong.
pub(super) fn png(picture: &impl Picture) -> Result<Vec<u8>, String> {
    let (width, height) = whole(picture);
    let mut pixels = vec![0; 3 * width as usize * height as usize];
    draw(picture, BitMapBackend::with_buffer(&mut pixels, (width, height)), DROP).map_err(|e| e.to_string())?;
    Ok(png::encode(&averaged(&pixels, width as usize), width / PNG_UNITS, height / PNG_UNITS))
}

/// The size with title and margins.
pub(crate) fn whole(picture: &impl Picture) -> (u32, u32) {
    let (width, height) = picture.size();
    (width + 2 * MARGIN, height + HEAD + 2 * MARGIN)
}

fn draw<DB: DrawingBackend>(picture: &impl Picture, backend: DB, drop: i32) -> Drawn<DB> {
    let root = backend.into_drawing_area();
    root.fill(&WHITE)?;
    let (head, rest) = root.margin(MARGIN, MARGIN, MARGIN, MARGIN).split_vertically(HEAD);
    head.draw_text(picture.title(), &text(TITLE), (0, (HEAD / 4) as i32 + drop))?;
    picture.draw(&rest, drop)?;
    root.present()
}

/// Text that starts at its left end, in the middle of its height.
pub(super) fn text(size: u32) -> TextStyle<'static> {
    static FONT: Once = Once::new();
    FONT.call_once(|| {
        let font = epaint_default_fonts::UBUNTU_LIGHT;
        assert!(register_font(FAMILY, FontStyle::Normal, font).is_ok(), "the crate holds a font");
    });
    (FAMILY, size).into_font().color(&INK).pos(Pos::new(HPos::Left, VPos::Center))
}

/// Text around its place.
pub(crate) fn centred(size: u32) -> TextStyle<'static> {
    text(size).pos(Pos::new(HPos::Center, VPos::Center))
}

pub(crate) fn width_of(name: &str) -> u32 {
    text(TEXT).font.box_size(name).map_or(0, |(width, _)| width)
}

/// The width of a picture's title.
pub(crate) fn title_width(title: &str) -> u32 {
    text(TITLE).font.box_size(title).map_or(0, |(width, _)| width)
}

/// The mean of each square of pixels: edges are smooth then.
fn averaged(pixels: &[u8], width: usize) -> Vec<u8> {
    const SIDE: usize = PNG_UNITS as usize;
    let mut small = Vec::with_capacity(pixels.len() / (SIDE * SIDE));
    for rows in pixels.chunks_exact(3 * width * SIDE) {
        for x in 0..width / SIDE {
            for channel in 0..3 {
                let at = |i: usize| u32::from(rows[3 * ((i / SIDE) * width + x * SIDE + i % SIDE) + channel]);
                small.push(((0..SIDE * SIDE).map(at).sum::<u32>() / PNG_UNITS.pow(2)) as u8);
            }
        }
    }
    small
}
