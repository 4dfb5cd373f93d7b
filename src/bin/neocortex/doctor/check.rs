//! One check of `doctor`, and what it found.

use std::path::Path;

/// What a check found.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Fine,
    /// It cannot be known here, or it is worth knowing and nothing to worry about.
    Note,
    /// It works, and will not under some circumstance.
    Warning,
    /// It does not work.
    Broken,
}

pub struct Check {
    pub name: &'static str,
    pub verdict: Verdict,
    pub found: String,
    /// What to do; empty where there is nothing to do.
    pub advice: String,
}

impl Check {
    pub fn fine(name: &'static str, found: impl Into<String>) -> Self {
        Self::new(name, Verdict::Fine, found, "")
    }

    pub fn note(name: &'static str, found: impl Into<String>, advice: &str) -> Self {
        Self::new(name, Verdict::Note, found, advice)
    }

    pub fn new(
        name: &'static str,
        verdict: Verdict,
        found: impl Into<String>,
        advice: &str,
    ) -> Self {
        Self {
            name,
            verdict,
            found: found.into(),
            advice: advice.to_owned(),
        }
    }
}

impl Verdict {
    pub fn word(self) -> &'static str {
        match self {
            Self::Fine => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Broken => "broken",
        }
    }
}

/// Returns the text of a system file; `None` where it does not exist or this user may not read it.
pub fn read(root: &Path, path: &str) -> Option<String> {
    std::fs::read_to_string(root.join(path.trim_start_matches('/'))).ok()
}
