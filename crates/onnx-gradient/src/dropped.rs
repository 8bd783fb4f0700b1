//! What an ONNX file holds, seen before it is read: how many records it would become, and what of it is newer than the records it
//! is read into, and so is missing in what is written.
//!
//! A protobuf message is a row of fields: a key (number · 8 + wire type), then a varint (wire type 0), eight bytes (1),
//! a length and as many bytes (2), or four bytes (5).

use std::collections::BTreeMap;

/// How deep subgraphs may nest: as deep as the protobuf reader goes.
const DEPTH_MAX: usize = 100;

/// The records that are walked through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Record {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    Value,
    Training,
    Function,
    Annotation,
    Sparse,
    Type,
    TypeTensor,
    Shape,
}

impl Record {
    /// What the field of that number holds; `Err` names a field that is dropped.
    fn field(self, number: u64) -> Result<Option<Record>, &'static str> {
        Ok(match (self, number) {
            (Self::Model, 7) => Some(Self::Graph),
            (Self::Model, 20) => Some(Self::Training),
            (Self::Model, 25) => Some(Self::Function),
            (Self::Model, 1..=8 | 14) => None,
            (Self::Model, 26) => return Err("configurations of the model"),
            (Self::Graph, 1) => Some(Self::Node),
            (Self::Graph, 5) => Some(Self::Tensor),
            (Self::Graph, 11..=13) => Some(Self::Value),
            (Self::Graph, 14) => Some(Self::Annotation),
            (Self::Graph, 15) => Some(Self::Sparse),
            (Self::Graph, 2 | 10) => None,
            (Self::Graph, 16) => return Err("metadata_props of graphs"),
            (Self::Node, 5) => Some(Self::Attribute),
            (Self::Node, 1..=7) => None,
            (Self::Node, 8) => return Err("overloads of nodes"),
            (Self::Node, 9) => return Err("metadata_props of nodes"),
            (Self::Node, 10) => return Err("device configurations of nodes"),
            (Self::Attribute, 5 | 10) => Some(Self::Tensor),
            (Self::Attribute, 6 | 11) => Some(Self::Graph),
            (Self::Attribute, 14 | 15) => Some(Self::Type),
            (Self::Attribute, 22 | 23) => Some(Self::Sparse),
            (Self::Attribute, 1..=13 | 20 | 21) => None,
            (Self::Tensor, 16) => return Err("metadata_props of tensors"),
            (Self::Tensor, 1..=14) => None,
            (Self::Value, 4) => return Err("metadata_props of values"),
            (Self::Value, 2) => Some(Self::Type),
            (Self::Value, 1 | 3) => None,
            (Self::Training, 1 | 2) => Some(Self::Graph),
            (Self::Training, 3 | 4) => None,
            (Self::Function, 7) => Some(Self::Node),
            (Self::Function, 1..=10) => None,
            (Self::Annotation, 1 | 2) => None,
            (Self::Sparse, 1 | 2) => Some(Self::Tensor),
            (Self::Sparse, 3) => None,
            (Self::Type, 1) => Some(Self::TypeTensor),
            (Self::Type, 6) => None,
            (Self::TypeTensor, 2) => Some(Self::Shape),
            (Self::TypeTensor, 1) => None,
            (Self::Shape, 1) => None,
            _ => return Err("unknown fields"),
        })
    }
}

/// What reading and writing the file again loses, with how often it occurs. Bytes that are no ONNX file lose nothing here:
/// they are not read at all.
pub fn dropped(bytes: &[u8]) -> BTreeMap<&'static str, usize> {
    let mut found = Found::default();
    let whole = scan(bytes, Record::Model, DEPTH_MAX, &mut found);
    if whole.is_some() { found.dropped } else { BTreeMap::new() }
}

/// How many records (nodes, tensors, names, dimensions) a file has, up to where it can be read. Two bytes of the file can be a
/// record of some hundred in memory.
pub(super) fn records(bytes: &[u8]) -> usize {
    let mut found = Found::default();
    // A file that breaks off has the records before that place.
    let _ = scan(bytes, Record::Model, DEPTH_MAX, &mut found);
    found.records
}

#[derive(Default)]
struct Found {
    dropped: BTreeMap<&'static str, usize>,
    records: usize,
}

fn scan(mut bytes: &[u8], record: Record, depth: usize, found: &mut Found) -> Option<()> {
    let depth = depth.checked_sub(1)?;
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let content = match key & 7 {
            0 => varint(&mut bytes).map(|_| &[] as &[u8]),
            1 => take(&mut bytes, 8),
            2 => {
                let length = varint(&mut bytes)?;
                take(&mut bytes, usize::try_from(length).ok()?)
            }
            5 => take(&mut bytes, 4),
            _ => None,
        }?;
        found.records += usize::from(key & 7 == 2);
        match record.field(key >> 3) {
            Ok(Some(inner)) if key & 7 == 2 => scan(content, inner, depth, found)?,
            Ok(_) => {}
            Err(what) => *found.dropped.entry(what).or_default() += 1,
        }
    }
    Some(())
}

fn take<'b>(bytes: &mut &'b [u8], count: usize) -> Option<&'b [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

/// Seven bits a byte, the least significant first; a set top bit says that more follow.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = *take(bytes, 1)?.first()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
