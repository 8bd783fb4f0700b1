//! Matrix products on slices: the one place that calls `matrixmultiply`, in f32 for training and f64 for its tests.

use std::ops::{Add, AddAssign, Mul, Sub};

/// A floating-point number that layers compute in: f32 in use, f64 where a test compares with finite differences.
pub(super) trait Scalar:
    Copy
    + Default
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + AddAssign
    + Send
    + Sync
    + 'static
{
    /// C ← A B + `keep` C, with C row-major.
    ///
    /// # Safety
    /// A has as many columns as B has rows, and `c` holds at least as many values as A has rows times B has columns.
    unsafe fn product(a: MatrixView<'_, Self>, b: MatrixView<'_, Self>, keep: Self, c: &mut [Self]);

    /// 1.
    const ONE: Self;
}

macro_rules! scalar {
    ($type:ty, $product:path) => {
        impl Scalar for $type {
            unsafe fn product(a: MatrixView<'_, Self>, b: MatrixView<'_, Self>, keep: Self, c: &mut [Self]) {
                let stride = |stride: usize| stride as isize;
                // SAFETY: a view holds rows × columns values by construction, transposed or not; the caller promises the rest.
                unsafe {
                    $product(
                        a.rows,
                        a.columns,
                        b.columns,
                        1.0,
                        a.values.as_ptr(),
                        stride(a.row_stride),
                        stride(a.column_stride),
                        b.values.as_ptr(),
                        stride(b.row_stride),
                        stride(b.column_stride),
                        keep,
                        c.as_mut_ptr(),
                        stride(b.columns),
                        1,
                    );
                }
            }

            const ONE: Self = 1.0;
        }
    };
}

scalar!(f32, matrixmultiply::sgemm);
scalar!(f64, matrixmultiply::dgemm);

/// A matrix seen in a slice, row-major or transposed.
#[derive(Debug, Clone, Copy)]
pub(super) struct MatrixView<'a, T> {
    values: &'a [T],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a, T> MatrixView<'a, T> {
    /// The first `rows` × `columns` values, row by row.
    pub(super) fn new(values: &'a [T], rows: usize, columns: usize) -> Self {
        assert!(values.len() >= rows * columns, "a {rows} x {columns} matrix does not fit {} values", values.len());
        Self { values, rows, columns, row_stride: columns, column_stride: 1 }
    }

    /// The same values with rows and columns exchanged.
    pub(super) fn transposed(self) -> Self {
        Self {
            values: self.values,
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
        }
    }
}

/// What becomes of the values that stand where a product goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accumulation {
    /// They are replaced.
    Overwrite,
    /// The product is added to them.
    AddTo,
}

/// C ← A B or C ← C + A B, with C row-major. The order of the sums depends on the shapes alone.
pub(super) fn multiply<T: Scalar>(a: MatrixView<'_, T>, b: MatrixView<'_, T>, into: Accumulation, c: &mut [T]) {
    assert_eq!(a.columns, b.rows, "the inner dimensions of a matrix product agree");
    assert!(c.len() >= a.rows * b.columns, "a {} x {} product does not fit {} values", a.rows, b.columns, c.len());
    let keep = if into == Accumulation::AddTo { T::ONE } else { T::default() };
    // SAFETY: both promises were checked above.
    unsafe { T::product(a, b, keep, c) };
}

/// The transpose of a row-major matrix of `columns` columns, itself row-major, block by block.
pub(super) fn transposed<T: Scalar>(values: &[T], columns: usize) -> Vec<T> {
    let rows = values.len() / columns;
    let mut turned = vec![T::default(); values.len()];
    for first_row in (0..rows).step_by(TILE) {
        for first_column in (0..columns).step_by(TILE) {
            let to_column = (first_column + TILE).min(columns);
            for row in first_row..(first_row + TILE).min(rows) {
                let source = &values[row * columns..][first_column..to_column];
                let targets = turned[first_column * rows + row..].iter_mut().step_by(rows);
                source.iter().zip(targets).for_each(|(&value, target)| *target = value);
            }
        }
    }
    turned
}

/// Rows and columns of a block: both its sides stay in the nearest cache.
const TILE: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_by_hand_plain_transposed_and_summed() {
        let a = [1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0]; // 2 x 3
        let b = [1.0_f32, 0.0, 2.0, -1.0, 0.0, 1.0]; // 3 x 2
        let mut c = [100.0; 4];
        multiply(MatrixView::new(&a, 2, 3), MatrixView::new(&b, 3, 2), Accumulation::Overwrite, &mut c);
        assert_eq!(c, [5.0, 1.0, 14.0, 1.0]);
        multiply(MatrixView::new(&a, 2, 3), MatrixView::new(&b, 3, 2), Accumulation::AddTo, &mut c);
        assert_eq!(c, [10.0, 2.0, 28.0, 2.0]);
        // bᵀ aᵀ = (a b)ᵀ
        multiply(
            MatrixView::new(&b, 3, 2).transposed(),
            MatrixView::new(&a, 2, 3).transposed(),
            Accumulation::Overwrite,
            &mut c,
        );
        assert_eq!(c, [5.0, 14.0, 1.0, 1.0]);
    }

    #[test]
    fn a_transpose_swaps_rows_and_columns_whatever_the_shape() {
        for (rows, columns) in [(1, 1), (3, 5), (16, 33), (40, 17)] {
            let values: Vec<f32> = (0..rows * columns).map(|i| i as f32).collect();
            let turned = transposed(&values, columns);
            let swapped = (0..columns).flat_map(|j| (0..rows).map(move |i| (i * columns + j) as f32));
            assert_eq!(turned, swapped.collect::<Vec<_>>(), "{rows} x {columns}");
            assert_eq!(transposed(&turned, rows), values);
        }
    }

    #[test]
    #[should_panic(expected = "inner dimensions")]
    fn shapes_that_do_not_fit_are_refused() {
        multiply(
            MatrixView::new(&[0.0_f32; 6], 2, 3),
            MatrixView::new(&[0.0; 4], 2, 2),
            Accumulation::Overwrite,
            &mut [0.0; 4],
        );
    }
}
