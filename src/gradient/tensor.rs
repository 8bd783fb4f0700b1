//! Constants and reference values: row-major arrays of f64, and lists of integers.

use tract_onnx::pb::TensorProto;
use tract_onnx::pb::tensor_proto::DataType;

use super::GradientError;

/// Elements of one value: 128 MB of f64, hundreds of times the largest activation of a network for spectra.
pub(super) const ELEMENTS_MAX: usize = 1 << 24;
/// No operator of such a network has more dimensions.
const RANK_MAX: usize = 8;

/// A row-major array.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    data: Vec<f64>,
}

/// What a name can stand for before the graph runs.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Constant {
    /// Numbers to calculate with.
    Floats(Tensor),
    /// A shape, axes, positions: rank 0 or 1.
    Integers(Vec<i64>),
}

impl Tensor {
    /// `data` has as many elements as `shape` says.
    ///
    /// # Panics
    /// When it does not.
    pub fn new(shape: Vec<usize>, data: Vec<f64>) -> Self {
        assert_eq!(shape.iter().product::<usize>(), data.len(), "a tensor has one value for each place");
        Self { shape, data }
    }

    /// Zeros.
    pub fn zeros(shape: Vec<usize>) -> Self {
        let elements = shape.iter().product();
        Self { shape, data: vec![0.0; elements] }
    }

    /// Ones on the diagonal.
    pub fn identity(size: usize) -> Self {
        let mut identity = Self::zeros(vec![size, size]);
        identity.data.iter_mut().step_by(size + 1).for_each(|value| *value = 1.0);
        identity
    }

    /// Sizes of the dimensions.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The values, row-major.
    pub fn data(&self) -> &[f64] {
        &self.data
    }

    /// The values, to be changed.
    pub fn data_mut(&mut self) -> &mut [f64] {
        &mut self.data
    }

    /// The same values in another shape of as many elements.
    pub(super) fn reshaped(&self, shape: Vec<usize>) -> Self {
        Self::new(shape, self.data.clone())
    }

    /// The values as f32.
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

/// Row-major strides of a shape.
pub(super) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (0..shape.len().saturating_sub(1)).rev() {
        strides[axis] = strides[axis + 1] * shape[axis + 1];
    }
    strides
}

impl Constant {
    /// An initialiser of the file; `None` for element types no gradient is computed with.
    pub(super) fn read(proto: &TensorProto) -> Result<Option<Self>, GradientError> {
        let failed = |problem: String| GradientError::Initializer { name: proto.name.clone(), problem };
        let sizes = proto.dims.iter().map(|&size| usize::try_from(size)).collect::<Result<Vec<_>, _>>();
        let shape = sizes.map_err(|_| failed(format!("negative size in the shape {:?}", proto.dims)))?;
        let count = elements(&shape)?;
        if !proto.external_data.is_empty() {
            return Err(failed("its numbers are in another file: store them in the ONNX file itself".into()));
        }
        let raw = &proto.raw_data;
        let whole = |size: usize| match raw.len() % size {
            0 => Ok(()),
            _ => Err(failed(format!("{} bytes are no whole number of elements", raw.len()))),
        };
        let (found, constant) = match DataType::try_from(proto.data_type) {
            Ok(DataType::Float) => {
                whole(4)?;
                let data: Vec<f64> = match raw.is_empty() {
                    true => proto.float_data.iter().map(|&value| f64::from(value)).collect(),
                    false => raw.as_chunks().0.iter().map(|&bytes| f64::from(f32::from_le_bytes(bytes))).collect(),
                };
                (data.len(), (data.len() == count).then(|| Self::Floats(Tensor::new(shape, data))))
            }
            Ok(DataType::Double) => {
                whole(8)?;
                let data: Vec<f64> = match raw.is_empty() {
                    true => proto.double_data.clone(),
                    false => raw.as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect(),
                };
                (data.len(), (data.len() == count).then(|| Self::Floats(Tensor::new(shape, data))))
            }
            Ok(DataType::Int64) => {
                whole(8)?;
                let data: Vec<i64> = match raw.is_empty() {
                    true => proto.int64_data.clone(),
                    false => raw.as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes)).collect(),
                };
                (data.len(), (data.len() == count && shape.len() <= 1).then_some(Self::Integers(data)))
            }
            _ => return Ok(None),
        };
        match constant {
            Some(constant) => Ok(Some(constant)),
            None => Err(failed(format!("{found} numbers for the shape {:?}", proto.dims))),
        }
    }
}
