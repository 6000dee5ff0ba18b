//! What the file of an architecture states about its `config.json`.

use serde_json::Value;

use super::fields::Fields;
use super::rope::RopeNames;
use super::unsupported::Unsupported;
use crate::domain::dropout::DropoutPlace;
use crate::domain::model::ModelConfig;

/// The `config.json` of an architecture.
pub(super) struct ConfigFormat {
    /// Reads the configuration, and refuses what would change the outputs and is not computed.
    pub(super) read: fn(&Fields<'_>) -> Result<ModelConfig, Unsupported>,
    /// Writes the fields that other architectures do not have.
    pub(super) write: fn(&ModelConfig) -> Value,
    /// The names of the fields of rotary positions, if the architecture has these.
    pub(super) rope: Option<&'static RopeNames>,
    /// The fields of dropout probabilities, with their defaults and what they apply to.
    pub(super) dropouts: &'static [DropoutField],
    /// The names of all fields besides those that every architecture has.
    pub(super) fields: &'static [&'static str],
}

/// A field of a dropout probability: its name, its default, and what it applies to.
pub(super) type DropoutField = (&'static str, f64, &'static [DropoutPlace]);
