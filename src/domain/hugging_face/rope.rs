//! The fields of rotary positions.

use serde_json::{Map, Value, json};

use super::fields::Fields;
use super::unsupported::Unsupported;
use crate::domain::excerpt::excerpt;
use crate::domain::model::ModelConfig;
use crate::domain::rope_scaling::RopeScaling;

/// The base of the rotary frequencies where a configuration has none.
const BASE: f64 = 10_000.0;

/// The names of fields that are beside `rope_parameters` in older files, and what is computed without them.
pub(super) struct RopeNames {
    /// The base of the frequencies.
    pub(super) base: &'static str,
    /// The rotated part of the width of a head.
    pub(super) fraction: &'static str,
    /// That part if the file has none.
    pub(super) default_fraction: f64,
}

/// The names of LLaMA and of the architectures that were derived from it.
pub(super) const LLAMA: RopeNames =
    RopeNames { base: "rope_theta", fraction: "partial_rotary_factor", default_fraction: 1.0 };

/// The rotary positions of a model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rope {
    pub(super) base: f64,
    /// The rotated part of the width of a head.
    pub(super) fraction: f64,
    pub(super) scaling: Option<RopeScaling>,
}

impl Rope {
    /// Reads the rotary positions of a model with this many positions.
    ///
    /// transformers 5 stores them in `rope_parameters`, and reads an older `rope_scaling` in place of that object. What is
    /// inside takes precedence over the fields beside it. transformers 4 reads `rope_scaling` and those fields alone.
    pub(super) fn read(fields: &Fields<'_>, names: &RopeNames, positions: u32) -> Result<Self, Unsupported> {
        Self::read_from(&["rope_parameters", "rope_scaling"], fields, names, positions)
    }

    /// Reads the last of these objects that is there and not empty, and the fields beside it.
    fn read_from(
        objects: &[&'static str],
        fields: &Fields<'_>,
        names: &RopeNames,
        positions: u32,
    ) -> Result<Self, Unsupported> {
        let beside = Rope {
            base: fields.real(names.base, BASE)?,
            fraction: fields.real(names.fraction, names.default_fraction)?,
            scaling: None,
        };
        let mut rope = beside;
        for &name in objects {
            let Some(value) = fields.get(name) else { continue };
            let object = value
                .as_object()
                .ok_or_else(|| Unsupported(format!("'{name}' is {}, not an object", excerpt(value))))?;
            if !object.is_empty() {
                rope = RopeObject { name, value, object }.read(beside, positions)?;
            }
        }
        Ok(rope)
    }

    /// The fields, for transformers 4 and 5.
    pub(super) fn write(self, names: &RopeNames) -> Map<String, Value> {
        let Rope { base, fraction, scaling } = self;
        let mut parameters = scaling.map_or_else(|| fields_of(json!({"rope_type": "default"})), scaling_fields);
        let mut fields = Map::new();
        if scaling.is_some() {
            fields.insert("rope_scaling".to_owned(), Value::Object(parameters.clone()));
        }
        parameters.insert("rope_theta".to_owned(), json!(base));
        if fraction != 1.0 {
            parameters.insert("partial_rotary_factor".to_owned(), json!(fraction));
            fields.insert(names.fraction.to_owned(), json!(fraction));
        }
        fields.insert(names.base.to_owned(), json!(base));
        fields.insert("rope_parameters".to_owned(), Value::Object(parameters));
        fields
    }
}

/// Refuses the rotation of a part of each head, which LLaMA and the architectures that were derived from it do not have.
pub(super) fn read_whole(fields: &Fields<'_>, positions: u32) -> Result<Rope, Unsupported> {
    fields.must_be("partial_rotary_factor", &[json!(1.0), json!(1)])?;
    let rope = Rope::read(fields, &LLAMA, positions)?;
    match rope.fraction == 1.0 {
        true => Ok(rope),
        false => Err(Unsupported(format!("has a partial_rotary_factor of {}, which is not supported", rope.fraction))),
    }
}

/// Adds the fields of the rotary positions of a model that rotates whole heads.
pub(super) fn with_rope(fields: Value, model: &ModelConfig) -> Value {
    let rope = Rope { base: model.rope_base, fraction: 1.0, scaling: model.rope_scaling };
    let mut fields = fields_of(fields);
    fields.extend(rope.write(&LLAMA));
    Value::Object(fields)
}

fn fields_of(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        other => unreachable!("an object was written, not {other}"),
    }
}

