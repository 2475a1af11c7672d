//! Pictures of runs: a small figure type, what a run shows in it, and its SVG.

mod axis;
mod density;
mod draw;
mod run;

pub use axis::number;
pub use density::{DensityCaption, density_figure};
pub use run::{Caption, run_figure};

/// Panels above each other that share one horizontal axis.
#[derive(Clone, Debug)]
pub struct Figure {
    /// The first line.
    pub title: String,
    /// The second line, smaller.
    pub subtitle: String,
    /// What the horizontal axis shows.
    pub x_label: String,
    /// What kind of numbers these are.
    pub horizontal: Horizontal,
    /// The panels, from top to bottom.
    pub panels: Vec<Panel>,
    /// Moments to mark in every panel: where, and what.
    pub events: Vec<(f64, String)>,
}

/// The numbers on the horizontal axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Horizontal {
    /// Counted from 0.
    Steps,
    /// Any, from the first to the last point.
    Numbers,
}

/// The scale of a vertical axis.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Vertical {
    /// As the numbers want it.
    #[default]
    Automatic,
    /// Decades, from this number up.
    Logarithmic {
        /// The lower end.
        floor: f64,
    },
}

/// One vertical axis and what is drawn over it.
#[derive(Clone, Debug, Default)]
pub struct Panel {
    /// What the vertical axis shows.
    pub title: String,
    /// The curves.
    pub series: Vec<Series>,
    /// Horizontal lines: where, and what they mean.
    pub thresholds: Vec<(f64, String)>,
    /// The scale.
    pub scale: Vertical,
}

/// One curve. Points that are not finite are left out and break the line.
#[derive(Clone, Debug)]
pub struct Series {
    /// The name beside its end; empty for a curve that needs none.
    pub label: String,
    /// (x, y), x growing.
    pub points: Vec<(f64, f64)>,
    /// The colour of line and markers.
    pub colour: Colour,
    /// The line.
    pub stroke: Stroke,
    /// The markers on the points.
    pub marker: Option<Marker>,
}

/// Red, green, blue.
pub type Colour = (u8, u8, u8);

/// How a line is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stroke {
    /// Thin and pale: the noise behind another line.
    Faint,
    /// Solid.
    Solid,
    /// Long dashes.
    Dashed,
    /// Short dashes.
    Dotted,
}

/// The shape on a point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Marker {
    /// A full circle.
    Circle,
    /// A hollow square.
    Square,
    /// A full triangle.
    Triangle,
    /// A hollow diamond.
    Diamond,
}

impl Figure {
    /// The figure as an SVG file.
    pub fn to_svg(&self) -> String {
        draw::svg(self)
    }
}
