//! The methods that are compared, as formulas on one layer: A\[k, i\] its activation, g\[k, i\] = ∂y/∂A\[k, i\], k a map, i a cell.

/// A way to say which part of a spectrum an output comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    /// Normally distributed numbers, one per band: what every measure gives for nothing.
    Random,
    /// Σ_k w\[k\] A\[k, i\] with w the weights of the head (B. Zhou et al., CVPR 2016). Where the head sees every cell by itself,
    /// w\[k\] is their mean over the cells.
    Cam,
    /// max(0, Σ_k w\[k\] A\[k, i\]) with w\[k\] = mean_i g\[k, i\] (R. Selvaraju et al., ICCV 2017).
    GradCam,
    /// The same without the cut at zero.
    GradCamSigned,
    /// max(0, Σ_k max(0, g\[k, i\]) A\[k, i\]) (P.-T. Jiang et al., IEEE Trans. Image Process. 30 (2021) 5875).
    LayerCam,
    /// M\[i\] = Σ_k g\[k, i\] A\[k, i\] (G.-Y. Shi et al., Anal. Chem. 95 (2023) 9959; as HiResCAM, arXiv 2011.08891).
    GradCam1d,
    /// D\[i\] = M\[i\](x) − M\[i\](r), r the mean spectrum of the reference population.
    Difference,
    /// M\[i\] less its mean over the reference population. It is not the difference map where rectifiers lie before the layer: there
    /// the mean of maps is not the map of the mean.
    DifferenceFromMeanMap,
    /// (x − r) ∫ ∂y/∂x along the straight way from the reference spectrum r to x (M. Sundararajan et al., ICML 2017).
    IntegratedGradients,
    /// y(x) − y(x with one band replaced by the reference spectrum).
    Occlusion,
}

/// What the sum of a map claims to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    /// Nothing.
    Nothing,
    /// y less what the model says where the layer is zero.
    FromOffset,
    /// y less its mean over the reference population.
    FromPopulation,
    /// y less that of the population's mean spectrum.
    FromReference,
}

/// How often the network is run for one explanation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Passes {
    /// From the spectrum to y.
    pub(super) forward: usize,
    /// From y back to the spectrum.
    pub(super) backward: usize,
}

impl Method {
    /// In the order of the table.
    pub(super) const ALL: [Self; 10] = [
        Self::Random,
        Self::Cam,
        Self::GradCam,
        Self::GradCamSigned,
        Self::LayerCam,
        Self::GradCam1d,
        Self::Difference,
        Self::DifferenceFromMeanMap,
        Self::IntegratedGradients,
        Self::Occlusion,
    ];

    /// For tables.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::Cam => "CAM",
            Self::GradCam => "Grad-CAM",
            Self::GradCamSigned => "Grad-CAM without ReLU",
            Self::LayerCam => "LayerCAM",
            Self::GradCam1d => "1D Grad-CAM",
            Self::Difference => "difference map",
            Self::DifferenceFromMeanMap => "difference from the mean map",
            Self::IntegratedGradients => "integrated gradients",
            Self::Occlusion => "occlusion",
        }
    }

    /// What its map adds up to, if it does.
    pub(super) const fn claim(self) -> Claim {
        match self {
            Self::Random => Claim::Nothing,
            Self::DifferenceFromMeanMap => Claim::FromPopulation,
            Self::Difference | Self::IntegratedGradients | Self::Occlusion => Claim::FromReference,
            _ => Claim::FromOffset,
        }
    }

    /// What one explanation costs with a head that is linear behind the layer, whose gradient is its weights; `steps` are those of
    /// integrated gradients.
    pub(super) const fn passes(self, segments: usize, steps: usize) -> Passes {
        match self {
            Self::Random => Passes { forward: 0, backward: 0 },
            Self::IntegratedGradients => Passes { forward: steps, backward: steps },
            Self::Occlusion => Passes { forward: segments + 1, backward: 0 },
            _ => Passes { forward: 1, backward: 0 },
        }
    }
}

