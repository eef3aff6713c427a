//! Numbers from the device to the host.

use std::fmt::Debug;

use burn::prelude::*;
use burn::tensor::DataError;

use crate::error::{Error, Result};

/// The entries of `tensor` in row-major order, in f32; `what` they are, for the error.
///
/// # Errors
/// [`Error::Resources`] if the device fails.
pub(super) fn floats<const D: usize>(tensor: Tensor<D>, what: &str) -> Result<Vec<f32>> {
    tensor.try_into_vec_as().map_err(|e| failed(what, &reason(&e)))
}

/// The same for many numbers, which stay where they are if that is in host memory: see [`slice`]
/// and [`slice_mut`]. `tensor` is in f32.
///
/// # Errors
/// [`Error::Resources`] if the device fails.
pub(super) fn data<const D: usize>(tensor: Tensor<D>, what: &str) -> Result<TensorData> {
    tensor.try_into_data().map_err(|e| failed(what, &reason(&e)))
}

/// The numbers of f32 `data`.
pub(super) fn slice(data: &TensorData) -> Result<&[f32]> {
    data.as_slice().map_err(not_f32)
}

/// The numbers of f32 `data`, to write to.
pub(super) fn slice_mut(data: &mut TensorData) -> Result<&mut [f32]> {
    data.as_mut_slice().map_err(not_f32)
}

/// What a device library says is wrong, in one line: of a chain of causes that from which the
/// others follow.
pub(super) fn reason(e: &impl Debug) -> String {
    root_cause(&format!("{e:?}"))
}

/// Of a chain of causes that from which the others follow, in one line.
pub(crate) fn root_cause(text: &str) -> String {
    let in_one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    text.rsplit("Caused by:")
        .filter_map(|cause| cause.split("No backtrace available").next().map(in_one_line))
        .find(|cause| !cause.is_empty())
        .unwrap_or_else(|| in_one_line(text))
}

fn failed(what: &str, reason: &str) -> Error {
    Error::resources(format!("the device failed while reading {what}"))
        .got(reason)
        .advice("use shorter contexts or --device cpu")
}

fn not_f32(e: DataError) -> Error {
    Error::bug("numbers from the device are not f32").got(format!("{e:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_chain_of_causes_the_root_is_told() {
        struct Said(&'static str);
        impl Debug for Said {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.0)
            }
        }
        let chain = "Execution(An error happened during execution\nCaused by:\n  The bytes were never \
                     written\nCaused by:\n  can't allocate buffer\n  of size: 268435456\n\
                     No backtrace available\nAsked at:\nNo backtrace available)";
        assert_eq!(reason(&Said(chain)), "can't allocate buffer of size: 268435456");
        assert_eq!(reason(&Said("TypeMismatch(F32)")), "TypeMismatch(F32)");
        assert_eq!(root_cause("lost\nCaused by:\n No backtrace available"), "lost");
        assert_eq!(root_cause("No backtrace available"), "No backtrace available");
    }
}
