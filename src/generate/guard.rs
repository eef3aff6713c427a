//! [`guarded`]: what becomes of a probe whose GPU fails.

use crate::error::{Error, Result};
use crate::model::Compute;
use crate::model::ops::call_by_name;
use crate::model::read_back::root_cause;
use crate::system::Reporter;
use crate::system::panics::caught;

/// Runs `body`; on a GPU a panic is an error of this probe alone. On the processor it is a bug and
/// goes on.
///
/// A panic that is not about memory may come from one of the kernels that the library tries in
/// order to choose among them: `body` is then run once more without that choice. If that helps, the
/// process stays without it, and `reporter` says so.
pub(crate) fn guarded<T>(
    compute: &Compute,
    reporter: Reporter,
    mut body: impl FnMut() -> Result<T>,
) -> Result<T> {
    if compute.on_host {
        return body();
    }
    let mut panic = match caught(&mut body) {
        Ok(ended) => return ended,
        Err(panic) => panic,
    };
    if !is_about_memory(&panic) && call_by_name(true) {
        match caught(&mut body) {
            // Whatever else it ended with says nothing about the kernels.
            Ok(Err(e)) => {
                call_by_name(false);
                return Err(e);
            }
            Ok(ended) => {
                reporter.warning(&format!(
                    "a kernel that the tensor library tried has failed ({}); products of matrices \
                     go on without its choice among kernels, more slowly",
                    root_cause(&panic)
                ));
                return ended;
            }
            Err(again) => {
                call_by_name(false);
                panic = again;
            }
        }
    }
    Err(Error::resources("the GPU failed, perhaps for lack of memory")
        .at(&compute.name)
        .got(root_cause(&panic))
        .advice("shorter contexts, a smaller --chunk, or --device cpu"))
}

/// Whether there was no room on the GPU: without a choice among kernels there would be none either.
/// Kernels speak of memory, too, of that of a block of threads, and their sources are called so.
fn is_about_memory(panic: &str) -> bool {
    let message = panic.rsplit_once(" (").map_or(panic, |(message, _)| message);
    let message = message.to_ascii_lowercase();
    let words =
        ["out of memory", "out of device memory", "out_of_memory", "buffertoobig", "allocat"];
    words.iter().any(|word| message.contains(word)) && !message.contains("shared memory")
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Reporter = Reporter { quiet: true, json: false };

    #[test]
    fn a_panic_on_a_gpu_fails_the_probe_alone() {
        let mut gpu = Compute::cpu();
        gpu.on_host = false;
        assert_eq!(guarded(&gpu, QUIET, || Ok(5)), Ok(5));
        assert_eq!(guarded(&gpu, QUIET, || Err::<(), _>(Error::bug("x"))), Err(Error::bug("x")));
        let mut runs = 0;
        let e = guarded(&gpu, QUIET, || -> Result<()> {
            runs += 1;
            panic!("out of memory")
        });
        let e = e.unwrap_err();
        assert!(e.exit_code() == 5 && e.to_string().contains("out of memory"), "{e}");
        assert_eq!(runs, 1);
        let cpu = || guarded(&Compute::cpu(), QUIET, || -> Result<()> { panic!("a bug") });
        assert_eq!(caught(cpu).unwrap_err(), "a bug");
    }

    #[test]
    fn what_is_about_the_memory_of_the_gpu() {
        for (panic, memory) in [
            ("CUDA_ERROR_OUT_OF_MEMORY (src/x.rs:3:4)", true),
            ("BufferTooBig(123) (src/memory/pool.rs:3:4)", true),
            ("can't allocate buffer of size 9", true),
            ("No tile size is available (src/tile/kind/memory/stage.rs:1:2)", false),
            ("Too much shared memory requested (src/server.rs:1:2)", false),
            ("only a memory window states its contraction (src/a.rs:1:2)", false),
        ] {
            assert_eq!(is_about_memory(panic), memory, "{panic}");
        }
    }

    /// The library's thread of the device survives a kernel that panics there, and the products
    /// after that are right.
    #[cfg(feature = "kernels")]
    #[test]
    fn a_panic_of_a_kernel_that_is_tried_is_run_again_without_trying() {
        use burn::tensor::{DType, Tensor};

        use crate::model::kernels::product;
        use crate::model::ops;

        let Some(mut compute) = Compute::of_kernels() else { return };
        compute.dtype = DType::F16;
        let ones = |rows| Tensor::<2>::ones([rows, 40], (&compute.device, compute.dtype));
        let read = |x: Tensor<2>| x.try_into_vec_as::<f32>().unwrap();
        let mut runs = 0;
        let sum = guarded(&compute, QUIET, || {
            runs += 1;
            if !product::is_by_name(compute.dtype) {
                // No kernel multiplies these.
                read(product::exact(ones(40), ones(41)));
            }
            Ok(read(ops::matmul(ones(40), ones(40))))
        });
        assert!(sum.unwrap() == vec![40.0; 1600]);
        assert_eq!(runs, 2);
        // What fails in both ways leaves the choice to the library.
        assert!(call_by_name(false));
        let e = guarded(&compute, QUIET, || -> Result<()> { panic!("No tile size is available") });
        assert!(e.unwrap_err().to_string().contains("No tile size"));
        assert!(!call_by_name(false));
    }
}
