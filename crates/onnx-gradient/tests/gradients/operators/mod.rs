//! Each operator between a target and a head, with each of its settings that changes the rule.

mod activation;
mod arithmetic;
mod convolution;
mod layout;
mod normalise;
mod pool;
mod reduce;

use super::judge::{Trial, judge, trials};
use super::networks::{Network, text};
use onnx_gradient::Graph;
use onnx_gradient::onnx::{AttributeProto, ModelProto};

/// What the gradient is taken by.
const TARGET: &str = "target";

/// One network: input `x`, target `target`, output `y`.
pub(super) struct Case {
    pub(super) name: String,
    pub(super) model: ModelProto,
}

/// The nodes that `build` adds between `a`, the target in the given shape, and `z`, whose square goes through a linear head.
fn case(name: impl Into<String>, operator_set: i64, shape: &[usize], build: impl FnOnce(&mut Network)) -> Case {
    let name = format!("{} (operator set {operator_set})", name.into());
    let mut network = Network::new(name.bytes().map(u64::from).sum());
    // A target has maps and cells; an image or a volume is made of it.
    let maps = shape.get(1).copied().unwrap_or(1);
    let target = [1, maps, shape.iter().product::<usize>() / maps];
    let own: Vec<i64> = shape.iter().map(|&size| size as i64).collect();
    network.op("Identity", &["x"], "target", vec![]).integers("shape", &own);
    network.op("Reshape", &["target", "shape"], "a", vec![]);
    build(&mut network);
    let mut draft = network.draft(&target);
    draft.opset_import[0].version = operator_set;
    let graph = Graph::new(&draft).unwrap_or_else(|error| panic!("{name}: {error}"));
    let elements = graph.shape("z").unwrap_or_else(|error| panic!("{name}: {error}")).iter().product();
    network.op("Mul", &["z", "z"], "squared", vec![]).integers("head.row", &[1, -1]);
    network.op("Reshape", &["squared", "head.row"], "head.features", vec![]).dense(
        "head.features",
        "head",
        elements,
        2,
    );
    // A second reader of `a`, whose cotangents are added; tract 0.23.9 fails on a Conv in steps that alone reads a Reshape.
    network.op("Reshape", &["a", "head.row"], "head.flat", vec![]).dense(
        "head.flat",
        "head.skip",
        shape.iter().product(),
        2,
    );
    network.op("Add", &["head", "head.skip"], "y", vec![]);
    let mut model = network.build(&target, 2);
    model.opset_import[0].version = operator_set;
    Case { name, model }
}

/// One operator of one operand, without constants.
fn plain(op: &str, operator_set: i64, attributes: Vec<AttributeProto>) -> Case {
    let settings: Vec<String> =
        attributes.iter().map(|a| format!("{} {} {:?} {:?}", a.name, a.f, a.ints, a.i)).collect();
    case(format!("{op} {}", settings.join(", ")), operator_set, &[1, 4, 5], |n| {
        n.op(op, &["a"], "z", attributes);
    })
}

fn check_all(cases: Vec<Case>) {
    assert!(!cases.is_empty());
    let faults = cases.iter().filter_map(|case| Some(format!("{}: {}", case.name, judge(&case.model, TARGET).err()?)));
    let faults: Vec<String> = faults.collect();
    assert!(faults.is_empty(), "{} of {} cases\n{}", faults.len(), cases.len(), faults.join("\n"));
}

/// Every case but those on which the runtimes themselves disagree, with the name of each.
pub(crate) fn trials_for_every_runtime() -> Vec<(String, Trial)> {
    let families = [
        activation::cases,
        activation::not_for_tract,
        arithmetic::cases,
        convolution::cases,
        layout::cases,
        normalise::cases,
        pool::cases,
        reduce::cases,
    ];
    let named = |case: Case| {
        let trials = trials(&case.model, TARGET).unwrap_or_else(|fault| panic!("{}: {fault}", case.name));
        trials.into_iter().map(move |trial| (case.name.clone(), trial))
    };
    families.into_iter().flat_map(|cases| cases()).flat_map(named).collect()
}
