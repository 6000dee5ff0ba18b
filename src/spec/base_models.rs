//! The models of a cell before any tuning: its own, and further ones that its training needs, such as teachers.

use std::collections::HashSet;

use crate::domain::{BaseModel, Corpus, Dataset, Distillation, ModelConfig, NamedModel, Pretraining};

use super::document::Document;
use super::models::{Model, ModelBase};
use super::problem::{Log, Mark};
use super::sampling::Sampling;
use super::training::{Pretrain, Tune};

/// The names of the text that some cell is trained on. A tokenizer is trained on all of it, unless the spec names other
/// text: it is the same for every cell, so that the cells of a model share their tokenizer and their pretraining.
#[derive(Default)]
pub(super) struct UsedText {
    corpora: HashSet<String>,
    datasets: HashSet<String>,
}

impl UsedText {
    /// Adds the text of the pretraining of a model and of its teachers.
    pub(super) fn add_model(&mut self, model: &Model, document: &Document) {
        let ModelBase::Trained(trained) = &model.base else { return };
        let pretrain = &trained.1;
        self.corpora.extend(pretrain.corpora.iter().cloned());
        let teachers = pretrain.objective.value.iter().flat_map(|distillation| &distillation.teachers);
        // The teachers of a teacher are not used.
        for teacher in teachers.filter_map(|name| document.model(name)) {
            if let ModelBase::Trained(trained) = &teacher.base {
                self.corpora.extend(trained.1.corpora.iter().cloned());
            }
        }
    }

    /// Adds the text of a further model, by its name.
    pub(super) fn add_named(&mut self, name: &str, document: &Document) {
        if let Some(model) = document.model(name) {
            self.add_model(model, document);
        }
    }

    /// Adds a dataset by its name. The data that a model makes count with the text of their prompts, and that of the models
    /// that are needed for them.
    pub(super) fn add_dataset(&mut self, name: &str, document: &Document) {
        match document.sampled.iter().find(|(known, _)| known == name) {
            Some((_, sampling)) => self.add_sampled(sampling, document),
            None => {
                self.datasets.insert(name.to_owned());
            }
        }
    }

    /// Adds the text of data that a model makes.
    pub(super) fn add_sampled(&mut self, sampling: &Sampling, document: &Document) {
        sampling.models().for_each(|name| self.add_named(name, document));
        let (corpus, dataset) = sampling.text();
        self.corpora.extend(corpus.cloned());
        dataset.into_iter().for_each(|name| self.add_dataset(name, document));
    }

    /// The corpora and datasets that the tokenizers of a setting are trained on, in the order of the spec or of the lists
    /// under `tokenizer:`.
    fn tokenizer_text(&self, document: &Document) -> (Vec<Corpus>, Vec<Dataset>) {
        let Document { corpora, datasets, tokenizer_corpora, tokenizer_datasets, .. } = document;
        let corpora = match tokenizer_corpora {
            Some(names) => chosen(corpora, names, |corpus| &corpus.name),
            None => corpora.iter().filter(|corpus| self.corpora.contains(&corpus.name)).cloned().collect(),
        };
        let datasets = match tokenizer_datasets {
            Some(names) => chosen(datasets, names, |dataset| &dataset.name),
            None => datasets.iter().filter(|dataset| self.datasets.contains(&dataset.name)).cloned().collect(),
        };
        (corpora, datasets)
    }
}

/// What the models of a cell are made from.
pub(super) struct BaseModels<'a> {
    /// The spec under the axis values of the cell.
    pub document: &'a Document,
    /// The text of the tokenizers.
    pub used: &'a UsedText,
    /// Where problems are reported.
    pub log: &'a Log,
}