/// The fields of scaled positions in `rope_parameters` or `rope_scaling`.
fn scaling_fields(scaling: RopeScaling) -> Map<String, Value> {
    fields_of(match scaling {
        RopeScaling::Linear { factor } => json!({"rope_type": "linear", "factor": factor}),
        RopeScaling::Dynamic { factor } => json!({"rope_type": "dynamic", "factor": factor}),
        RopeScaling::Llama3 { factor, low_frequency, high_frequency, original_positions } => json!({
            "rope_type": "llama3",
            "factor": factor,
            "low_freq_factor": low_frequency,
            "high_freq_factor": high_frequency,
            "original_max_position_embeddings": original_positions,
        }),
        RopeScaling::Yarn { factor, attention_factor, beta_fast, beta_slow, original_positions, truncate } => json!({
            "rope_type": "yarn",
            "factor": factor,
            "attention_factor": attention_factor,
            "beta_fast": beta_fast,
            "beta_slow": beta_slow,
            "original_max_position_embeddings": original_positions,
            "truncate": truncate,
        }),
    })
}

/// `rope_parameters` or `rope_scaling`.
struct RopeObject<'a> {
    name: &'static str,
    value: &'a Value,
    object: &'a Map<String, Value>,
}

impl RopeObject<'_> {
    fn refuse<T>(&self, what: &str) -> Result<T, Unsupported> {
        Err(Unsupported(format!("'{}' is {}; {what} is not supported", self.name, excerpt(self.value))))
    }

    /// Reads the object; what it lacks is that of the fields beside it.
    fn read(&self, beside: Rope, positions: u32) -> Result<Rope, Unsupported> {
        let inner = Fields(self.object);
        let kinds = ["rope_type", "type"].map(|key| inner.get(key));
        let kind = match kinds {
            [Some(new), Some(old)] if new != old => return self.refuse("a rope_type that differs from the type"),
            [Some(kind), _] | [None, Some(kind)] => kind.as_str().unwrap_or_default(),
            [None, None] => "default",
        };
        let original = || inner.whole_or("original_max_position_embeddings", Some(positions));
        let (scaling, own): (_, &[&str]) = match kind {
            "default" => (None, &[]),
            "linear" => (Some(RopeScaling::Linear { factor: self.positive("factor", None)? }), &["factor"]),
            "dynamic" => (Some(RopeScaling::Dynamic { factor: self.positive("factor", None)? }), &["factor"]),
            "llama3" => {
                let low_frequency = self.positive("low_freq_factor", None)?;
                let high_frequency = self.positive("high_freq_factor", None)?;
                if low_frequency >= high_frequency {
                    return self.refuse("a low_freq_factor that is not below the high_freq_factor");
                }
                let factor = self.positive("factor", None)?;
                let original_positions = original()?;
                let own = &["factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"];
                (Some(RopeScaling::Llama3 { factor, low_frequency, high_frequency, original_positions }), own)
            }
            "yarn" => {
                let own = &[
                    "factor",
                    "attention_factor",
                    "beta_fast",
                    "beta_slow",
                    "mscale",
                    "mscale_all_dim",
                    "original_max_position_embeddings",
                    "truncate",
                ];
                let factor = self.positive("factor", None)?;
                let scaling = RopeScaling::Yarn {
                    factor,
                    attention_factor: self.positive("attention_factor", Some(self.yarn_attention(factor)?))?,
                    beta_fast: self.positive("beta_fast", Some(32.0))?,
                    beta_slow: self.positive("beta_slow", Some(1.0))?,
                    original_positions: original()?,
                    truncate: inner.flag("truncate", true)?,
                };
                (Some(scaling), own)
            }
            _ => {
                let (key, kind) = if let Some(kind) = kinds[0] { ("rope_type", kind) } else { ("type", &json!(kind)) };
                return self.refuse(&format!("the {key} {} of rotary embeddings", excerpt(kind)));
            }
        };
        let known = ["rope_type", "type", "rope_theta", "partial_rotary_factor"];
        let is_known = |key: &str| known.contains(&key) || own.contains(&key);
        if let Some((key, _)) = self.object.iter().find(|(key, value)| !value.is_null() && !is_known(key)) {
            return self.refuse(&format!("the field '{}' in it", excerpt(key)));
        }
        let base = inner.real("rope_theta", beside.base)?;
        Ok(Rope { base, fraction: inner.real("partial_rotary_factor", beside.fraction)?, scaling })
    }

    /// A number above 0.
    fn positive(&self, key: &str, default: Option<f64>) -> Result<f64, Unsupported> {
        match Fields(self.object).real(key, default.unwrap_or(f64::NAN))? {
            number if number.is_finite() && number > 0.0 => Ok(number),
            _ => self.refuse(&format!("a '{key}' that is missing or not above 0")),
        }
    }

    /// The attention factor of YaRN that follows from the others.
    fn yarn_attention(&self, factor: f64) -> Result<f64, Unsupported> {
        let inner = Fields(self.object);
        let scaled = |scale: f64| if factor <= 1.0 { 1.0 } else { 0.1 * scale * factor.ln() + 1.0 };
        let (scale, all) = (inner.real("mscale", 0.0)?, inner.real("mscale_all_dim", 0.0)?);
        Ok(if scale != 0.0 && all != 0.0 { scaled(scale) / scaled(all) } else { scaled(1.0) })
    }
}

