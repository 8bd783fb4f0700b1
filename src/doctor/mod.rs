//! What keeps this station from measuring, and what to do about it: one diagnosis a line, gathered without changing anything.
//!
//! Nothing here switches a laser, sets an exposure or writes to the journal. What the operating system tells in files is
//! read below a [`Root`], so that every diagnosis can be provoked with a made-up tree.

mod board;
mod broker;
mod credentials;
mod diagnosis;
mod models;
mod port;
mod root;
mod station;

use crate::config::Config;

pub use credentials::handed_over;
pub use diagnosis::{Diagnosis, State, gravest};
pub use root::Root;

/// Looks at everything the configuration names. The instrument is asked who it is where nobody else has its port.
pub fn examine(config: &Config, root: &Root) -> Vec<Diagnosis> {
    let mut diagnoses = port::examine(config, root);
    diagnoses.extend(port::uninvited(config, root));
    diagnoses.extend(port::instrument(config));
    diagnoses.extend(station::laser(config));
    diagnoses.extend(station::clock());
    diagnoses.extend(station::journal(config, root));
    diagnoses.extend(broker::examine(config, root));
    diagnoses.extend(credentials::examine(config, root));
    diagnoses.extend(models::examine(config));
    diagnoses.extend(board::examine(root));
    diagnoses
}
