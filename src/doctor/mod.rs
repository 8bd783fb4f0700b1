//! What keeps this station from measuring, and what to do about it: one finding a line, gathered without changing anything.
//!
//! Nothing here switches a laser, sets an exposure or writes to the journal. What the operating system tells in files is
//! read below a [`Root`], so that every finding can be provoked with a made-up tree.

mod board;
mod broker;
mod credentials;
mod finding;
mod models;
mod port;
mod root;
mod station;

use crate::config::Config;

pub use credentials::handed_over;
pub use finding::{Finding, State, gravest};
pub use root::Root;

/// Looks at everything the configuration names. The instrument is asked who it is where nobody else has its port.
pub fn examine(config: &Config, root: &Root) -> Vec<Finding> {
    let mut findings = port::examine(config, root);
    findings.extend(port::uninvited(config, root));
    findings.extend(port::instrument(config));
    findings.extend(station::laser(config));
    findings.extend(station::clock());
    findings.extend(station::journal(config, root));
    findings.extend(broker::examine(config, root));
    findings.extend(credentials::examine(config, root));
    findings.extend(models::examine(config));
    findings.extend(board::examine(root));
    findings
}
