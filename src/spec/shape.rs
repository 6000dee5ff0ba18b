//! The keys of a model's shape.

use crate::domain::{Arch, ArchProperties, LARGEST_MODEL, ModelConfig, Positions};

use super::fields::Fields;
use super::problem::{Log, Mark, Problems};
use super::scalars::{Within, choice, flag, real, small};
use super::tree::Node;

/// The smallest vocabulary that a tokenizer learns: the 256 bytes, the end of a text, and padding.
pub(super) const MIN_VOCABULARY: u32 = 258;

/// Parses a shape such as `hidden=256,layers=4,heads=4,vocab_size=8192`, with the keys of an entry of `models:`.
///
/// # Errors
/// All problems together.
pub fn shape(text: &str) -> Result<ModelConfig, Problems> {
    let yaml = format!("{{{}}}", text.replace('=', ": "));
    let log = Log::new("the model".to_owned(), &yaml);
    let config = Node::read(&yaml, |mark| mark, &log).and_then(|node| {
        let mut fields = Fields::of(&node, "the model", &log)?;
        let config = config(&mut fields, "the model", None);
        fields.finish();
        config
    });
    log.finish(config)
}

/// The default of `rope_base:`, which is also the unused value of an architecture without rotary positions.
const ROPE_BASE: f64 = 10_000.0;

/// The architectures of models that a spec describes. `transformers` 5 loads every tokenizer of a `qwen2` model with the
/// splitting of Qwen2, which is not that of tokenizers trained here.
fn described() -> impl Iterator<Item = Arch> {
    Arch::TRAINED.into_iter().filter(|arch| *arch != Arch::Qwen2)
}

/// Decodes the keys of a shape. `hidden`, `layers` and `heads` are required, and `vocab_size` unless there is a default;
/// [`Arch::properties`] has the other defaults. CLASS-IT's table 1 fixes `intermediate: 4 × hidden` and as many key/value
/// heads as heads.
pub(super) fn config(fields: &mut Fields, subject: &str, vocab_size: Option<u32>) -> Option<ModelConfig> {
    let arch = fields.get("arch", Arch::Llama, choice(described().map(|arch| (arch.name(), arch))));
    let properties = arch.properties();
    let example = "such as `{hidden: 128, layers: 4, heads: 4}`";
    let hidden = fields.required("hidden", example, small(2..=LARGEST_MODEL.hidden));
    let layers = fields.required("layers", example, small(1..=LARGEST_MODEL.layers));
    let heads = Heads::decode(fields, example);
    let intermediate = fields.get("intermediate", None, |value| small(1..=LARGEST_MODEL.intermediate)(value).map(Some));
    let tied = fields.get("tied", properties.tied, flag);
    let has_vocab_size = vocab_size.is_some() || fields.take("vocab_size").is_some();
    let vocab_size =
        fields.get("vocab_size", vocab_size, |value| small(MIN_VOCABULARY..=LARGEST_MODEL.vocab_size)(value).map(Some));
    let max_positions = fields.get("max_positions", properties.max_positions, small(8..=LARGEST_MODEL.max_positions));
    let rope_base = match properties.positions {
        Positions::Rotary => fields.get("rope_base", ROPE_BASE, real(Within::Positive)),
        Positions::Learned { .. } | Positions::Relative => {
            fields.forbid("rope_base", &format!("has no meaning for {}, whose positions are learned", arch.name()));
            ROPE_BASE
        }
    };
    let norm_eps = fields.get("norm_eps", properties.norm_eps, real(Within::Positive));
    let init_std = fields.get("init_std", 0.02, real(Within::Positive));
    if !has_vocab_size {
        let hint = "add `tokenizer: {vocab_size: 4096}` to the spec";
        fields.log.add(fields.mark, format!("{subject} has no vocab_size"), Some(hint.into()));
    }
    let head_dim = heads.check(subject, hidden, arch, &properties, fields.log)?;
    Some(ModelConfig {
        arch,
        vocab_size: vocab_size?,
        max_positions,
        hidden: hidden?,
        layers: layers?,
        heads: heads.heads?,
        kv_heads: heads.kv_heads.or(heads.heads)?,
        head_dim,
        intermediate: intermediate.unwrap_or(4 * hidden?),
        rope_base,
        rope_scaling: None,
        norm_eps,
        tied,
        init_std,
    })
}

