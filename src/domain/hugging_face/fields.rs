//! The fields of a `config.json`, read with the rules of `transformers`.

use serde_json::{Map, Value, json};

use super::unsupported::Unsupported;
use crate::domain::arch::{Arch, Gelu};
use crate::domain::excerpt::excerpt;

/// The fields of a JSON object.
pub(super) struct Fields<'a>(pub(super) &'a Map<String, Value>);

impl Fields<'_> {
    /// The value of a field, unless it is missing or null.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A whole number.
    pub(super) fn whole_or(&self, name: &str, default: Option<u32>) -> Result<u32, Unsupported> {
        match (self.get(name), default) {
            (Some(value), _) => value
                .as_u64()
                .and_then(|number| u32::try_from(number).ok())
                .ok_or_else(|| Unsupported(format!("'{name}' is {}, not a whole number", excerpt(value)))),
            (None, Some(default)) => Ok(default),
            (None, None) => Err(Unsupported(format!("has no '{name}'"))),
        }
    }

    /// A whole number that must be there.
    pub(super) fn whole(&self, name: &str) -> Result<u32, Unsupported> {
        self.whole_or(name, None)
    }

    /// A whole number under its name in the architecture or under the general name, which `transformers` maps to the
    /// former.
    ///
    /// # Errors
    /// Both are there and differ.
    pub(super) fn whole_of(&self, name: &str, general: &str, default: Option<u32>) -> Result<u32, Unsupported> {
        match (self.get(name), self.get(general)) {
            (Some(own), Some(other)) if own != other => Err(Unsupported(format!(
                "'{name}' is {}, but '{general}', which is another name of it, is {}: remove one of them",
                excerpt(own),
                excerpt(other)
            ))),
            (None, Some(_)) => self.whole(general),
            _ => self.whole_or(name, default),
        }
    }

    /// A number.
    pub(super) fn real(&self, name: &str, default: f64) -> Result<f64, Unsupported> {
        let Some(value) = self.get(name) else { return Ok(default) };
        value.as_f64().ok_or_else(|| Unsupported(format!("'{name}' is {}, not a number", excerpt(value))))
    }

    /// True or false.
    pub(super) fn flag(&self, name: &str, default: bool) -> Result<bool, Unsupported> {
        let Some(value) = self.get(name) else { return Ok(default) };
        value.as_bool().ok_or_else(|| Unsupported(format!("'{name}' is {}, neither true nor false", excerpt(value))))
    }

    /// Rejects values that would change the outputs of the model.
    pub(super) fn must_be(&self, name: &str, allowed: &[Value]) -> Result<(), Unsupported> {
        match self.get(name) {
            Some(value) if !allowed.contains(value) => {
                let wanted = allowed.iter().map(Value::to_string).collect::<Vec<_>>().join(" or ");
                let wanted = if wanted.is_empty() { "a model without it".to_owned() } else { wanted };
                Err(Unsupported(format!("'{name}' is {}; only {wanted} is supported", excerpt(value))))
            }
            _ => Ok(()),
        }
    }

    /// Rejects classes other than those of the causal language model and of its body.
    ///
    /// `AutoModelForCausalLM` ignores the names, but the weights of another class have another head.
    pub(super) fn must_be_of(&self, classes: &[&str]) -> Result<(), Unsupported> {
        let Some(value) = self.get("architectures") else { return Ok(()) };
        let names: Option<Vec<&str>> = value.as_array().map(|names| names.iter().filter_map(Value::as_str).collect());
        match names {
            Some(names) if names.iter().all(|name| classes.contains(name)) => Ok(()),
            _ => Err(Unsupported(format!(
                "'architectures' is {}; only {} is supported: the head of another class cannot be scored as a \
                 language model",
                excerpt(value),
                classes.join(" or ")
            ))),
        }
    }

    /// Rejects values of fields of every architecture that would change the outputs.
    pub(super) fn check_common(&self) -> Result<(), Unsupported> {
        let no = json!(false);
        for name in ["is_encoder_decoder", "add_cross_attention", "tie_encoder_decoder", "use_sliding_window"] {
            self.must_be(name, std::slice::from_ref(&no))?;
        }
        // `transformers` 5 turns the causal mask off with this field.
        self.must_be("is_causal", &[json!(true)])?;
        self.must_be("chunk_size_feed_forward", &[json!(0)])?;
        self.must_be("pruned_heads", &[json!({})])?;
        self.must_be("per_layer_config", &[json!({})])?;
        if let Some(value) = self.get("layer_types") {
            let full = |kinds: &Vec<Value>| kinds.iter().all(|kind| *kind == json!("full_attention"));
            if !value.as_array().is_some_and(full) {
                return Err(Unsupported(format!(
                    "'layer_types' is {}; only \"full_attention\" for every layer is supported",
                    excerpt(value)
                )));
            }
        }
        Ok(())
    }

    /// The form of the GELU; other activations are refused.
    pub(super) fn gelu(&self, name: &str) -> Result<Gelu, Unsupported> {
        let tanh = ["gelu_new", "gelu_pytorch_tanh", "gelu_python_tanh", "gelu_fast", "gelu_accurate"];
        let known = ["gelu", "gelu_python"].iter().chain(&tanh).map(|name| json!(name)).collect::<Vec<_>>();
        self.must_be(name, &known)?;
        let is_tanh = self.get(name).and_then(Value::as_str).is_some_and(|name| tanh.contains(&name));
        Ok(if is_tanh { Gelu::Tanh } else { Gelu::Exact })
    }

    /// Rejects a window of attention, for an architecture that has none.
    pub(super) fn must_have_no_window(&self) -> Result<(), Unsupported> {
        // It has no effect if it is turned off.
        if self.get("use_sliding_window").is_some() { Ok(()) } else { self.must_be("sliding_window", &[]) }
    }

    /// Rejects fields that are neither read nor known to have no effect on the outputs.
    pub(super) fn check_known(&self, arch: Arch, is_known: impl Fn(&str) -> bool) -> Result<(), Unsupported> {
        match self.0.iter().find(|(name, value)| !value.is_null() && !is_known(name)) {
            Some((name, value)) => Err(Unsupported(format!(
                "'{}' is {}; grid does not know this field of a '{}' model, and it may change the outputs: remove \
                 it if it has no effect",
                excerpt(name),
                excerpt(value),
                arch.name()
            ))),
            None => Ok(()),
        }
    }
}
