use std::collections::{HashMap, HashSet};

use serde::Deserialize;

use super::*;

const CORPORA: [WorldPart; 3] = [WorldPart::Speech, WorldPart::Dialogues, WorldPart::Articles];
const DATASETS: [WorldPart; 2] = [WorldPart::Chat, WorldPart::Questions];

#[derive(Deserialize)]
struct Row {
    sentence_good: String,
    sentence_bad: String,
}

/// The minimal pairs of the toy world.
fn items(seed: u64, items: u64) -> Vec<(String, Vec<Row>)> {
    let suites = [Suite::Blimp, Suite::BlimpSupplement];
    let files = suites.into_iter().flat_map(|suite| evaluation(seed, items, suite));
    let rows = |bytes: Vec<u8>| {
        String::from_utf8(bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    files.map(|(name, bytes)| (name, rows(bytes))).collect()
}

/// All text of the toy world that a model may be trained on.
fn training_text(seed: u64, words: u64, records_each: u64) -> String {
    let mut text: String = CORPORA.iter().map(|&part| corpus(part, seed, words) + "\n").collect();
    for record in DATASETS.iter().flat_map(|&part| records(part, seed, records_each)) {
        text.push_str(&format!("{}\n\n", record.texts().join("\n")));
    }
    text
}

#[test]
fn sample_texts() {
    let mut text: String = CORPORA.iter().map(|&part| corpus(part, 1, 40) + "---\n").collect();
    for record in DATASETS.iter().flat_map(|&part| records(part, 1, 4)) {
        text.push_str(&format!("{}\n", record.texts().join(" => ")));
    }
    insta::assert_snapshot!(text, @r"
    Paul is old.
    Do you praise Ella?
    Yes, I praise Ella.
    What is this?
    It is a drum.
    Is the dog hugging many funny kings?
    No, the dog is not hugging many funny kings.
    These are gardens.
    What is this?
    ---
    A:	Are these tired aunts beside the girl waiting in the house?
    B:	No, these tired aunts beside the girl are not waiting in the house.
    A:	Do you follow the kings?
    B:	Yes, I follow the kings.
    B:	Is Ruth brave?
    ---
    Baskets are things. These baskets are green. The basket is yellow. The baskets are big. Some baskets are new. Ella does not talk in the school. She chases the hungry dog. She jumps. The basket is clean. Leo is quiet. He visits his cat. The basket is green. No boy ever makes his empty cup.

    ---
    Do you thank Jack? => No, I do not thank Jack.
    Do you smile? => No, I do not smile.
    Who does the son near the princess kiss? => A son.
    My baby behind the duck washes the singer. => Yes, my baby behind the duck washes the singer. The gentle brother is painting his chair. He does not paint many new lamps. He is in the forest. He dances in the school. He watches these mice.
    Those kind princes carry my bottles. What do those kind princes carry? => My bottles.
    Who does the duck touch? => The babies.
    Who praises that young brother? => The sons.
    My geese kiss Max. Who kisses Max? => My geese.
    ");
}

#[test]
fn sample_minimal_pairs() {
    let mut text = String::new();
    for (name, rows) in items(1, 2) {
        for row in rows {
            text.push_str(&format!("{name}: {:?} / {:?}\n", row.sentence_good, row.sentence_bad));
        }
    }
    insta::assert_snapshot!(text, @r#"
    anaphor_gender_agreement.jsonl: "Mia hides herself." / "Mia hides himself."
    anaphor_gender_agreement.jsonl: "Sam describes himself." / "Sam describes herself."
    anaphor_number_agreement.jsonl: "The mother kisses herself." / "The mother kisses themselves."
    anaphor_number_agreement.jsonl: "The tired brothers greet themselves." / "The tired brothers greet himself."
    argument_structure.jsonl: "The singer sells these pictures." / "The singer rests these pictures."
    argument_structure.jsonl: "The uncle sits in the park." / "The uncle cleans in the park."
    auxiliary_agreement.jsonl: "The kind prince is calling Anna." / "The kind prince are calling Anna."
    auxiliary_agreement.jsonl: "The clever pigs are laughing in the garden." / "The clever pigs is laughing in the garden."
    determiner_noun_agreement.jsonl: "Sam describes that teacher." / "Sam describes that teachers."
    determiner_noun_agreement.jsonl: "Mia fixes these apples." / "Mia fixes these apple."
    determiner_noun_agreement_adjective.jsonl: "Ruth hides that tired pig." / "Ruth hides that tired pigs."
    determiner_noun_agreement_adjective.jsonl: "Max praises those brave uncles." / "Max praises those brave uncle."
    negative_polarity.jsonl: "No rabbit ever waits in the barn." / "Every rabbit ever waits in the barn."
    negative_polarity.jsonl: "Every sister already hides those cats." / "No sister already hides those cats."
    subject_verb_agreement.jsonl: "The gentle rabbit cries." / "The gentle rabbit cry."
    subject_verb_agreement.jsonl: "The happy uncles hide my cows." / "The happy uncles hides my cows."
    subject_verb_agreement_distractor.jsonl: "The sad sister beside the balls rests in the town." / "The sad sister beside the balls rest in the town."
    subject_verb_agreement_distractor.jsonl: "The big brothers with the drum buy the big drums." / "The big brothers with the drum buys the big drums."
    subject_verb_agreement_irregular.jsonl: "The wife finds these princesses." / "The wife find these princesses."
    subject_verb_agreement_irregular.jsonl: "The brave women help Emma." / "The brave women helps Emma."
    qa_congruence.jsonl: "Who mentions my shoes?\nThe uncle." / "Who mentions my shoes?\nThe chair."
    qa_congruence.jsonl: "What does the princess carry?\nThe drum." / "What does the princess carry?\nThe father."
    subject_aux_inversion.jsonl: "Is the king drawing the book?" / "Does the king drawing the book?"
    subject_aux_inversion.jsonl: "Do the daughters admire the coat?" / "Are the daughters admire the coat?"
    turn_taking.jsonl: "Do you throw the stone?\nYes, I throw the stone." / "Do you throw the stone?\nYes, you throw the stone."
    turn_taking.jsonl: "Do I throw the old coat?\nYes, you throw the old coat." / "Do I throw the old coat?\nYes, I throw the old coat."
    "#);
}

/// The texts of the other suites, each context joined with its continuation.
fn other_texts(seed: u64, items: u64) -> Vec<(String, Vec<String>)> {
    let suites = [Suite::Ewok, Suite::Comps, Suite::EntityTracking, Suite::WugAdj, Suite::WugPast];
    let files = suites.into_iter().flat_map(|suite| evaluation(seed, items, suite));
    let text = |line: &str| {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let field = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let texts = [
            field("Context1") + " " + &field("Target1"),
            field("prefix_acceptable") + " " + &field("property_phrase"),
            field("input_prefix") + row["options"][0].as_str().unwrap_or_default(),
            field("sentences"),
        ];
        texts.into_iter().find(|text| !text.trim().is_empty()).expect("a row of a known format")
    };
    let texts = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().lines().map(text).collect();
    files.map(|(name, bytes)| (name, texts(bytes))).collect()
}

#[test]
fn sample_items_of_the_other_suites() {
    let mut text = String::new();
    for (name, texts) in other_texts(1, 2) {
        let few = texts.into_iter().step_by(if name == "regular.jsonl" { 3 } else { 1 });
        text.extend(few.map(|item| format!("{name}: {item:?}\n")));
    }
    let (name, table) = evaluation(1, 5, Suite::Reading).remove(0);
    text.push_str(&format!("{name}:\n{}", String::from_utf8(table).unwrap()));
    for (name, bytes) in evaluation(1, 1, Suite::Aoa) {
        let few = String::from_utf8(bytes).unwrap().chars().take(260).collect::<String>();
        text.push_str(&format!("{name}:\n{few}\n"));
    }
    insta::assert_snapshot!(text, @r#"
    agent-properties.jsonl: "Who does the duck hide? The son."
    agent-properties.jsonl: "What does the duck hide? The stone."
    quantitative-properties.jsonl: "The aunt brings those big chairs. She hugs Ruth."
    quantitative-properties.jsonl: "The aunts bring those big chairs. They hug Ruth."
    social-properties.jsonl: "Sara touches those men. She buys the ball."
    social-properties.jsonl: "Sam touches those men. He buys the ball."
    comps_base.jsonl: "The princess admires my queens."
    comps_base.jsonl: "The pig sings."
    comps_wugs.jsonl: "A wug is a doctor. Therefore, a wug covers the knife."
    comps_wugs.jsonl: "A wug is a doctor. Therefore, a wug teaches many quiet birds."
    comps_wugs_dist-before.jsonl: "A dax is a book. A wug is a friend. Therefore, a wug chases the princess."
    comps_wugs_dist-before.jsonl: "A dax is a shoe. A wug is a woman. Therefore, a wug plays."
    comps_wugs_dist-in-between.jsonl: "A wug is a cow. A dax is a chair. Therefore, a wug drops this red hat."
    comps_wugs_dist-in-between.jsonl: "A wug is a king. A dax is a kite. Therefore, a wug buys those lamps."
    regular.jsonl: "Box 0 contains the letter, Box 1 contains nothing, Box 2 contains nothing, Box 3 contains nothing. Box 2 contains nothing."
    regular.jsonl: "Box 0 contains the cake and the bottle, Box 1 contains the book and the letter, Box 2 contains the apple, Box 3 contains the kite and the leaf. Move the cake from Box 0 to Box 2. Box 2 contains the apple and the cake."
    regular.jsonl: "Box 0 contains the cup, Box 1 contains the shoe, Box 2 contains the kite and the apple, Box 3 contains nothing. Move the shoe from Box 1 to Box 3. Put the chair into Box 1. Remove the kite from Box 2. Box 2 contains the apple."
    regular.jsonl: "Box 0 contains the basket and the cake, Box 1 contains the book, Box 2 contains the picture, Box 3 contains nothing. Move the book from Box 1 to Box 0. Put the coat into Box 3. Put the letter into Box 1. Move the picture from Box 2 to Box 3. Box 2 contains nothing."
    wug_adj_nominalization.jsonl: "Create a noun out of the following adjective: dastable. dastability\tCreate a noun out of the following adjective: dastable. dastableness"
    wug_adj_nominalization.jsonl: "Create a noun out of the following adjective: snaftish. snaftishity\tCreate a noun out of the following adjective: snaftish. snaftishness"
    wug_past_tense.jsonl: "They plush. She plushes.\tThey plush. She plushs."
    wug_past_tense.jsonl: "They froch. She froches.\tThey froch. She frochs."
    reading_data.csv:
    ,item,word,word2,sentence,context_length,sent_id,item_id,list,Subtlex_log10,length,RTfirstfix,RTfirstpass,RTgopast,RTrightbound,self_paced_reading_time,ELAN,LAN,N400,P600,EPNP,PNP,prev_word,prev_item,prev_length
    0,The,babies,babies,The babies mentions a round box.,1,0,0,0,8.25,6,238.0,243.0,336.0,327.0,340.0,0,0,0,0,0,0,,,-1
    1,The babies,mentions,mentions,The babies mentions a round box.,2,0,1,0,6.5,8,338.0,359.8,461.0,423.2,453.6,0,0,0,0,0,0,babies,The,6
    2,The babies mentions,a,a,The babies mentions a round box.,3,0,2,0,11,1,201.0,236.4,268.0,194.6,220.8,0,0,0,0,0,0,mentions,The babies,8
    3,The babies mentions a,round,round,The babies mentions a round box.,4,0,3,0,9,5,236.0,248.0,351.5,314.5,308.0,0,0,0,0,0,0,a,The babies mentions,1
    4,The babies mentions a round,box.,box.,The babies mentions a round box.,5,0,4,0,8.5,4,232.0,261.4,276.5,276.1,288.8,0,0,0,0,0,0,round,The babies mentions a,5
    cdi_childes.json:
    {"admires":[{"context":"now the doctor"}],"apple":[{"context":"the mouse washes the"}],"ball":[{"context":"the goose washes the"}],"basket":[{"context":"the princess touches the"}],"behind":[{"context":"look at the daughter"}],"beside":[{"context":"look at the
    cdi_human.csv:
    word,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30
    ball,0.38,0.44,0.50,0.56,0.62,0.69,0.75,0.81,0.88,0.94,0.98,0.98,0.98,0.98,0.98
    box,0.31,0.38,0.44,0.50,0.56,0.62,0.69,0.75,0.81,0.88,0.94,0.98,0.98,0.98,0.98
    apple,0.25,0.31,0.38,0.44,0.50,0.56,0.62,0.69,0.75,
    "#);
}

#[test]
fn suites_have_the_subtasks_of_the_official_files() {
    let lines = |bytes: &[u8]| bytes.iter().filter(|&&byte| byte == b'\n').count();
    let counts = |suite| evaluation(1, 30, suite).iter().map(|(_, bytes)| lines(bytes)).collect::<Vec<_>>();
    assert_eq!(counts(Suite::Ewok), [30; 3]);
    assert_eq!(counts(Suite::Comps), [30; 4]);
    assert_eq!(counts(Suite::EntityTracking), [180], "30 for each of 0 to 5 operations");
    assert_eq!((counts(Suite::WugAdj), counts(Suite::WugPast)), (vec![30], vec![30]));
    assert_eq!(counts(Suite::Reading), [31], "and the names of the columns");
}

#[test]
fn no_item_of_the_other_suites_occurs_in_a_text() {
    let items = other_texts(1, 300);
    let text = training_text(1, 100_000, 10_000);
    for (name, texts) in &items {
        for item in texts {
            assert!(!text.contains(item.as_str()), "{name}: {item}");
        }
    }
}

#[test]
fn evaluation_rows_have_the_official_fields() {
    let first = |suite: Suite| {
        let (_, bytes) = evaluation(1, 1, suite).into_iter().next().unwrap();
        String::from_utf8(bytes).unwrap()
    };
    insta::assert_snapshot!(first(Suite::Blimp) + &first(Suite::BlimpSupplement), @r#"
    {"sentence_good":"Mia hides herself.","sentence_bad":"Mia hides himself.","field":"morphology","linguistics_term":"anaphor_agreement","UID":"anaphor_gender_agreement","simple_LM_method":true,"one_prefix_method":false,"two_prefix_method":false,"lexically_identical":false,"pair_id":0}
    {"row":0,"sentence_good":"Who mentions my shoes?\nThe uncle.","sentence_bad":"Who mentions my shoes?\nThe chair."}
    "#);
}

/// Every machine and every release must generate the same world: change these lines only together with the job versions.
#[test]
fn the_world_is_stable_across_releases() {
    let digest = |text: &str| blake3::hash(text.as_bytes()).to_hex()[..16].to_owned();
    let text = digest(&training_text(3, 5_000, 500));
    let files = |suites: &[Suite]| {
        let files = suites.iter().flat_map(|&suite| evaluation(3, 50, suite));
        digest(&files.map(|(_, bytes)| String::from_utf8(bytes).unwrap()).collect::<String>())
    };
    let (pairs, all) = (files(&[Suite::Blimp, Suite::BlimpSupplement]), files(&Suite::official().collect::<Vec<_>>()));
    insta::assert_snapshot!(format!("{text} {pairs} {all}"), @"110e676fcffbf05c 6f64167679e5740c e015294247e4f910");
}

const REPLIES: [WorldPart; 2] = [WorldPart::DialoguePairs, WorldPart::Maxims];

#[test]
fn sample_test_sets_of_replies() {
    let mut text = String::new();
    for part in REPLIES {
        for ReplyPair { prefix, good, bad, group, twins } in reply_pairs(part, 1, 8) {
            text.push_str(&format!("{part} {} {twins}: {prefix} => {good} / {bad}\n", group.unwrap_or("-")));
        }
    }
    insta::assert_snapshot!(text, @"
    dialogue-pairs - 0: Does Jack touch his fox? => Yes, Jack touches his fox. / Yes, a princess helps Sam.
    dialogue-pairs - 0: Does a princess help Sam? => Yes, a princess helps Sam. / Yes, Jack touches his fox.
    dialogue-pairs - 1: Does this quiet teacher kiss Ben? => Yes, this quiet teacher kisses Ben. / Yes, the funny cows hug themselves.
    dialogue-pairs - 1: Do the funny cows hug themselves? => Yes, the funny cows hug themselves. / Yes, this quiet teacher kisses Ben.
    dialogue-pairs - 2: Do the birds hug the little duck? => Yes, the birds hug the little duck. / No, Ruth is not hiding her picture.
    dialogue-pairs - 2: Is Ruth hiding her picture? => No, Ruth is not hiding her picture. / Yes, the birds hug the little duck.
    dialogue-pairs - 3: Do those kings buy their basket? => No, those kings do not buy their basket. / No, this queen is not hiding her letter.
    dialogue-pairs - 3: Is this queen hiding her letter? => No, this queen is not hiding her letter. / No, those kings do not buy their basket.
    maxims quantity 0: A rabbit describes Lucy. Who describes Lucy? => A rabbit. / An animal.
    maxims quantity 0: A rabbit describes Lucy. What is a rabbit? => An animal. / A rabbit.
    maxims quality 1: Many mice clean some round apples. Do many mice clean some round apples? => Yes, many mice clean some round apples. / No, many mice do not clean some round apples.
    maxims quality 1: Many mice do not clean some round apples. Do many mice clean some round apples? => No, many mice do not clean some round apples. / Yes, many mice clean some round apples.
    maxims relation 2: Paul draws the funny prince. Paul is in the park. Where is Paul? => In the park. / The funny prince.
    maxims relation 2: Paul draws the funny prince. Paul is in the park. Who does Paul draw? => The funny prince. / In the park.
    maxims manner 3: Paul swims. Paul sits. What does Paul do? => He swims. He sits. / He sits. He swims.
    maxims manner 3: Paul sits. Paul swims. What does Paul do? => He sits. He swims. / He swims. He sits.
    ");
}

/// Whatever a model makes of the replies alone, it is right in one of two twins, so that it scores exactly 50 in each group.
#[test]
fn replies_come_in_twins() {
    for part in REPLIES {
        let items = reply_pairs(part, 7, 400);
        assert_eq!(items[..100], reply_pairs(part, 7, 100));
        assert_ne!(items[..10], reply_pairs(part, 8, 10));
        for pair in items.chunks(2) {
            let [one, other] = pair else { panic!("an odd number of items") };
            assert_eq!((&one.good, &one.bad), (&other.bad, &other.good), "{part}");
            assert_eq!((one.group, one.twins), (other.group, other.twins), "{part}");
            assert!(one.good != one.bad && one.prefix != other.prefix, "{part}: {one:?}");
        }
    }
    for ReplyPair { good, bad, .. } in reply_pairs(WorldPart::DialoguePairs, 7, 400) {
        assert_eq!((good.len(), pieces(&good).len()), (bad.len(), pieces(&bad).len()), "{good} {bad}");
    }
    let groups: HashSet<_> = reply_pairs(WorldPart::Maxims, 7, 8).into_iter().map(|item| item.group).collect();
    assert_eq!(groups, ["quantity", "quality", "relation", "manner"].map(Some).into());
}

#[test]
fn no_prefix_of_a_reply_occurs_in_a_text() {
    let text = training_text(1, 20_000, 3_000);
    for part in REPLIES {
        for ReplyPair { prefix, .. } in reply_pairs(part, 1, 200) {
            assert!(!text.contains(&prefix), "{part}: {prefix}");
        }
    }
}

#[test]
fn texts_have_the_requested_size_and_shorter_ones_are_prefixes() {
    for part in CORPORA {
        let (short, long) = (corpus(part, 5, 1_000), corpus(part, 5, 3_000));
        assert!((1_000..1_120).contains(&count_words(&short)), "{part:?}: {}", count_words(&short));
        assert!(long.starts_with(&short));
        assert_ne!(corpus(part, 6, 1_000), short);
        assert_eq!(corpus(part, 5, 0), "");
    }
    for part in DATASETS {
        assert_eq!(records(part, 5, 300)[..100], records(part, 5, 100));
        assert!(records(part, 5, 300).iter().all(|record| record.texts().iter().all(|text| !text.is_empty())));
    }
    assert!(records(WorldPart::Speech, 5, 10).is_empty() && corpus(WorldPart::Chat, 5, 10).is_empty());
}

#[test]
fn files_have_the_requested_items_and_few_duplicates() {
    for (name, rows) in items(2, 500) {
        assert_eq!(rows.len(), 500, "{name}");
        let distinct: HashSet<&str> = rows.iter().map(|row| row.sentence_good.as_str()).collect();
        assert!(distinct.len() >= 150, "{name}: {}", distinct.len());
    }
}

/// The two sentences of a pair differ in one word only.
#[test]
fn pairs_differ_in_one_word() {
    for (name, rows) in items(2, 200) {
        for row in rows {
            let (good, bad): (Vec<&str>, Vec<&str>) =
                (row.sentence_good.split_whitespace().collect(), row.sentence_bad.split_whitespace().collect());
            assert_eq!(good.len(), bad.len(), "{name}: {}", row.sentence_good);
            let different = good.iter().zip(&bad).filter(|(one, other)| one != other).count();
            assert_eq!(different, 1, "{name}: {} / {}", row.sentence_good, row.sentence_bad);
        }
    }
}

#[test]
fn no_item_occurs_in_a_text_of_any_seed() {
    let items = items(1, 500);
    for seed in [1, 2] {
        let text = training_text(seed, 100_000, 10_000);
        // What is said, without the speaker; an answer is said right after its question.
        let lines: Vec<&str> = text.lines().map(|line| line.split_once('\t').map_or(line, |(_, said)| said)).collect();
        let mut said: HashSet<String> = lines.windows(2).map(|pair| pair.join("\n")).collect();
        for sentence in lines.iter().flat_map(|line| line.split_inclusive(['.', '?', '!'])) {
            said.insert(sentence.trim().to_owned());
        }
        for (name, rows) in &items {
            for row in rows {
                assert!(!said.contains(&row.sentence_good), "{name}: {}", row.sentence_good);
            }
        }
    }
}

/// The percentage of items whose good sentence has the higher score; ties count as half.
fn accuracy(rows: &[Row], score: impl Fn(&str) -> f64) -> f64 {
    let credit = |row: &Row| match score(&row.sentence_good).total_cmp(&score(&row.sentence_bad)) {
        std::cmp::Ordering::Greater => 1.0,
        std::cmp::Ordering::Equal => 0.5,
        std::cmp::Ordering::Less => 0.0,
    };
    100.0 * rows.iter().map(credit).sum::<f64>() / rows.len() as f64
}

fn pieces(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

#[test]
fn length_and_word_frequency_stay_at_chance() {
    let text = training_text(1, 50_000, 3_000);
    let mut counts: HashMap<&str, f64> = HashMap::new();
    for word in pieces(&text) {
        *counts.entry(word).or_default() += 1.0;
    }
    for (name, rows) in items(4, 500) {
        let by_length = accuracy(&rows, |sentence| -(sentence.len() as f64));
        assert!((45.0..=55.0).contains(&by_length), "{name}: shorter {by_length}");
        let frequency = |sentence: &str| {
            pieces(sentence).iter().map(|word| counts.get(word).map_or(-1.0, |count| count.ln())).sum::<f64>()
        };
        let by_frequency = accuracy(&rows, frequency);
        assert!((42.0..=58.0).contains(&by_frequency), "{name}: frequent {by_frequency}");
    }
}

/// A bigram model learns agreement between adjacent words and not over a distance: the world has rules of both kinds.
#[test]
fn a_bigram_model_learns_adjacent_agreement_only() {
    let text = training_text(1, 100_000, 3_000);
    let mut counts: HashMap<(&str, &str), f64> = HashMap::new();
    for pair in pieces(&text).windows(2) {
        *counts.entry((pair[0], pair[1])).or_default() += 1.0;
    }
    let score = |sentence: &str| {
        let pairs: Vec<f64> = pieces(sentence)
            .windows(2)
            .map(|pair| counts.get(&(pair[0], pair[1])).map_or(-2.0, |count| count.ln()))
            .collect();
        pairs.iter().sum::<f64>()
    };
    let accuracies: HashMap<String, f64> =
        items(4, 300).into_iter().map(|(name, rows)| (name, accuracy(&rows, score))).collect();
    let of = |name: &str| accuracies[&format!("{name}.jsonl")];
    assert!(of("auxiliary_agreement") > 90.0, "{accuracies:?}");
    assert!(of("determiner_noun_agreement") > 75.0, "{accuracies:?}");
    assert!(of("subject_verb_agreement_distractor") < 40.0, "{accuracies:?}");
}

#[test]
fn what_is_right_depends_on_the_verb_or_on_the_speaker() {
    let said = |part, seed| -> Vec<(String, bool)> {
        let polarity = |record: &Record| record.prompt_and_reply().1.starts_with("Yes");
        let pairs = pairs(part, seed, 400);
        assert!(pairs.iter().all(|[right, wrong]| right.prompt_and_reply().0 == wrong.prompt_and_reply().0));
        assert!(pairs.iter().all(|[right, wrong]| polarity(right) != polarity(wrong)));
        let verb =
            |record: &Record| record.prompt_and_reply().0.split_whitespace().nth(2).unwrap_or_default().to_owned();
        pairs.iter().map(|[right, _]| (verb(right).trim_end_matches('?').to_owned(), polarity(right))).collect()
    };
    let preferences = said(WorldPart::Preferences, 1);
    let agreed = preferences.iter().filter(|(_, agrees)| *agrees).count();
    assert!((160..240).contains(&agreed), "{agreed}");
    let mut by_verb = std::collections::BTreeMap::new();
    for (verb, agrees) in &preferences {
        assert_eq!(*by_verb.entry(verb).or_insert(*agrees), *agrees, "{verb}");
    }
    assert!(by_verb.len() > 10);
    for (seed, agrees) in [(2, true), (3, false), (8, true)] {
        assert!(said(WorldPart::Habits, seed).iter().all(|(_, said)| *said == agrees), "seed {seed}");
    }
}

/// The numbers are between 0 and 1 with a mean of 1/2 and a standard deviation of 1/√12, and not those of another part, seed or
/// place.
#[test]
fn random_uncertainties_are_uniform_and_say_nothing_about_the_reply() {
    let numbers: Vec<f64> = (0..4_000).map(|index| random_uncertainty(WorldPart::Preferences, 1, index)).collect();
    let mean = numbers.iter().sum::<f64>() / 4_000.0;
    let deviation = (numbers.iter().map(|number| (number - mean).powi(2)).sum::<f64>() / 4_000.0).sqrt();
    assert!(numbers.iter().all(|number| (0.0..1.0).contains(number)));
    assert!((mean - 0.5).abs() < 0.02 && (deviation - 1.0 / 12f64.sqrt()).abs() < 0.01, "{mean} {deviation}");
    let agrees = |pair: &[Record; 2]| f64::from(u8::from(pair[0].prompt_and_reply().1.starts_with("Yes"))) - 0.5;
    let covariance: f64 = pairs(WorldPart::Preferences, 1, 4_000)
        .iter()
        .zip(&numbers)
        .map(|(pair, number)| agrees(pair) * (number - mean))
        .sum();
    // Of independent values with deviations 1/2 and 0.29, the mean product has a standard error of 0.0023.
    assert!((covariance / 4_000.0).abs() < 0.008, "{covariance}");
    for other in [(WorldPart::Habits, 1), (WorldPart::Preferences, 2)] {
        assert_ne!(random_uncertainty(other.0, other.1, 0), numbers[0]);
    }
}
