//! The Raman bands of what a vegetable oil is made of, and the noiseless spectrum of each constituent.
//!
//! A constituent's spectrum is a sum of pseudo-Voigt bands V(ν̃) = η/(1 + 4u²) + (1 − η)·exp(−4 ln2 · u²) with
//! u = (ν̃ − centre)/FWHM. Positions are those of vegetable oils at 785 nm (Beattie 2004, Weng 2003, Baeten 1998, Qiu 2019,
//! Zou 2009); the heights reproduce, relative to CH2 at 1440 cm⁻¹, what digitised reference spectra of the pure liquid
//! triglycerides show (De Gelder 2007 at 785 nm; tricaprylin at 1064 nm for saturated chains, with the ester band of long
//! ones); small fillers stand for the C-C skeleton between the named bands.

use std::sync::LazyLock;

/// What scatters: the liquid triglycerides by double bonds per chain, and what comes on top.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Constituent {
    /// Chains without a double bond (16:0, 18:0), liquid.
    Saturated,
    /// 18:1, cis.
    Oleic,
    /// 18:2, cis.
    Linoleic,
    /// 18:3, cis.
    Linolenic,
    /// Crystalline saturated chains: the all-trans skeleton.
    Solid,
    /// 18:1 with a trans double bond, liquid.
    Elaidic,
    /// Carotenoids, per height of their 1525 cm⁻¹ band.
    Carotenoid,
    /// The plastic, for checks of the axis.
    Polystyrene,
    /// 4-acetamidophenol powder, for the same.
    Acetaminophen,
}

/// How many constituents there are.
pub(super) const CONSTITUENTS: usize = 9;

/// How many of them are found in oils.
const OIL_CONSTITUENTS: usize = 7;

/// Scattering of the CH2 band per gram of triglyceride, relative to a saturated one: CH2 and CH3 groups per mass of
/// C18:0, 18:1, 18:2, 18:3 triglycerides. Carotenoids are measured against it, not by mass.
pub(super) const CH2_PER_MASS: [f64; CONSTITUENTS] = [1.0, 0.89, 0.78, 0.67, 1.0, 0.89, 1.0, 1.0, 1.0];

/// The CH2 scissor band, cm⁻¹: the unit of height.
pub(super) const CH2_PER_CM: f64 = 1440.0;

/// The tabulated shifts: every 1 cm⁻¹ from 0.
pub(super) const GRID_POINTS: usize = 2401;

/// One band, its height in each constituent.
struct RamanBand {
    centre_per_cm: f64,
    width_per_cm: f64,
    lorentz: f64,
    /// Saturated, oleic, linoleic, linolenic, solid, elaidic, carotenoid.
    heights: [f64; OIL_CONSTITUENTS],
}

const fn band(centre_per_cm: f64, width_per_cm: f64, lorentz: f64, heights: [f64; OIL_CONSTITUENTS]) -> RamanBand {
    RamanBand { centre_per_cm, width_per_cm, lorentz, heights }
}

