//! Draws of the standard normal distribution.

use rand::RngExt;
use rand::rngs::StdRng;

/// A number of the standard normal distribution (Box and Muller 1958).
pub(crate) fn normal(rng: &mut StdRng) -> f64 {
    let (u, v): (f64, f64) = (rng.random(), rng.random());
    (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn draws_are_normal() {
        let mut rng = StdRng::seed_from_u64(1);
        let draws: Vec<f64> = (0..20_000).map(|_| normal(&mut rng)).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let within = draws.iter().filter(|z| z.abs() < 1.96).count() as f64 / draws.len() as f64;
        assert!(mean.abs() < 0.03 && (within - 0.95).abs() < 0.01, "{mean} {within}");
    }
}
