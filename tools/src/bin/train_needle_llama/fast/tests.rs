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

/// Loss and gradient equal those of autodiff, for every weight (blocks of attention included:
/// 150 > 128).
#[test]
fn loss_and_gradient_equal_those_of_autodiff() {
    let device = Device::flex().autodiff();
    let config = shape::config().unwrap();
    let decoder = decoder(&device);
    let batch = batch(150, 3);
    let targets = Targets::choose(&batch);
    let mut host = Host::new(&config, decoder.weights()).unwrap();
    let autodiff = Autodiff::new(decoder, &config, &device);
    let (loss, nll, best) = autodiff.loss(&batch, &targets).unwrap();
    let wanted = autodiff.gradient(&loss);
    let loss = loss.into_scalar::<f32>() as f64;
    let ids: Vec<u32> = batch.samples.iter().flat_map(|s| s.ids.iter().copied()).collect();
    let angles = host.angles(&batch);
    let input = input(&batch, &ids, &angles, &targets);
    let model = host.model_mut();
    let mut gradient = vec![0f32; model.weights.len()];
    let outcome = model.step(&input, &mut gradient);
    assert!((outcome.loss - loss).abs() < 1e-4 * loss, "{} {loss}", outcome.loss);
    assert!(
        outcome.best.iter().zip(&best).filter(|(a, b)| a == b).count() * 100 >= best.len() * 99
    );
    assert!(outcome.nll.iter().zip(&nll).all(|(a, b)| (a - b).abs() < 2e-3));
    model.weights = gradient;
    let found = model.export();
    assert_eq!(found.len(), wanted.len());
    for (name, want) in wanted {
        let got = &found.iter().find(|(other, _)| *other == name).unwrap().1;
        let (mut apart, mut norm) = (0f64, 0f64);
        for (got, want) in got.iter::<f32>().zip(&want) {
            apart += (got as f64 - *want as f64).powi(2);
            norm += (*want as f64).powi(2);
        }
        assert!(norm > 0.0, "{name}: no gradient");
        assert!(apart.sqrt() < 1e-3 * norm.sqrt(), "{name}: {} of {}", apart.sqrt(), norm.sqrt());
    }
}
