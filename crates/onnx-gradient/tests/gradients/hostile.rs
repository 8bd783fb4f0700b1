//! Files from outside: each fault is an error that names its place, and nothing panics or eats the memory.

use proptest::prelude::*;

use super::networks::{Convolution, Head, Network, Residual, enlarge, residual};
use onnx_gradient::onnx::{GraphProto, ModelProto};
use onnx_gradient::proto::{self, int, ints, value};
use onnx_gradient::{GradientError, Graph, Seed, Target, attach};

const TARGET: Target<'_> = Target { tensor: "stage", activation: "A", gradient: "dYdA" };

fn small() -> ModelProto {
    residual(Residual { channels: 1, points: 12, outputs: 1, head: Head::TwoLayers }, 1)
}

#[test]
fn every_fault_names_its_place() {
    type Damage = fn(&mut GraphProto);
    let cases: [(&str, Damage); 14] = [
        ("node 'stem_linear' reads 'scaled'", |g| g.node.retain(|node| node.name != "scaled")),
        ("node 'stem_linear' reads 'stem_linear.weight'", |g| {
            g.initializer.retain(|tensor| tensor.name != "stem_linear.weight");
        }),
        ("node 'centred' reads 'y'", |g| g.node[0].input[1] = "y".into()),
        ("'stem' is produced twice", |g| {
            let twin = g.node.iter().find(|node| node.name == "stem").cloned().expect("the stem");
            g.node.push(twin);
        }),
        ("input 'x': a size is not above 0", |g| g.input[0] = value("x", &[1, 0, 12])),
        ("elements of one tensor", |g| enlarge(&mut g.input[0], 1 << 40)),
        ("initialiser 'mean': negative size", |g| g.initializer[0].dims = vec![1, -1, 12]),
        ("elements of one tensor", |g| g.initializer[0].dims = vec![1 << 32, 1 << 32, 1 << 32]),
        ("initialiser 'mean': 12 numbers for", |g| g.initializer[0].dims = vec![1, 1, 13]),
        ("node 'stem_linear' (Conv): 'pads' is [1099511627776, 0]", |g| {
            let conv = g.node.iter_mut().find(|node| node.name == "stem_linear").expect("the stem");
            conv.attribute.push(ints("pads", &[1 << 40, 0]));
            conv.attribute.retain(|a| a.name != "pads" || a.ints[0] > 1);
        }),
        ("node 'stem_linear' (Conv): 'strides' is [0]", |g| {
            let conv = g.node.iter_mut().find(|node| node.name == "stem_linear").expect("the stem");
            conv.attribute.iter_mut().filter(|a| a.name == "strides").for_each(|a| a.ints = vec![0]);
        }),
        ("node 'features' (Flatten): axis 9", |g| {
            let flatten = g.node.iter_mut().find(|node| node.name == "features").expect("the flatten");
            flatten.attribute.push(int("axis", 9));
        }),
        ("node 'hidden': there is no gradient rule for operator Det; choose a target after it", |g| {
            let relu = g.node.iter_mut().find(|node| node.name == "hidden").expect("the ReLU");
            relu.op_type = "Det".into();
            g.value_info.push(value("hidden", &[1, 10]));
        }),
        ("there is no value 'nowhere'", |g| g.output.push(value("nowhere", &[1]))),
    ];
    for (expected, damage) in cases {
        let mut model = small();
        damage(model.graph.as_option_mut().expect("a graph"));
        let message = attach(&model, "y", Seed::All, &[TARGET]).expect_err(expected).to_string();
        assert!(message.contains(expected), "{expected}: {message}");
    }
    let model = small();
    let of = |tensor| attach(&model, "y", Seed::All, &[Target { tensor, ..TARGET }]).expect_err(tensor);
    assert_eq!(of("nothing"), GradientError::NoValue { name: "nothing".into() });
    assert!(matches!(of("hidden"), GradientError::Shape { .. }));
    assert_eq!(Graph::new(&ModelProto::default()).expect_err("empty"), GradientError::NoGraph);
    let old = ModelProto { opset_import: vec![], ..small() };
    assert!(matches!(Graph::new(&old), Err(GradientError::OperatorSet { found: 0, .. })));
    let other = Target { tensor: "apart", ..TARGET };
    let mut network = Network::new(1);
    network.conv("x", "apart", [1, 1, 1], Convolution::new(1, [0, 0])).op("Flatten", &["x"], "f", vec![]);
    let apart = network.dense("f", "y", 4, 1).build(&[1, 1, 4], 1);
    assert!(matches!(attach(&apart, "y", Seed::All, &[other]), Err(GradientError::Independent { .. })));
}

#[test]
fn an_operator_before_the_target_may_be_unknown() {
    let mut model = small();
    let graph = model.graph.as_option_mut().expect("a graph");
    graph.node.iter_mut().find(|node| node.name == "stem").expect("the stem").op_type = "Det".into();
    // Without a declared shape, ignorance reaches the target.
    let error = attach(&model, "y", Seed::All, &[TARGET]).expect_err("unknown shape");
    assert!(
        matches!(&error, GradientError::NoShape { name, node, .. } if name == "stage" && node == "stem"),
        "{error}"
    );
    let graph = model.graph.as_option_mut().expect("a graph");
    graph.value_info.push(value("stem", &[1, 16, 6]));
    attach(&model, "y", Seed::All, &[TARGET]).expect("the gradient needs no rule for it");
    assert!(matches!(Graph::new(&model).expect("valid").understood(), Err(GradientError::NoRule { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_bytes_make_it_panic(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut bytes = proto::encode(&small());
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Ok(model) = proto::decode(&bytes) {
            let _ = attach(&model, "y", Seed::All, &[TARGET]);
        }
    }

    #[test]
    fn no_number_makes_it_panic(node in any::<prop::sample::Index>(), attribute in any::<prop::sample::Index>(), number: i64, value: f32) {
        let mut model = small();
        let graph = model.graph.as_option_mut().expect("a graph");
        let node = node.index(graph.node.len());
        let attributes = &mut graph.node[node].attribute;
        if !attributes.is_empty() {
            let index = attribute.index(attributes.len());
            let chosen = &mut attributes[index];
            chosen.i = number;
            chosen.f = value;
            chosen.ints.iter_mut().for_each(|place| *place = number);
        }
        let _ = attach(&model, "y", Seed::All, &[TARGET]);
    }
}
