//! From a figure to SVG: where everything stands on the page, drawn by the SVG writer of plotters.

use plotters::{
    backend::{DrawingBackend, SVGBackend},
    style::{
        FontFamily, RGBColor, ShapeStyle, TextStyle,
        text_anchor::{HPos, Pos, VPos},
    },
};

use super::{Band, Colour, Figure, Marker, Panel, Series, Stroke, Vertical, axis::Axis};

/// The page, in points.
const WIDTH: f64 = 960.0;
const LEFT: f64 = 72.0;
const RIGHT: f64 = 800.0;
const FIRST_PANEL: f64 = 116.0;
const PANEL_GAP: f64 = 62.0;
const BELOW: f64 = 64.0;

/// The SVG writer knows whole units only: this many make a point.
const UNITS: f64 = 8.0;

const INK: Colour = (34, 38, 46);
const MUTED: Colour = (104, 110, 120);
const RULE: Colour = (150, 156, 166);
const GRID: Colour = (232, 234, 238);
const FONT: &str = "Inter, 'Helvetica Neue', Helvetica, Arial, 'DejaVu Sans', sans-serif";

/// The dashes of a threshold.
const THRESHOLD: (f64, f64) = (7.0, 5.0);

/// Lines with more points are thinned, markers spread out.
const MOST_POINTS: usize = 1500;
const MOST_MARKERS: usize = 36;

type Point = (f64, f64);

/// The figure as an SVG file.
pub fn svg(figure: &Figure) -> String {
    let count = figure.panels.len().max(1) as f64;
    let height = FIRST_PANEL + count * figure.panel_height + (count - 1.0) * PANEL_GAP + BELOW;
    let mut text = String::new();
    let size = ((WIDTH * UNITS) as u32, (height * UNITS) as u32);
    let mut page = Page { backend: SVGBackend::with_string(&mut text, size), height };
    page.draw(figure);
    drop(page);
    // The writer measures the page in its own units; readers see points.
    let units = format!("width=\"{}\" height=\"{}\"", size.0, size.1);
    text.replacen(&units, &format!("width=\"{WIDTH}\" height=\"{height}\" role=\"img\""), 1)
}

/// One panel's frame and axes.
struct Frame<'a> {
    x: &'a Axis,
    y: Axis,
    /// Whether the horizontal axis counts.
    whole: bool,
    top: f64,
    height: f64,
}

impl Frame<'_> {
    fn bottom(&self) -> f64 {
        self.top + self.height
    }

    fn x_ticks(&self) -> Vec<(f64, String)> {
        if self.whole { self.x.whole_ticks(8) } else { self.x.ticks(8) }
    }

    fn across(&self, x: f64) -> Option<f64> {
        Some(LEFT + self.x.position(x)? * (RIGHT - LEFT))
    }

    fn up(&self, y: f64) -> Option<f64> {
        Some(self.bottom() - self.y.position(y)?.clamp(-0.02, 1.02) * self.height)
    }

    fn place(&self, (x, y): Point) -> Option<Point> {
        Some((self.across(x)?, self.up(y)?))
    }
}

/// A text beside the right end of a panel, and what it belongs to.
struct Note<'a> {
    y: f64,
    text: &'a str,
    series: Option<&'a Series>,
}

struct Page<'a> {
    backend: SVGBackend<'a>,
    height: f64,
}

