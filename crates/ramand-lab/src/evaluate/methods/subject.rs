//! A trained network as the methods see it: its exported graph, run by the engine of the line.

use onnx_gradient::onnx::ModelProto;
use onnx_gradient::{self as gradient, Attached, GradientError, Seed, Target};
use ramand_core::cam::{LayerValues, Spread, maps_by_cell};
use ramand_core::outcome::Explained;
use ramand_model::{Network, Session};
use rand::rngs::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::error::MethodsError;
use super::method::{Claim, Method, by_cell};
use super::randomise::shuffled;
use super::segments::Segments;
use crate::train::Fitted;

/// Steps of integrated gradients.
pub(super) const STEPS: usize = 32;

/// A network that can be asked for y, for explanations, and for what they claim.
#[derive(Debug)]
pub(super) struct Subject {
    /// y with A and ∂y/∂A of every cut.
    cuts: Network,
    parts: Vec<SubjectLayer>,
    /// y with the scaled spectrum and the whole of ∂y/∂it.
    inputs: Network,
    outputs: usize,
    /// What the model says where the cuts are zero, one per output.
    offset: Vec<f32>,
    /// Mean spectrum of the reference population, as the network sees it.
    reference: Vec<f32>,
    /// Mean y of the population.
    population_output: Vec<f32>,
    /// y of the mean spectrum.
    reference_output: Vec<f32>,
    /// Points that one cell sees.
    receptive_field: usize,
}

/// A layer behind which all is linear.
#[derive(Debug)]
struct SubjectLayer {
    spread: Spread,
    /// Mean M of the reference population, [outputs][cells].
    population: Vec<f32>,
    /// M of its mean spectrum, [outputs][cells].
    reference: Vec<f32>,
}

/// One thread's buffers.
#[derive(Debug)]
pub(super) struct Asking<'s> {
    subject: &'s Subject,
    cuts: Session,
    inputs: Session,
}

/// What a method says about one spectrum.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Explanation {
    /// What each band adds.
    pub(super) segments: Vec<f64>,
    /// What each point adds; the sum is the same.
    pub(super) points: Vec<f64>,
}

impl Explanation {
    /// Of what each point adds.
    fn of_points(points: Vec<f64>, segments: &Segments) -> Self {
        Self { segments: segments.gather(&points), points }
    }

    /// Of what each band adds.
    fn of_segments(values: Vec<f64>, segments: &Segments) -> Self {
        Self { points: segments.share_out(&values), segments: values }
    }
}

impl Subject {
    /// Of a fit for spectra of `channels` × `points`; `population` are the preprocessed spectra of the reference population, at
    /// least one.
    ///
    /// # Errors
    /// When the graph cannot be differentiated or run.
    pub(super) fn new(
        fitted: &Fitted,
        (channels, points): (usize, usize),
        population: &[&[f32]],
    ) -> Result<Self, MethodsError> {
        Self::of_graph(&fitted.graph, fitted, (channels, points), population)
    }

    /// The same with the weights behind the cuts permuted, the same way for every output: the test of J. Adebayo et al.
    /// (NeurIPS 2018) for the last layer. What explains the network must become another map.
    ///
    /// # Errors
    /// As [`Subject::new`].
    pub(super) fn with_shuffled_head(
        fitted: &Fitted,
        shape: (usize, usize),
        population: &[&[f32]],
        random: &mut ChaCha8Rng,
    ) -> Result<Self, MethodsError> {
        Self::of_graph(&shuffled(fitted, random), fitted, shape, population)
    }

