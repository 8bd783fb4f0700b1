//! The pipeline against other programs' results, against properties that any spectrum keeps, and against cosmic rays.

mod cosmic_rays;
mod golden;
mod properties;
