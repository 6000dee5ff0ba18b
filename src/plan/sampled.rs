//! What a plan makes with models of the grid: replies to prompts, and what teachers say about them.

use serde::Serialize;

use super::facts::Facts;
use super::planned::{Plan, PlannedJob};
use crate::domain::{Job, JobTeacher, Prompts, SampleJob, SampledCount, TeacherMode};

/// Replies of models to prompts. Jobs that differ only in the model, the seed or the share of the prompts are one line.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SampledLine {
    /// The name of the text that the prompts are from.
    pub text: String,
    /// Who corrects or scores the replies.
    pub teacher: Option<String>,
    /// Number of sample jobs.
    pub jobs: usize,
    /// Whether `prompts`, `replies` and `requests` are estimates, because the text is not tokenized yet.
    pub estimated: bool,
    /// Whether `prompts`, `replies` and `requests` are upper limits, because the prompts are not selected yet.
    pub at_most: bool,
    /// Prompts of all jobs.
    pub prompts: Option<u64>,
    /// Replies of all jobs.
    pub replies: Option<u64>,
    /// Requests to a service, without those whose answer was not usable.
    pub requests: Option<u64>,
    /// Words of the replies.
    pub student_words: Option<u64>,
    /// Words of the corrections.
    pub teacher_words: Option<u64>,
    /// Whether all replies and answers exist. Otherwise the words are upper limits.
    pub measured: bool,
    /// What jobs of the same line have in common.
    #[serde(skip)]
    key: String,
}

/// The lines of a plan.
pub(super) fn sampled_lines(plan: &Plan, facts: &Facts) -> Vec<SampledLine> {
    let mut lines: Vec<SampledLine> = vec![];
    for planned in plan.jobs() {
        let Job::Sample(job) = &planned.job else { continue };
        let is_of_teacher =
            |other: &PlannedJob| matches!(&other.job, Job::Teach(teach) if teach.teacher.samples() == Some(planned.id));
        if plan.jobs().any(is_of_teacher) {
            continue;
        }
        let teach = plan.jobs().find_map(|other| match &other.job {
            Job::Teach(teach) if teach.samples == planned.id => Some((other, &teach.teacher)),
            _ => None,
        });
        let line = line(planned, job, teach, facts);
        match lines.iter_mut().find(|known| known.key == line.key) {
            Some(known) => known.merge(line),
            None => lines.push(line),
        }
    }
    lines
}

fn line(
    planned: &PlannedJob,
    job: &SampleJob,
    teach: Option<(&PlannedJob, &JobTeacher)>,
    facts: &Facts,
) -> SampledLine {
    let teacher = teach.map(|(_, teacher)| describe(teacher));
    let prompts = facts.prompts.get(&planned.id).map(|prompts| prompts.count);
    let estimated = facts.prompts.get(&planned.id).is_some_and(|prompts| prompts.estimated);
    let at_most = facts.prompts.get(&planned.id).is_some_and(|prompts| prompts.at_most);
    let replies = prompts.map(|prompts| prompts * u64::from(job.replies));
    let requests = match teach {
        Some((_, JobTeacher::Endpoint(request))) if matches!(request.mode, TeacherMode::Rewrite { .. }) => prompts,
        Some((_, JobTeacher::Endpoint(_))) => replies,
        _ => Some(0),
    };
    let last = teach.map_or(planned.id, |(teach, _)| teach.id);
    let most = replies.map(|replies| replies * u64::from(job.options.max_new_tokens));
    let of_teacher = match teach {
        Some((_, JobTeacher::Endpoint(request))) if request.mode == TeacherMode::Correct => {
            replies.map(|replies| replies * u64::from(request.max_tokens))
        }
        Some((_, JobTeacher::Endpoint(request))) if matches!(request.mode, TeacherMode::Rewrite { .. }) => {
            prompts.map(|prompts| prompts * u64::from(request.max_tokens))
        }
        Some((_, JobTeacher::Samples { .. })) => most,
        _ => Some(0),
    };
    let (student_words, teacher_words, measured) = match facts.sampled.get(&last) {
        Some(&SampledCount { student_words, teacher_words, .. }) => (Some(student_words), Some(teacher_words), true),
        None => (most, of_teacher, false),
    };
    let text = planned.text.as_ref().map_or(String::new(), |text| text.name.clone());
    let selection = match &job.prompts {
        Prompts::Selected(selected) => Some(&selected.selection),
        Prompts::Records { .. } | Prompts::Pieces { .. } => None,
    };
    let key = format!("{text} {:?} {} {:?} {selection:?} {teacher:?}", job.part.of, job.replies, job.options);
    SampledLine {
        text,
        teacher,
        jobs: 1,
        estimated,
        at_most,
        prompts,
        replies,
        requests,
        student_words,
        teacher_words,
        measured,
        key,
    }
}

fn describe(teacher: &JobTeacher) -> String {
    match teacher {
        JobTeacher::Endpoint(request) => match request.mode {
            TeacherMode::Correct => format!("{} corrects", request.model),
            TeacherMode::Score { least, greatest } => format!("{} scores {least} to {greatest}", request.model),
            TeacherMode::Rewrite { .. } => format!("{} rewrites", request.model),
        },
        JobTeacher::Samples { .. } => "a model of the grid corrects".to_owned(),
        JobTeacher::Likelihood { .. } => "a model of the grid scores".to_owned(),
    }
}

impl SampledLine {
    fn merge(&mut self, other: SampledLine) {
        let add = |one: Option<u64>, other: Option<u64>| one.zip(other).map(|(one, other)| one + other);
        self.jobs += other.jobs;
        self.estimated |= other.estimated;
        self.at_most |= other.at_most;
        self.prompts = add(self.prompts, other.prompts);
        self.replies = add(self.replies, other.replies);
        self.requests = add(self.requests, other.requests);
        self.student_words = add(self.student_words, other.student_words);
        self.teacher_words = add(self.teacher_words, other.teacher_words);
        self.measured &= other.measured;
    }
}
