//! What was found, for people and for programs.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::bench::InstrumentBench;
use crate::checks::{CheckOutcome, CheckVerdict};

/// All outcomes of one run.
pub(crate) struct BenchReport {
    rig: String,
    port: String,
    simulated: bool,
    started: jiff::Timestamp,
    pub(crate) outcomes: Vec<CheckOutcome>,
}

impl BenchReport {
    pub(crate) fn new(bench: &InstrumentBench) -> Self {
        Self {
            rig: bench.rig.name.clone(),
            port: bench.rig.spectrometer.port.display().to_string(),
            simulated: bench.simulator.is_some(),
            started: jiff::Timestamp::now(),
            outcomes: Vec::new(),
        }
    }

    /// Nothing failed; what was skipped says why.
    pub(crate) fn passed(&self) -> bool {
        self.outcomes.iter().all(|outcome| outcome.verdict != CheckVerdict::Failed)
    }

    /// The checks that failed, each with its reason.
    pub(crate) fn failures(&self) -> String {
        let failed = self.outcomes.iter().filter(|outcome| outcome.verdict == CheckVerdict::Failed);
        failed.map(|outcome| outcome.line()).collect::<Vec<_>>().join("\n")
    }

    /// `hil-TIME.md` and `hil-TIME.json`.
    pub(crate) fn write(&self, folder: &Path) -> io::Result<[PathBuf; 2]> {
        std::fs::create_dir_all(folder)?;
        let name = self.started.strftime("hil-%Y%m%dT%H%M%SZ").to_string();
        let paths = ["md", "json"].map(|extension| folder.join(format!("{name}.{extension}")));
        std::fs::write(&paths[0], self.markdown())?;
        std::fs::write(&paths[1], format!("{:#}\n", self.json()))?;
        Ok(paths)
    }

    fn markdown(&self) -> String {
        let what =
            if self.simulated { "a simulated instrument: nothing here was measured" } else { self.port.as_str() };
        let mut text = format!("# {}\n\n{}, {what}, ramand {}\n\n", self.rig, self.started, env!("CARGO_PKG_VERSION"));
        text += "| check | verdict | |\n|---|---|---|\n";
        for CheckOutcome { name, verdict, says, .. } in &self.outcomes {
            text += &format!("| {name} | {} | {} |\n", verdict.name(), says.replace('|', "/").replace('\n', " "));
        }
        for CheckOutcome { name, table, .. } in self.outcomes.iter().filter(|outcome| !outcome.table.is_empty()) {
            text += &format!("\n## {name}\n\n");
            for (index, row) in table.iter().enumerate() {
                text += &format!("| {} |\n", row.join(" | "));
                if index == 0 {
                    text += &format!("|{}\n", "---|".repeat(row.len()));
                }
            }
        }
        text
    }

    fn json(&self) -> Value {
        let check = |outcome: &CheckOutcome| {
            json!({
                "name": outcome.name,
                "verdict": outcome.verdict.name(),
                "says": outcome.says,
                "figures": outcome.figures,
            })
        };
        json!({
            "rig": self.rig,
            "started": self.started.to_string(),
            "simulated": self.simulated,
            "version": env!("CARGO_PKG_VERSION"),
            "passed": self.passed(),
            "checks": self.outcomes.iter().map(check).collect::<Vec<_>>(),
        })
    }
}
