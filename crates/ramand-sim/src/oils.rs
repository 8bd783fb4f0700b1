//! Vegetable oils as data, and samples drawn from them.
//!
//! Mean fatty-acid compositions are those of Michaelsen 2011 (PMC6860741, table 2). The spread within an oil is that of 96
//! commercial oils analysed by gas chromatography (Brodnjak-Voncina 2005) where at least seven of that oil were in the
//! set (olive, sunflower, soybean, rapeseed); the others carry the pooled spread. Oleic and linoleic acid compete for the
//! same chains: within every oil of that set they correlate with −0.84 to −0.98. Levels of carotenoids, fluorescence, trans
//! and solid fat are assumptions about refined oils (olive: virgin) at 785 nm.

use rand::Rng;
use rand_distr::{Distribution, LogNormal, StandardNormal};

use super::bands::{CH2_PER_MASS, CONSTITUENTS, Constituent};
use super::fluorescence::{Fluorescence, SHAPES};

/// Correlation of oleic and linoleic acid within an oil.
const OLEIC_LINOLEIC_CORRELATION: f64 = -0.9;

/// Draws further from the mean than this many standard deviations are drawn again: no bottle of the oil looks like that.
const TRUNCATE_AT: f64 = 2.5;

/// Mean and standard deviation within an oil, % of the fatty acids by weight.
#[derive(Debug, Clone, Copy)]
struct Share {
    mean_pct: f64,
    spread_pct: f64,
}

/// A level that is always positive: median and standard deviation of its logarithm.
#[derive(Debug, Clone, Copy)]
struct Level {
    median: f64,
    log_spread: f64,
}

/// One kind of oil.
#[derive(Debug)]
pub(super) struct Oil {
    /// Its name, as labels and scenarios spell it.
    pub(super) name: &'static str,
    /// 16:0, 18:0, 18:1, 18:2, 18:3.
    acids: [Share; 5],
    /// Height of the 1525 cm⁻¹ band against CH2.
    carotenoid: Level,
    /// Background at 200 cm⁻¹ against the CH2 band.
    fluorescence: Level,
    /// Part of the monounsaturated chains that is trans.
    trans: Level,
    /// Part of the saturated chains that is crystalline at room temperature.
    solid: Level,
}

const fn share(mean_pct: f64, spread_pct: f64) -> Share {
    Share { mean_pct, spread_pct }
}

const fn level(median: f64, log_spread: f64) -> Level {
    Level { median, log_spread }
}

/// Standard deviation of the logarithm of a background's level where it is no oil's own: what most oils have.
const BACKGROUND_SPREAD: f64 = 0.4;

/// Refined oils hold a few tenths of a per cent of trans chains, and no crystals.
const TRACE_OF_TRANS: Level = level(0.003, 0.4);
const LIQUID: Level = level(0.0, 0.0);

