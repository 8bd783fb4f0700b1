//! What a failure asks for: the one question every error of ramand can answer.

/// What the caller, or whoever is on call, has to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Passes by itself: try again within the deadline.
    Transient,
    /// The instrument, its cable or its port: close, wait, open again.
    Device,
    /// Somebody must change a file, an argument or a permission; trying again is pointless.
    Operator,
    /// A promise of this program was broken.
    Bug,
}

impl Kind {
    /// The process exit code, from `sysexits.h`. systemd does not restart on [`Kind::Operator`]'s.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Transient => 75, // EX_TEMPFAIL
            Self::Device => 69,    // EX_UNAVAILABLE
            Self::Operator => 78,  // EX_CONFIG
            Self::Bug => 70,       // EX_SOFTWARE
        }
    }
}

/// An error with its causes, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |line, cause| format!("{line}: {cause}"))
}

/// An error that knows what it asks for.
pub trait Failure: std::error::Error {
    /// What has to be done about it.
    fn kind(&self) -> Kind;
}