/// What to say about rotary positions that transformers 4.51.3 computes differently.
pub(super) fn difference_in_release_4(fields: &Fields<'_>, names: &RopeNames, positions: u32) -> Option<String> {
    const RELEASE: &str = "transformers 4.51.3, which the official pipeline uses,";
    let rope = Rope::read(fields, names, positions).ok()?;
    let read = Rope::read_from(&["rope_scaling"], fields, names, positions).ok()?;
    // The older release does not look for the base in the object.
    let base = fields.real(names.base, BASE).ok()?;
    let name = names.base;
    if rope.base != base {
        return Some(format!(
            "the base of the rotary positions is {}, but {RELEASE} reads only '{name}' and computes with {base}; set '{name}' \
             to {} for both to agree",
            rope.base, rope.base
        ));
    }
    if rope.fraction != fields.real(names.fraction, names.default_fraction).ok()? {
        let (name, fraction) = (names.fraction, rope.fraction);
        return Some(format!(
            "positions rotate {fraction} of each head, but {RELEASE} reads only '{name}'; set '{name}' to {fraction} for both \
             to agree"
        ));
    }
    if rope.scaling != read.scaling {
        return Some(format!(
            "the rotary positions are scaled by 'rope_parameters', but {RELEASE} reads only 'rope_scaling'; copy the object to \
             'rope_scaling' for both to agree"
        ));
    }
    match rope.scaling {
        Some(RopeScaling::Yarn { factor, original_positions, truncate, .. })
            if !truncate || factor != f64::from(positions) / f64::from(original_positions) =>
        {
            Some(format!(
                "{RELEASE} computes 'yarn' with the factor max_position_embeddings / original_max_position_embeddings and with \
                 'truncate', which are others than in the file"
            ))
        }
        _ => None,
    }
}
