use super::*;

fn options(temperature: f64, top_p: f64, top_k: Option<u32>) -> SamplingOptions {
    SamplingOptions { temperature, top_p, top_k, ..SamplingOptions::greedy(8, vec![]) }
}

fn logits(probabilities: &[f64]) -> Vec<f32> {
    probabilities.iter().map(|p| p.ln() as f32 + 3.0).collect()
}

fn drawn(logits: &[f32], options: &SamplingOptions, uniform: f64) -> u32 {
    sample(logits, greatest(logits), options, uniform)
}

#[test]
fn the_nucleus_is_what_a_hand_computes() {
    let logits = logits(&[0.1, 0.4, 0.2, 0.3]);
    // (top_p, uniform, id): 0.65 keeps ids 1 and 3 with 4/7 and 3/7; 0.75 also keeps id 2, with 4/9, 3/9 and 2/9.
    for (top_p, uniform, id) in [
        (0.35, 0.999, 1),
        (0.45, 0.999, 3),
        (0.65, 0.57, 1),
        (0.65, 0.58, 3),
        (0.65, 0.9999, 3),
        (0.75, 0.44, 1),
        (0.75, 0.45, 3),
        (0.75, 0.77, 3),
        (0.75, 0.78, 2),
        (0.95, 0.899, 2),
        (0.95, 0.901, 0),
        (1.0, 0.399, 1),
        (1.0, 0.401, 3),
        (1.0, 0.701, 2),
        (1.0, 0.901, 0),
        (1.0, 0.0, 1),
    ] {
        assert_eq!(drawn(&logits, &options(1.0, top_p, None), uniform), id, "top_p {top_p}, {uniform}");
    }
}

#[test]
fn equal_logits_are_ordered_by_id() {
    let equal = [2.5; 8];
    for (uniform, id) in [(0.0, 0), (0.24, 0), (0.26, 1), (0.51, 2), (0.76, 3), (0.999, 3)] {
        assert_eq!(drawn(&equal, &options(0.7, 0.5, None), uniform), id);
        assert_eq!(drawn(&equal, &options(0.7, 1.0, Some(4)), uniform), id);
    }
    assert_eq!(choose(&[1.0, 3.0, 3.0, 2.0], &options(0.0, 1.0, None), 1, 0).unwrap(), 1);
}

#[test]
fn the_first_k_stay_before_the_nucleus() {
    let logits = logits(&[0.1, 0.4, 0.2, 0.3]);
    // Of the first two, with 4/7 and 3/7, a nucleus of 0.55 keeps one and a nucleus of 0.6 both.
    assert_eq!(drawn(&logits, &options(1.0, 0.55, Some(2)), 0.999), 1);
    assert_eq!(drawn(&logits, &options(1.0, 0.6, Some(2)), 0.999), 3);
    assert_eq!(drawn(&logits, &options(1.0, 1.0, Some(2)), 0.58), 3);
    assert_eq!(drawn(&logits, &options(1.0, 1.0, Some(100)), 0.95), 0);
}

#[test]
fn the_temperature_divides_logits() {
    // At temperature 1/2, weights are squares: 16, 9, 4, 1 of 30.
    let logits = logits(&[0.4, 0.3, 0.2, 0.1]);
    for (uniform, id) in [(0.533, 0), (0.534, 1), (0.833, 1), (0.834, 2), (0.966, 2), (0.967, 3)] {
        assert_eq!(drawn(&logits, &options(0.5, 1.0, None), uniform), id);
    }
    assert_eq!(drawn(&logits, &options(1e-9, 1.0, None), 0.999_999), 0);
}

/// The ids are sorted in parts, and the result is that of one sort.
#[test]
fn many_ids_are_sorted_lazily() {
    let logits: Vec<f32> = (0..5_000u32).map(|id| ((id * 7_919 % 613) as f32).sin()).collect();
    let mut wanted: Vec<u32> = (0..5_000).collect();
    wanted.sort_by(|a, b| logits[*b as usize].total_cmp(&logits[*a as usize])); // stable
    let mut sorted = Descending::new(&logits);
    assert_eq!((sorted.get(0), sorted.sorted), (wanted[0], 32));
    for place in [5, 40, 39, 700, 4_999] {
        assert_eq!(sorted.get(place), wanted[place]);
    }
    assert_eq!(sorted.ids, wanted);
}

/// Pearson's test; the seeds are fixed, so the result is, too.
#[test]
fn frequencies_are_the_probabilities() {
    let probabilities = [0.05, 0.5, 0.15, 0.3];
    let logits = logits(&probabilities);
    let draws = 8_000;
    let mut chi_squares = vec![];
    for (top_p, number) in [(1.0, 0), (1.0, 9), (0.9, 0)] {
        let options = options(1.0, top_p, None);
        let mut counts = [0.0; 4];
        for seed in 0..draws {
            counts[choose(&logits, &options, seed, number).unwrap() as usize] += 1.0;
        }
        let kept: f64 = if top_p < 1.0 { 0.95 } else { 1.0 };
        let mut chi_square = 0.0;
        for (count, p) in counts.iter().zip(probabilities) {
            if p < 0.1 && top_p < 1.0 {
                assert_eq!(*count, 0.0);
                continue;
            }
            let expected = draws as f64 * p / kept;
            chi_square += (count - expected).powi(2) / expected;
        }
        chi_squares.push(chi_square);
    }
    // The 99.9% quantile of three degrees of freedom.
    assert!(chi_squares.iter().all(|chi_square| *chi_square < 16.27), "{chi_squares:?}");
}

#[test]
fn draws_depend_on_the_seed_and_the_number() {
    let draws: Vec<f64> =
        [(1, 0), (1, 1), (2, 0), (u64::MAX, u32::MAX)].map(|(seed, number)| uniform(seed, number)).into();
    assert!(draws.iter().all(|draw| (0.0..1.0).contains(draw)));
    assert!((0..4).all(|a| (0..a).all(|b| draws[a] != draws[b])), "{draws:?}");
    // Part of the format of results: another function would change every recorded sample.
    assert_eq!(uniform(7, 3).to_bits(), 4_600_010_674_738_291_144);
}

#[test]
fn a_stop_token_is_excluded_while_the_reply_is_short() {
    let options =
        |temperature| SamplingOptions { min_new_tokens: 2, temperature, ..SamplingOptions::greedy(8, vec![1, 3]) };
    let logits = [1.0, 9.0, 2.0, 8.0];
    for temperature in [0.0, 0.01] {
        let chosen = [0, 1, 2].map(|number| choose(&logits, &options(temperature), 5, number).unwrap());
        assert_eq!(chosen, [2, 2, 1]);
    }
}

#[test]
fn damaged_logits_are_refused() {
    for temperature in [0.0, 1.0] {
        for wrong in [[1.0, f32::NAN], [f32::INFINITY, 1.0], [f32::NEG_INFINITY; 2]] {
            let refusal = choose(&wrong, &options(temperature, 1.0, None), 5, 0).unwrap_err().to_string();
            assert!(refusal.starts_with("the logits of the model are not finite"), "{refusal}");
        }
        assert_eq!(choose(&[1.0, f32::NEG_INFINITY], &options(temperature, 1.0, None), 5, 0).unwrap(), 0);
    }
}
