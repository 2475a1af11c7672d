//! Pictures of runs: a small figure type, what a run shows in it, and its SVG.

mod axis;
mod draw;
mod exponents;
mod heat;
#[cfg(feature = "networks")]
mod networks;
mod raster;
mod run;

pub use exponents::{curve_figure, running_figure, spectrum_figure};
pub use heat::HeatMap;
#[cfg(feature = "networks")]
pub use networks::{
    DensityCaption, EstimateCurve, RateCurve, TwinCaption, comparison_figure, density_figure, edge_figure,
    estimate_figure, exponent_ratio_figure, twin_figure, verify_figure,
};
pub use raster::Format;
#[cfg(feature = "networks")]
pub use run::{Caption, run_figure};

/// The height of a panel beside others, in points.
const LOW: f64 = 216.0;

/// The height of a panel that stands alone, in points.
const TALL: f64 = 380.0;

/// Panels above each other that share one horizontal axis.
#[derive(Clone, Debug)]
pub struct Figure {
    /// The first line.
    pub title: String,
    /// The second line, smaller.
    pub subtitle: String,
    /// What the horizontal axis shows.
    pub x_label: String,
    /// The ends of the horizontal axis; `None` counts from zero, in whole numbers.
    pub x_range: Option<(f64, f64)>,
    /// The height of a panel, in points.
    pub panel_height: f64,
    /// The panels, from top to bottom.
    pub panels: Vec<Panel>,
    /// Moments to mark in every panel: where, and what.
    pub events: Vec<(f64, String)>,
}

/// The scale of a vertical axis.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Vertical {
    /// As the numbers want it.
    #[default]
    Automatic,
    /// Between these ends.
    Exactly(f64, f64),
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
    /// Areas behind the curves.
    pub bands: Vec<Band>,
    /// The scale.
    pub scale: Vertical,
}

/// The area between two curves.
#[derive(Clone, Debug)]
pub struct Band {
    /// (x, low, high), x growing.
    pub points: Vec<(f64, f64, f64)>,
    /// The fill.
    pub colour: Colour,
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
    /// Solid and thin: a curve with many turns.
    Thin,
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
