//! One plot while it is drawn: plotters' drawing area, in pixels and inks.

use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{Circle, Drawable, PathElement, PointCollection, Rectangle, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color as _, FontStyle, IntoFont as _, RGBColor};

use super::svg::Svg;
use crate::report::html::escaped;

/// What something is drawn with. The style sheet says what colour that is, in light and in dark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::report) struct Ink(u8);

/// The classes behind `f-` (filled) and `s-` (stroked), by number.
const CLASSES: [&str; 23] = [
    "text",
    "muted",
    "grid",
    "base",
    "ours",
    "ours2",
    "ours3",
    "peer",
    "peer2",
    "peer3",
    "peer4",
    "range-ours",
    "range-peer",
    "queue",
    "dns",
    "connect",
    "tls",
    "write",
    "wait",
    "body",
    "other",
    "on-dark",
    "on-light",
];

impl Ink {
    pub(in crate::report) const TEXT: Ink = Ink(0);
    pub(in crate::report) const MUTED: Ink = Ink(1);
    pub(in crate::report) const GRID: Ink = Ink(2);
    pub(in crate::report) const BASE: Ink = Ink(3);
    pub(in crate::report) const OURS: [Ink; 3] = [Ink(4), Ink(5), Ink(6)];
    pub(in crate::report) const PEERS: [Ink; 4] = [Ink(7), Ink(8), Ink(9), Ink(10)];
    pub(in crate::report) const RANGE_OURS: Ink = Ink(11);
    pub(in crate::report) const RANGE_PEER: Ink = Ink(12);
    pub(in crate::report) const QUEUE: Ink = Ink(13);
    pub(in crate::report) const DNS: Ink = Ink(14);
    pub(in crate::report) const CONNECT: Ink = Ink(15);
    pub(in crate::report) const TLS: Ink = Ink(16);
    pub(in crate::report) const WRITE: Ink = Ink(17);
    pub(in crate::report) const WAIT: Ink = Ink(18);
    pub(in crate::report) const BODY: Ink = Ink(19);
    pub(in crate::report) const OTHER: Ink = Ink(20);
    pub(in crate::report) const ON_DARK: Ink = Ink(21);
    pub(in crate::report) const ON_LIGHT: Ink = Ink(22);

    /// Its class, by number.
    pub(super) fn class(number: u8) -> &'static str {
        CLASSES.get(usize::from(number)).copied().unwrap_or("text")
    }

    /// Its class.
    pub(in crate::report) fn name(self) -> &'static str {
        Self::class(self.0)
    }

    fn color(self) -> RGBColor {
        RGBColor(self.0, 0, 0)
    }
}

/// Where a text's point is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// What a plot is, apart from its drawing.
#[derive(Clone, Copy, Debug)]
pub(in crate::report) struct Plot<'a> {
    /// Unique in the page.
    pub(in crate::report) id: &'a str,
    /// For those who do not see it: what it shows,
    pub(in crate::report) title: &'a str,
    /// and what is to be seen.
    pub(in crate::report) desc: &'a str,
}

/// Draws on `width` by `height` pixels; returns an `svg` element, or a sentence about why there is none.
pub(super) fn draw(plot: Plot<'_>, width: f64, height: f64, drawing: impl FnOnce(&mut Canvas<'_>)) -> String {
    let mut inside = String::new();
    let svg = Svg { out: &mut inside, size: (tenths(width).unsigned_abs(), tenths(height).unsigned_abs()) };
    let mut canvas = Canvas { area: svg.into_drawing_area(), failed: None };
    drawing(&mut canvas);
    if let Some(error) = canvas.failed {
        return format!("<p>This plot could not be drawn: {}</p>\n", escaped(&error));
    }
    drop(canvas.area);
    let (id, title, desc) = (escaped(plot.id), escaped(plot.title), escaped(plot.desc));
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\">\n\
         <title id=\"{id}-t\">{title}</title>\n<desc id=\"{id}-d\">{desc}</desc>\n{inside}</svg>\n"
    )
}