#[rustfmt::skip]
static BANDS: [RamanBand; 42] = [
    // Fillers below the skeletal region: chain deformation.
    band(250.0, 90.0, 0.2, [0.06, 0.06, 0.06, 0.07, 0.04, 0.06, 0.0]),
    band(385.0, 70.0, 0.2, [0.04, 0.04, 0.04, 0.05, 0.02, 0.04, 0.0]),
    band(480.0, 60.0, 0.2, [0.03, 0.04, 0.04, 0.06, 0.02, 0.04, 0.0]),
    band(603.0, 50.0, 0.2, [0.05, 0.05, 0.05, 0.07, 0.03, 0.05, 0.0]),
    band(724.0, 24.0, 0.3, [0.06, 0.05, 0.07, 0.07, 0.02, 0.05, 0.0]),
    band(790.0, 30.0, 0.2, [0.05, 0.02, 0.03, 0.05, 0.03, 0.03, 0.0]),
    // C-C and C-O-C skeleton, CH3 rock.
    band(843.0, 34.0, 0.3, [0.18, 0.17, 0.22, 0.28, 0.03, 0.16, 0.0]),
    band(868.0, 30.0, 0.3, [0.14, 0.18, 0.26, 0.36, 0.05, 0.16, 0.0]),
    band(893.0, 28.0, 0.3, [0.16, 0.11, 0.12, 0.12, 0.18, 0.11, 0.0]),
    band(922.0, 30.0, 0.3, [0.11, 0.08, 0.15, 0.18, 0.08, 0.08, 0.0]),
    // =C-H out of plane.
    band(970.0, 21.0, 0.4, [0.04, 0.11, 0.26, 0.28, 0.03, 0.18, 0.03]),
    // Carotenoid C-CH3 rock.
    band(1008.0, 13.0, 0.5, [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.25]),
    band(1008.0, 22.0, 0.3, [0.07, 0.04, 0.07, 0.06, 0.02, 0.04, 0.0]),
    band(1030.0, 28.0, 0.3, [0.11, 0.11, 0.10, 0.08, 0.05, 0.11, 0.0]),
    // C-C stretch: gauche chains (broad), all-trans chains (narrow, solid only).
    band(1062.0, 10.0, 0.4, [0.0, 0.0, 0.0, 0.0, 0.62, 0.0, 0.0]),
    band(1066.0, 26.0, 0.4, [0.17, 0.18, 0.19, 0.12, 0.0, 0.18, 0.0]),
    band(1084.0, 28.0, 0.4, [0.18, 0.30, 0.30, 0.31, 0.05, 0.28, 0.0]),
    band(1104.0, 14.0, 0.4, [0.0, 0.0, 0.0, 0.0, 0.14, 0.0, 0.0]),
    band(1118.0, 26.0, 0.4, [0.16, 0.09, 0.11, 0.05, 0.0, 0.11, 0.0]),
    band(1130.0, 9.0, 0.4, [0.0, 0.0, 0.0, 0.0, 0.66, 0.0, 0.0]),
    // Carotenoid C-C.
    band(1156.0, 15.0, 0.5, [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.95]),
    band(1160.0, 22.0, 0.4, [0.03, 0.01, 0.02, 0.06, 0.02, 0.01, 0.0]),
    band(1191.0, 16.0, 0.4, [0.02, 0.02, 0.02, 0.03, 0.06, 0.02, 0.12]),
    band(1222.0, 26.0, 0.4, [0.03, 0.02, 0.05, 0.07, 0.03, 0.02, 0.06]),
    band(1250.0, 24.0, 0.4, [0.05, 0.08, 0.22, 0.34, 0.05, 0.05, 0.0]),
    // =C-H in-plane bend, cis.
    band(1266.5, 20.0, 0.5, [0.06, 0.25, 0.66, 0.86, 0.03, 0.04, 0.06]),
    // CH2 twist: broad in the liquid, sharp in the solid.
    band(1297.0, 9.0, 0.4, [0.0, 0.0, 0.0, 0.0, 0.95, 0.0, 0.0]),
    band(1302.5, 22.0, 0.5, [0.48, 0.54, 0.49, 0.64, 0.15, 0.54, 0.0]),
    band(1322.0, 24.0, 0.3, [0.12, 0.09, 0.09, 0.10, 0.03, 0.09, 0.0]),
    band(1347.0, 24.0, 0.4, [0.08, 0.04, 0.03, 0.05, 0.03, 0.04, 0.0]),
    band(1370.0, 24.0, 0.4, [0.08, 0.03, 0.03, 0.03, 0.06, 0.03, 0.0]),
    band(1402.0, 24.0, 0.4, [0.10, 0.05, 0.05, 0.05, 0.05, 0.05, 0.02]),
    band(1418.0, 12.0, 0.4, [0.0, 0.0, 0.0, 0.0, 0.12, 0.0, 0.0]),
    // CH2 scissor and its shoulder.
    band(1440.0, 20.0, 0.5, [0.88, 0.88, 0.88, 0.88, 0.88, 0.88, 0.04]),
    band(1461.0, 25.0, 0.5, [0.60, 0.45, 0.42, 0.45, 0.70, 0.45, 0.04]),
    // Carotenoid C=C.
    band(1525.0, 16.0, 0.6, [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]),
    band(1550.0, 60.0, 0.2, [0.01, 0.015, 0.02, 0.02, 0.01, 0.015, 0.0]),
    // C=C stretch: cis, its foot, trans.
    band(1633.0, 18.0, 0.5, [0.0, 0.005, 0.03, 0.08, 0.0, 0.005, 0.0]),
    band(1656.0, 15.5, 0.6, [0.01, 0.61, 2.25, 3.35, 0.0, 0.02, 0.0]),
    band(1669.0, 14.0, 0.6, [0.0, 0.0, 0.0, 0.0, 0.0, 0.72, 0.0]),
    // Ester C=O, two conformers.
    band(1732.0, 22.0, 0.4, [0.03, 0.03, 0.03, 0.04, 0.06, 0.03, 0.0]),
    band(1746.0, 20.0, 0.5, [0.14, 0.125, 0.125, 0.16, 0.10, 0.125, 0.0]),
];

