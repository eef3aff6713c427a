//! Trained weights with some heads begun anew.

use burn::prelude::*;
use burn::tensor::DType;
use headprof::Result;
use headprof::model::checkpoint::Checkpoint;
use headprof::model::decoder::WeightSource;

use crate::circuit::Circuit;

/// A checkpoint in which the heads 2 to 6 of layer 0 and 0 to 6 of layer 1 have their parts of the
/// [`Circuit`] instead of what they had learnt.
///
/// The weights of needle-llama were trained for 19 million tokens from a circuit without these
/// heads, which were still even then: what they had learnt was nothing.
pub struct Graft {
    checkpoint: Checkpoint,
    circuit: Circuit,
    device: Device,
}

impl Graft {
    /// Over the checkpoint in `folder`.
    ///
    /// # Errors
    /// As [`Checkpoint::open`].
    pub fn open(folder: &std::path::Path, device: &Device, seed: u64) -> Result<Self> {
        Ok(Self {
            checkpoint: Checkpoint::open(folder, device, DType::F32)?,
            circuit: Circuit::new(seed),
            device: device.clone(),
        })
    }
}

impl WeightSource for Graft {
    fn matrix(&mut self, name: &str, shape: [usize; 2], transpose: bool) -> Result<Tensor<2>> {
        let weights = self.checkpoint.matrix(name, shape, false)?;
        let mut weights: Vec<f32> = weights.into_data().iter().collect();
        self.circuit.graft(name, &mut weights, shape[1]);
        let matrix = Tensor::from_data(TensorData::new(weights, shape), &self.device);
        Ok(if transpose { matrix.transpose() } else { matrix })
    }

    fn vector(&mut self, name: &str, len: usize) -> Result<Tensor<1>> {
        self.checkpoint.vector(name, len)
    }
}