    fn of_graph(
        graph: &ModelProto,
        fitted: &Fitted,
        (channels, points): (usize, usize),
        population: &[&[f32]],
    ) -> Result<Self, MethodsError> {
        let attached = attach(graph, fitted.output, &fitted.cuts)?;
        let inputs = attach(graph, fitted.output, &[fitted.scaled])?;
        let load = |attached: &Attached, layers: &[&str]| {
            let names: Vec<(String, String)> =
                layers.iter().map(|layer| ((*layer).to_owned(), gradient_of(layer))).collect();
            let names: Vec<(&str, &str)> = names.iter().map(|(a, g)| (a.as_str(), g.as_str())).collect();
            Network::load(&attached.model, (channels, points), fitted.output, &names)
        };
        let cuts = load(&attached, &fitted.cuts)?;
        let inputs = load(&inputs, &[fitted.scaled])?;
        let outputs = fitted.offset.len();
        let mut parts = Vec::new();
        let mut receptive_field = 1;
        for target in &attached.targets {
            let reach = target.reach.expect("convolutions keep their place on the axis");
            receptive_field = receptive_field.max(reach.receptive_field());
            let spread = Spread::new(points, target.cells, reach.first_cell(), reach.stride() as f64);
            let nothing = vec![0.0; outputs * target.cells];
            parts.push(SubjectLayer { spread, population: nothing.clone(), reference: nothing });
        }

        let mut reference = vec![0.0; channels * points];
        let mut population_output = vec![0.0; outputs];
        let share = 1.0 / population.len() as f32;
        let mut session = cuts.session()?;
        for spectrum in population {
            let values = cuts.run(&mut session, spectrum)?;
            accumulate(&mut reference, spectrum, share);
            accumulate(&mut population_output, values.y()?, share);
            for (part, layer) in parts.iter_mut().zip(values.layers()?) {
                accumulate(&mut part.population, &maps_by_cell(&layer, part.spread.cells(), outputs), share);
            }
        }
        let at_reference = cuts.run(&mut session, &reference)?;
        let reference_output = at_reference.y()?.to_vec();
        for (part, layer) in parts.iter_mut().zip(at_reference.layers()?) {
            part.reference = maps_by_cell(&layer, part.spread.cells(), outputs);
        }
        let offset = fitted.offset.clone();
        Ok(Self {
            cuts,
            parts,
            inputs,
            outputs,
            offset,
            reference,
            population_output,
            reference_output,
            receptive_field,
        })
    }

    /// Points that one cell sees.
    pub(super) fn receptive_field(&self) -> usize {
        self.receptive_field
    }

    /// Mean spectrum of the reference population.
    pub(super) fn reference(&self) -> &[f32] {
        &self.reference
    }

    /// y of that spectrum.
    pub(super) fn at_reference(&self, explained: Explained) -> f64 {
        scalar(explained, &self.reference_output)
    }

    /// Buffers for a thread.
    ///
    /// # Errors
    /// When the engine cannot make them.
    pub(super) fn ask(&self) -> Result<Asking<'_>, MethodsError> {
        Ok(Asking { subject: self, cuts: self.cuts.session()?, inputs: self.inputs.session()? })
    }
}

