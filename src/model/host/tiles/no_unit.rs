//! In place of the unit, where there is none.

use std::ops::Range;

use super::super::Rows;
use super::operands::{BLOCK, Block, PARTS, Panel, Tile};

/// There is no such value.
#[derive(Clone, Copy)]
pub enum Unit {}

/// There is no such value.
pub enum Tiles {}

impl Unit {
    pub fn get() -> Option<Self> {
        None
    }

    pub fn with_tiles<T>(self, _: impl FnOnce(Tiles) -> T) -> T {
        match self {}
    }

    pub fn split(self, _: &[f32], _: usize, _: &mut [Tile]) {
        match self {}
    }

    pub fn interleave(
        self,
        _: Rows,
        _: Range<usize>,
        _: Range<usize>,
        _: &mut [Tile; 2 * PARTS],
    ) -> usize {
        match self {}
    }
}

impl Tiles {
    pub fn multiply(&self, _: Block, _: Panel, _: &mut [[f32; BLOCK]; BLOCK], _: bool) {
        match *self {}
    }
}
