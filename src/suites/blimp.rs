//! BLiMP: pairs of a grammatical and an ungrammatical sentence, each scored as a whole.
//!
//! Every pair is a cluster of its own.

use crate::domain::{Cluster, Edition, ItemOutcome, Mode, Score, Size, Suite};

use super::choice;
use super::definition::{Definition, Official, OfficialReport, Sizes};
use super::error::SuiteError;
use super::item::{Candidate, Item, ReportLabel, Truth};
use super::json_lines::{self, JsonRow, ParsedRow};
use super::official::{predictions, report};

pub(super) const DEFINITION: Definition =
    Definition { read, score: Some(choice::score), recluster: choice::recluster, official: Some(OFFICIAL) };

/// The official files of BLiMP, which its supplement shares: it is run as the same task on another folder.
pub(super) const OFFICIAL: Official = Official {
    folder: "blimp",
    folder_per_set: true,
    sizes: Sizes::OfSubtasks(|_, size| sizes(size)),
    predictions_file: "predictions.json",
    predictions: predictions::chosen_completions,
    report: Some(OfficialReport { file: report::FILE, since: Edition::Of2025, write: write_report }),
    fast_result: report::fast_accuracies,
};

fn read(suite: Suite, _: Mode, files: &[(String, Vec<u8>)]) -> Result<Vec<Item>, SuiteError> {
    json_lines::read(suite, files, |stem, row| minimal_pair(stem, row, Cluster::Itself))
}

/// A row with a good and a bad sentence.
pub(super) fn minimal_pair(stem: &str, row: &JsonRow, cluster: Cluster) -> Result<ParsedRow, SuiteError> {
    let word = |field: &str| if row.has(field) { row.text(field) } else { Ok("supplement") };
    Ok(ParsedRow {
        subtask: stem.to_owned(),
        group: word("field")?.replace("syntax_semantics", "syntax/semantics"),
        report_labels: vec![ReportLabel { block: "LINGUISTICS_TERM", value: word("linguistics_term")?.to_owned() }],
        candidates: vec![Candidate::whole(row.text("sentence_good")?), Candidate::whole(row.text("sentence_bad")?)],
        truth: Truth::First,
        left_out_by: None,
        cluster,
    })
}

fn write_report(suite: Suite, items: &[Item], outcomes: &[ItemOutcome], scores: &[&Score]) -> String {
    report::with_blocks(suite, items, outcomes, scores, |report, of_subtasks| {
        report.block("FIELD", &report::accuracy_by(items, outcomes, |item| &item.group));
        report.block("UID", &of_subtasks);
    })
}

fn sizes(size: Size) -> Vec<(&'static str, u32)> {
    match size {
        Size::Full => FULL.to_vec(),
        Size::Fast => FULL.iter().map(|(subtask, _)| (*subtask, 200)).collect(),
    }
}

/// The subtasks of the full set, and how many items each has.
const FULL: [(&str, u32); 67] = [
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