impl Asking<'_> {
    /// Every output.
    ///
    /// # Errors
    /// When the network does not run.
    pub(super) fn outputs(&mut self, spectrum: &[f32]) -> Result<Vec<f32>, MethodsError> {
        Ok(self.subject.cuts.run(&mut self.cuts, spectrum)?.y()?.to_vec())
    }

    /// The explained scalar.
    ///
    /// # Errors
    /// When the network does not run.
    pub(super) fn y(&mut self, explained: Explained, spectrum: &[f32]) -> Result<f64, MethodsError> {
        Ok(scalar(explained, self.subject.cuts.run(&mut self.cuts, spectrum)?.y()?))
    }

    /// What `method` says; `random` is drawn from by [`Method::Random`] alone.
    ///
    /// # Errors
    /// When the network does not run.
    pub(super) fn explain(
        &mut self,
        method: Method,
        explained: Explained,
        spectrum: &[f32],
        segments: &Segments,
        random: &mut ChaCha8Rng,
    ) -> Result<Explanation, MethodsError> {
        Ok(match method {
            Method::Random => {
                let values = (0..segments.len()).map(|_| StandardNormal.sample(random)).collect();
                Explanation::of_segments(values, segments)
            }
            Method::IntegratedGradients => {
                Explanation::of_points(self.integrated_gradients(explained, spectrum)?, segments)
            }
            Method::Occlusion => {
                let y = self.y(explained, spectrum)?;
                let reference = &self.subject.reference;
                let mut without =
                    |band| self.y(explained, &segments.replace(spectrum, reference, &[band])).map(|left| y - left);
                let values = (0..segments.len()).map(&mut without).collect::<Result<_, _>>()?;
                Explanation::of_segments(values, segments)
            }
            _ => Explanation::of_points(self.of_layers(method, explained, spectrum)?, segments),
        })
    }

    /// What the sum of the method's map is compared with; `None` where it claims nothing.
    ///
    /// # Errors
    /// When the network does not run.
    pub(super) fn claimed(
        &mut self,
        method: Method,
        explained: Explained,
        spectrum: &[f32],
    ) -> Result<Option<f64>, MethodsError> {
        let base = match method.claim() {
            Claim::Nothing => return Ok(None),
            Claim::FromOffset => &self.subject.offset,
            Claim::FromPopulation => &self.subject.population_output,
            Claim::FromReference => &self.subject.reference_output,
        };
        let base = scalar(explained, base);
        Ok(Some(self.y(explained, spectrum)? - base))
    }

    /// The maps of all cuts, each by the method's formula, laid onto the axis and added.
    fn of_layers(&mut self, method: Method, explained: Explained, spectrum: &[f32]) -> Result<Vec<f64>, MethodsError> {
        let Subject { cuts, parts, outputs, reference, .. } = self.subject;
        let values = cuts.run(&mut self.cuts, spectrum)?;
        let mut points = vec![0.0_f32; parts.first().map_or(reference.len(), |part| part.spread.points())];
        for (part, layer) in parts.iter().zip(values.layers()?) {
            let cells = part.spread.cells();
            let gradient = explained_gradient(explained, &layer, *outputs);
            let Some(map) = by_cell(method, layer.activation, &gradient, cells) else { continue };
            let mut map: Vec<f32> = map.into_iter().map(|value| value as f32).collect();
            let subtracted = match method {
                Method::DifferenceFromMeanMap => Some(&part.population),
                Method::Difference => Some(&part.reference),
                _ => None,
            };
            if let Some(subtracted) = subtracted {
                accumulate(&mut map, &explained.row_of(subtracted, cells), -1.0);
            }
            part.spread.add(&map, &mut points);
        }
        Ok(points.into_iter().map(f64::from).collect())
    }

    /// Σ over channels of (x − r) · mean of ∂y/∂x at the middles of [`STEPS`] equal parts of the way from r to x.
    fn integrated_gradients(&mut self, explained: Explained, spectrum: &[f32]) -> Result<Vec<f64>, MethodsError> {
        let Subject { inputs, outputs, reference, .. } = self.subject;
        let mut mean = vec![0.0; reference.len()];
        let (mut first, mut last) = (Vec::new(), Vec::new());
        for step in 0..STEPS {
            let way = (step as f32 + 0.5) / STEPS as f32;
            let between: Vec<f32> = reference.iter().zip(spectrum).map(|(r, x)| r + way * (x - r)).collect();
            let values = inputs.run(&mut self.inputs, &between)?;
            let layers = values.layers()?;
            let gradient = explained_gradient(explained, &layers[0], *outputs);
            mean.iter_mut().zip(&gradient).for_each(|(mean, &g)| *mean += f64::from(g) / STEPS as f64);
            if step == 0 {
                first = layers[0].activation.to_vec();
            }
            if step + 1 == STEPS {
                last = layers[0].activation.to_vec();
            }
        }
        // The scaled spectrum is an affine function of the spectrum: between the first and the last middle lies all of the way
        // but one step.
        let whole = STEPS as f64 / (STEPS - 1) as f64;
        let each = mean.iter().zip(last.iter().zip(&first));
        let each: Vec<f64> = each.map(|(mean, (last, first))| mean * whole * f64::from(last - first)).collect();
        let points = self.subject.parts.first().map_or(each.len(), |part| part.spread.points());
        Ok((0..points).map(|point| each.iter().skip(point).step_by(points).sum()).collect())
    }
}