#[rustfmt::skip]
static OILS: [Oil; 11] = [
    Oil { name: "olive",
        acids: [share(13.0, 1.7), share(3.0, 0.3), share(71.0, 4.4), share(10.0, 3.3), share(1.0, 0.5)],
        carotenoid: level(0.045, 0.35), fluorescence: level(1.6, 0.45), trans: level(0.001, 0.4), solid: LIQUID },
    Oil { name: "sunflower",
        acids: [share(7.0, 0.4), share(5.0, 0.5), share(26.0, 1.9), share(61.0, 2.1), share(0.3, 0.3)],
        carotenoid: level(0.006, 0.4), fluorescence: level(0.5, 0.4), trans: TRACE_OF_TRANS, solid: LIQUID },
    Oil { name: "soybean",
        acids: [share(11.0, 0.7), share(4.0, 0.3), share(23.0, 1.9), share(54.0, 1.9), share(7.0, 0.9)],
        carotenoid: level(0.008, 0.4), fluorescence: level(0.7, 0.4), trans: TRACE_OF_TRANS, solid: LIQUID },
    Oil { name: "rapeseed",
        acids: [share(3.0, 0.5), share(2.0, 0.2), share(60.0, 4.2), share(20.0, 3.9), share(10.0, 1.0)],
        carotenoid: level(0.015, 0.4), fluorescence: level(0.9, 0.4), trans: TRACE_OF_TRANS, solid: LIQUID },
    Oil { name: "corn",
        acids: [share(13.0, 0.7), share(2.0, 0.3), share(31.0, 2.2), share(53.0, 2.2), share(1.0, 0.4)],
        carotenoid: level(0.030, 0.35), fluorescence: level(0.9, 0.4), trans: TRACE_OF_TRANS, solid: LIQUID },
    Oil { name: "peanut",
        acids: [share(11.0, 0.7), share(3.0, 0.3), share(52.0, 3.0), share(28.0, 3.0), share(0.2, 0.2)],
        carotenoid: level(0.006, 0.4), fluorescence: level(0.6, 0.4), trans: TRACE_OF_TRANS, solid: LIQUID },
    Oil { name: "palm",
        acids: [share(44.0, 2.0), share(5.0, 0.5), share(40.0, 2.2), share(9.0, 1.2), share(0.2, 0.1)],
        carotenoid: level(0.012, 0.5), fluorescence: level(0.8, 0.4), trans: TRACE_OF_TRANS, solid: level(0.10, 0.5) },
    Oil { name: "sesame",
        acids: [share(9.0, 0.7), share(5.0, 0.4), share(39.0, 2.2), share(45.0, 2.2), share(0.3, 0.2)],
        carotenoid: level(0.010, 0.4), fluorescence: level(1.2, 0.4), trans: TRACE_OF_TRANS, solid: LIQUID },
    Oil { name: "safflower",
        acids: [share(7.0, 0.5), share(2.0, 0.3), share(19.0, 2.0), share(75.0, 2.0), share(0.2, 0.2)],
        carotenoid: level(0.006, 0.4), fluorescence: level(0.5, 0.4), trans: TRACE_OF_TRANS, solid: LIQUID },
    Oil { name: "cottonseed",
        acids: [share(24.0, 1.2), share(3.0, 0.3), share(18.0, 1.9), share(52.0, 1.9), share(0.2, 0.2)],
        carotenoid: level(0.008, 0.4), fluorescence: level(0.8, 0.4), trans: TRACE_OF_TRANS, solid: level(0.02, 0.4) },
    Oil { name: "flaxseed",
        acids: [share(6.0, 0.5), share(3.0, 0.4), share(20.0, 2.2), share(17.0, 1.6), share(53.0, 3.0)],
        carotenoid: level(0.025, 0.4), fluorescence: level(1.3, 0.4), trans: level(0.001, 0.4), solid: LIQUID },
];

impl Oil {
    /// Every oil there is.
    pub(super) fn all() -> &'static [Self] {
        &OILS
    }

    /// The oil of that name.
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        OILS.iter().find(|oil| oil.name == name)
    }

    /// The mean composition, % by weight: 16:0, 18:0, 18:1, 18:2, 18:3.
    pub(super) fn mean_composition_pct(&self) -> [f64; 5] {
        self.acids.map(|share| share.mean_pct)
    }
}

/// What is on the stage: one bottle of one oil, or a blend of bottles. All of it mixes linearly by mass.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Specimen {
    /// 16:0, 18:0, 18:1, 18:2, 18:3 in % by weight, closed to 100.
    pub(super) acids_pct: [f64; 5],
    /// How much of each constituent scatters, in CH2 heights; carotenoids in heights of their own band.
    pub(super) constituents: [f64; CONSTITUENTS],
    /// What the sample fluoresces, in CH2 heights of an average oil.
    pub(super) fluorescence: Fluorescence,
}

impl Specimen {
    /// One bottle: a fresh draw of composition and levels.
    pub(super) fn draw(oil: &Oil, rng: &mut impl Rng) -> Self {
        let acids_pct = composition(&oil.acids, rng);
        let trans = oil.trans.draw(rng).min(1.0);
        let solid = oil.solid.draw(rng).min(0.5);
        let constituents = constituents(acids_pct, trans, solid, oil.carotenoid.draw(rng));
        let fluorescence = Fluorescence::draw(oil.fluorescence.draw(rng), rng);
        Self { acids_pct, constituents, fluorescence }
    }

    /// The same in a bottle whose background, about `level` CH2 heights, says nothing about the oil.
    pub(super) fn on_background(self, level: f64, rng: &mut impl Rng) -> Self {
        let level = Level { median: level, log_spread: BACKGROUND_SPREAD };
        Self { fluorescence: Fluorescence::draw(level.draw(rng), rng), ..self }
    }

