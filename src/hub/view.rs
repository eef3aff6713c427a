//! How far a download is, on standard error: a bar on a terminal, else a line per file.

use std::io::{self, IsTerminal};

use indicatif::{DecimalBytes, ProgressBar, ProgressStyle};

use super::id::HubId;
use crate::system::terminal::note;

/// The view of one file.
pub struct FileView(Option<ProgressBar>);

impl FileView {
    /// Of `size` bytes.
    pub fn new(id: &HubId, name: &str, size: u64, quiet: bool) -> Self {
        if quiet {
            return Self(None);
        }
        if !io::stderr().is_terminal() {
            note(&format!("downloading {id}: {name}, {}", DecimalBytes(size)));
            return Self(None);
        }
        let bar = ProgressBar::new(size).with_message(name.to_owned());
        let template = "{msg}  {wide_bar} {decimal_bytes}/{decimal_total_bytes}  {decimal_bytes_per_sec}  {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self(Some(bar))
    }

    /// `bytes` are there before any comes; they do not count for the speed.
    pub fn start(&self, bytes: u64) {
        if let Some(bar) = &self.0 {
            bar.set_position(bytes);
            // The estimate forgets how fast these came, once it knows of them.
            bar.tick();
            bar.reset_eta();
        }
    }

    /// As many bytes are there.
    pub fn set(&self, bytes: u64) {
        if let Some(bar) = &self.0 {
            bar.set_position(bytes);
        }
    }

    /// Takes the bar away.
    pub fn finish(self) {
        if let Some(bar) = self.0 {
            bar.finish_and_clear();
        }
    }
}
