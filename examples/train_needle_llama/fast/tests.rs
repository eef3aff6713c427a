use burn::prelude::*;
use headprof::model::decoder::Decoder;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::{Model, kernels};
use crate::autodiff::Autodiff;
use crate::corpus::random_repeats;
use crate::host::{Host, input};
use crate::shape::{self, Initialiser};
use crate::targets::Targets;
use crate::train::Batch;

fn batch(n: usize, sequences: usize) -> Batch {
    let mut rng = StdRng::seed_from_u64(3);
    let samples = (0..sequences).map(|_| random_repeats(&mut rng, n, 2048)).collect();
    Batch::new(samples, n, 0.5, &mut rng)
}

fn decoder(device: &Device) -> Decoder {
    device.seed(5);
    let config = shape::config().unwrap();
    let mut weights = Initialiser::new(device, config.layers, 5);
    Decoder::new(&config, &mut weights).unwrap()
}

#[test]
fn exp_is_accurate() {
    for i in -800..800 {
        let x = i as f32 / 10.0;
        let (got, want) = (kernels::exp(x) as f64, (x as f64).exp());
        assert!((got / want - 1.0).abs() < 1e-6, "{x}: {got} {want}");
    }
}

#[test]
fn weights_survive_the_way_there_and_back() {
    let config = shape::config().unwrap();
    let weights = decoder(&Device::flex()).weights();
    let mut back = Model::new(&config, weights.clone()).unwrap().export();
    for (name, data) in weights {
        let at = back.iter().position(|(other, _)| *other == name).unwrap();
        assert_eq!(back.swap_remove(at).1, data, "{name}");
    }
    assert!(back.is_empty());
}

/// The loss equals autodiff's forward pass (blocks of attention included: 150 > 128), and the
/// gradient's length along itself equals the slope of the loss, for every kind of weight.
#[test]
fn loss_equals_the_decoder_and_the_gradient_its_slope() {
    let device = Device::flex().autodiff();
    let config = shape::config().unwrap();
    let decoder = decoder(&device);
    let batch = batch(150, 3);
    let targets = Targets::choose(&batch);
    let mut host = Host::new(&config, decoder.weights()).unwrap();
    let autodiff = Autodiff::new(decoder, &config, &device);
    let (loss, nll, best) = autodiff.loss(&batch, &targets).unwrap();
    let loss = loss.into_scalar::<f32>() as f64;
    let ids: Vec<u32> = batch.samples.iter().flat_map(|s| s.ids.iter().copied()).collect();
    let angles = host.angles(&batch);
    let input = input(&batch, &ids, &angles, &targets);
    let mut gradient = vec![0f32; host.model_mut().weights.len()];
    let outcome = host.model_mut().step(&input, &mut gradient);
    assert!((outcome.loss - loss).abs() < 1e-4 * loss, "{} {loss}", outcome.loss);
    assert!(
        outcome.best.iter().zip(&best).filter(|(a, b)| a == b).count() * 100 >= best.len() * 99
    );
    assert!(outcome.nll.iter().zip(&nll).all(|(a, b)| (a - b).abs() < 2e-3));
    for part in host.model_mut().parts() {
        let norm = gradient[part.clone()].iter().map(|g| (*g as f64).powi(2)).sum::<f64>().sqrt();
        let mut along = |step: f64| {
            let kept = host.model_mut().weights.clone();
            for i in part.clone() {
                host.model_mut().weights[i] += (step * gradient[i] as f64) as f32;
            }
            let mut unused = vec![0f32; gradient.len()];
            let loss = host.model_mut().step(&input, &mut unused).loss;
            host.model_mut().weights = kept;
            loss
        };
        let mut slope = |step: f64| (along(step) - along(-step)) / (2.0 * step);
        // The circuit's sharp attention bends the loss: two steps tell what bends (Richardson).
        let step = 0.001 / norm.max(1e-3);
        let slope = (4.0 * slope(step / 2.0) - slope(step)) / 3.0;
        let want = norm * norm;
        assert!(
            (slope - want).abs() < 0.03 * want + 2e-5,
            "{part:?}: slope {slope}, norm^2 {want}"
        );
    }
}