    /// A piece of a reference material: every piece is like the other.
    fn reference(constituent: Constituent) -> Self {
        let mut constituents = [0.0; CONSTITUENTS];
        constituents[constituent as usize] = 1.0;
        Self { acids_pct: [0.0; 5], constituents, fluorescence: Fluorescence::typical(REFERENCE_FLUORESCENCE) }
    }

    /// The oil as its table describes it, in no particular bottle, and without any background.
    pub(super) fn typical(oil: &Oil) -> Self {
        let total: f64 = oil.mean_composition_pct().iter().sum();
        let acids_pct = oil.mean_composition_pct().map(|pct| 100.0 * pct / total);
        let constituents = constituents(acids_pct, oil.trans.median, oil.solid.median, oil.carotenoid.median);
        Self { acids_pct, constituents, fluorescence: Fluorescence { amplitudes: [0.0; SHAPES] } }
    }

    /// `parts` mixed by mass; the masses are relative and positive in sum.
    pub(super) fn blend(parts: &[(&Self, f64)]) -> Self {
        let total: f64 = parts.iter().map(|(_, mass)| mass).sum();
        let mean = |of: &dyn Fn(&Self) -> f64| parts.iter().map(|(part, mass)| mass / total * of(part)).sum();
        Self {
            acids_pct: std::array::from_fn(|i| mean(&|part| part.acids_pct[i])),
            constituents: std::array::from_fn(|i| mean(&|part| part.constituents[i])),
            fluorescence: Fluorescence {
                amplitudes: std::array::from_fn(|i| mean(&|part| part.fluorescence.amplitudes[i])),
            },
        }
    }
}

/// Background of a reference material at 200 cm⁻¹, in CH2 heights of an oil.
const REFERENCE_FLUORESCENCE: f64 = 0.3;

/// What a scenario can put on the stage: an oil, whose bottles differ, or a reference material, every piece of which is like the
/// other.
#[derive(Debug, Clone, Copy)]
pub struct Substance(StageMaterial);

#[derive(Debug, Clone, Copy)]
enum StageMaterial {
    Oil(&'static Oil),
    /// Its bands stand in ASTM E1840, as those of the next.
    Polystyrene,
    Acetaminophen,
}

impl Substance {
    /// The substance of that name, as scenarios spell it: `olive`, `polystyrene`. `None` where there is none.
    pub fn named(name: &str) -> Option<Self> {
        let material = match name {
            "polystyrene" => Some(StageMaterial::Polystyrene),
            "acetaminophen" => Some(StageMaterial::Acetaminophen),
            oil => Oil::named(oil).map(StageMaterial::Oil),
        };
        material.map(Self)
    }

    /// As scenarios spell it.
    pub(super) const fn name(self) -> &'static str {
        match self.0 {
            StageMaterial::Oil(oil) => oil.name,
            StageMaterial::Polystyrene => "polystyrene",
            StageMaterial::Acetaminophen => "acetaminophen",
        }
    }

    /// One bottle or piece.
    pub(super) fn draw(self, rng: &mut impl Rng) -> Specimen {
        match self.0 {
            StageMaterial::Oil(oil) => Specimen::draw(oil, rng),
            StageMaterial::Polystyrene => Specimen::reference(Constituent::Polystyrene),
            StageMaterial::Acetaminophen => Specimen::reference(Constituent::Acetaminophen),
        }
    }
}

/// How much of each constituent scatters, in CH2 heights; `trans` and `solid` are parts of the oleic and of the saturated chains.
fn constituents(acids_pct: [f64; 5], trans: f64, solid: f64, carotenoid: f64) -> [f64; CONSTITUENTS] {
    let [palmitic, stearic, oleic, linoleic, linolenic] = acids_pct.map(|pct| pct / 100.0);
    let mut masses = [0.0; CONSTITUENTS];
    masses[Constituent::Saturated as usize] = (palmitic + stearic) * (1.0 - solid);
    masses[Constituent::Solid as usize] = (palmitic + stearic) * solid;
    masses[Constituent::Oleic as usize] = oleic * (1.0 - trans);
    masses[Constituent::Elaidic as usize] = oleic * trans;
    masses[Constituent::Linoleic as usize] = linoleic;
    masses[Constituent::Linolenic as usize] = linolenic;
    masses[Constituent::Carotenoid as usize] = carotenoid;
    std::array::from_fn(|i| masses[i] * CH2_PER_MASS[i])
}

