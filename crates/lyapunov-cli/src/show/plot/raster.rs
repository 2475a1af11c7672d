//! Pixels: PNG files of arrays of colours and of whole pictures.

use std::path::Path;

use resvg::{
    tiny_skia::{Pixmap, Transform},
    usvg,
};

use super::Colour;
use crate::{
    error::{Error, Result},
    folder::write_file,
};

/// Pixels per point.
const SCALE: f32 = 2.0;

/// The format of a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Format {
    /// Lines and texts.
    Svg,
    /// Pixels, two to a point.
    Png,
}

impl Format {
    /// The format that the name of the file asks for.
    pub fn of(path: &Path) -> Result<Self> {
        match path.extension().map(|extension| extension.to_string_lossy().to_lowercase()).as_deref() {
            Some("svg") => Ok(Self::Svg),
            Some("png") => Ok(Self::Png),
            // A pipe or a descriptor of the shell has no ending.
            None if path.exists() && !path.is_file() && !path.is_dir() => Ok(Self::Svg),
            _ => Err(Error::Usage {
                message: format!("unsupported picture format: {}", path.display()),
                help: Some("let the file end with .svg or .png".to_owned()),
            }),
        }
    }

    /// Writes the picture, whole or not at all.
    pub fn write(self, path: &Path, svg: &str) -> Result<()> {
        match self {
            Self::Svg => Ok(write_file(path, svg.as_bytes())?),
            Self::Png => Ok(write_file(path, &drawn(svg))?),
        }
    }
}

/// The picture in pixels.
fn drawn(svg: &str) -> Vec<u8> {
    let mut options = usvg::Options::default();
    options.fontdb_mut().load_system_fonts();
    let tree = usvg::Tree::from_str(svg, &options).expect("our own pictures can be read");
    let size = tree.size();
    let [width, height] = [size.width(), size.height()].map(|side| (side * SCALE).round() as u32);
    let mut pixels = Pixmap::new(width, height).expect("a picture has a size");
    resvg::render(&tree, Transform::from_scale(SCALE, SCALE), &mut pixels.as_mut());
    pixels.encode_png().expect("pixels can be written into memory")
}

/// Rows of colours, from the top, as a PNG file.
pub fn png(rows: &[Vec<Colour>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (width, height) = (rows.first().map_or(0, Vec::len) as u32, rows.len() as u32);
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    let data: Vec<u8> = rows.iter().flatten().flat_map(|(red, green, blue)| [*red, *green, *blue]).collect();
    let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(&data));
    written.expect("pixels can be written into memory");
    bytes
}

/// Three bytes become four letters.
pub fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = (0..3).fold(0_u32, |word, i| word << 8 | u32::from(chunk.get(i).copied().unwrap_or(0)));
        for i in 0..4 {
            let letter = LETTERS[(word >> (18 - 6 * i)) as usize & 63];
            text.push(if i <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_the_known_one() {
        assert_eq!(
            ["", "f", "fo", "foo", "foob"].map(|text| base64(text.as_bytes())),
            ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg=="]
        );
    }

    #[test]
    fn the_name_decides_the_format() {
        assert_eq!(Format::of(Path::new("a/b.SVG")).unwrap(), Format::Svg);
        assert_eq!(Format::of(Path::new("c.png")).unwrap(), Format::Png);
        assert!(Format::of(Path::new("c.pdf")).unwrap_err().to_string().contains("unsupported picture format"));
    }

    #[test]
    fn a_picture_becomes_pixels() {
        let svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"3\" height=\"2\"/>";
        assert!(drawn(svg).starts_with(b"\x89PNG"));
    }
}
