//! How many predictions the official files have.

use std::collections::BTreeMap;

use crate::domain::{GlueTask, ItemOutcome, Size, Suite};

/// What a zero-shot evaluation lacks, or has too much, to be the official one: a sentence for each subtask.
pub fn problems(suite: Suite, size: Size, outcomes: &[ItemOutcome]) -> Vec<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for outcome in outcomes {
        *counts.entry(outcome.subtask.to_lowercase()).or_default() += 1;
    }
    if suite == Suite::Aoa {
        // Its subtasks are the checkpoints.
        return counts
            .iter()
            .filter_map(|(name, found)| problem(&format!("{suite}: {name}"), Some(*found), AOA))
            .collect();
    }
    let mut problems = vec![];
    for (subtask, wanted) in wanted(suite, size) {
        let found = counts.remove(&subtask.to_lowercase());
        problems.extend(problem(&format!("{suite}: {subtask}"), found, wanted));
    }
    problems.extend(counts.keys().map(|subtask| format!("{suite}: {subtask} is no official subtask")));
    problems
}

/// The same of the predictions of one fine-tuning.
pub fn glue_problems(task: GlueTask, outcomes: &[ItemOutcome]) -> Option<String> {
    let wanted = match task {
        GlueTask::Boolq => 1_635,
        GlueTask::Mnli => 4_908,
        GlueTask::Mrpc => 204,
        GlueTask::Multirc => 2_424,
        GlueTask::Qqp => 20_215,
        GlueTask::Rte => 139,
        GlueTask::Wsc => 52,
    };
    problem(&format!("{}: {task}", Suite::Glue), Some(outcomes.len()), wanted)
}

fn problem(what: &str, found: Option<usize>, wanted: u32) -> Option<String> {
    match found {
        Some(found) if found == wanted as usize => None,
        found => Some(format!("{what} has {} predictions instead of {wanted}", found.unwrap_or(0))),
    }
}

