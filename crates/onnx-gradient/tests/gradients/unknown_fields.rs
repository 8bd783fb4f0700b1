//! What a file holds beyond the definition of the format is there again when the file is written: at every level, in order.

use std::collections::BTreeSet;

use proptest::prelude::*;

use onnx_gradient::proto;

/// A message, the fields of it that hold messages, and what those are: `proto/onnx.proto`, without numbers and texts.
type Message = (&'static str, &'static [(u32, &'static str)]);

const MESSAGES: &[Message] = &[
    (
        "ModelProto",
        &[
            (7, "GraphProto"),
            (8, "OperatorSetIdProto"),
            (14, "StringStringEntryProto"),
            (20, "TrainingInfoProto"),
            (25, "FunctionProto"),
            (26, "DeviceConfigurationProto"),
        ],
    ),
    (
        "GraphProto",
        &[
            (1, "NodeProto"),
            (5, "TensorProto"),
            (11, "ValueInfoProto"),
            (12, "ValueInfoProto"),
            (13, "ValueInfoProto"),
            (14, "TensorAnnotation"),
            (15, "SparseTensorProto"),
            (16, "StringStringEntryProto"),
        ],
    ),
    ("NodeProto", &[(5, "AttributeProto"), (9, "StringStringEntryProto"), (10, "NodeDeviceConfigurationProto")]),
    (
        "AttributeProto",
        &[
            (5, "TensorProto"),
            (6, "GraphProto"),
            (10, "TensorProto"),
            (11, "GraphProto"),
            (14, "TypeProto"),
            (15, "TypeProto of a sequence"),
            (15, "TypeProto of a map"),
            (15, "TypeProto of an optional"),
            (15, "TypeProto of a sparse tensor"),
            (15, "TypeProto of an opaque"),
            (22, "SparseTensorProto"),
            (23, "SparseTensorProto"),
        ],
    ),
    ("TensorProto", &[(3, "Segment"), (13, "StringStringEntryProto"), (16, "StringStringEntryProto")]),
    ("ValueInfoProto", &[(2, "TypeProto"), (4, "StringStringEntryProto")]),
    ("TypeProto", &[(1, "Tensor")]),
    ("TypeProto of a sequence", &[(4, "Sequence")]),
    ("TypeProto of a map", &[(5, "Map")]),
    ("TypeProto of an optional", &[(9, "Optional")]),
    ("TypeProto of a sparse tensor", &[(8, "SparseTensor")]),
    ("TypeProto of an opaque", &[(7, "Opaque")]),
    ("Tensor", &[(2, "TensorShapeProto")]),
    ("Sequence", &[(1, "TypeProto")]),
    ("Map", &[(2, "TypeProto")]),
    ("Optional", &[(1, "TypeProto")]),
    ("SparseTensor", &[(2, "TensorShapeProto")]),
    ("Opaque", &[]),
    ("TensorShapeProto", &[(1, "Dimension")]),
    ("Dimension", &[]),
    ("Segment", &[]),
    ("SparseTensorProto", &[(1, "TensorProto"), (2, "TensorProto")]),
    ("TensorAnnotation", &[(2, "StringStringEntryProto")]),
    ("StringStringEntryProto", &[]),
    ("OperatorSetIdProto", &[]),
    ("DeviceConfigurationProto", &[]),
    (
        "TrainingInfoProto",
        &[(1, "GraphProto"), (2, "GraphProto"), (3, "StringStringEntryProto"), (4, "StringStringEntryProto")],
    ),
    (
        "FunctionProto",
        &[
            (7, "NodeProto"),
            (9, "OperatorSetIdProto"),
            (11, "AttributeProto"),
            (12, "ValueInfoProto"),
            (14, "StringStringEntryProto"),
        ],
    ),
    ("NodeDeviceConfigurationProto", &[(2, "ShardingSpecProto")]),
    ("ShardingSpecProto", &[(3, "IntIntListEntryProto"), (4, "ShardedDimProto")]),
    ("IntIntListEntryProto", &[]),
    ("ShardedDimProto", &[(2, "SimpleShardedDimProto")]),
    ("SimpleShardedDimProto", &[]),
];

/// Graphs in attributes and types in types end here.
const DEPTH: usize = 8;
/// Above every number the format uses.
const UNKNOWN: std::ops::Range<u32> = 1_000..19_000;

fn varint(mut value: u64, bytes: &mut Vec<u8>) {
    while value > 0x7f {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn field(number: u32, content: &[u8], bytes: &mut Vec<u8>) {
    varint(u64::from(number) << 3 | 2, bytes);
    varint(content.len() as u64, bytes);
    bytes.extend(content);
}

/// A message of that name with one of each of its messages, `planted` after each one's own fields.
fn message(name: &'static str, planted: &[u8], depth: usize, met: &mut BTreeSet<&'static str>) -> Vec<u8> {
    met.insert(name);
    let (_, fields) = MESSAGES.iter().find(|(other, _)| *other == name).expect("a message of the format");
    let mut bytes = Vec::new();
    for &(number, inner) in fields.iter().filter(|_| depth > 0) {
        field(number, &message(inner, planted, depth - 1, met), &mut bytes);
    }
    bytes.extend(planted);
    bytes
}

/// A field of each kind that protobuf has, the last two of which only begin and end a group.
fn planted(unknown: &[(u32, u64, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (number, value, content) in unknown {
        let key = |kind: u64| u64::from(*number) << 3 | kind;
        match value % 5 {
            0 => {
                varint(key(0), &mut bytes);
                varint(*value, &mut bytes);
            }
            1 => {
                varint(key(1), &mut bytes);
                bytes.extend(value.to_le_bytes());
            }
            2 => field(*number, content, &mut bytes),
            3 => {
                varint(key(3), &mut bytes);
                field(1, content, &mut bytes);
                varint(key(4), &mut bytes);
            }
            _ => {
                varint(key(5), &mut bytes);
                bytes.extend((*value as u32).to_le_bytes());
            }
        }
    }
    bytes
}

#[test]
fn unknown_fields_survive_at_every_level() {
    let unknown: Vec<_> =
        (0..5).map(|kind| (UNKNOWN.start + kind, u64::from(kind) + 1_000, b"kept".to_vec())).collect();
    let mut met = BTreeSet::new();
    let file = message("ModelProto", &planted(&unknown), DEPTH, &mut met);
    let model = proto::decode(&file).expect("an ONNX file");
    assert_eq!(proto::encode(&model), file);
    let definition = include_str!("../../proto/onnx.proto");
    for line in definition.lines().filter_map(|line| line.trim_start().strip_prefix("message ")) {
        let name = line.trim_end_matches([' ', '{']);
        assert!(met.contains(name), "{name} is a message of the format that this test does not know");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_file_is_written_as_it_was_read(
        unknown in proptest::collection::vec(
            (UNKNOWN, any::<u64>(), proptest::collection::vec(any::<u8>(), 0..20)),
            0..4,
        ),
        depth in 0..6_usize,
    ) {
        let file = message("ModelProto", &planted(&unknown), depth, &mut BTreeSet::new());
        let model = proto::decode(&file).expect("an ONNX file");
        prop_assert_eq!(proto::encode(&model), file);
    }
}
