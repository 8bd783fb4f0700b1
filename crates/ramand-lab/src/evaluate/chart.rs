//! The report's drawings, each a whole SVG document.

use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::document::Figure;
use super::render::number;

/// What adds to the output.
const ADDS: RGBColor = RGBColor(192, 72, 40);
/// What takes from it.
const TAKES: RGBColor = RGBColor(38, 101, 178);
const QUIET: RGBColor = RGBColor(110, 110, 110);
const PALE: RGBColor = RGBColor(238, 238, 234);
const FONT: &str = "sans-serif";
/// Panels of the linearity figure in a row.
const PANELS: usize = 3;

/// An effect map over the mean spectrum.
pub(super) struct EffectMap<'a> {
    /// Points of the axis, cm⁻¹.
    pub(super) axis_cm: &'a [f64],
    /// E of each point.
    pub(super) effect: &'a [f64],
    /// Mean preprocessed spectrum, first channel.
    pub(super) spectrum: &'a [f64],
    /// Bands: from and to, cm⁻¹.
    pub(super) bands: &'a [(f64, f64)],
    /// How much of the axis one cell of the network sees, cm⁻¹.
    pub(super) receptive_field_cm: f64,
    /// What E is of, with its unit.
    pub(super) of: &'a str,
}

/// Draws into a string; nothing can fail there but a mistake in the drawing.
fn drawing(
    size: (u32, u32),
    draw: impl FnOnce(&DrawingArea<SVGBackend<'_>, plotters::coord::Shift>) -> Result<(), Box<dyn std::error::Error>>,
) -> String {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        let drawn = root.fill(&WHITE).map_err(Into::into).and_then(|()| draw(&root));
        drawn.and_then(|()| Ok(root.present()?)).expect("a string takes every drawing");
    }
    svg
}

/// Larger numbers are no measurement: left out of a drawing, which would look for ticks among them for ever.
const DRAWN_MAX: f64 = 1e12;

/// The smallest range with all values and some air; never empty.
fn range(values: impl IntoIterator<Item = f64>) -> std::ops::Range<f64> {
    let finite = values.into_iter().filter(|value| value.abs() <= DRAWN_MAX);
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    if low > high {
        return 0.0..1.0;
    }
    let air = if high > low { 0.06 * (high - low) } else { 0.5 * high.abs().max(1.0) };
    low - air..high + air
}

/// A map in the colours of its sign, over the mean spectrum, with the resolution as a bar.
pub(super) fn effect_map(map: &EffectMap<'_>, key: &'static str, caption: String) -> Figure {
    let largest = map.effect.iter().fold(0.0_f64, |largest, effect| largest.max(effect.abs()));
    let scale = if largest > 0.0 && largest <= DRAWN_MAX { largest } else { 1.0 };
    let (Some(&first), Some(&last)) = (map.axis_cm.first(), map.axis_cm.last()) else {
        return Figure { key, caption, svg: String::new() };
    };
    let half = 0.5 * (last - first) / (map.axis_cm.len().max(2) - 1) as f64;
    let of_spectrum = range(map.spectrum.iter().copied());
    let height = |value: f64| 2.0 * (value - of_spectrum.start) / (of_spectrum.end - of_spectrum.start) - 1.0;
    let svg = drawing((900, 320), |root| {
        let mut chart = ChartBuilder::on(root)
            .margin(12)
            .x_label_area_size(38)
            .y_label_area_size(70)
            .build_cartesian_2d(first..last, -1.25 * scale..1.05 * scale)?;
        chart.draw_series(map.bands.iter().map(|&(from, to)| {
            Rectangle::new([(from.max(first), -1.05 * scale), (to.min(last), 1.05 * scale)], PALE.filled())
        }))?;
        chart
            .configure_mesh()
            .disable_mesh()
            .x_desc("Raman shift, cm-1")
            .y_desc(map.of)
            .x_label_formatter(&|shift| format!("{shift:.0}"))
            // Ticks are sums of steps: the one at zero misses it by rounding.
            .y_label_formatter(&|value| number(if value.abs() < 1e-9 * scale { 0.0 } else { *value }))
            .label_style((FONT, 12))
            .axis_desc_style((FONT, 13))
            .draw()?;
        chart.draw_series(map.axis_cm.iter().zip(map.effect).map(|(&shift, &effect)| {
            let colour = if effect < 0.0 { TAKES } else { ADDS };
            Rectangle::new([((shift - half).max(first), 0.0), ((shift + half).min(last), effect)], colour.filled())
        }))?;
        let spectrum = map.axis_cm.iter().zip(map.spectrum).map(|(&shift, &value)| (shift, scale * height(value)));
        chart.draw_series([PathElement::new(spectrum.collect::<Vec<_>>(), QUIET)])?;
        let (bar, field) = (-1.16 * scale, map.receptive_field_cm.min(last - first));
        let ends = vec![(first + 2.0 * half, bar), (first + 2.0 * half + field, bar)];
        chart.draw_series([PathElement::new(ends, BLACK.stroke_width(4))])?;
        let style = (FONT, 12).into_font().into_text_style(root).pos(Pos::new(HPos::Left, VPos::Center));
        let text = format!("{field:.0} cm-1: what one cell of the network sees");
        chart.draw_series([Text::new(text, (first + 4.0 * half + field, bar), style)])?;
        Ok(())
    });
    Figure { key, caption, svg }
}

