//! A heat map over two parameters: its pixels as an embedded PNG, its axes drawn around them.

use std::fmt::Write;

use super::{Colour, axis::Axis, raster};

/// The map and its legend on the page, in points.
const WIDTH: f64 = 960.0;
const LEFT: f64 = 84.0;
const TOP: f64 = 96.0;
const SIDE: (f64, f64) = (720.0, 540.0);
const LEGEND: (f64, f64) = (832.0, 18.0);
const HEIGHT: f64 = TOP + SIDE.1 + 78.0;

/// Order, from deep to shallow; zero; chaos, from weak to strong.
const COLOURS: [Colour; 9] = [
    (8, 22, 58),
    (22, 62, 118),
    (58, 118, 175),
    (158, 202, 225),
    (250, 248, 242),
    (253, 208, 140),
    (242, 130, 60),
    (190, 42, 40),
    (84, 8, 34),
];
/// Where the system diverges.
const NOWHERE: Colour = (216, 218, 222);

/// A number over two parameters, such as the largest exponent.
#[derive(Clone, Debug)]
pub struct HeatMap {
    /// The first line.
    pub title: String,
    /// The second line.
    pub subtitle: String,
    /// The horizontal parameter: name, left end, right end.
    pub x: (String, f64, f64),
    /// The vertical parameter: name, bottom, top.
    pub y: (String, f64, f64),
    /// How the values are called above the legend.
    pub symbol: String,
    /// Values in a row.
    pub columns: usize,
    /// Row after row, from the bottom; NaN where the system diverges.
    pub values: Vec<f64>,
}

impl HeatMap {
    /// The map as an SVG file.
    pub fn to_svg(&self) -> String {
        let (low, high) = self.range();
        let mut svg = format!(
            "<svg width=\"{WIDTH}\" height=\"{HEIGHT}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
             xmlns=\"http://www.w3.org/2000/svg\" xmlns:xlink=\"http://www.w3.org/1999/xlink\" \
             font-family=\"Inter, 'Helvetica Neue', Helvetica, Arial, 'DejaVu Sans', sans-serif\">\n\
             <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n"
        );
        text(&mut svg, &self.title, (LEFT, 44.0), 19.0, INK, "start");
        text(&mut svg, &self.subtitle, (LEFT, 66.0), 12.5, MUTED, "start");
        self.map(&mut svg, low, high);
        self.axes(&mut svg);
        self.legend(&mut svg, low, high);
        svg.push_str("</svg>\n");
        svg
    }