fn accumulate(sums: &mut [f32], values: &[f32], share: f32) {
    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += share * value);
}

fn scalar(explained: Explained, values: &[f32]) -> f64 {
    explained.scalar(|output| f64::from(values[output]))
}

/// ∂/∂A of the explained scalar, [maps][cells].
fn explained_gradient(explained: Explained, layer: &LayerValues<'_>, outputs: usize) -> Vec<f32> {
    explained.row_of(layer.gradient, layer.gradient.len() / outputs)
}

fn gradient_of(layer: &str) -> String {
    format!("dYd{layer}")
}

fn attach(graph: &ModelProto, output: &str, layers: &[&str]) -> Result<Attached, GradientError> {
    let gradients: Vec<String> = layers.iter().map(|layer| gradient_of(layer)).collect();
    let targets = layers.iter().zip(&gradients);
    let targets: Vec<Target<'_>> =
        targets.map(|(layer, gradient)| Target { tensor: layer, activation: layer, gradient }).collect();
    gradient::attach(graph, output, Seed::All, &targets)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use rand::SeedableRng;

    use super::super::measures::rank_correlation;
    use super::super::tests::{fitted, quantity};
    use super::*;
    use crate::train::{Family, Head};
    use onnx_gradient::{Graph, Tensor};

    /// Sums of a few hundred products in f32, relative to the largest value.
    const ROUNDING: f64 = 1e-4;

    #[track_caller]
    fn close(found: &[f64], expected: &[f64], what: &str) {
        let scale = expected.iter().fold(f64::MIN_POSITIVE, |scale, value| scale.max(value.abs()));
        assert_eq!(found.len(), expected.len(), "{what}");
        for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
            assert!((found - expected).abs() <= ROUNDING * scale, "{what}, {index}: {found} instead of {expected}");
        }
    }

    #[test]
    fn where_the_network_is_linear_all_that_compare_with_a_reference_agree() {
        // A network that was not trained yet is its PLS.
        let material = quantity();
        let (fitted, preprocessed) = fitted(&material, Family::PlsAndNetwork, Head::Flat, 0);
        let population: Vec<&[f32]> = preprocessed.population.iter().map(Vec::as_slice).collect();
        let axis = material.request.preprocessings[0].pipeline.axis();
        let subject = Subject::new(&fitted, (1, axis.len()), &population).expect("it runs");
        let segments = Segments::new(axis.len(), subject.receptive_field());
        let mut asking = subject.ask().expect("buffers");
        let mut random = ChaCha8Rng::seed_from_u64(1);
        for (spectrum, &explained) in preprocessed.spectra.iter().zip(&preprocessed.explained) {
            let mut say =
                |method| asking.explain(method, explained, spectrum, &segments, &mut random).expect("it runs");
            let gradients = say(Method::IntegratedGradients);
            for method in [Method::DifferenceFromMeanMap, Method::Difference] {
                close(&say(method).points, &gradients.points, method.name());
            }
            close(&say(Method::Occlusion).segments, &gradients.segments, "occlusion");
        }
    }

    #[test]
    fn integrated_gradients_of_the_layer_itself_are_the_difference_map() {
        let material = quantity();
        let (fitted, preprocessed) = fitted(&material, Family::Network, Head::Flat, 20);
        let points = material.request.preprocessings[0].pipeline.axis().len();
        // One spectrum as the population: its map and its activation are the reference.
        let (reference, spectrum) = (&preprocessed.spectra[0], &preprocessed.spectra[3]);
        let subject = Subject::new(&fitted, (1, points), &[reference]).expect("it runs");
        let part = &subject.parts[0];
        let cells = part.spread.cells();
        let graph = Graph::new(&fitted.graph).expect("valid");
        let input = graph.inputs()[0].clone();
        let layer = fitted.cuts[0];
        let activation = |spectrum: &[f32]| {
            let x = Tensor::new(vec![1, 1, points], spectrum.iter().map(|&value| f64::from(value)).collect());
            let given = HashMap::from([(input.clone(), x)]);
            graph.evaluate(&given, &[layer]).expect("it evaluates").remove(layer).expect("the layer")
        };
        let (from, to) = (activation(reference), activation(spectrum));
        let y = |values: Vec<f64>| {
            let given = HashMap::from([(layer.to_owned(), Tensor::new(from.shape().to_vec(), values))]);
            graph.evaluate(&given, &[fitted.output]).expect("it evaluates")[fitted.output].data()[0]
        };
        let (step, half) = (1e-3, 0.5);
        let chosen = [0, cells / 2, cells - 1];
        let found: Vec<f64> = chosen
            .iter()
            .map(|&cell| {
                let maps = from.data().len() / cells;
                let of_map = |map: usize| {
                    let place = map * cells + cell;
                    // The mean gradient of two places on the way, by differences.
                    let mean: f64 = [0.25, 0.75]
                        .iter()
                        .map(|way| {
                            let at = |offset: f64| {
                                let between = from.data().iter().zip(to.data()).map(|(r, x)| r + way * (x - r));
                                let mut values: Vec<f64> = between.collect();
                                values[place] += offset;
                                y(values)
                            };
                            half * (at(step) - at(-step)) / (2.0 * step)
                        })
                        .sum();
                    mean * (to.data()[place] - from.data()[place])
                };
                (0..maps).map(of_map).sum()
            })
            .collect();
        let mut session = subject.cuts.session().expect("buffers");
        let values = subject.cuts.run(&mut session, spectrum).expect("it runs");
        let map = maps_by_cell(&values.layers().expect("layers")[0], cells, 1);
        let difference: Vec<f64> =
            chosen.iter().map(|&cell| f64::from(map[cell]) - f64::from(part.population[cell])).collect();
        close(&found, &difference, "layer integrated gradients");
        assert!(difference.iter().any(|value| value.abs() > 1e-3), "{difference:?}");
    }

    #[test]
    fn another_head_changes_what_depends_on_it_and_nothing_else() {
        let material = quantity();
        let (fitted, preprocessed) = fitted(&material, Family::Network, Head::Flat, 20);
        let points = material.request.preprocessings[0].pipeline.axis().len();
        let population: Vec<&[f32]> = preprocessed.population.iter().map(Vec::as_slice).collect();
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let own = Subject::new(&fitted, (1, points), &population).expect("it runs");
        let other = Subject::with_shuffled_head(&fitted, (1, points), &population, &mut random).expect("it runs");
        let segments = Segments::new(points, own.receptive_field());
        // Σ_k A[k, i] looks at no weight of the head.
        let energy = |subject: &Subject| {
            let mut session = subject.cuts.session().expect("buffers");
            let values = subject.cuts.run(&mut session, &preprocessed.spectra[0]).expect("it runs");
            let layer = values.layers().expect("layers")[0];
            let ones = vec![1.0; layer.activation.len()];
            by_cell(Method::GradCam1d, layer.activation, &ones, subject.parts[0].spread.cells()).expect("one run")
        };
        assert_eq!(rank_correlation(&energy(&own), &energy(&other)), Some(1.0));
        let mut map = |subject: &Subject| {
            let mut asking = subject.ask().expect("buffers");
            let spectrum = &preprocessed.spectra[0];
            let found = asking.explain(Method::GradCam1d, preprocessed.explained[0], spectrum, &segments, &mut random);
            found.expect("it runs").segments
        };
        let correlation = rank_correlation(&map(&own), &map(&other)).expect("both vary");
        assert!(correlation.abs() < 0.9, "{correlation}");
    }
}
