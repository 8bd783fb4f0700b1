//! Where the bands of reference materials are.

/// A material whose bands ASTM E1840 tabulates: averages of several laboratories, cm⁻¹ in air.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReferenceMaterial {
    /// The plastic: a beaker's lid will do.
    Polystyrene,
    /// 4-acetamidophenol, a tablet's active ingredient.
    Acetaminophen,
    /// The liquid.
    Cyclohexane,
}

/// As printed in public code that uses the standard.
const POLYSTYRENE: [f64; 11] = [620.9, 795.8, 1001.4, 1031.8, 1155.3, 1450.5, 1583.1, 1602.3, 2852.4, 2904.5, 3054.3];
const CYCLOHEXANE: [f64; 11] = [384.1, 426.3, 801.3, 1028.3, 1157.6, 1266.4, 1444.4, 2664.4, 2852.9, 2923.8, 2938.3];
/// Recalled from the standard, not read in a source: where it matters, check against the printed table.
#[rustfmt::skip]
const ACETAMINOPHEN: [f64; 24] = [
    213.3, 329.2, 390.9, 465.1, 504.0, 651.6, 710.8, 797.2, 834.5, 857.9, 968.7, 1105.5, 1168.5, 1236.8, 1278.5, 1323.9,
    1371.5, 1515.1, 1561.6, 1648.4, 2931.1, 3064.6, 3102.4, 3326.6,
];

impl ReferenceMaterial {
    /// Every material.
    pub const ALL: [Self; 3] = [Self::Polystyrene, Self::Acetaminophen, Self::Cyclohexane];

    /// As files and the command line spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Polystyrene => "polystyrene",
            Self::Acetaminophen => "acetaminophen",
            Self::Cyclohexane => "cyclohexane",
        }
    }

    /// The material of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|material| material.name() == name)
    }

    /// Its bands, ascending, cm⁻¹.
    pub const fn lines_per_cm(self) -> &'static [f64] {
        match self {
            Self::Polystyrene => &POLYSTYRENE,
            Self::Acetaminophen => &ACETAMINOPHEN,
            Self::Cyclohexane => &CYCLOHEXANE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_ascend_and_names_lead_back() {
        for material in ReferenceMaterial::ALL {
            assert!(material.lines_per_cm().is_sorted());
            assert_eq!(ReferenceMaterial::named(material.name()), Some(material));
        }
    }
}
