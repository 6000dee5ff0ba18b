//! The teachers of a distillation.

use grid::data::{TokenDifference, Tokenizer};
use grid::domain::{Distill, JobId, ModelConfig};

use super::inputs::Inputs;
use crate::attempt::JobError;
use crate::ml::{Distillation, LanguageModeling, Model, model_folder};

/// Teachers that fit the model which learns from them.
#[derive(Debug)]
pub(super) struct Teachers {
    settings: Distill,
    models: Vec<Model>,
}

impl Teachers {
    /// Reads the models that these jobs left onto the device of the job. `config` and `tokenizer` are those of the student,
    /// and `longest` is the largest number of tokens that a row has.
    ///
    /// # Errors
    /// A teacher with other tokens than the student, or with too few positions.
    pub(super) fn read(
        jobs: &[JobId],
        settings: Distill,
        config: &ModelConfig,
        tokenizer: &Tokenizer,
        longest: u32,
        inputs: Inputs<'_>,
    ) -> Result<Self, JobError> {
        let read = |id: &JobId| {
            let folder = inputs.model(id)?;
            let refuse = |reason: String| Err(JobError::failed(format!("the teacher {} {reason}", folder.display())));
            let ModelConfig { vocab_size, max_positions, .. } = model_folder::read_config(folder)?;
            if let Some(TokenDifference { id, tokens: [student, teacher] }) =
                tokenizer.difference(&Tokenizer::load(folder)?)
            {
                return refuse(format!(
                    "has another tokenizer than its student: for the student the token {id} is {student}, for the teacher \
                     {teacher}; use a teacher with the tokenizer of the student"
                ));
            }
            if vocab_size != config.vocab_size {
                return refuse(format!(
                    "predicts {vocab_size} tokens, but its student {}; give both models the same number of embeddings \
                     (`resize_token_embeddings`)",
                    config.vocab_size
                ));
            }
            if max_positions < longest {
                return refuse(format!(
                    "has {max_positions} positions, but rows have {longest} tokens; use shorter rows"
                ));
            }
            inputs.read_model(folder)
        };
        if jobs.is_empty() {
            return Err(JobError::failed("the job names no teacher"));
        }
        Ok(Self { settings, models: jobs.iter().map(read).collect::<Result<_, _>>()? })
    }

    /// The objective of learning from them beside the text.
    pub(super) fn objective(self, text: LanguageModeling) -> Distillation {
        Distillation::new(text, self.settings, self.models)
    }
}