/// A plot while it is drawn. All in pixels, from the upper left.
pub(super) struct Canvas<'a> {
    area: DrawingArea<Svg<'a>, Shift>,
    failed: Option<String>,
}

impl<'a> Canvas<'a> {
    pub(super) fn rect(&mut self, (x, y): (f64, f64), width: f64, height: f64, ink: Ink) {
        let corners = [(tenths(x), tenths(y)), (tenths(x + width), tenths(y + height))];
        self.draw(&Rectangle::new(corners, ink.color().filled()));
    }

    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), width: f64, ink: Ink) {
        self.path(&[from, to], width, ink);
    }

    pub(super) fn path(&mut self, points: &[(f64, f64)], width: f64, ink: Ink) {
        let points: Vec<(i32, i32)> = points.iter().map(|&(x, y)| (tenths(x), tenths(y))).collect();
        self.draw(&PathElement::new(points, ink.color().stroke_width(tenths(width).unsigned_abs())));
    }

    pub(super) fn dot(&mut self, (x, y): (f64, f64), radius: f64, ink: Ink) {
        self.draw(&Circle::new((tenths(x), tenths(y)), tenths(radius), ink.color().filled()));
    }

    /// With its base line on the point.
    pub(super) fn text(&mut self, text: &str, (x, y): (f64, f64), size: f64, ink: Ink, anchor: Anchor) {
        self.write(text, (x, y), size, ink, anchor, FontStyle::Normal);
    }

    pub(super) fn bold(&mut self, text: &str, (x, y): (f64, f64), size: f64, ink: Ink, anchor: Anchor) {
        self.write(text, (x, y), size, ink, anchor, FontStyle::Bold);
    }

    fn write(&mut self, text: &str, (x, y): (f64, f64), size: f64, ink: Ink, anchor: Anchor, style: FontStyle) {
        let anchor = match anchor {
            Anchor::Start => HPos::Left,
            Anchor::Middle => HPos::Center,
            Anchor::End => HPos::Right,
        };
        let font = ("sans-serif", size * 10.0).into_font().style(style);
        let style = font.color(&ink.color()).pos(Pos::new(anchor, VPos::Bottom));
        self.draw(&Text::new(text.to_owned(), (tenths(x), tenths(y)), style));
    }

    fn draw<E>(&mut self, element: &E)
    where
        for<'e> &'e E: PointCollection<'e, (i32, i32)>,
        E: Drawable<Svg<'a>>,
    {
        if let Err(error) = self.area.draw(element) {
            self.failed.get_or_insert_with(|| error.to_string());
        }
    }
}

/// About how wide a text is, in the units of its size: the mean of a sans-serif font, rather too much than too little.
pub(super) fn text_width(text: &str, size: f64) -> f64 {
    let width = |char: char| match char {
        'i' | 'j' | 'l' | 'f' | 't' | 'r' | 'I' | '.' | ',' | ':' | ';' | '\'' | '|' | '(' | ')' | ' ' | '/' | '-' => {
            0.36
        }
        'm' | 'w' | 'M' | 'W' | '%' | '@' => 0.92,
        'A'..='Z' => 0.7,
        char if char.is_ascii() => 0.6,
        _ => 0.75,
    };
    text.chars().map(width).sum::<f64>() * size
}

/// As much of a text as `room` holds, with dots if some is missing.
pub(super) fn fitted(text: &str, size: f64, room: f64) -> String {
    if text_width(text, size) <= room {
        return text.to_owned();
    }
    let mut out = String::new();
    for char in text.chars() {
        if text_width(&out, size) + text_width("m…", size) > room {
            break;
        }
        out.push(char);
    }
    format!("{}…", out.trim_end())
}

fn tenths(pixels: f64) -> i32 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a cast of floats saturates, and plots are a few hundred pixels"
    )]
    let tenths = (pixels * 10.0).round() as i32;
    tenths
}
