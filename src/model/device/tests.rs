use super::cuda::gpu;
use super::*;

#[test]
fn parses_devices_and_refuses_others() {
    assert_eq!("cuda".parse::<DeviceChoice>().unwrap(), DeviceChoice::Cuda(0));
    assert_eq!("cuda:3".parse::<DeviceChoice>().unwrap(), DeviceChoice::Cuda(3));
    assert_eq!("vulkan".parse::<DeviceChoice>().unwrap(), DeviceChoice::Vulkan);
    for wrong in ["gpu", "cuda:", "cuda:x", "cpu:0", "vulkan:0", ""] {
        assert_eq!(wrong.parse::<DeviceChoice>().unwrap_err().exit_code(), 2, "{wrong}");
    }
}

#[test]
fn several_devices_are_of_one_kind_and_each_gpu_is_named_once() {
    let both = "cuda:0, cuda:1".parse::<Devices>().unwrap();
    assert_eq!((both.to_string().as_str(), both.is_cpu()), ("cuda:0,cuda:1", false));
    assert!("cpu,cpu".parse::<Devices>().unwrap().is_cpu());
    for (wrong, says) in [
        ("cuda:0,cpu", "GPUs of CUDA alone"),
        ("auto,cuda:1", "GPUs of CUDA alone"),
        ("vulkan,vulkan", "GPUs of CUDA alone"),
        ("vulkan,cuda:0", "GPUs of CUDA alone"),
        ("cuda,cuda:0", "named twice"),
        ("cuda:1,", "not known"),
    ] {
        let e = wrong.parse::<Devices>().unwrap_err();
        assert!(e.exit_code() == 2 && e.to_string().contains(says), "{wrong}: {e}");
    }
}

/// The processor stands in for three GPUs. Nothing tells its devices apart but their order.
#[test]
fn layers_are_shared_evenly_and_in_order() {
    let three = Compute::open(&"cpu,cpu,cpu".parse().unwrap()).unwrap();
    assert_eq!((three.name.as_str(), three.devices().count()), ("cpu,cpu,cpu", 3));
    let of = |layers| -> Vec<usize> {
        (0..layers).map(|layer| three.layer_device_index(layer, layers)).collect()
    };
    assert_eq!(of(7), [0, 0, 0, 1, 1, 2, 2]);
    assert_eq!(of(2), [0, 1]);
}

#[cfg(not(feature = "cuda"))]
#[test]
fn cuda_without_the_feature_is_an_error_and_auto_falls_back() {
    let e = Compute::open(&DeviceChoice::Cuda(0).into()).unwrap_err();
    assert_eq!(e.exit_code(), 2);
    assert!(e.to_string().contains("--features cuda"));
    let auto = Compute::open(&DeviceChoice::Auto.into()).unwrap();
    assert_eq!(auto.name, "cpu");
    let note = auto.note.unwrap();
    assert!(note.contains("built without CUDA") && !note.contains('\n'), "{note}");
    assert_eq!(Compute::open(&DeviceChoice::Cpu.into()).unwrap().note, None);
}

/// The processor stands in for GPUs.
#[test]
fn a_gpu_is_taken_only_if_it_is_there_and_computes() {
    let opened = gpu(1, || vec![Device::flex(), Device::flex()]).unwrap();
    assert_eq!((opened.name.as_str(), opened.dtype), ("cuda:1", DType::BF16));
    let fails = |n, find: &dyn Fn() -> Vec<Device>, says: &[&str]| {
        let e = gpu(n, find).unwrap_err();
        assert_eq!(e.exit_code(), 5);
        for part in says.iter().chain(&["--device cpu"]) {
            assert!(e.to_string().contains(part), "no {part:?} in {e}");
        }
    };
    fails(2, &|| vec![Device::flex()], &["there is no such GPU", "1 GPUs", "cuda:2"]);
    fails(0, &Vec::new, &["no GPU was found (driver mismatch?)"]);
    fails(0, &|| panic!("cuInit failed"), &["CUDA does not work", "CUDA_PATH", "cuInit"]);
}

/// The processor holds what is narrower as it was saved; a GPU all in its own type.
#[test]
fn matrices_are_held_as_saved_or_in_one_type() {
    let gpu = Compute { on_host: false, dtype: DType::BF16, ..Compute::cpu() };
    for saved in [DType::F32, DType::F16, DType::BF16] {
        assert_eq!((Compute::cpu().held(saved), gpu.held(saved)), (saved, DType::BF16));
    }
    assert_eq!(Compute::cpu().held(DType::F64), DType::F32);
    // Or as is asked for, on the processor.
    let asked = Compute { weights: Some(DType::BF16), ..Compute::cpu() };
    let on_gpu = Compute { on_host: false, dtype: DType::F16, ..asked.clone() };
    assert_eq!((asked.held(DType::F32), on_gpu.held(DType::F32)), (DType::BF16, DType::F16));
}