/// Points by name, in the unit square's upper half and below: x the gross share, y the purity or R².
pub(super) fn quadrant(points: &[(&str, f64, f64)], limits: (f64, f64), y: &str) -> Figure {
    let x_range = 0.0..range(points.iter().map(|&(_, x, _)| x).chain([0.0, 2.0 * limits.0])).end;
    let y_range = range(points.iter().map(|&(.., y)| y).chain([0.0, 1.0]));
    let svg = drawing((900, 460), |root| {
        let mut chart = ChartBuilder::on(root)
            .margin(12)
            .x_label_area_size(38)
            .y_label_area_size(60)
            .build_cartesian_2d(x_range.clone(), y_range.clone())?;
        chart
            .configure_mesh()
            .disable_mesh()
            .x_desc("gross share of D: used")
            .y_desc(format!("{y}: different"))
            .label_style((FONT, 12))
            .axis_desc_style((FONT, 13))
            .draw()?;
        let across = vec![(x_range.start, limits.1), (x_range.end, limits.1)];
        let upwards = vec![(limits.0, y_range.start), (limits.0, y_range.end)];
        chart.draw_series([across, upwards].map(|ends| PathElement::new(ends, QUIET)))?;
        let (right, left) = ((HPos::Right, x_range.end), (HPos::Left, x_range.start));
        let (top, bottom) = ((VPos::Top, y_range.end), (VPos::Bottom, y_range.start));
        let corners =
            [("sound", right, top), ("suspicious", right, bottom), ("redundant", left, top), ("unused", left, bottom)];
        chart.draw_series(corners.map(|(name, (h, x), (v, y))| {
            let style = (FONT, 13).into_font().color(&QUIET).pos(Pos::new(h, v));
            Text::new(name, (x, y), style)
        }))?;
        let points: Vec<_> = points.iter().filter(|(_, x, y)| x.abs() <= DRAWN_MAX && y.abs() <= DRAWN_MAX).collect();
        chart.draw_series(points.iter().map(|&&(_, x, y)| Circle::new((x, y), 4, ADDS.filled())))?;
        let middle = 0.6 * x_range.end;
        chart.draw_series(points.iter().map(|&&(name, x, y)| {
            let (h, gap) = if x > middle { (HPos::Right, -0.008) } else { (HPos::Left, 0.008) };
            let style = (FONT, 12).into_font().into_text_style(root).pos(Pos::new(h, VPos::Center));
            Text::new(name.to_owned(), (x + gap * x_range.end, y), style)
        }))?;
        Ok(())
    });
    let caption = format!("Gross share against {y}, by band.");
    Figure { key: "quadrant", caption, svg }
}

/// One panel of [`linearity`].
pub(super) struct Panel<'a> {
    pub(super) name: &'a str,
    pub(super) values: Vec<f64>,
    /// Slope and intercept.
    pub(super) line: (f64, f64),
}

