//! D6: how linearly each band's contribution follows the known quantity, and which bands carry the sensitivity.

use statrs::distribution::{ContinuousCDF, FisherSnedecor};

use super::chart::{self, Panel};
use super::document::{Cell, Content, Figure, Section, Table};
use super::observe::Observations;
use super::truth::RecordedTruth;

/// Ordinary least squares v = a + β c.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct FittedLine {
    /// β, in units of v per unit of c.
    pub(super) slope: f64,
    /// a, in units of v.
    pub(super) intercept: f64,
    /// 1 − Σ (v − fit)² / Σ (v − mean v)², dimensionless; `None` where v does not vary.
    pub(super) r2: Option<f64>,
    /// Σ (v − fit)².
    pub(super) residual: f64,
}

/// The least-squares line of `v` on `c`; `None` below two points or where c does not vary.
pub(super) fn line(c: &[f64], v: &[f64]) -> Option<FittedLine> {
    let count = c.len().min(v.len()) as f64;
    let (mean_c, mean_v) = (c.iter().sum::<f64>() / count, v.iter().sum::<f64>() / count);
    let pairs = || c.iter().zip(v).map(|(c, v)| (c - mean_c, v - mean_v));
    let variation: f64 = pairs().map(|(c, _)| c * c).sum();
    if variation.is_nan() || variation <= 0.0 {
        return None;
    }
    let slope = pairs().map(|(c, v)| c * v).sum::<f64>() / variation;
    let residual: f64 = pairs().map(|(c, v)| (v - slope * c).powi(2)).sum();
    let total: f64 = pairs().map(|(_, v)| v * v).sum();
    let r2 = (total > 0.0).then(|| 1.0 - residual / total);
    Some(FittedLine { slope, intercept: mean_v - slope * mean_c, r2, residual })
}

/// Whether a line is all there is to see (N. R. Draper and H. Smith, "Applied regression analysis", 3rd edition, 1998, chapter 2).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct LackOfFit {
    /// F = (SS of level means about the line / (m − 2)) / (SS within levels / (n − m)), dimensionless.
    pub(super) f: f64,
    /// m − 2, with m distinct levels of c.
    pub(super) freedom_fit: usize,
    /// n − m, with n values.
    pub(super) freedom_error: usize,
    /// The chance of so large an F where the line holds and errors are normal, independent and alike.
    pub(super) p: f64,
}

/// The F test for lack of fit, values at exactly the same c being its replicates. `None` below three levels, without
/// replicates, or where those do not differ.
pub(super) fn lack_of_fit(c: &[f64], v: &[f64]) -> Option<LackOfFit> {
    let fit = line(c, v)?;
    let mut pairs: Vec<(f64, f64)> = c.iter().copied().zip(v.iter().copied()).collect();
    pairs.sort_by(|one, other| one.0.total_cmp(&other.0));
    let (mut levels, mut pure) = (0, 0.0);
    for level in pairs.chunk_by(|one, other| one.0 == other.0) {
        let mean = level.iter().map(|(_, v)| v).sum::<f64>() / level.len() as f64;
        pure += level.iter().map(|(_, v)| (v - mean).powi(2)).sum::<f64>();
        levels += 1;
    }
    let freedom_fit = usize::checked_sub(levels, 2).filter(|&freedom| freedom > 0)?;
    let freedom_error = pairs.len().checked_sub(levels).filter(|&freedom| freedom > 0)?;
    let f = (fit.residual - pure).max(0.0) / freedom_fit as f64 / (pure / freedom_error as f64);
    let distribution = FisherSnedecor::new(freedom_fit as f64, freedom_error as f64).ok()?;
    f.is_finite().then(|| LackOfFit { f, freedom_fit, freedom_error, p: distribution.sf(f) })
}

/// Everything of D6.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Linearity {
    /// Of each band, and of all the rest.
    pub(super) bands: Vec<(FittedLine, Option<LackOfFit>)>,
    /// Of the prediction.
    pub(super) prediction: (FittedLine, Option<LackOfFit>),
}

impl Linearity {
    /// |Σ β_B − slope of y| / |slope of y|: the identity's error.
    pub(super) fn identity_error(&self) -> f64 {
        let sum: f64 = self.bands.iter().map(|(line, _)| line.slope).sum();
        (sum - self.prediction.0.slope).abs() / self.prediction.0.slope.abs()
    }
}

/// D6 over all spectra.
pub(super) fn linearity(observations: &Observations) -> Result<Linearity, String> {
    let truth = match &observations.truth {
        Ok(RecordedTruth::Values(values)) => values,
        Ok(RecordedTruth::Classes(_)) => {
            return Err("the model gives a class, and a calibration series has a quantity".into());
        }
        Err(because) => return Err(because.clone()),
    };
    let of = |values: &[f64]| {
        let line = line(truth, values).ok_or("the truth is the same for all spectra")?;
        Ok::<_, String>((line, lack_of_fit(truth, values)))
    };
    let rows: Vec<Vec<f64>> =
        observations.rows.iter().map(|row| observations.partition.coarse(&row.contributions)).collect();
    let band = |index: usize| rows.iter().map(|row| row[index]).collect::<Vec<_>>();
    let bands = (0..observations.partition.names().len()).map(|index| of(&band(index)));
    let predictions: Vec<f64> = observations.rows.iter().map(|row| row.scores[0]).collect();
    Ok(Linearity { bands: bands.collect::<Result<_, _>>()?, prediction: of(&predictions)? })
}