/// The map by cells of a method that needs one run of the network; `activation` and `gradient` are [maps][cells]. `None` for the
/// others. The difference maps are that of 1D Grad-CAM here: what is subtracted does not depend on the spectrum.
pub(super) fn by_cell(method: Method, activation: &[f32], gradient: &[f32], cells: usize) -> Option<Vec<f64>> {
    let mut map = vec![0.0; cells];
    let mut add = |weigh: &dyn Fn(&[f32], usize) -> f64| {
        for (values, gradient) in activation.chunks_exact(cells).zip(gradient.chunks_exact(cells)) {
            for (cell, (sum, &value)) in map.iter_mut().zip(values).enumerate() {
                *sum += weigh(gradient, cell) * f64::from(value);
            }
        }
    };
    match method {
        Method::Cam | Method::GradCam | Method::GradCamSigned => {
            let means: Vec<f64> = gradient
                .chunks_exact(cells)
                .map(|map| map.iter().copied().map(f64::from).sum::<f64>() / cells as f64)
                .collect();
            for (values, mean) in activation.chunks_exact(cells).zip(means) {
                map.iter_mut().zip(values).for_each(|(sum, &value)| *sum += mean * f64::from(value));
            }
        }
        Method::LayerCam => add(&|gradient, cell| f64::from(gradient[cell].max(0.0))),
        Method::GradCam1d | Method::DifferenceFromMeanMap | Method::Difference => {
            add(&|gradient, cell| f64::from(gradient[cell]))
        }
        Method::Random | Method::IntegratedGradients | Method::Occlusion => return None,
    }
    if matches!(method, Method::GradCam | Method::LayerCam) {
        map.iter_mut().for_each(|value| *value = value.max(0.0));
    }
    Some(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two maps of three cells.
    const ACTIVATION: [f32; 6] = [1.0, 0.0, 2.0, 3.0, 1.0, 0.0];
    const GRADIENT: [f32; 6] = [2.0, 1.0, -3.0, -1.0, 0.5, 2.0];

    #[test]
    fn maps_by_hand() {
        // Means of the gradients: 0 and 0.5.
        let cases = [
            (Method::Cam, [1.5, 0.5, 0.0]),
            (Method::GradCamSigned, [1.5, 0.5, 0.0]),
            (Method::GradCam, [1.5, 0.5, 0.0]),
            (Method::LayerCam, [2.0, 0.5, 0.0]),
            (Method::GradCam1d, [-1.0, 0.5, -6.0]),
            (Method::DifferenceFromMeanMap, [-1.0, 0.5, -6.0]),
        ];
        for (method, expected) in cases {
            assert_eq!(by_cell(method, &ACTIVATION, &GRADIENT, 3).as_deref(), Some(&expected[..]), "{}", method.name());
        }
        let against = GRADIENT.map(|value| -value);
        let cases = [
            (Method::GradCamSigned, [-1.5, -0.5, 0.0]),
            (Method::GradCam, [0.0, 0.0, 0.0]),
            (Method::LayerCam, [3.0, 0.0, 6.0]),
        ];
        for (method, expected) in cases {
            assert_eq!(by_cell(method, &ACTIVATION, &against, 3).as_deref(), Some(&expected[..]), "{}", method.name());
        }
        assert_eq!(by_cell(Method::Occlusion, &ACTIVATION, &GRADIENT, 3), None);
    }

    #[test]
    fn where_the_head_averages_over_the_axis_nothing_is_gained() {
        // The gradient is the same at every cell: CAM, Grad-CAM without ReLU and 1D Grad-CAM are one.
        let gradient = [2.0, 2.0, 2.0, -1.0, -1.0, -1.0];
        let map = |method| by_cell(method, &ACTIVATION, &gradient, 3);
        assert_eq!(map(Method::Cam), map(Method::GradCam1d));
        assert_eq!(map(Method::GradCamSigned), map(Method::GradCam1d));
        assert!(map(Method::GradCam) != map(Method::GradCam1d));
    }
}
