//! What is known of a value before the graph runs.

/// What the numbers of a value stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    /// f32 in the file: what is differentiated.
    Float,
    /// i64 or narrower in the file: shapes, axes, places.
    Integer,
    /// True is 1, false is 0.
    Boolean,
}

/// What is known of a value before the graph runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fact {
    pub(super) shape: Vec<usize>,
    pub(super) element: Element,
}
