use super::*;

fn patterns(patterns: &[&[usize]], alphabet: usize, error: f64) -> Patterns {
    Patterns { patterns: patterns.iter().map(|pattern| pattern.to_vec()).collect(), alphabet, error }
}

fn v1(count: u32, error_thousandths: u32) -> MetaLang {
    MetaLang { alphabet: 8, length: 60, version: MetaLangVersion::Patterns { count, length: 6, error_thousandths } }
}

fn v2() -> MetaLang {
    MetaLang { alphabet: 5, length: 60, version: MetaLangVersion::Network { order: 3, lambda_thousandths: 2_000 } }
}

#[test]
fn sample_streams() {
    let texts = [v1(2, 0), v1(2, 100), v2()].map(|family| text(family, Purpose::Testing, 1, 0));
    insta::assert_snapshot!(texts.join("\n"), @"
    455514240225460225460225460225460225460455514240455514240455
    564151056115107105407025405641510712540560110071254070254071
    332103124012122103124031240312103121401031240312403312403124
    ");
}

/// A single pattern without noise leaves nothing open, and its stream repeats it.
#[test]
fn one_pattern_without_noise_has_no_entropy() {
    let Stream { text, entropies } = stream(v1(1, 0), Purpose::Testing, 3, 0);
    assert!(entropies.iter().all(|&entropy| entropy == 0.0), "{entropies:?}");
    let period = text.find('0').expect("a separator") + 1;
    assert!(text.bytes().zip(text.bytes().skip(period)).all(|(one, later)| one == later), "{text}");
}

/// Two patterns that differ in their second symbol: one bit there, and none elsewhere.
#[test]
fn entropies_without_noise_are_those_of_the_choice_between_patterns() {
    let language = patterns(&[&[1, 2, 3], &[1, 3, 3]], 4, 0.0);
    let entropies = language.entropies(&[1, 2, 3, 0, 1, 3, 3, 0]);
    let ln2 = std::f64::consts::LN_2;
    let expected = [0.0, ln2, 0.0, 0.0, 0.0, ln2, 0.0, 0.0];
    assert!(entropies.iter().zip(expected).all(|(found, known)| (found - known).abs() < 1e-12), "{entropies:?}");
}

/// One pattern, half of whose symbols are replaced: 0.5 + 0.5 (0.7 / 4) for the right symbol, 0.5 (0.3 + 0.7 / 4) for
/// the separator, and 0.5 (0.7 / 4) for the two others.
#[test]
fn noise_has_the_entropy_of_its_distribution() {
    let entropies = patterns(&[&[1, 2, 3]], 4, 0.5).entropies(&[2, 2, 0, 0]);
    let known = -(0.5875f64 * 0.5875f64.ln() + 0.2375 * 0.2375f64.ln() + 2.0 * 0.0875 * 0.0875f64.ln());
    assert!(entropies[..3].iter().all(|found| (found - known).abs() < 1e-12), "{entropies:?} {known}");
    assert_eq!(entropies[3], 0.0, "a separator is never replaced");
}

/// The probability of a stream by enumeration of all series of patterns.
#[test]
fn the_belief_gives_the_probability_of_the_whole_stream() {
    let language = patterns(&[&[1, 2, 1], &[2, 2, 1]], 3, 0.2);
    let emits = |clean: usize, seen: usize| {
        let kept = if clean == seen { 0.8 } else { 0.0 };
        kept + 0.2 * (if seen == 0 { 0.3 } else { 0.0 } + 0.7 / 3.0)
    };
    let seen = [2, 2, 0, 0, 1, 1];
    let mut total = 0.0;
    for (first, second) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let first = &language.patterns[first];
        let second = &language.patterns[second];
        let within: f64 = first.iter().zip(&seen[..3]).map(|(&clean, &seen)| emits(clean, seen)).product();
        let after: f64 = second.iter().zip(&seen[4..]).map(|(&clean, &seen)| emits(clean, seen)).product();
        total += 0.25 * within * after;
    }
    let mut belief = vec![vec![0.5, 0.0, 0.0, 0.0]; 2];
    let mut product = 1.0;
    for symbol in seen {
        let distribution = language.distribution(&belief);
        assert!((distribution.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        product *= distribution[symbol];
        language.update(&mut belief, symbol, distribution[symbol]);
    }
    assert!((product - total).abs() < 1e-15, "{product} {total}");
}

/// The formula of version 2, written as loops over its definition.
#[test]
fn the_entropy_of_a_network_is_that_of_its_softmax() {
    let (order, alphabet, lambda) = (3, 5, 2.0);
    let new = || Chance::new("network", 1, 1);
    let network = Network::new(order, alphabet, lambda, &mut new());
    let mut chance = new();
    let embeddings = normal_rows(alphabet, EMBEDDING, &mut chance);
    let layers: Vec<_> =
        (1..order).map(|_| (normal_rows(HIDDEN, EMBEDDING, &mut chance), normals(HIDDEN, &mut chance))).collect();
    let output = normal_rows(alphabet, HIDDEN, &mut chance);
    let bias = normals(alphabet, &mut chance);
    // The symbol 3 after 4 and 2: the weights are 1 for the older and 2 for the newer one.
    for (before, gram) in [(vec![4, 2], [4, 2]), (vec![1, 4, 2], [4, 2]), (vec![2], [0, 2]), (vec![], [0, 0])] {
        let mut logits = vec![];
        for symbol in 0..alphabet {
            let mut logit = bias[symbol];
            for unit in 0..HIDDEN {
                let mut mean = 0.0;
                for (place, (weights, biases)) in layers.iter().enumerate() {
                    let mut sum = biases[unit];
                    for axis in 0..EMBEDDING {
                        sum += embeddings[gram[place]][axis] * weights[unit][axis];
                    }
                    mean += (place as f64 + 1.0) * sum.tanh() / 3.0;
                }
                logit += mean * output[symbol][unit];
            }
            logits.push(logit);
        }
        let mean = logits.iter().sum::<f64>() / 5.0;
        let deviation = (logits.iter().map(|logit| (logit - mean).powi(2)).sum::<f64>() / 5.0).sqrt();
        let scaled: Vec<f64> = logits.iter().map(|logit| lambda * (logit - mean) / deviation).collect();
        let normalizer = scaled.iter().map(|logit| logit.exp()).sum::<f64>().ln();
        let known: f64 = scaled.iter().map(|logit| (logit - normalizer).exp() * (normalizer - logit)).sum();
        let found = entropy(&network.distribution(&before));
        assert!((found - known).abs() < 1e-10, "{before:?}: {found} {known}");
    }
}

/// The mean surprisal of symbols that a language creates is its mean entropy.
#[test]
fn streams_have_the_entropy_of_their_language() {
    for family in [v1(3, 200), v2()] {
        let mut differences = vec![];
        for index in 0..60 {
            let mut chance = stream_chance(family, Purpose::Testing, 5, index);
            let language = Language::new(family, &mut chance);
            let symbols = language.sample(60, &mut chance);
            let entropies = language.entropies(&symbols);
            let surprisals: f64 = match &language {
                Language::Network(network) => {
                    (0..60).map(|place| -network.distribution(&symbols[..place])[symbols[place]].ln()).sum()
                }
                Language::Patterns(patterns) => {
                    let count = patterns.patterns.len() as f64;
                    let mut belief: Vec<Vec<f64>> =
                        patterns.patterns.iter().map(|pattern| vec![0.0; pattern.len() + 1]).collect();
                    belief.iter_mut().for_each(|places| places[0] = 1.0 / count);
                    let mut sum = 0.0;
                    for &symbol in &symbols {
                        let probability = patterns.distribution(&belief)[symbol];
                        sum -= probability.ln();
                        patterns.update(&mut belief, symbol, probability);
                    }
                    sum
                }
            };
            differences.push((surprisals - entropies.iter().sum::<f64>()) / 60.0);
        }
        let mean = differences.iter().sum::<f64>() / 60.0;
        let deviation = (differences.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / 59.0).sqrt();
        assert!(mean.abs() < 4.0 * deviation / 60f64.sqrt(), "{family:?}: {mean} {deviation}");
    }
}

#[test]
fn languages_of_tests_are_none_of_training() {
    for family in [v1(2, 0), v2()] {
        let of = |purpose| (0..50).map(move |index| text(family, purpose, 1, index));
        let training: std::collections::HashSet<String> = of(Purpose::Training).collect();
        assert_eq!(training.len(), 50, "each stream has a language of its own");
        assert!(of(Purpose::Testing).all(|stream| !training.contains(&stream)));
    }
}