impl Level {
    fn draw(&self, rng: &mut impl Rng) -> f64 {
        if self.median == 0.0 {
            return 0.0;
        }
        LogNormal::new(self.median.ln(), self.log_spread).expect("the table's spreads are not negative").sample(rng)
    }
}

/// Truncated normal draws, oleic and linoleic acid correlated, closed to 100 %.
fn composition(acids: &[Share; 5], rng: &mut impl Rng) -> [f64; 5] {
    let mut scores: [f64; 5] = std::array::from_fn(|_| truncated_normal(rng));
    let independent = (1.0 - OLEIC_LINOLEIC_CORRELATION.powi(2)).sqrt();
    scores[3] = OLEIC_LINOLEIC_CORRELATION * scores[2] + independent * scores[3];
    let raw: [f64; 5] = std::array::from_fn(|i| (acids[i].mean_pct + acids[i].spread_pct * scores[i]).max(0.0));
    let total: f64 = raw.iter().sum();
    raw.map(|pct| 100.0 * pct / total)
}

fn truncated_normal(rng: &mut impl Rng) -> f64 {
    loop {
        let score: f64 = StandardNormal.sample(rng);
        if score.abs() <= TRUNCATE_AT {
            return score;
        }
    }
}

#[cfg(test)]
impl Specimen {
    /// The iodine value (g I2 per 100 g) of the triglycerides, by AOCS Cd 1c-85: 0.86·18:1 + 1.732·18:2 + 2.616·18:3.
    pub(crate) fn iodine_value(&self) -> f64 {
        let [_, _, oleic, linoleic, linolenic] = self.acids_pct;
        0.86 * oleic + 1.732 * linoleic + 2.616 * linolenic
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::ChaCha8Rng;

    #[test]
    fn bottles_scatter_about_the_table_and_close_to_a_hundred() {
        const BOTTLES: u64 = 400;
        for oil in Oil::all() {
            let bottles: Vec<Specimen> =
                (0..BOTTLES).map(|seed| Specimen::draw(oil, &mut ChaCha8Rng::seed_from_u64(seed))).collect();
            let total: f64 = oil.mean_composition_pct().iter().sum();
            for (acid, share) in oil.acids.iter().enumerate() {
                let mean = bottles.iter().map(|bottle| bottle.acids_pct[acid]).sum::<f64>() / BOTTLES as f64;
                let expected = 100.0 * share.mean_pct / total;
                assert!(
                    (mean - expected).abs() < 0.2 * share.spread_pct + 0.1,
                    "{} {acid}: {mean} {expected}",
                    oil.name
                );
            }
            for bottle in &bottles {
                assert!((bottle.acids_pct.iter().sum::<f64>() - 100.0).abs() < 1e-9, "{}", oil.name);
                assert!(bottle.constituents.iter().chain(&bottle.fluorescence.amplitudes).all(|amount| *amount >= 0.0));
            }
        }
    }

    #[test]
    fn blends_are_linear_in_mass() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let [olive, sunflower] =
            ["olive", "sunflower"].map(|name| Specimen::draw(Oil::named(name).expect("in the table"), &mut rng));
        let blend = Specimen::blend(&[(&olive, 3.0), (&sunflower, 1.0)]);
        for i in 0..CONSTITUENTS {
            let expected = 0.75 * olive.constituents[i] + 0.25 * sunflower.constituents[i];
            assert!((blend.constituents[i] - expected).abs() < 1e-12);
        }
        let expected = 0.75 * olive.iodine_value() + 0.25 * sunflower.iodine_value();
        assert!((blend.iodine_value() - expected).abs() < 1e-9);
    }

    #[test]
    fn iodine_values_are_those_of_the_trade() {
        // Codex Alimentarius CXS 33 and CXS 210: iodine value of the oil by its kind.
        let check = |name: &str, from: f64, to: f64| {
            let oil = Oil::named(name).expect("in the table");
            let bottle = |seed| Specimen::draw(oil, &mut ChaCha8Rng::seed_from_u64(seed)).iodine_value();
            let mean = (0..50).map(bottle).sum::<f64>() / 50.0;
            assert!((from..=to).contains(&mean), "{name}: {mean}");
        };
        check("olive", 75.0, 94.0);
        check("palm", 50.0, 55.0);
        check("sunflower", 118.0, 141.0);
        check("soybean", 124.0, 139.0);
        check("rapeseed", 105.0, 126.0);
        check("corn", 103.0, 135.0);
        check("sesame", 104.0, 120.0);
    }
}