/// Reference materials: centre and width in cm⁻¹, height against the CH2 band of an oil. The centres are those of ASTM E1840
/// below 2400 cm⁻¹; widths and heights are plausible values of our own.
#[rustfmt::skip]
static POLYSTYRENE: [[f64; 3]; 8] = [
    [620.9, 7.0, 0.55], [795.8, 10.0, 0.35], [1001.4, 4.5, 3.5], [1031.8, 7.0, 0.95],
    [1155.3, 10.0, 0.45], [1450.5, 14.0, 0.40], [1583.1, 8.0, 0.50], [1602.3, 8.0, 1.05],
];
#[rustfmt::skip]
static ACETAMINOPHEN: [[f64; 3]; 20] = [
    [213.3, 8.0, 0.60], [329.2, 8.0, 0.55], [390.9, 8.0, 0.65], [465.1, 8.0, 0.40], [504.0, 8.0, 0.35],
    [651.6, 6.0, 0.90], [710.8, 7.0, 0.35], [797.2, 6.0, 0.95], [834.5, 7.0, 0.60], [857.9, 6.0, 1.20],
    [968.7, 7.0, 0.35], [1105.5, 8.0, 0.40], [1168.5, 7.0, 1.30], [1236.8, 8.0, 1.60], [1278.5, 8.0, 0.90],
    [1323.9, 7.0, 2.00], [1371.5, 8.0, 0.80], [1515.1, 8.0, 0.45], [1561.6, 8.0, 0.80], [1648.4, 8.0, 1.40],
];

/// Between a Gaussian and a Lorentzian: the shape of their bands.
const REFERENCE_LORENTZ: f64 = 0.5;

/// Each constituent's spectrum on the grid, its CH2 band (carotenoids: 1525 cm⁻¹) = 1; reference materials as tabulated.
pub(super) fn library() -> &'static [Vec<f64>; CONSTITUENTS] {
    static LIBRARY: LazyLock<[Vec<f64>; CONSTITUENTS]> = LazyLock::new(|| {
        std::array::from_fn(|constituent| {
            let mut spectrum: Vec<f64> = (0..GRID_POINTS).map(|shift| sum(constituent, shift as f64)).collect();
            if constituent >= OIL_CONSTITUENTS {
                return spectrum;
            }
            let unit_per_cm = if constituent == Constituent::Carotenoid as usize { 1525.0 } else { CH2_PER_CM };
            let unit = sum(constituent, unit_per_cm);
            spectrum.iter_mut().for_each(|value| *value /= unit);
            spectrum
        })
    });
    &LIBRARY
}