impl BaseModels<'_> {
    /// The model before any tuning, with its teachers; `None` if something is wrong with them.
    pub(super) fn of(&self, model: &Model) -> Option<BaseModel> {
        let ModelBase::Trained(trained) = &model.base else { return Some(self.without_teachers(model)) };
        let pretrain = &trained.1;
        let mark = pretrain.objective.mark;
        let Some(Distillation { teachers, settings }) = &pretrain.objective.value else {
            return Some(self.without_teachers(model));
        };
        let teachers = teachers.iter().map(|name| {
            let teacher = self.document.model(name)?;
            self.check_teacher_of_pretraining(teacher, model, mark)?;
            self.check_teacher(teacher, model, pretrain.sequence_length.value, mark)?;
            Some(NamedModel { name: name.clone(), base: self.without_teachers(teacher) })
        });
        let teachers = self.distinct(teachers.collect::<Option<_>>()?, mark)?;
        let distillation = Distillation { teachers, settings: *settings };
        Some(BaseModel::Trained(Box::new(self.pretraining(trained, Some(distillation)))))
    }

    /// A further model of the cell, by its name in `models:`. Like the cell's own model, it is made under the axis values and
    /// with the seed of the cell, so that it is the same job as the base of the cells of that model. A model that the
    /// objective in `pretrain:` names as a teacher is that teacher.
    pub(super) fn named(&self, name: &str) -> Option<NamedModel> {
        let model = self.document.model(name)?;
        let is_teacher = match &model.base {
            ModelBase::Trained(trained) => {
                let objective = trained.1.objective.value.as_ref().filter(|_| !model.has_own_objective);
                objective.is_some_and(|distillation| distillation.teachers.iter().any(|teacher| teacher == name))
            }
            ModelBase::Imported(_) | ModelBase::Recorded(_) => false,
        };
        let base = if is_teacher { self.without_teachers(model) } else { self.of(model)? };
        Some(NamedModel { name: name.to_owned(), base })
    }

    /// The teachers of a tuning, whose objective is at `mark`, of a model; empty for an objective without teachers.
    pub(super) fn teachers_of_tuning(&self, tune: &Tune, mark: Mark, student: &Model) -> Option<Vec<NamedModel>> {
        let longest = match (&student.base, &tune.replay) {
            (ModelBase::Trained(trained), Some(_)) => tune.max_length.value.max(trained.1.sequence_length.value),
            _ => tune.max_length.value,
        };
        let teacher = |name: &String| {
            self.check_teacher(self.document.model(name)?, student, longest, mark)?;
            self.named(name)
        };
        self.distinct(tune.teachers.iter().map(teacher).collect::<Option<_>>()?, mark)
    }

    /// Reports teachers that differ in nothing but their names, and would be the same model twice.
    fn distinct(&self, teachers: Vec<NamedModel>, mark: Mark) -> Option<Vec<NamedModel>> {
        for (place, one) in teachers.iter().enumerate() {
            if let Some(other) = teachers[..place].iter().find(|other| other.base == one.base) {
                let reason = format!("teachers '{}' and '{}' are the same model", other.name, one.name);
                let hint = "remove one of them, or give them different shapes or trainings";
                self.log.add(mark, reason, Some(hint.into()));
                return None;
            }
        }
        Some(teachers)
    }

    /// The model before any tuning, trained on next-token prediction if it is trained here.
    fn without_teachers(&self, model: &Model) -> BaseModel {
        match &model.base {
            ModelBase::Imported(base) => BaseModel::Imported(base.clone()),
            ModelBase::Recorded(job) => BaseModel::Recorded(*job),
            ModelBase::Trained(trained) => BaseModel::Trained(Box::new(self.pretraining(trained, None))),
        }
    }

    fn pretraining(
        &self,
        (config, pretrain): &(ModelConfig, Pretrain),
        distillation: Option<Distillation<NamedModel>>,
    ) -> Pretraining {
        let document = self.document;
        let (tokenizer_corpora, tokenizer_datasets) = self.used.tokenizer_text(document);
        Pretraining {
            tokenizer_corpora,
            tokenizer_datasets,
            special_tokens: document.special_tokens.clone(),
            model: config.clone(),
            corpora: chosen(&document.corpora, &pretrain.corpora, |corpus| &corpus.name),
            sequence_length: pretrain.sequence_length.value,
            training: pretrain.training.clone(),
            distillation,
            milestones: pretrain.milestones.clone(),
        }
    }

    /// Reports a teacher of pretraining that is the model itself, or whose own entry asks for teachers. An objective in
    /// `pretrain:` is that of the students: teachers are trained on next-token prediction.
    fn check_teacher_of_pretraining(&self, teacher: &Model, student: &Model, mark: Mark) -> Option<()> {
        let name = &teacher.name;
        let is_distilled = matches!(&teacher.base, ModelBase::Trained(trained) if trained.1.objective.value.is_some());
        let (reason, hint) = if *name == student.name {
            let reason = format!("model '{name}' cannot be its own teacher in pretraining");
            let hint = match student.has_own_objective {
                true => "name another model".to_owned(),
                false => format!(
                    "set the objective of the students only, as `pretrain: {{objective: ...}}` in their entries of `models` or \
                     with an axis such as `models.student.pretrain.objective`; or remove '{name}' from the axis 'model'"
                ),
            };
            (reason, hint)
        } else if is_distilled && teacher.has_own_objective {
            let reason =
                format!("teacher '{name}' has teachers of its own, but teachers are trained on next-token prediction");
            (reason, format!("remove 'objective' from the entry of '{name}'"))
        } else {
            return Some(());
        };
        self.log.add(mark, reason, Some(hint));
        None
    }

    /// Reports a teacher whose tokens cannot be those of the student, or that cannot read rows of `longest` tokens. What
    /// depends on the files of an imported or a recorded model is checked before the training.
    fn check_teacher(&self, teacher: &Model, student: &Model, longest: u32, mark: Mark) -> Option<()> {
        let (name, own) = (&teacher.name, &student.name);
        let (reason, hint) = match (&student.base, &teacher.base) {
            (ModelBase::Trained(of_student), ModelBase::Trained(of_teacher)) => {
                let [sizes, positions] = [
                    [of_student.0.vocab_size, of_teacher.0.vocab_size],
                    [of_student.0.max_positions, of_teacher.0.max_positions],
                ];
                if sizes[0] != sizes[1] {
                    let reason = format!(
                        "model '{own}' has a vocabulary of {}, but its teacher '{name}' one of {}",
                        sizes[0], sizes[1]
                    );
                    (reason, "give both models the same `vocab_size`".to_owned())
                } else if positions[1] < longest {
                    let reason =
                        format!("teacher '{name}' has {} positions, but rows have {longest} tokens", positions[1]);
                    (reason, format!("set `max_positions: {longest}` for '{name}', or use shorter rows"))
                } else {
                    return Some(());
                }
            }
            (ModelBase::Trained(_), ModelBase::Imported(_)) => (
                format!(
                    "model '{own}' has the tokenizer of this spec, but its teacher '{name}' is imported with its own"
                ),
                "train the teacher in this spec, or tune an imported student, whose tokenizer must be the same"
                    .to_owned(),
            ),
            (ModelBase::Imported(_), ModelBase::Trained(_)) => (
                format!("model '{own}' is imported with its tokenizer, but its teacher '{name}' has that of this spec"),
                "import a teacher with the same tokenizer, or train the student in this spec".to_owned(),
            ),
            (ModelBase::Imported(_) | ModelBase::Recorded(_), _) | (_, ModelBase::Recorded(_)) => return Some(()),
        };
        self.log.add(mark, reason, Some(hint));
        None
    }
}

/// The items with these names, in the order of the names.
pub(super) fn chosen<T: Clone>(items: &[T], names: &[String], name: impl Fn(&T) -> &String) -> Vec<T> {
    names.iter().filter_map(|wanted| items.iter().find(|item| name(item) == wanted)).cloned().collect()
}
