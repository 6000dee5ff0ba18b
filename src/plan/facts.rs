//! What a look at the data has told about the jobs of a plan.

use std::collections::BTreeMap;

use serde::Serialize;

use super::expand::Plan;
use crate::domain::{Job, JobId, ModelConfig};

/// How much text a prepare job yields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Amount {
    /// Documents or records in the training part.
    pub units: u64,
    /// Words in the training part.
    pub words: u64,
    /// Tokens in the training part; `None` before the job has run.
    pub tokens: Option<u64>,
}

/// What identities do not tell.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The text of the prepare jobs that has been counted.
    pub amounts: BTreeMap<JobId, Amount>,
    /// The shapes of the models that import jobs bring, and of those that stand in the plan without their ancestors.
    pub models: BTreeMap<JobId, ModelConfig>,
}

impl Facts {
    /// The shape of the model that a job leaves or begins with.
    pub fn model<'a>(&'a self, plan: &'a Plan, id: &JobId) -> Option<&'a ModelConfig> {
        if let Some(model) = self.models.get(id) {
            return Some(model);
        }
        match &plan.job(id)?.job {
            Job::Pretrain(pretrain) => Some(&pretrain.model),
            Job::Import(_) => None,
            Job::Tune(tune) => self.model(plan, &tune.parent),
            Job::Eval(eval) => self.model(plan, &eval.model),
            Job::Finetune(finetune) => self.model(plan, &finetune.model),
            Job::Tokenizer(_) | Job::Prepare(_) => None,
        }
    }

    /// The tuning jobs whose records may be longer than their model from elsewhere can take: label, longest record
    /// and positions. Of models that are trained here the spec has been compared already.
    pub fn too_long<'a>(&'a self, plan: &'a Plan) -> impl Iterator<Item = (&'a str, u32, u32)> {
        plan.jobs().filter_map(|planned| {
            let Job::Tune(tune) = &planned.job else { return None };
            let positions = self.model(plan, &planned.id)?.max_positions;
            (tune.max_length > positions).then_some((planned.label.as_str(), tune.max_length, positions))
        })
    }
}
