//! Whole bundles: opened, asked, damaged.