/// φ_B against the truth, with the fitted line.
pub(super) fn linearity(truth: &[f64], panels: &[Panel<'_>], unit: &str) -> Figure {
    let rows = panels.len().div_ceil(PANELS).max(1);
    let svg = drawing((900, 240 * rows as u32), |root| {
        let x_range = range(truth.iter().copied());
        for (area, panel) in root.split_evenly((rows, PANELS)).iter().zip(panels) {
            let mut chart: ChartContext<'_, _, Cartesian2d<RangedCoordf64, RangedCoordf64>> = ChartBuilder::on(area)
                .margin(6)
                .caption(panel.name, (FONT, 12))
                .x_label_area_size(30)
                .y_label_area_size(52)
                .build_cartesian_2d(x_range.clone(), range(panel.values.iter().copied()))?;
            chart
                .configure_mesh()
                .disable_mesh()
                .x_labels(4)
                .y_labels(4)
                .x_desc(unit)
                .label_style((FONT, 11))
                .y_label_formatter(&|value| number(*value))
                .draw()?;
            let dots = truth.iter().zip(&panel.values);
            chart.draw_series(dots.map(|(&c, &value)| Circle::new((c, value), 2, TAKES.mix(0.5).filled())))?;
            let (slope, intercept) = panel.line;
            let ends = [x_range.start, x_range.end].map(|c| (c, intercept + slope * c));
            chart.draw_series([PathElement::new(ends, ADDS.stroke_width(2))])?;
        }
        Ok(())
    });
    Figure { key: "linearity", caption: "Contribution of each band against the truth.".into(), svg }
}

/// A covariance matrix by name, as parts of the `variance` that it adds up to.
pub(super) fn covariances(names: &[&str], matrix: &[Vec<f64>], variance: f64) -> Figure {
    let count = names.len();
    let (left, top, cell) = (230_i32, 20_i32, 34_i32);
    let size = (left as u32 + cell as u32 * count as u32 + 30, top as u32 + cell as u32 * count as u32 + 30);
    let largest = matrix.iter().flatten().fold(0.0_f64, |largest, value| largest.max(value.abs()));
    let svg = drawing(size, |root| {
        for (row, (name, covariances)) in names.iter().zip(matrix).enumerate() {
            let y = top + cell * row as i32;
            let style = (FONT, 12).into_font().into_text_style(root).pos(Pos::new(HPos::Right, VPos::Center));
            root.draw(&Text::new((*name).to_owned(), (left - 8, y + cell / 2), style))?;
            for (column, &value) in covariances.iter().enumerate() {
                let x = left + cell * column as i32;
                let strength = if largest > 0.0 { value.abs() / largest } else { 0.0 };
                let colour = if value < 0.0 { TAKES } else { ADDS };
                root.draw(&Rectangle::new([(x, y), (x + cell - 1, y + cell - 1)], colour.mix(strength).filled()))?;
                let part = 100.0 * value / variance;
                if variance > 0.0 && part.abs() >= 0.5 {
                    let style = (FONT, 10).into_font().into_text_style(root).pos(Pos::new(HPos::Center, VPos::Center));
                    root.draw(&Text::new(format!("{part:.0}"), (x + cell / 2, y + cell / 2), style))?;
                }
            }
        }
        Ok(())
    });
    let caption = "Covariances of the contributions over replicates, in % of the variance of y; columns in the order of the rows.";
    Figure { key: "precision", caption: caption.into(), svg }
}

/// T² and Q of spectra, each over its limit.
pub(super) struct Dots {
    /// Of what the model knows.
    pub(super) known: Vec<(f64, f64)>,
    /// Of what it does not know and was refused.
    pub(super) refused: Vec<(f64, f64)>,
    /// Of what it does not know and was not.
    pub(super) passed: Vec<(f64, f64)>,
}

/// Shares of a limit are drawn between these.
const SHARES: std::ops::Range<f64> = 0.01..1000.0;

/// The plane of T² and Q, both logarithmic, with their limits.
pub(super) fn plane(dots: &Dots) -> Figure {
    let inside = |&(t2, q): &(f64, f64)| (t2.clamp(SHARES.start, SHARES.end), q.clamp(SHARES.start, SHARES.end));
    let all = || dots.known.iter().chain(&dots.refused).chain(&dots.passed).map(inside);
    let around = |of: fn((f64, f64)) -> f64| {
        let (low, high) = all().map(of).fold((0.5, 2.0), |(low, high): (f64, f64), x| (low.min(x), high.max(x)));
        0.8 * low..1.25 * high
    };
    let (x_range, y_range) = (around(|(t2, _)| t2), around(|(_, q)| q));
    let svg = drawing((900, 460), |root| {
        let mut chart = ChartBuilder::on(root)
            .margin(12)
            .x_label_area_size(38)
            .y_label_area_size(60)
            .build_cartesian_2d(x_range.clone().log_scale(), y_range.clone().log_scale())?;
        chart
            .configure_mesh()
            .disable_mesh()
            .x_desc("T2 / limit: far along what training varied in")
            .y_desc("Q / limit: unlike training")
            .x_label_formatter(&|value| number(*value))
            .y_label_formatter(&|value| number(*value))
            .label_style((FONT, 12))
            .axis_desc_style((FONT, 13))
            .draw()?;
        let (across, upwards) =
            ([(x_range.start, 1.0), (x_range.end, 1.0)], [(1.0, y_range.start), (1.0, y_range.end)]);
        chart.draw_series([across, upwards].map(|ends| PathElement::new(ends, QUIET)))?;
        let groups = [
            (&dots.known, TAKES, true, "known"),
            (&dots.refused, ADDS, true, "unknown, refused"),
            (&dots.passed, ADDS, false, "unknown, not refused"),
        ];
        for (line, (points, colour, filled, name)) in (0_i32..).zip(groups) {
            let style = if filled { colour.mix(0.55).filled() } else { colour.stroke_width(1) };
            chart.draw_series(points.iter().map(inside).map(|point| Circle::new(point, 3, style)))?;
            let y = 24 + 17 * line;
            root.draw(&Circle::new((84, y), 4, style))?;
            let text = (FONT, 12).into_font().into_text_style(root).pos(Pos::new(HPos::Left, VPos::Center));
            root.draw(&Text::new(name, (94, y), text))?;
        }
        Ok(())
    });
    let caption = "T2 and Q of spectra, each over its limit: what the model knows, and what it does not.";
    Figure { key: "plane", caption: caption.into(), svg }
}

/// Name, share refused and share covered of each group, with the nominal coverage.
pub(super) fn refused_and_covered(groups: &[(&str, Option<f64>, Option<f64>)], confidence: Option<f64>) -> Figure {
    let (left, top, step, width) = (330_i32, 34_i32, 26_i32, 500_i32);
    let bottom = top + step * groups.len() as i32;
    let place = |share: f64| left + (share.clamp(0.0, 1.0) * f64::from(width)).round() as i32;
    let svg = drawing((900, bottom as u32 + 40), |root| {
        let style = |h| (FONT, 12).into_font().into_text_style(root).pos(Pos::new(h, VPos::Center));
        for (line, (name, refused, covered)) in (0_i32..).zip(groups) {
            let y = top + step * line;
            root.draw(&Text::new((*name).to_owned(), (left - 8, y + step / 2), style(HPos::Right)))?;
            if let Some(refused) = refused {
                root.draw(&Rectangle::new([(left, y + 5), (place(*refused), y + step - 5)], ADDS.mix(0.7).filled()))?;
            }
            if let Some(covered) = covered {
                root.draw(&Circle::new((place(*covered), y + step / 2), 5, TAKES.filled()))?;
            }
        }
        root.draw(&PathElement::new([(left, top), (left, bottom)], QUIET))?;
        if let Some(confidence) = confidence {
            let x = place(confidence);
            root.draw(&PathElement::new([(x, top), (x, bottom)], TAKES))?;
            root.draw(&Text::new(format!("nominal {confidence}"), (x - 4, bottom + 14), style(HPos::Right)))?;
        }
        root.draw(&Text::new("0", (left, bottom + 14), style(HPos::Center)))?;
        root.draw(&Text::new("1", (left + width, bottom + 14), style(HPos::Left)))?;
        root.draw(&Text::new(
            "bar: share refused; dot: share whose interval or set held the truth",
            (left, 16),
            style(HPos::Left),
        ))?;
        Ok(())
    });
    Figure { key: "refused", caption: "Spectra refused, and truths covered, after each change.".into(), svg }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_never_empty() {
        assert_eq!(range([]), 0.0..1.0);
        assert_eq!(range([f64::NAN, f64::INFINITY]), 0.0..1.0);
        assert_eq!(range([2.0, 2.0]), 1.0..3.0);
        let found = range([0.0, 1.0]);
        assert!(found.start < 0.0 && found.end > 1.0);
    }

    #[test]
    fn names_from_files_do_not_become_markup() {
        let figure = quadrant(&[("<script>alert(1)</script>", 0.5, 0.5), ("nothing", 0.0, f64::MIN)], (0.1, 0.5), "R2");
        assert!(figure.svg.contains("&lt;script&gt;") && !figure.svg.contains("<script"), "{}", figure.svg);
    }

    #[test]
    fn a_map_is_drawn_in_the_colours_of_its_sign() {
        let map = EffectMap {
            axis_cm: &[100.0, 110.0, 120.0],
            effect: &[1.0, -2.0, 0.0],
            spectrum: &[0.0, 3.0, 1.0],
            bands: &[(105.0, 500.0)],
            receptive_field_cm: 1e9,
            of: "effect",
        };
        let svg = effect_map(&map, "map", "a map".into()).svg;
        assert!(svg.contains("#C04828") && svg.contains("#2665B2") && svg.contains("what one cell"), "{svg}");
    }
}
