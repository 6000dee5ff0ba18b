//! The linguistic phenomena of BLiMP.

/// The value of `linguistics_term` in the data file of a subtask (UID) of BLiMP (Warstadt et al. 2020, table 4: 67
/// paradigms, 12 phenomena; the files separate `s-selection`). `None` for an unknown subtask.
pub fn blimp_term(subtask: &str) -> Option<&'static str> {
    Some(match subtask {
        "adjunct_island"
        | "complex_NP_island"
        | "coordinate_structure_constraint_complex_left_branch"
        | "coordinate_structure_constraint_object_extraction"
        | "left_branch_island_echo_question"
        | "left_branch_island_simple_question"
        | "sentential_subject_island"
        | "wh_island" => "island_effects",
        "anaphor_gender_agreement" | "anaphor_number_agreement" => "anaphor_agreement",
        "animate_subject_passive" | "animate_subject_trans" => "s-selection",
        "causative" | "drop_argument" | "inchoative" | "intransitive" | "passive_1" | "passive_2" | "transitive" => {
            "argument_structure"
        }
        "determiner_noun_agreement_1"
        | "determiner_noun_agreement_2"
        | "determiner_noun_agreement_irregular_1"
        | "determiner_noun_agreement_irregular_2"
        | "determiner_noun_agreement_with_adj_2"
        | "determiner_noun_agreement_with_adj_irregular_1"
        | "determiner_noun_agreement_with_adj_irregular_2"
        | "determiner_noun_agreement_with_adjective_1" => "determiner_noun_agreement",
        "distractor_agreement_relational_noun"
        | "distractor_agreement_relative_clause"
        | "irregular_plural_subject_verb_agreement_1"
        | "irregular_plural_subject_verb_agreement_2"
        | "regular_plural_subject_verb_agreement_1"
        | "regular_plural_subject_verb_agreement_2" => "subject_verb_agreement",
        "ellipsis_n_bar_1" | "ellipsis_n_bar_2" => "ellipsis",
        "existential_there_object_raising"
        | "existential_there_subject_raising"
        | "expletive_it_object_raising"
        | "tough_vs_raising_1"
        | "tough_vs_raising_2" => "control_raising",
        "existential_there_quantifiers_1"
        | "existential_there_quantifiers_2"
        | "superlative_quantifiers_1"
        | "superlative_quantifiers_2" => "quantifiers",
        "irregular_past_participle_adjectives" | "irregular_past_participle_verbs" => "irregular_forms",
        "matrix_question_npi_licensor_present"
        | "npi_present_1"
        | "npi_present_2"
        | "only_npi_licensor_present"
        | "only_npi_scope"
        | "sentential_negation_npi_licensor_present"
        | "sentential_negation_npi_scope" => "npi_licensing",
        "principle_A_c_command"
        | "principle_A_case_1"
        | "principle_A_case_2"
        | "principle_A_domain_1"
        | "principle_A_domain_2"
        | "principle_A_domain_3"
        | "principle_A_reconstruction" => "binding",
        "wh_questions_object_gap"
        | "wh_questions_subject_gap"
        | "wh_questions_subject_gap_long_distance"
        | "wh_vs_that_no_gap"
        | "wh_vs_that_no_gap_long_distance"
        | "wh_vs_that_with_gap"
        | "wh_vs_that_with_gap_long_distance" => "filler_gap_dependency",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subtasks_have_the_terms_of_their_files() {
        assert_eq!(blimp_term("wh_island"), Some("island_effects"));
        assert_eq!(blimp_term("animate_subject_trans"), Some("s-selection"));
        assert_eq!(blimp_term("qa_congruence_easy"), None);
    }
}