/// The keys of the attention heads, and where each is given.
struct Heads {
    heads: Option<u32>,
    heads_mark: Mark,
    kv_heads: Option<u32>,
    kv_heads_mark: Mark,
    head_dim: Option<u32>,
    head_dim_mark: Option<Mark>,
}

impl Heads {
    fn decode(fields: &mut Fields, example: &str) -> Heads {
        let heads_mark = fields.take("heads").map_or(fields.mark, |node| node.mark);
        Heads {
            heads: fields.required("heads", example, small(1..=LARGEST_MODEL.heads)),
            heads_mark,
            kv_heads_mark: fields.take("kv_heads").map_or(heads_mark, |node| node.mark),
            kv_heads: fields.get("kv_heads", None, |value| small(1..=LARGEST_MODEL.heads)(value).map(Some)),
            head_dim_mark: fields.take("head_dim").map(|node| node.mark),
            head_dim: fields.get("head_dim", None, |value| small(1..=LARGEST_MODEL.head_dim)(value).map(Some)),
        }
    }

    /// The width of a head; reports what does not fit together.
    fn check(
        &self,
        subject: &str,
        hidden: Option<u32>,
        arch: Arch,
        properties: &ArchProperties,
        log: &Log,
    ) -> Option<u32> {
        let (heads, kv_heads) = (self.heads, self.kv_heads);
        if let (Some(heads), Some(kv_heads)) = (heads, kv_heads)
            && !heads.is_multiple_of(kv_heads)
        {
            let reason = format!("{subject}: `kv_heads: {kv_heads}` does not divide `heads: {heads}`");
            log.add(self.kv_heads_mark, reason, Some("every key/value head serves the same number of heads".into()));
        } else if !properties.grouped_heads && kv_heads.is_some() && kv_heads != heads {
            let reason = format!("{subject}: {} has as many key/value heads as heads", arch.name());
            log.add(self.kv_heads_mark, reason, Some("remove `kv_heads`, or use `arch: llama`".into()));
        }
        let (hidden, heads) = (hidden?, heads?);
        if self.head_dim_mark.is_none() && !hidden.is_multiple_of(heads) {
            let below = hidden / heads * heads;
            let hint = match below {
                0 => format!("each head has its own part of the width: use `hidden: {heads}` or more, or fewer heads"),
                _ => format!("the nearest multiples of {heads} are {below} and {}", below + heads),
            };
            let reason = format!("{subject}: `hidden: {hidden}` is not divisible by `heads: {heads}`");
            log.add(self.heads_mark, reason, Some(hint));
            return None;
        }
        let head_dim = self.head_dim.unwrap_or(hidden / heads);
        if let Some(mark) = self.head_dim_mark.filter(|_| !properties.free_head_dim && heads * head_dim != hidden) {
            let reason = format!("{subject}: the heads of {} together are as wide as `hidden`", arch.name());
            log.add(mark, reason, Some("remove `head_dim`, or use `arch: llama`".into()));
        }
        let rotated = arch.rotary_width(head_dim);
        if properties.positions == Positions::Rotary && (rotated == 0 || !rotated.is_multiple_of(2)) {
            let mark = self.head_dim_mark.unwrap_or(self.heads_mark);
            let (reason, hint) = match rotated == head_dim {
                true => (
                    format!("the width of a head, {head_dim}, is odd"),
                    "rotary positions rotate pairs of numbers: choose `hidden` and `heads` so that hidden/heads is even",
                ),
                false => (
                    format!("positions rotate {rotated} of the {head_dim} dimensions of a head of {}", arch.name()),
                    "rotary positions rotate pairs of numbers: choose `hidden` and `heads` so that hidden/heads is a \
                     multiple of 8",
                ),
            };
            log.add(mark, format!("{subject}: {reason}"), Some(hint.into()));
        }
        Some(head_dim)
    }
}
