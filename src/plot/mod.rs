//! Pictures: layer × head heatmaps, depth × length heatmaps (one, or many side by side), sorted
//! score curves, lines with error bars, dots over what chance gives, one head's attention and
//! values.
//!
//! ```text
//! HeadMatrix… ─► head_heatmap | depth_length | panels | curve | lines | dots | observe ─► Scene ─► render ─► Picture { png, svg } ─► save
//! ```
//!
//! A [`scene::Scene`] is the picture as a value; only [`render`] knows about file formats. Nothing
//! of the system is used: the font is part of the program, and equal input gives equal bytes.

pub mod colormap;
pub mod curve;
pub mod depth_length;
pub mod dots;
pub mod font;
pub mod furniture;
pub mod grid;
pub mod head_heatmap;
pub mod lines;
pub mod observe;
pub mod panels;
pub mod render;
pub mod scene;
pub mod series;

pub use curve::{CurveCaption, score_curve};
pub use depth_length::{DepthLengthCaption, DepthLengthCell, RowAxis, depth_length};
pub use dots::{Dot, DotPanel, DotsCaption, dots};
pub use head_heatmap::{HeatmapCaption, head_heatmap, head_heatmap_pair};
pub use lines::{Line, LinePoint, LinesCaption, lines};
pub use observe::{MapCells, ObserveCaption, ObservedHead, observed_head};
pub use panels::{Panel, PanelsCaption, panels};
pub use render::PNG_SCALE;

use crate::error::Result;
use std::path::{Path, PathBuf};

/// A finished picture in both formats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// A PNG file, [`PNG_SCALE`] pixels per point.
    pub png: Vec<u8>,
    /// An SVG document that can stand alone or inside HTML.
    pub svg: String,
}

impl Picture {
    fn of(scene: &scene::Scene) -> Result<Self> {
        Ok(Self { png: render::png(scene)?, svg: render::svg(scene)? })
    }

    /// Writes `<stem>.png` and `<stem>.svg`, each whole or not at all, and returns their paths.
    /// Dots in the stem (`llama-3.1_inf`) are part of the name. The folder must exist.
    ///
    /// # Errors
    /// [`crate::Error::Resources`] naming the file that could not be written.
    pub fn save(self, stem: &Path) -> Result<[PathBuf; 2]> {
        let files = self.into_files(stem);
        for (path, bytes) in &files {
            crate::system::atomic::write(path, bytes)?;
        }
        Ok(files.map(|(path, _)| path))
    }

    /// The two files of [`Picture::save`], with their paths.
    pub fn into_files(self, stem: &Path) -> [(PathBuf, Vec<u8>); 2] {
        let with = |extension: &str| {
            let mut name = stem.as_os_str().to_owned();
            name.push(extension);
            PathBuf::from(name)
        };
        [(with(".png"), self.png), (with(".svg"), self.svg.into_bytes())]
    }
}

#[cfg(test)]
mod tests;