    /// The range of colours: 98 % of the values, zero always inside.
    fn range(&self) -> (f64, f64) {
        let mut sorted: Vec<f64> = self.values.iter().copied().filter(|value| value.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let at =
            |share: f64| sorted.get((share * sorted.len() as f64) as usize).or(sorted.last()).copied().unwrap_or(0.0);
        (at(0.02).min(-1e-6), at(0.995).max(1e-6))
    }

    fn map(&self, svg: &mut String, low: f64, high: f64) {
        let rows: Vec<&[f64]> = self.values.chunks(self.columns).collect();
        // Ends that were given the other way round turn the picture; rows go from the top.
        let pixel = |value: &f64| colour(*value, low, high);
        let mut pixels: Vec<Vec<Colour>> = rows.iter().map(|row| row.iter().map(pixel).collect()).collect();
        if self.x.1 > self.x.2 {
            for row in &mut pixels {
                row.reverse();
            }
        }
        if self.y.1 < self.y.2 {
            pixels.reverse();
        }
        let data = raster::base64(&raster::png(&pixels));
        let (width, height) = SIDE;
        let _ = writeln!(
            svg,
            "<image x=\"{LEFT}\" y=\"{TOP}\" width=\"{width}\" height=\"{height}\" preserveAspectRatio=\"none\" \
             image-rendering=\"optimizeSpeed\" style=\"image-rendering:pixelated\" \
             xlink:href=\"data:image/png;base64,{data}\"/>"
        );
        let _ = writeln!(
            svg,
            "<rect x=\"{LEFT}\" y=\"{TOP}\" width=\"{width}\" height=\"{height}\" fill=\"none\" stroke=\"{RULE}\"/>"
        );
    }

    fn axes(&self, svg: &mut String) {
        let ordered = |(_, a, b): &(String, f64, f64)| Axis::exactly(a.min(*b), a.max(*b));
        let (x, y) = (ordered(&self.x), ordered(&self.y));
        let bottom = TOP + SIDE.1;
        for (value, label) in x.ticks(8) {
            let across = LEFT + x.position(value).unwrap_or(0.0) * SIDE.0;
            let _ = writeln!(svg, "<path d=\"M{across:.2} {bottom} v5\" stroke=\"{RULE}\"/>");
            text(svg, &label, (across, bottom + 20.0), 11.5, MUTED, "middle");
        }
        for (value, label) in y.ticks(8) {
            let up = bottom - y.position(value).unwrap_or(0.0) * SIDE.1;
            let _ = writeln!(svg, "<path d=\"M{LEFT} {up:.2} h-5\" stroke=\"{RULE}\"/>");
            text(svg, &label, (LEFT - 10.0, up + 4.0), 11.5, MUTED, "end");
        }
        text(svg, &self.x.0, (LEFT + 0.5 * SIDE.0, bottom + 46.0), 13.0, INK, "middle");
        // Above its axis, and inside the picture.
        let (place, anchor) = if self.y.0.chars().count() > 10 { (MARGIN, "start") } else { (LEFT, "end") };
        text(svg, &self.y.0, (place, TOP - 10.0), 13.0, INK, anchor);
    }

    /// The colours with their values, beside the map.
    fn legend(&self, svg: &mut String, low: f64, high: f64) {
        let (left, width) = LEGEND;
        let strips = 256;
        let pixels: Vec<Vec<Colour>> = (0..strips)
            .map(|i| vec![colour(high + (low - high) * f64::from(i) / f64::from(strips - 1), low, high)])
            .collect();
        let data = raster::base64(&raster::png(&pixels));
        let height = SIDE.1;
        let _ = writeln!(
            svg,
            "<image x=\"{left}\" y=\"{TOP}\" width=\"{width}\" height=\"{height}\" preserveAspectRatio=\"none\" \
             xlink:href=\"data:image/png;base64,{data}\"/>"
        );
        let axis = Axis::exactly(low, high);
        for (value, label) in axis.ticks(7) {
            let up = TOP + height - axis.position(value).unwrap_or(0.0) * height;
            let _ = writeln!(svg, "<path d=\"M{} {up:.2} h5\" stroke=\"{RULE}\"/>", left + width);
            text(svg, &label, (left + width + 9.0, up + 4.0), 11.5, MUTED, "start");
        }
        text(svg, &self.symbol, (left, TOP - 10.0), 13.0, INK, "start");
        if self.values.iter().any(|value| value.is_nan()) {
            let top = TOP + height + 12.0;
            let _ = writeln!(
                svg,
                "<rect x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"12\" fill=\"{}\"/>",
                hex(NOWHERE)
            );
            text(svg, "diverges", (left + width + 9.0, top + 10.0), 11.5, MUTED, "start");
        }
    }
}

const MARGIN: f64 = 24.0;
const INK: &str = "#22262e";
const MUTED: &str = "#686e78";
const RULE: &str = "#969ca6";

fn text(svg: &mut String, text: &str, (x, y): (f64, f64), size: f64, colour: &str, anchor: &str) {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let _ = writeln!(
        svg,
        "<text x=\"{x:.2}\" y=\"{y:.2}\" font-size=\"{size}\" fill=\"{colour}\" \
            text-anchor=\"{anchor}\">{escaped}</text>"
    );
}

fn hex((red, green, blue): Colour) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

/// Zero is the pale middle; each side uses its own scale, so that both show what they have.
fn colour(value: f64, low: f64, high: f64) -> Colour {
    if value.is_nan() {
        return NOWHERE;
    }
    let side = if value < 0.0 { -(value / low).min(1.0) } else { (value / high).min(1.0) };
    // The root spreads what is near zero, where order turns into chaos.
    let place = (1.0 + side.signum() * side.abs().powf(0.7)) * 0.5 * (COLOURS.len() - 1) as f64;
    let i = (place as usize).min(COLOURS.len() - 2);
    let share = place - i as f64;
    let mix = |a: u8, b: u8| (f64::from(a) + share * (f64::from(b) - f64::from(a))).round() as u8;
    let (a, b) = (COLOURS[i], COLOURS[i + 1]);
    (mix(a.0, b.0), mix(a.1, b.1), mix(a.2, b.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_the_middle_and_the_ends_are_the_ends() {
        assert_eq!(colour(0.0, -3.0, 0.5), COLOURS[4]);
        assert_eq!(colour(-9.0, -3.0, 0.5), COLOURS[0]);
        assert_eq!(colour(f64::NEG_INFINITY, -3.0, 0.5), COLOURS[0]);
        assert_eq!(colour(0.5, -3.0, 0.5), COLOURS[8]);
        assert_eq!(colour(f64::NAN, -3.0, 0.5), NOWHERE);
    }

    #[test]
    fn a_map_names_its_axes() {
        let map = HeatMap {
            title: "a < b".to_owned(),
            subtitle: String::new(),
            x: ("mu".to_owned(), 0.0, 1.0),
            y: ("nu".to_owned(), 0.0, 1.0),
            symbol: "Λ1".to_owned(),
            columns: 2,
            values: vec![-1.0, 0.0, f64::NAN, 0.5],
        };
        let svg = map.to_svg();
        for part in ["a &lt; b", ">mu<", ">nu<", "diverges", "data:image/png;base64,iVBOR"] {
            assert!(svg.contains(part), "{part}");
        }
        assert!(!svg.contains("NaN"));
    }
}