impl Page<'_> {
    fn draw(&mut self, figure: &Figure) {
        self.rectangle((0.0, 0.0), (WIDTH, self.height), (255, 255, 255));
        self.text(&figure.title, (LEFT, 44.0), 19.0, INK, HPos::Left);
        self.text(&figure.subtitle, (LEFT, 66.0), 12.5, MUTED, HPos::Left);
        let (low, high) = figure.x_range.unwrap_or((0.0, last_x(figure)));
        let x = Axis::exactly(low, high);
        let whole = figure.x_range.is_none();
        for (i, panel) in figure.panels.iter().enumerate() {
            let y = match panel.scale {
                Vertical::Automatic => Axis::around(panel_numbers(panel)),
                Vertical::Exactly(low, high) => Axis::exactly(low, high),
                Vertical::Logarithmic { floor } => Axis::decades(floor, panel_numbers(panel)),
            };
            let top = FIRST_PANEL + i as f64 * (figure.panel_height + PANEL_GAP);
            let frame = Frame { x: &x, y, whole, top, height: figure.panel_height };
            self.panel(panel, &frame, &figure.events, i == 0);
            if i + 1 == figure.panels.len() {
                self.horizontal_axis(&frame, &figure.x_label);
            }
        }
        // Writing into a string cannot fail.
        let _ = self.backend.present();
    }

    fn panel(&mut self, panel: &Panel, frame: &Frame, events: &[(f64, String)], first: bool) {
        self.text(&panel.title, (LEFT, frame.top - 14.0), 12.5, INK, HPos::Left);
        panel.bands.iter().for_each(|band| self.band(band, frame));
        self.grid(frame);
        let mut notes = Vec::new();
        for (value, label) in &panel.thresholds {
            if let Some(y) = frame.up(*value) {
                self.dashes(&[(LEFT, y), (RIGHT, y)], RULE, 1.2, THRESHOLD);
                notes.push(Note { y, text: label, series: None });
            }
        }
        for (x, label) in events {
            self.event(frame, *x, label, first);
        }
        for series in &panel.series {
            let end = self.series(series, frame);
            notes.extend(end.filter(|_| !series.label.is_empty()).map(|y| Note {
                y,
                text: &series.label,
                series: Some(series),
            }));
        }
        self.notes(notes, frame);
    }

    fn band(&mut self, band: &Band, frame: &Frame) {
        let edge = |point: &(f64, f64, f64), y: f64| Some((frame.across(point.0)?, frame.up(y)?));
        let sides: Vec<(Point, Point)> =
            band.points.iter().filter_map(|point| Some((edge(point, point.1)?, edge(point, point.2)?))).collect();
        let outline = sides.iter().map(|(low, _)| *low).chain(sides.iter().rev().map(|(_, high)| *high));
        let _ = self.backend.fill_polygon(outline.map(units), &fill_style(band.colour));
    }

    fn grid(&mut self, frame: &Frame) {
        for (value, text) in frame.y.ticks(5) {
            if let Some(y) = frame.up(value) {
                self.line(&[(LEFT, y), (RIGHT, y)], GRID, 1.0);
                self.text(&text, (LEFT - 10.0, y + 4.0), 11.5, MUTED, HPos::Right);
            }
        }
        for (value, _) in frame.x_ticks() {
            if let Some(x) = frame.across(value) {
                self.line(&[(x, frame.top), (x, frame.bottom())], GRID, 1.0);
            }
        }
        self.line(&[(LEFT, frame.bottom()), (RIGHT, frame.bottom())], RULE, 1.2);
    }

    fn horizontal_axis(&mut self, frame: &Frame, label: &str) {
        for (value, text) in frame.x_ticks() {
            if let Some(x) = frame.across(value) {
                self.line(&[(x, frame.bottom()), (x, frame.bottom() + 5.0)], RULE, 1.2);
                self.text(&text, (x, frame.bottom() + 20.0), 11.5, MUTED, HPos::Center);
            }
        }
        self.text(label, (f64::midpoint(LEFT, RIGHT), frame.bottom() + 44.0), 12.5, INK, HPos::Center);
    }

    /// A line through the panel, named above the first one.
    fn event(&mut self, frame: &Frame, x: f64, label: &str, named: bool) {
        if let Some(x) = frame.across(x) {
            self.line(&[(x, frame.top), (x, frame.bottom())], INK, 1.2);
            if named {
                self.text(label, (x, frame.top - 14.0), 11.5, INK, HPos::Right);
            }
        }
    }

    /// Draws a curve and says at which height it ends.
    fn series(&mut self, series: &Series, frame: &Frame) -> Option<f64> {
        let pieces = pieces(&thinned(&series.points), frame);
        for piece in &pieces {
            self.stroke(piece, series);
        }
        let places: Vec<Point> = series.points.iter().filter_map(|point| frame.place(*point)).collect();
        if let Some(marker) = series.marker {
            let every = places.len().div_ceil(MOST_MARKERS).max(1);
            // From the end, so that the last point always carries one.
            for place in places.iter().rev().step_by(every) {
                self.marker(marker, *place, series.colour);
            }
        }
        let end = &places[places.len() - places.len().min(1 + places.len() / 20)..];
        (!end.is_empty()).then(|| end.iter().map(|(_, y)| y).sum::<f64>() / end.len() as f64)
    }

    fn stroke(&mut self, points: &[Point], series: &Series) {
        match series.stroke {
            Stroke::Faint => self.line(points, paler(series.colour), 0.9),
            Stroke::Solid => self.line(points, series.colour, 1.9),
            Stroke::Thin => self.line(points, series.colour, 1.1),
            Stroke::Dashed => self.dashes(points, series.colour, 1.6, (8.0, 4.0)),
            Stroke::Dotted => self.dashes(points, series.colour, 1.8, (2.5, 3.5)),
        }
    }

    /// The names of curves and thresholds beside the panel, pushed apart where they would touch.
    fn notes(&mut self, mut notes: Vec<Note>, frame: &Frame) {
        notes.sort_by(|a, b| a.y.total_cmp(&b.y));
        let heights = spread(&notes.iter().map(|note| note.y).collect::<Vec<_>>(), frame.top, frame.bottom());
        for (note, y) in notes.iter().zip(heights) {
            let sample = [(RIGHT + 10.0, y), (RIGHT + 32.0, y)];
            let colour = note.series.map_or(MUTED, |series| series.colour);
            if let Some(series) = note.series {
                self.stroke(&sample, series);
                series.marker.into_iter().for_each(|marker| self.marker(marker, (RIGHT + 21.0, y), colour));
            } else {
                self.dashes(&sample, RULE, 1.2, THRESHOLD);
            }
            self.text(note.text, (RIGHT + 39.0, y + 4.0), 12.0, colour, HPos::Left);
        }
    }

    fn marker(&mut self, marker: Marker, (x, y): Point, colour: Colour) {
        const WHITE: Colour = (255, 255, 255);
        let (corners, fill): (&[Point], Colour) = match marker {
            Marker::Circle => return self.circle((x, y), 3.0, colour),
            Marker::Triangle => (&[(0.0, -4.0), (3.7, 2.6), (-3.7, 2.6)], colour),
            Marker::Square => (&[(-3.1, -3.1), (3.1, -3.1), (3.1, 3.1), (-3.1, 3.1)], WHITE),
            Marker::Diamond => (&[(0.0, -4.2), (4.2, 0.0), (0.0, 4.2), (-4.2, 0.0)], WHITE),
        };
        let corners: Vec<Point> = corners.iter().map(|(dx, dy)| (x + dx, y + dy)).collect();
        self.polygon(&corners, fill, colour);
    }

    // The primitives. Writing into a string cannot fail, so what they return says nothing.

    fn line(&mut self, points: &[Point], colour: Colour, width: f64) {
        let _ = self.backend.draw_path(points.iter().map(|point| units(*point)), &stroke_style(colour, width));
    }

    fn dashes(&mut self, points: &[Point], colour: Colour, width: f64, pattern: (f64, f64)) {
        for dash in dashed(points, pattern) {
            self.line(&dash, colour, width);
        }
    }

    fn circle(&mut self, centre: Point, radius: f64, colour: Colour) {
        let _ = self.backend.draw_circle(units(centre), (radius * UNITS) as u32, &fill_style(colour), true);
    }

    fn polygon(&mut self, corners: &[Point], fill: Colour, outline: Colour) {
        let _ = self.backend.fill_polygon(corners.iter().map(|corner| units(*corner)), &fill_style(fill));
        let closed: Vec<Point> = corners.iter().chain(&corners[..2.min(corners.len())]).copied().collect();
        self.line(&closed, outline, 1.5);
    }

    fn rectangle(&mut self, corner: Point, opposite: Point, colour: Colour) {
        let _ = self.backend.draw_rect(units(corner), units(opposite), &fill_style(colour), true);
    }

    /// A text whose baseline is at this place.
    fn text(&mut self, text: &str, place: Point, size: f64, colour: Colour, align: HPos) {
        // The writer divides sizes by 1.24, and lifts what stands on the bottom by half an x-height.
        let font = (FontFamily::Name(FONT), size * UNITS * 1.24);
        let ink = rgb(colour);
        let style = TextStyle::from(font).color(&ink).pos(Pos::new(align, VPos::Bottom));
        let _ = self.backend.draw_text(text, &style, units((place.0, place.1 + 0.26 * size)));
    }
}