fn sum(constituent: usize, shift_per_cm: f64) -> f64 {
    let reference: &[[f64; 3]] = match constituent {
        at if at == Constituent::Polystyrene as usize => &POLYSTYRENE,
        at if at == Constituent::Acetaminophen as usize => &ACETAMINOPHEN,
        _ => &[],
    };
    if !reference.is_empty() {
        let shape = |&[centre, width, height]: &[f64; 3]| {
            height * pseudo_voigt((shift_per_cm - centre) / width, REFERENCE_LORENTZ)
        };
        return reference.iter().map(shape).sum();
    }
    BANDS.iter().map(|band| band.heights[constituent] * band.shape(shift_per_cm)).sum()
}

impl RamanBand {
    fn shape(&self, shift_per_cm: f64) -> f64 {
        pseudo_voigt((shift_per_cm - self.centre_per_cm) / self.width_per_cm, self.lorentz)
    }
}

/// V(u) with u in widths from the centre.
fn pseudo_voigt(u: f64, lorentz: f64) -> f64 {
    let u2 = u * u;
    lorentz / (1.0 + 4.0 * u2) + (1.0 - lorentz) * (-4.0 * std::f64::consts::LN_2 * u2).exp()
}

/// The constituents' spectra through a Gaussian slit of this width (FWHM).
pub(super) fn blurred_library(resolution_per_cm: f64) -> [Vec<f64>; CONSTITUENTS] {
    let sigma = resolution_per_cm / (8.0 * std::f64::consts::LN_2).sqrt();
    let reach = (4.0 * sigma).ceil() as usize;
    let kernel: Vec<f64> =
        (0..=2 * reach).map(|i| (-0.5 * ((i as f64 - reach as f64) / sigma).powi(2)).exp()).collect();
    let area: f64 = kernel.iter().sum();
    std::array::from_fn(|constituent| {
        let sharp = &library()[constituent];
        (0..GRID_POINTS)
            .map(|at| {
                let neighbours = kernel.iter().enumerate();
                let sum: f64 = neighbours
                    .map(|(i, weight)| weight * sharp[(at + i).saturating_sub(reach).min(GRID_POINTS - 1)])
                    .sum();
                sum / area
            })
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two digitised sources of one triglyceride differ by up to 40 %; the table's own values are met far closer.
    const HEIGHT_TOLERANCE: f64 = 0.10;

    fn check(constituent: Constituent, heights: [(usize, f64); 4]) {
        for (shift, expected) in heights {
            let around = &library()[constituent as usize][shift - 6..=shift + 6];
            let found = around.iter().copied().fold(0.0, f64::max);
            assert!(
                (found / expected - 1.0).abs() < HEIGHT_TOLERANCE,
                "{constituent:?} at {shift}: {found} not {expected}"
            );
        }
    }

    #[test]
    fn the_pure_triglycerides_have_the_heights_of_their_reference_spectra() {
        check(Constituent::Oleic, [(1267, 0.34), (1302, 0.62), (1656, 0.63), (1745, 0.15)]);
        check(Constituent::Linoleic, [(1267, 0.79), (1302, 0.62), (1656, 2.33), (1745, 0.14)]);
        check(Constituent::Linolenic, [(1267, 1.05), (1302, 0.73), (1656, 3.49), (1745, 0.20)]);
    }

    #[test]
    fn solid_fat_and_trans_chains_show_where_they_differ() {
        let at = |constituent: Constituent, shift: usize| library()[constituent as usize][shift];
        for skeleton in [1062, 1130, 1297] {
            assert!(at(Constituent::Solid, skeleton) > 1.5 * at(Constituent::Saturated, skeleton), "{skeleton}");
        }
        assert!(at(Constituent::Elaidic, 1669) > 5.0 * at(Constituent::Elaidic, 1640));
        assert!(at(Constituent::Oleic, 1656) > 2.0 * at(Constituent::Oleic, 1669));
    }
}
