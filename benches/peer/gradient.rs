//! tract's side of `benches/peer/gradient.py`: attaches gradients to files, and runs files on request.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::time::{Duration, Instant};

use anyhow::Context;
use onnx_gradient::{Graph, MapOf, Seed, Target, attach, attach_map, proto};
use ramand_model::optimised;
use tract_onnx::prelude::{Datum, Framework, InferenceFact, IntoRunnable, TValue, Tensor, TypedSimpleState, tvec};
use tract_onnx::tract_core::plan::eval;

/// Runs over which a node's time is summed.
const PROFILED: u32 = 2000;

/// Attaches ∂y/∂`layer` to a forward file.
pub(super) fn attach_to(input: &str, output: &str, layer: &str, seed: &str) -> anyhow::Result<()> {
    let model = proto::decode(&std::fs::read(input)?)?;
    let explained = Graph::new(&model)?.outputs().first().context("a network has an output")?.clone();
    let attached = match seed {
        "linear" => attach_map(&model, &explained, MapOf::Winner, layer, "grad/map")?,
        "linear-all" => attach_map(&model, &explained, MapOf::All, layer, "grad/map")?,
        "argmax" => {
            let target = Target { tensor: layer, activation: "grad/activation", gradient: "grad/gradient" };
            attach(&model, &explained, Seed::ArgMax, &[target])?
        }
        other => anyhow::bail!("no seed '{other}' is measured"),
    };
    std::fs::write(output, proto::encode(&attached.model))?;
    Ok(())
}

/// A file in tract, and the numbers it runs on.
struct Running {
    state: TypedSimpleState,
    input: TValue,
}

impl Running {
    fn load(path: &str) -> anyhow::Result<Self> {
        let graph = Graph::new(&proto::decode(&std::fs::read(path)?)?)?;
        let shape = graph.shape(graph.inputs().first().context("a network has an input")?)?.to_vec();
        let fact = InferenceFact::dt_shape(f32::datum_type(), &shape);
        let model = tract_onnx::onnx().with_ignore_value_info(true).model_for_path(path)?;
        let plan = optimised(model.with_input_fact(0, fact)?)?.into_runnable()?;
        let values: Vec<f32> = (0..shape.iter().product()).map(|at: usize| (at as f32 * 0.37).sin()).collect();
        let mut running = Self { state: plan.spawn()?, input: Tensor::from_shape(&shape, &values)?.into() };
        running.run()?;
        Ok(running)
    }

    fn run(&mut self) -> anyhow::Result<Duration> {
        let start = Instant::now();
        std::hint::black_box(self.state.run(tvec!(self.input.clone()))?);
        Ok(start.elapsed())
    }
}

/// Answers lines `COUNT FILE...` as `ort_files.py` does.
pub(super) fn serve() -> anyhow::Result<()> {
    let mut loaded: BTreeMap<String, Running> = BTreeMap::new();
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (count, files) = line.split_once(' ').context("COUNT FILE...")?;
        let files: Vec<&str> = files.split_whitespace().collect();
        for file in &files {
            if !loaded.contains_key(*file) {
                loaded.insert((*file).to_owned(), Running::load(file)?);
            }
        }
        let mut taken: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for _ in 0..count.parse()? {
            for file in &files {
                let running = loaded.get_mut(*file).context("it was loaded")?;
                taken.entry(file).or_default().push(running.run()?.as_secs_f64());
            }
        }
        println!("{}", serde_json::to_string(&taken)?);
    }
    Ok(())
}

/// Prints where the time of one file goes: node, operator and mean µs of each, the longest first, as JSON.
pub(super) fn profile(path: &str) -> anyhow::Result<()> {
    let mut running = Running::load(path)?;
    let mut nodes: BTreeMap<usize, (String, String, Duration)> = BTreeMap::new();
    for _ in 0..PROFILED {
        let input = tvec!(running.input.clone());
        running.state.run_plan_with_eval(input, |context, state, node, inputs| {
            let start = Instant::now();
            let values = eval(context, state, node, inputs);
            let took = start.elapsed();
            let about = || (node.name.clone(), node.op.name().into_owned(), Duration::ZERO);
            nodes.entry(node.id).or_insert_with(about).2 += took;
            values
        })?;
    }
    let mut rows: Vec<_> = nodes.into_values().collect();
    rows.sort_by_key(|(.., took)| std::cmp::Reverse(*took));
    let rows: Vec<_> =
        rows.iter().map(|(name, op, took)| (name, op, took.as_secs_f64() * 1e6 / f64::from(PROFILED))).collect();
    println!("{}", serde_json::to_string(&rows)?);
    Ok(())
}