/// The subtasks of a suite and their items.
fn wanted(suite: Suite, size: Size) -> Vec<(&'static str, u32)> {
    let all = |names: &[(&'static str, u32)], size: u32| names.iter().map(|(name, _)| (*name, size)).collect();
    match (suite, size) {
        (Suite::Blimp, Size::Full) => BLIMP.to_vec(),
        (Suite::Blimp, Size::Fast) => all(&BLIMP, 200),
        (Suite::BlimpSupplement, Size::Full) => SUPPLEMENT.to_vec(),
        (Suite::BlimpSupplement, Size::Fast) => all(&SUPPLEMENT, 50),
        (Suite::Ewok, Size::Full) => EWOK.to_vec(),
        (Suite::Ewok, Size::Fast) => all(&EWOK, 100),
        (Suite::EntityTracking, Size::Full) => ENTITY_TRACKING.to_vec(),
        // The split `regular` alone, and all of it.
        (Suite::EntityTracking, Size::Fast) => ENTITY_TRACKING[..6].to_vec(),
        (Suite::Comps, _) => COMPS.to_vec(),
        (Suite::WugAdj, _) => vec![("wug_adj", 200)],
        (Suite::WugPast, _) => vec![("wug_past", 50)],
        (Suite::Reading, _) => vec![("reading", 1_726)],
        (Suite::Aoa | Suite::Glue, _) => vec![],
    }
}

/// Words in contexts.
const AOA: u32 = 8_005;

const SUPPLEMENT: [(&str, u32); 5] = [
    ("hypernym", 842),
    ("qa_congruence_easy", 64),
    ("qa_congruence_tricky", 165),
    ("subject_aux_inversion", 3_867),
    ("turn_taking", 280),
];

const EWOK: [(&str, u32); 11] = [
    ("agent-properties", 2_210),
    ("material-dynamics", 770),
    ("material-properties", 170),
    ("physical-dynamics", 120),
    ("physical-interactions", 556),
    ("physical-relations", 818),
    ("quantitative-properties", 314),
    ("social-interactions", 294),
    ("social-properties", 328),
    ("social-relations", 1_548),
    ("spatial-relations", 490),
];

const ENTITY_TRACKING: [(&str, u32); 18] = [
    ("regular_0_ops", 606),
    ("regular_1_ops", 607),
    ("regular_2_ops", 606),
    ("regular_3_ops", 606),
    ("regular_4_ops", 568),
    ("regular_5_ops", 159),
    ("ambiref_0_ops", 607),
    ("ambiref_1_ops", 607),
    ("ambiref_2_ops", 604),
    ("ambiref_3_ops", 604),
    ("ambiref_4_ops", 615),
    ("ambiref_5_ops", 187),
    ("move_contents_0_ops", 605),
    ("move_contents_1_ops", 606),
    ("move_contents_2_ops", 605),
    ("move_contents_3_ops", 606),
    ("move_contents_4_ops", 529),
    ("move_contents_5_ops", 156),
];

const COMPS: [(&str, u32); 4] =
    [("base", 49_340), ("wugs", 13_896), ("wugs_dist_before", 13_896), ("wugs_dist_in_between", 13_896)];

const BLIMP: [(&str, u32); 67] = [
    ("adjunct_island", 928),
    ("anaphor_gender_agreement", 971),
    ("anaphor_number_agreement", 931),
    ("animate_subject_passive", 895),
    ("animate_subject_trans", 923),
    ("causative", 818),
    ("complex_NP_island", 846),
    ("coordinate_structure_constraint_complex_left_branch", 906),
    ("coordinate_structure_constraint_object_extraction", 949),
    ("determiner_noun_agreement_1", 929),
    ("determiner_noun_agreement_2", 931),
    ("determiner_noun_agreement_irregular_1", 681),
    ("determiner_noun_agreement_irregular_2", 820),
    ("determiner_noun_agreement_with_adj_2", 941),
    ("determiner_noun_agreement_with_adj_irregular_1", 718),
    ("determiner_noun_agreement_with_adj_irregular_2", 840),
    ("determiner_noun_agreement_with_adjective_1", 933),
    ("distractor_agreement_relational_noun", 788),
    ("distractor_agreement_relative_clause", 871),
    ("drop_argument", 920),
    ("ellipsis_n_bar_1", 802),
    ("ellipsis_n_bar_2", 828),
    ("existential_there_object_raising", 812),
    ("existential_there_quantifiers_1", 930),
    ("existential_there_quantifiers_2", 911),
    ("existential_there_subject_raising", 924),
    ("expletive_it_object_raising", 759),
    ("inchoative", 855),
    ("intransitive", 868),
    ("irregular_past_participle_adjectives", 961),
    ("irregular_past_participle_verbs", 942),
    ("irregular_plural_subject_verb_agreement_1", 804),
    ("irregular_plural_subject_verb_agreement_2", 892),
    ("left_branch_island_echo_question", 947),
    ("left_branch_island_simple_question", 951),
    ("matrix_question_npi_licensor_present", 929),
    ("npi_present_1", 909),
    ("npi_present_2", 914),
    ("only_npi_licensor_present", 882),
    ("only_npi_scope", 837),
    ("passive_1", 840),
    ("passive_2", 903),
    ("principle_A_c_command", 946),
    ("principle_A_case_1", 912),
    ("principle_A_case_2", 915),
    ("principle_A_domain_1", 914),
    ("principle_A_domain_2", 915),
    ("principle_A_domain_3", 941),
    ("principle_A_reconstruction", 967),
    ("regular_plural_subject_verb_agreement_1", 890),
    ("regular_plural_subject_verb_agreement_2", 945),
    ("sentential_negation_npi_licensor_present", 919),
    ("sentential_negation_npi_scope", 871),
    ("sentential_subject_island", 961),
    ("superlative_quantifiers_1", 979),
    ("superlative_quantifiers_2", 986),
    ("tough_vs_raising_1", 948),
    ("tough_vs_raising_2", 920),
    ("transitive", 868),
    ("wh_island", 960),
    ("wh_questions_object_gap", 859),
    ("wh_questions_subject_gap", 898),
    ("wh_questions_subject_gap_long_distance", 857),
    ("wh_vs_that_no_gap", 861),
    ("wh_vs_that_no_gap_long_distance", 875),
    ("wh_vs_that_with_gap", 919),
    ("wh_vs_that_with_gap_long_distance", 910),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Cluster;

    #[test]
    fn the_sizes_add_up_to_the_published_ones() {
        let total = |suite, size| wanted(suite, size).iter().map(|(_, items)| *items).sum::<u32>();
        assert_eq!((total(Suite::Blimp, Size::Full), total(Suite::Blimp, Size::Fast)), (59_875, 13_400));
        assert_eq!(
            (total(Suite::BlimpSupplement, Size::Full), total(Suite::BlimpSupplement, Size::Fast)),
            (5_218, 250)
        );
        assert_eq!((total(Suite::Ewok, Size::Full), total(Suite::Ewok, Size::Fast)), (7_618, 1_100));
        assert_eq!(
            (total(Suite::EntityTracking, Size::Full), total(Suite::EntityTracking, Size::Fast)),
            (9_483, 3_152)
        );
        assert_eq!(total(Suite::Comps, Size::Full), 91_028);
    }

    #[test]
    fn every_subtask_that_is_not_as_it_should_be_is_named() {
        let outcome = |subtask: &str, item| ItemOutcome {
            task: "comps".into(),
            subtask: subtask.into(),
            item,
            chosen: 0,
            correct: true,
            credit: 1.0,
            scores: vec![],
            cluster: Cluster::Itself,
        };
        let mut outcomes: Vec<ItemOutcome> = (0..49_340).map(|item| outcome("BASE", item)).collect();
        outcomes.extend([outcome("wugs", 0), outcome("odd", 0)]);
        assert_eq!(
            problems(Suite::Comps, Size::Full, &outcomes),
            [
                "comps: wugs has 1 predictions instead of 13896",
                "comps: wugs_dist_before has 0 predictions instead of 13896",
                "comps: wugs_dist_in_between has 0 predictions instead of 13896",
                "comps: odd is no official subtask",
            ]
        );
        let wsc: Vec<ItemOutcome> = (0..52).map(|item| outcome("wsc", item)).collect();
        assert_eq!(glue_problems(GlueTask::Wsc, &wsc), None);
        assert!(
            glue_problems(GlueTask::Rte, &wsc).is_some_and(|problem| problem.contains("52 predictions instead of 139"))
        );
    }
}
