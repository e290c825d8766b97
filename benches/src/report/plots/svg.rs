//! plotters' drawing, written as SVG whose colours are classes.
//!
//! plotters' own SVG backend writes each colour down, which cannot follow a page from light to dark, and whole pixels only. Here the
//! red of a colour is the number of an [`Ink`], and all coordinates are tenths of a pixel.

use std::fmt::{self, Write as _};

use plotters::style::text_anchor::HPos;
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind, FontStyle,
};

use super::canvas::Ink;
use crate::report::html::escaped;

/// Writes elements into a text.
pub(super) struct Svg<'a> {
    pub(super) out: &'a mut String,
    /// In tenths of a pixel.
    pub(super) size: (u32, u32),
}

type Drawn = Result<(), DrawingErrorKind<fmt::Error>>;

impl Svg<'_> {
    fn element(&mut self, element: fmt::Arguments<'_>) -> Drawn {
        self.out.write_fmt(element).map_err(DrawingErrorKind::DrawingError)
    }

    fn points(path: impl IntoIterator<Item = BackendCoord>) -> String {
        path.into_iter().map(|(x, y)| format!("{},{} ", pixels(x), pixels(y))).collect()
    }
}

impl DrawingBackend for Svg<'_> {
    type ErrorType = fmt::Error;

    fn get_size(&self) -> (u32, u32) {
        self.size
    }

    fn ensure_prepared(&mut self) -> Drawn {
        Ok(())
    }

    fn present(&mut self) -> Drawn {
        Ok(())
    }

    fn draw_pixel(&mut self, (x, y): BackendCoord, color: BackendColor) -> Drawn {
        self.draw_rect((x, y), (x + 1, y + 1), &color, true)
    }

    fn draw_line<S: BackendStyle>(&mut self, (x1, y1): BackendCoord, (x2, y2): BackendCoord, style: &S) -> Drawn {
        let (x1, y1, x2, y2, class, width) =
            (pixels(x1), pixels(y1), pixels(x2), pixels(y2), class(style.color()), tenths(style.stroke_width()));
        self.element(format_args!(
            "<line class=\"s-{class}\" stroke-width=\"{width}\" x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"/>\n"
        ))
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        (x1, y1): BackendCoord,
        (x2, y2): BackendCoord,
        style: &S,
        fill: bool,
    ) -> Drawn {
        let (x, y, width, height) = (pixels(x1), pixels(y1), pixels(x2 - x1), pixels(y2 - y1));
        let (kind, class) = (if fill { 'f' } else { 's' }, class(style.color()));
        self.element(format_args!(
            "<rect class=\"{kind}-{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"/>\n"
        ))
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(&mut self, path: I, style: &S) -> Drawn {
        let (class, width, points) = (class(style.color()), tenths(style.stroke_width()), Self::points(path));
        self.element(format_args!(
            "<polyline class=\"s-{class}\" stroke-width=\"{width}\" points=\"{}\"/>\n",
            points.trim_end()
        ))
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(&mut self, path: I, style: &S) -> Drawn {
        let (class, points) = (class(style.color()), Self::points(path));
        self.element(format_args!("<polygon class=\"f-{class}\" points=\"{}\"/>\n", points.trim_end()))
    }

    fn draw_circle<S: BackendStyle>(&mut self, (x, y): BackendCoord, radius: u32, style: &S, fill: bool) -> Drawn {
        let (x, y, radius) = (pixels(x), pixels(y), tenths(radius));
        let (kind, class) = (if fill { 'f' } else { 's' }, class(style.color()));
        self.element(format_args!("<circle class=\"{kind}-{class}\" cx=\"{x}\" cy=\"{y}\" r=\"{radius}\"/>\n"))
    }

    /// Text stands with its base line on the point.
    fn draw_text<S: BackendTextStyle>(&mut self, text: &str, style: &S, (x, y): BackendCoord) -> Drawn {
        let anchor = match style.anchor().h_pos {
            HPos::Left => "start",
            HPos::Center => "middle",
            HPos::Right => "end",
        };
        let bold = if matches!(style.style(), FontStyle::Bold) { " bold" } else { "" };
        let (class, x, y, size, text) =
            (class(style.color()), pixels(x), pixels(y), style.size() / 10.0, escaped(text));
        self.element(format_args!(
            "<text class=\"f-{class}{bold}\" x=\"{x}\" y=\"{y}\" font-size=\"{size}\" text-anchor=\"{anchor}\">{text}</text>\n"
        ))
    }

    fn estimate_text_size<S: BackendTextStyle>(
        &self,
        text: &str,
        style: &S,
    ) -> Result<(u32, u32), DrawingErrorKind<fmt::Error>> {
        let height = style.size().abs();
        let width = super::canvas::text_width(text, height);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few thousand tenths of a pixel")]
        Ok((width as u32, height as u32))
    }
}

fn class(color: BackendColor) -> &'static str {
    Ink::class(color.rgb.0)
}

fn pixels(tenths: i32) -> f64 {
    f64::from(tenths) / 10.0
}

fn tenths(tenths: u32) -> f64 {
    f64::from(tenths) / 10.0
}