/// A row per band, one for the rest, one for the prediction.
pub(super) fn section(observations: &Observations, found: &Result<Linearity, String>) -> Section {
    let content = found.as_ref().map_err(Clone::clone).map(|found| {
        let whole = found.prediction.0.slope;
        let row = |name: &str, (line, test): &(FittedLine, Option<LackOfFit>)| -> Vec<Cell> {
            vec![
                name.into(),
                line.slope.into(),
                (line.slope / whole).into(),
                line.intercept.into(),
                line.r2.into(),
                test.map(|test| test.f).into(),
                test.map(|test| test.p).into(),
            ]
        };
        let names = observations.partition.names();
        let mut rows: Vec<_> = names.iter().zip(&found.bands).map(|(name, band)| row(name, band)).collect();
        rows.push(row("prediction y", &found.prediction));
        let columns = [
            ("band", "band"),
            ("slope", "slope beta"),
            ("share", "part of y's slope"),
            ("intercept", "intercept a"),
            ("r2", "R2"),
            ("lack_of_fit_f", "lack-of-fit F"),
            ("lack_of_fit_p", "p"),
        ];
        let mut notes = vec![format!(
            "Sum of the slopes over all bands and elsewhere: the slope of y, to {:.1e} of it.",
            found.identity_error()
        )];
        notes.push(match found.prediction.1 {
            Some(test) => format!(
                "Lack of fit: {} levels of the truth, {} degrees of freedom of error; spectra at the same level are its \
                 replicates, so differences between samples count as error where several share a level.",
                test.freedom_fit + 2,
                test.freedom_error
            ),
            None => "Lack of fit is not computed because no three levels of the truth have replicates.".into(),
        });
        let figures = figure(observations, found).into_iter().collect();
        Content { tables: vec![Table::new("linearity", &columns, rows)], figures, notes }
    });
    Section {
        key: "linearity",
        title: "Linearity by band (D6)",
        explains: format!(
            "Least squares phi_B = a + beta c over all spectra, c the truth in {}. beta is the band's part of the sensitivity; \
             a small p says that a straight line is not all there is.",
            if observations.unit.is_empty() { "its unit" } else { observations.unit.as_str() }
        ),
        content,
    }
}

/// The bands with the steepest lines.
fn figure(observations: &Observations, found: &Linearity) -> Option<Figure> {
    const DRAWN_MAX: usize = 6;
    let Ok(RecordedTruth::Values(truth)) = &observations.truth else { return None };
    let mut order: Vec<usize> = (0..found.bands.len()).collect();
    let slope = |band: usize| found.bands[band].0.slope;
    order.sort_by(|&one, &other| slope(other).abs().total_cmp(&slope(one).abs()).then(one.cmp(&other)));
    let names = observations.partition.names();
    let panel = |&band: &usize| Panel {
        name: names[band],
        values: observations.rows.iter().map(|row| observations.partition.coarse(&row.contributions)[band]).collect(),
        line: (slope(band), found.bands[band].0.intercept),
    };
    let panels: Vec<_> = order.iter().take(DRAWN_MAX).map(panel).collect();
    Some(chart::linearity(truth, &panels, &observations.unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_by_hand() {
        let found = line(&[0.0, 2.0, 4.0], &[1.0, 2.0, 6.0]).expect("varies");
        // Σ (c-2)(v-3) = 4 + 6, Σ (c-2)² = 8; residuals 0.5, -1, 0.5; total 4 + 1 + 9.
        assert_eq!((found.slope, found.intercept, found.residual), (1.25, 0.5, 1.5));
        assert!((found.r2.expect("varies") - (1.0 - 1.5 / 14.0)).abs() < 1e-12);
        assert_eq!(line(&[1.0, 1.0], &[1.0, 2.0]), None);
        assert_eq!(line(&[], &[]), None);
        assert_eq!(line(&[0.0, 1.0], &[3.0, 3.0]).expect("c varies").r2, None);
    }

    #[test]
    fn lack_of_fit_by_hand() {
        // Levels 0, 1, 2 with means 0, 2, 0 and differences of ±1 within: the line is v = 2/3.
        let (c, v) = ([0.0, 0.0, 1.0, 1.0, 2.0, 2.0], [-1.0, 1.0, 1.0, 3.0, -1.0, 1.0]);
        let found = lack_of_fit(&c, &v).expect("replicates");
        // About the line: 2 (4/9 + 16/9 + 4/9) = 16/3 on 1; within: 6 on 3.
        assert!((found.f - 8.0 / 3.0).abs() < 1e-12, "{found:?}");
        assert_eq!((found.freedom_fit, found.freedom_error), (1, 3));
        // scipy.stats.f.sf(8/3, 1, 3)
        assert!((found.p - 0.200_976_226_198_921_97).abs() < 1e-9, "{found:?}");
        assert_eq!(lack_of_fit(&[0.0, 1.0, 2.0], &[0.0, 1.0, 5.0]), None, "no replicates");
        assert_eq!(lack_of_fit(&c[..4], &v[..4]), None, "two levels always lie on a line");
        assert_eq!(lack_of_fit(&c, &[0.0, 0.0, 2.0, 2.0, 0.0, 0.0]), None, "replicates that do not differ");
    }

    #[test]
    fn slopes_of_a_partition_add_up() {
        let c = [0.0, 1.0, 3.0, 7.0];
        let parts = [[1.0, 2.5, 3.0, 9.0], [-2.0, 0.1, 0.7, -4.0]];
        let whole: Vec<f64> = (0..4).map(|row| parts[0][row] + parts[1][row]).collect();
        let of = |v: &[f64]| (line(&c, v).expect("varies"), None);
        let found = Linearity { bands: parts.iter().map(|part| of(part)).collect(), prediction: of(&whole) };
        assert!(found.identity_error() < 1e-12);
        let wrong = Linearity { bands: vec![of(&parts[0])], ..found };
        assert!(wrong.identity_error() > 0.1);
    }
}