fn rgb((red, green, blue): Colour) -> RGBColor {
    RGBColor(red, green, blue)
}

fn stroke_style(colour: Colour, width: f64) -> ShapeStyle {
    ShapeStyle { color: rgb(colour).into(), filled: false, stroke_width: (width * UNITS).round() as u32 }
}

fn fill_style(colour: Colour) -> ShapeStyle {
    ShapeStyle { color: rgb(colour).into(), filled: true, stroke_width: 0 }
}

fn units((x, y): Point) -> (i32, i32) {
    ((x * UNITS).round() as i32, (y * UNITS).round() as i32)
}

fn paler((red, green, blue): Colour) -> Colour {
    let pale = |part: u8| 255 - (255 - part) / 3;
    (pale(red), pale(green), pale(blue))
}

fn panel_numbers(panel: &Panel) -> impl Iterator<Item = f64> {
    let points = panel.series.iter().flat_map(|series| series.points.iter().map(|(_, y)| *y));
    let bands = panel.bands.iter().flat_map(|band| band.points.iter().flat_map(|(_, low, high)| [*low, *high]));
    points.chain(bands).chain(panel.thresholds.iter().map(|(y, _)| *y))
}

/// The unbroken parts of a curve on the page.
fn pieces(points: &[Point], frame: &Frame) -> Vec<Vec<Point>> {
    let mut pieces = vec![Vec::new()];
    for point in points {
        match (frame.place(*point), pieces.last_mut()) {
            (Some(place), Some(piece)) => piece.push(place),
            _ => pieces.push(Vec::new()),
        }
    }
    pieces.retain(|piece| piece.len() > 1);
    pieces
}

