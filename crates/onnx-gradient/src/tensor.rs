//! Constants and reference values: row-major arrays, calculated in f64 whatever the file holds.

use crate::error::GradientError;
use crate::external::{is_outside, outside};
use crate::fact::Element;
use crate::onnx::tensor_proto::DataType;
use crate::onnx::{Enumeration, TensorProto};
use crate::proto;

/// Elements of one value: 128 MB of f64, hundreds of times the largest activation of a network for spectra.
pub(super) const ELEMENTS_MAX: usize = 1 << 24;
/// No operator of such a network has more dimensions.
const RANK_MAX: usize = 8;

/// A row-major array. Every element is held as an f64, which is exact for integers up to 2⁵³; the two sentinels of the
/// file format that are larger, the least and the greatest i64, survive the conversion as well.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    data: Vec<f64>,
    element: Element,
}

impl Tensor {
    /// Floating-point numbers; `data` has as many elements as `shape` says.
    ///
    /// # Panics
    /// When it does not.
    pub fn new(shape: Vec<usize>, data: Vec<f64>) -> Self {
        assert_eq!(shape.iter().product::<usize>(), data.len(), "a tensor has one value for each place");
        Self { shape, data, element: Element::Float }
    }

    /// A list of integers: a shape, axes.
    pub(super) fn integers(values: &[i64]) -> Self {
        let data = values.iter().map(|&value| value as f64).collect();
        Self { shape: vec![values.len()], data, element: Element::Integer }
    }

    /// The same numbers, standing for something else.
    pub(super) fn with_element(self, element: Element) -> Self {
        Self { element, ..self }
    }

    /// Floating-point zeros of that shape.
    pub fn zeros(shape: Vec<usize>) -> Self {
        let elements = shape.iter().product();
        Self { shape, data: vec![0.0; elements], element: Element::Float }
    }

    /// Ones on the diagonal.
    pub(super) fn identity(size: usize) -> Self {
        let mut identity = Self::zeros(vec![size, size]);
        identity.data.iter_mut().step_by(size + 1).for_each(|value| *value = 1.0);
        identity
    }

    /// The sizes of the axes; empty for a single number.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// What the numbers stand for.
    pub fn element(&self) -> Element {
        self.element
    }

    /// As many values as the product of the sizes, row-major: the last axis runs fastest.
    pub fn data(&self) -> &[f64] {
        &self.data
    }

    /// The values, to be changed.
    pub fn data_mut(&mut self) -> &mut [f64] {
        &mut self.data
    }

    /// The same values in another shape of as many elements.
    pub(super) fn reshaped(&self, shape: Vec<usize>) -> Self {
        Self::new(shape, self.data.clone()).with_element(self.element)
    }

    /// The values as i64; fractions are cut off.
    pub(super) fn to_i64(&self) -> Vec<i64> {
        self.data.iter().map(|&value| value as i64).collect()
    }

    /// The values, row-major, rounded to f32.
    pub fn to_f32(&self) -> Vec<f32> {
        self.data.iter().map(|&value| value as f32).collect()
    }
}

/// How many elements a shape has.
///
/// # Errors
/// Above [`ELEMENTS_MAX`], whether or not the product still fits a `usize`.
pub(super) fn elements(shape: &[usize]) -> Result<usize, GradientError> {
    if shape.len() > RANK_MAX {
        let (found, limit) = (shape.len() as u64, RANK_MAX as u64);
        return Err(GradientError::TooMany { what: "dimensions", found, limit });
    }
    let product = shape.iter().try_fold(1_usize, |product, &size| product.checked_mul(size));
    product.filter(|&count| count <= ELEMENTS_MAX).ok_or_else(|| {
        let found = shape.iter().fold(1_u64, |product, &size| product.saturating_mul(size as u64));
        GradientError::TooMany { what: "elements of one tensor", found, limit: ELEMENTS_MAX as u64 }
    })
}

/// A size that a file states; `None` where it is negative. What no `usize` of a 32-bit processor holds becomes the largest, which
/// [`elements`] refuses by its name.
pub(super) fn size(stated: i64) -> Option<usize> {
    u64::try_from(stated).ok().map(|size| usize::try_from(size).unwrap_or(usize::MAX))
}

/// Row-major strides of a shape.
pub(super) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (0..shape.len().saturating_sub(1)).rev() {
        strides[axis] = strides[axis + 1] * shape[axis + 1];
    }
    strides
}

impl Tensor {
    /// An initialiser of the file; `None` for element types no gradient is computed with.
    pub(super) fn read(proto: &TensorProto) -> Result<Option<Self>, GradientError> {
        let failed = |problem: String| GradientError::Initializer { name: proto.name.clone(), problem };
        let sizes = proto.dims.iter().copied().map(size).collect::<Option<Vec<_>>>();
        let shape = sizes.ok_or_else(|| failed(format!("negative size in the shape {:?}", proto.dims)))?;
        let count = elements(&shape)?;
        if is_outside(proto) {
            return Err(outside(proto));
        }
        let raw = proto.raw_data.as_slice();
        let narrow = || proto.int32_data.iter().map(|&value| f64::from(value)).collect();
        let (element, data) = match DataType::from_i32(proto.data_type) {
            Some(DataType::Float) => {
                let typed = || proto.float_data.iter().map(|&value| f64::from(value)).collect();
                (Element::Float, numbers(raw, |bytes| f64::from(f32::from_le_bytes(bytes)), typed))
            }
            Some(DataType::Double) => (Element::Float, numbers(raw, f64::from_le_bytes, || proto.double_data.clone())),
            Some(DataType::Int64) => {
                let typed = || proto.int64_data.iter().map(|&value| value as f64).collect();
                (Element::Integer, numbers(raw, |bytes| i64::from_le_bytes(bytes) as f64, typed))
            }
            Some(DataType::Int32) => {
                (Element::Integer, numbers(raw, |bytes| f64::from(i32::from_le_bytes(bytes)), narrow))
            }
            Some(DataType::Bool) => (Element::Boolean, numbers(raw, |[byte]| f64::from(u8::from(byte != 0)), narrow)),
            _ => return Ok(None),
        };
        let data = data.ok_or_else(|| failed(format!("{} bytes are no whole number of elements", raw.len())))?;
        match data.len() {
            found if found == count => Ok(Some(Self { shape, data, element })),
            found => Err(failed(format!("{found} numbers for the shape {:?}", proto.dims))),
        }
    }

    /// As an initialiser: f32, i64 or bool.
    pub(super) fn write(&self, name: &str) -> TensorProto {
        match self.element {
            Element::Float => proto::floats(name, &self.shape, &self.to_f32()),
            Element::Integer => proto::shaped_integers(name, &self.shape, &self.to_i64()),
            Element::Boolean => {
                let bytes = self.data.iter().map(|&value| u8::from(value != 0.0)).collect();
                proto::booleans(name, &self.shape, bytes)
            }
        }
    }
}

/// The numbers of an initialiser: little-endian bytes, or the field of its type where there are none. `None` when the
/// bytes are no whole number of elements.
fn numbers<const SIZE: usize>(
    raw: &[u8],
    decode: impl Fn([u8; SIZE]) -> f64,
    typed: impl FnOnce() -> Vec<f64>,
) -> Option<Vec<f64>> {
    if raw.is_empty() {
        return Some(typed());
    }
    let (elements, rest) = raw.as_chunks::<SIZE>();
    rest.is_empty().then(|| elements.iter().map(|&bytes| decode(bytes)).collect())
}
