//! Adam with decoupled weight decay, a short warm-up and a cosine to zero.
//!
//! D. P. Kingma and J. Ba, "Adam", ICLR 2015; I. Loshchilov and F. Hutter, "Decoupled weight decay regularization",
//! ICLR 2019.

use super::network::Parameters;

/// Share of the old mean of the gradient that is kept each step.
const BETA_MEAN: f32 = 0.9;
/// Share of the old mean square that is kept: short, because there are only a few hundred steps.
const BETA_SQUARE: f32 = 0.99;
/// Keeps the division finite where a gradient never was.
const EPSILON: f32 = 1e-8;
/// Pulled off every weight (not off biases) each step, times the learning rate.
const WEIGHT_DECAY: f32 = 0.1;
/// Steps over which the learning rate rises from zero.
const WARM_UP_STEPS: usize = 20;

/// The state of a descent.
pub(super) struct Adam {
    mean: Parameters<f32>,
    square: Parameters<f32>,
    step: usize,
    steps: usize,
    rate: f32,
}

impl Adam {
    /// For `steps` steps with a learning rate of at most `rate`.
    pub(super) fn new(parameters: &Parameters<f32>, steps: usize, rate: f32) -> Self {
        Self { mean: parameters.zeros_like(), square: parameters.zeros_like(), step: 0, steps, rate }
    }

    /// One step down `gradient`.
    pub(super) fn step(&mut self, parameters: &mut Parameters<f32>, gradient: &Parameters<f32>) {
        let rate = learning_rate(self.rate, self.step, self.steps);
        self.step += 1;
        let count = self.step as f32;
        let unbias_mean = 1.0 / (1.0 - BETA_MEAN.powf(count));
        let unbias_square = 1.0 / (1.0 - BETA_SQUARE.powf(count));
        let update = |values: &mut [f32], gradient: &[f32], mean: &mut [f32], square: &mut [f32], decay: f32| {
            let moments = mean.iter_mut().zip(square);
            for ((value, &g), (mean, square)) in values.iter_mut().zip(gradient).zip(moments) {
                *mean = BETA_MEAN * *mean + (1.0 - BETA_MEAN) * g;
                *square = BETA_SQUARE * *square + (1.0 - BETA_SQUARE) * g * g;
                let direction = *mean * unbias_mean / ((*square * unbias_square).sqrt() + EPSILON);
                *value -= rate * (direction + decay * *value);
            }
        };
        let moments = self.mean.layers_mut().into_iter().zip(self.square.layers_mut());
        for ((layer, gradient), (mean, square)) in
            parameters.layers_mut().into_iter().zip(gradient.layers()).zip(moments)
        {
            update(&mut layer.weights, &gradient.weights, &mut mean.weights, &mut square.weights, WEIGHT_DECAY);
            update(&mut layer.bias, &gradient.bias, &mut mean.bias, &mut square.bias, 0.0);
        }
    }
}

/// Rises linearly over the warm-up, then falls along half a cosine to zero at `steps`.
fn learning_rate(rate: f32, step: usize, steps: usize) -> f32 {
    let warm = ((step + 1) as f32 / WARM_UP_STEPS as f32).min(1.0);
    let turn = std::f32::consts::PI * step as f32 / steps as f32;
    rate * warm * 0.5 * (1.0 + turn.cos())
}

#[cfg(test)]
mod tests {
    use super::super::layers::Affine;
    use super::*;

    fn parameters(weight: f32, bias: f32) -> Parameters<f32> {
        let layer = Affine { weights: vec![weight], bias: vec![bias] };
        Parameters {
            stem: layer.clone(),
            first: layer.clone(),
            second: layer.clone(),
            shortcut: layer.clone(),
            head: layer,
        }
    }

    #[test]
    fn the_rate_warms_up_and_ends_at_zero() {
        let rates: Vec<f32> = (0..=400).map(|step| learning_rate(1e-3, step, 400)).collect();
        assert!((rates[0] - 5e-5).abs() < 1e-7, "{}", rates[0]);
        assert!((rates[200] - 5e-4).abs() < 1e-7, "{}", rates[200]);
        assert!(rates[400].abs() < 1e-9);
        assert!(rates[20..].windows(2).all(|pair| pair[1] < pair[0]));
    }

    #[test]
    fn the_first_step_is_the_rate_against_the_sign_plus_decay_of_weights() {
        let mut moved = parameters(2.0, 2.0);
        let mut adam = Adam::new(&moved, 400, 1e-2);
        adam.step(&mut moved, &parameters(1e-3, -1e-3));
        let rate = 1e-2 / WARM_UP_STEPS as f32;
        for layer in moved.layers() {
            assert!((layer.weights[0] - (2.0 - rate * (1.0 + WEIGHT_DECAY * 2.0))).abs() < 1e-6);
            assert!((layer.bias[0] - (2.0 + rate)).abs() < 1e-6);
        }
    }

    #[test]
    fn descends_to_the_minimum_of_a_parabola() {
        let mut moved = parameters(3.0, -3.0);
        let steps = 2000;
        let mut adam = Adam::new(&moved, steps, 1e-2);
        for _ in 0..steps {
            // Gradient of x²/2: where a minimum lies at zero, decay does not move it.
            let gradient = moved.clone();
            adam.step(&mut moved, &gradient);
        }
        assert!(moved.layers().iter().all(|layer| layer.weights[0].abs() < 1e-3 && layer.bias[0].abs() < 1e-3));
    }
}