/// Keeps the lowest and the highest point of each stretch, so that no peak is lost.
fn thinned(points: &[Point]) -> Vec<Point> {
    if points.len() <= MOST_POINTS {
        return points.to_vec();
    }
    let stretch = points.len().div_ceil(MOST_POINTS / 2);
    let extremes = |part: &[Point]| {
        let order = |a: &&Point, b: &&Point| a.1.total_cmp(&b.1);
        let mut kept: Vec<Point> =
            part.iter().min_by(order).into_iter().chain(part.iter().max_by(order)).copied().collect();
        kept.sort_by(|a, b| a.0.total_cmp(&b.0));
        kept
    };
    points.chunks(stretch).flat_map(extremes).collect()
}

/// Cuts a line into dashes of `on` points with `off` points between them.
fn dashed(points: &[Point], (on, off): (f64, f64)) -> Vec<Vec<Point>> {
    let mut dashes = Vec::new();
    let (mut drawing, mut left) = (true, on);
    let mut dash: Vec<Point> = points.first().copied().into_iter().collect();
    for pair in points.windows(2) {
        let (mut from, to) = (pair[0], pair[1]);
        let mut length = (to.0 - from.0).hypot(to.1 - from.1);
        while length > left {
            let share = left / length;
            from = (from.0 + share * (to.0 - from.0), from.1 + share * (to.1 - from.1));
            length -= left;
            if drawing {
                dash.push(from);
                dashes.push(std::mem::take(&mut dash));
            } else {
                dash.push(from);
            }
            drawing = !drawing;
            left = if drawing { on } else { off };
        }
        left -= length;
        if drawing {
            dash.push(to);
        }
    }
    dashes.push(dash);
    dashes.retain(|dash| dash.len() > 1);
    dashes
}

/// Moves sorted heights apart to at least a line of text, near where they were and inside the panel.
fn spread(heights: &[f64], top: f64, bottom: f64) -> Vec<f64> {
    const LINE: f64 = 17.0;
    let mut placed: Vec<f64> = heights.iter().map(|y| y.clamp(top, bottom)).collect();
    // Each round moves touching neighbours apart by the same amount; a few dozen settle any panel of ours.
    for _ in 0..60 {
        for i in 1..placed.len() {
            let overlap = LINE - (placed[i] - placed[i - 1]);
            if overlap > 0.0 {
                placed[i - 1] -= overlap / 2.0;
                placed[i] += overlap / 2.0;
            }
        }
    }
    placed
}

fn last_x(figure: &Figure) -> f64 {
    let series = figure.panels.iter().flat_map(|panel| &panel.series);
    let ends = series.filter_map(|series| Some(series.points.last()?.0));
    ends.chain(figure.events.iter().map(|(x, _)| *x)).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dashes_and_gaps_have_their_lengths_across_corners() {
        let dashes = dashed(&[(0.0, 0.0), (10.0, 0.0), (10.0, 10.0)], (4.0, 3.0));
        assert_eq!(dashes[0], [(0.0, 0.0), (4.0, 0.0)]);
        assert_eq!(dashes[1], [(7.0, 0.0), (10.0, 0.0), (10.0, 1.0)]);
        assert_eq!(dashes[2], [(10.0, 4.0), (10.0, 8.0)]);
        assert_eq!(dashes.len(), 3);
    }

    #[test]
    fn thinning_keeps_the_peaks() {
        let points: Vec<Point> = (0..10_000).map(|i| (f64::from(i), if i == 5432 { 9.0 } else { 1.0 })).collect();
        let kept = thinned(&points);
        assert!(kept.len() <= MOST_POINTS);
        assert!(kept.contains(&(5432.0, 9.0)));
        assert!(kept.windows(2).all(|pair| pair[0].0 <= pair[1].0));
    }

    #[test]
    fn notes_do_not_touch() {
        let placed = spread(&[100.0, 101.0, 102.0, 180.0], 100.0, 200.0);
        assert!(placed.windows(2).all(|pair| pair[1] - pair[0] > 16.0), "{placed:?}");
        assert_eq!(placed[3], 180.0);
    }

    #[test]
    fn a_point_that_is_not_finite_breaks_the_line() {
        let (x, y) = (Axis::exactly(0.0, 4.0), Axis::exactly(0.0, 1.0));
        let points = [(0.0, 0.1), (1.0, 0.2), (2.0, f64::NAN), (3.0, 0.3), (4.0, 0.4)];
        assert_eq!(pieces(&points, &Frame { x: &x, y, whole: true, top: 0.0, height: 1.0 }).len(), 2);
    }
}
