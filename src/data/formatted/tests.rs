use crate::domain::WorldPart;

use super::super::world;
use super::*;

fn tokenizer() -> Tokenizer {
    Tokenizer::train(400, [world::corpus(WorldPart::Speech, 1, 2_000)].into_iter()).unwrap()
}

/// The tokens of a record, separated by bars; those that are trained on are in brackets.
fn shown(formatting: &Formatting, record: &Record) -> String {
    let (tokenizer, folder) = (tokenizer(), tempfile::tempdir().unwrap());
    let formatter = Formatter::new(formatting, &tokenizer, folder.path()).unwrap();
    match formatter.tokenize(record) {
        Ok(TokenizedRecord { ids, trained, across, .. }) => {
            let text: Vec<String> = (ids.iter().zip(trained))
                .map(|(id, trained)| {
                    let text = tokenizer.decode(&[*id]).unwrap().replace('\n', "⏎").replace("<|endoftext|>", "$");
                    if trained { format!("[{text}]") } else { text }
                })
                .collect();
            format!("{} across {across}", text.join("|"))
        }
        Err(error) => error.to_string(),
    }
}

fn message(role: Role, content: &str) -> Message {
    Message { role, content: content.to_owned(), trained: role == Role::Assistant }
}

/// The ids are those of the whole text, whatever the border.
#[test]
fn a_record_is_tokenized_as_the_text_that_it_is() {
    let tokenizer = tokenizer();
    for (separator, prompt, reply) in
        [("\n", "Look at the", "dog!"), (" ", "Look", "at the dog"), ("", "Look at th", "e dog")]
    {
        let (formatting, folder) = (Formatting::separated(separator), tempfile::tempdir().unwrap());
        let formatter = Formatter::new(&formatting, &tokenizer, folder.path()).unwrap();
        let mut ids = tokenizer.encode(&format!("{prompt}{separator}{reply}")).unwrap();
        ids.push(tokenizer.end_of_text().unwrap());
        assert_eq!(formatter.tokenize(&Record::pair(prompt, reply)).unwrap().ids, ids);
    }
}

/// Nothing follows a continuation, and the border of two documents is the end-of-text token of any tokenizer.
#[test]
fn a_continuation_has_the_end_of_text_tokens_of_its_text() {
    let record = Record::pair("It rains.<|endoftext|>Look at", " the dog<|endoftext|>");
    insta::assert_snapshot!(shown(&Formatting::CONTINUATION, &record), @"It| r|a|in|s|.|$|Look| at|[ the]|[ do]|[g]|[$] across 0");
    let (tokenizer, folder) = (tokenizer(), tempfile::tempdir().unwrap());
    tokenizer.save(folder.path()).unwrap();
    for file in fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path()) {
        fs::write(&file, fs::read_to_string(&file).unwrap().replace("<|endoftext|>", "</s>")).unwrap();
    }
    let other = Tokenizer::load(folder.path()).unwrap();
    let ids = |tokenizer: &Tokenizer| {
        let formatter = Formatter::new(&Formatting::CONTINUATION, tokenizer, folder.path()).unwrap();
        formatter.tokenize(&record).unwrap().ids
    };
    assert_eq!(ids(&other), ids(&tokenizer));
    let end = tokenizer.end_of_text().unwrap();
    assert_eq!(ids(&tokenizer).iter().filter(|id| **id == end).count(), 2);
}

#[test]
fn borders_are_found_by_offsets() {
    let shown = |separator: &str, prompt: &str, reply: &str| {
        shown(&Formatting::separated(separator), &Record::pair(prompt, reply))
    };
    insta::assert_snapshot!(
        [
            shown("\n", "Look at the", "dog!"),
            // The space belongs to the token of the word behind it, and nothing of the prompt is trained on with it.
            shown(" ", "Look", "at the dog"),
            shown("", "Look at th", "e dog"),
        ]
        .join("\n"),
        @"
        Look| at| the|⏎|[d]|[o]|[g]|[!]|[$] across 0
        Look|[ at]|[ the]|[ do]|[g]|[$] across 0
        Look| at|[ the]|[ do]|[g]|[$] across 1
        "
    );
}

#[test]
fn every_kind_of_record_says_what_is_learned() {
    let pieces = [("Look", false), (" at", true), (" the", false), (" dog", true)];
    let segments = pieces.map(|(text, trained)| Segment { text: text.to_owned(), trained });
    let conversation = Record::Conversation(vec![
        message(Role::System, "be kind"),
        message(Role::User, "the dog"),
        message(Role::Assistant, "the cat"),
        message(Role::User, "look"),
        message(Role::Assistant, "at it"),
        message(Role::User, "and"),
    ]);
    let line = Formatting::separated("\n");
    insta::assert_snapshot!(
        [
            shown(&line, &Record::Text("the dog".into())),
            shown(&line, &Record::Segments(segments.to_vec())),
            shown(&line, &conversation),
            shown(&line, &Record::Tokens { ids: vec![300, 301, 302], trained: vec![false, true, true] }),
            shown(&Formatting::Chat { chat_template: ChatTemplate::Chatml }, &Record::pair("the dog", "the cat")),
        ]
        .join("\n"),
        @"
        [t]|[he]|[ do]|[g]|[$] across 0
        Look|[ at]| the|[ do]|[g] across 0
        b|e| k|ind|⏎|t|he| do|g|⏎|[t]|[he]|[ c]|[at]|[$]|l|ook|⏎|[at]|[ ]|[it]|[$] across 0
        ir|[en]|[ k] across 0
        <|||i|m|_|s|t|ar|t|||>|u|se|r|⏎|t|he| do|g|<|||i|m|_|en|d|||>|⏎|<|||i|m|_|s|t|ar|t|||>|a|s|s|is|t|an|t|⏎|[t]|[he]|[ c]|[at]|[<]|[|]|[i]|[m]|[_]|[en]|[d]|[|]|[>]|⏎ across 0
        "
    );
}

#[test]
fn records_that_cannot_be_formatted_are_refused() {
    let line = Formatting::separated("\n");
    let only_users = "{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}";
    let chat = |text: &str| Formatting::Chat { chat_template: ChatTemplate::Text(text.to_owned()) };
    let reply_first = Record::Conversation(vec![message(Role::Assistant, "hello"), message(Role::User, "hi")]);
    let tool = Record::Conversation(vec![message(Role::Tool, "4"), message(Role::Assistant, "four")]);
    let folder = tempfile::tempdir().unwrap();
    let tokenizer = tokenizer();
    let own = Formatting::Chat { chat_template: ChatTemplate::Tokenizer };
    let none = Formatter::new(&own, &tokenizer, folder.path()).err().unwrap().to_string();
    insta::assert_snapshot!(
        [
            shown(&line, &reply_first),
            shown(&line, &tool),
            shown(&chat(only_users), &Record::pair("hi", "yo")),
            shown(&line, &Record::Tokens { ids: vec![7, 4_000], trained: vec![false, true] }),
            none.replace(&folder.path().display().to_string(), "model"),
        ]
        .join("\n"),
        @"
        format the records: message 1 is a reply without a prompt, which a template of prompt and reply cannot write; set `chat_template: chatml`
        format the records: message 1 is from a tool, which a template of prompt and reply cannot write; set `chat_template: tokenizer` or name a file
        format the records: the template does not write the content of the reply 'yo'; does it expect a list of parts?
        format the records: id 4000 is not in the vocabulary of 400 tokens
        format the records: model/tokenizer_config.json has no chat template: set `chat_template: chatml`, or name a file
        "
    );
}

/// What `loss: instruction` trains on beside the reply.
#[test]
fn the_own_text_of_records_is_told_from_the_template() {
    let tokenizer = tokenizer();
    let own = |formatting: &Formatting, record: &Record| {
        let folder = tempfile::tempdir().unwrap();
        let formatter = Formatter::new(formatting, &tokenizer, folder.path()).unwrap().mark_own_text(true);
        let TokenizedRecord { ids, own, .. } = formatter.tokenize(record).map_err(|error| error.to_string())?;
        assert_eq!(ids.len(), own.len());
        let ids: Vec<u32> = ids.into_iter().zip(own).filter_map(|(id, own)| own.then_some(id)).collect();
        Ok::<_, String>(tokenizer.decode(&ids).unwrap().split_whitespace().collect::<Vec<_>>().join(" "))
    };
    let template = |text: &str| Formatting::Template(Template::try_from(text.to_owned()).unwrap());
    let chat = |text: &str| Formatting::Chat { chat_template: ChatTemplate::Text(text.to_owned()) };
    let pair = Record::pair("Look at the", "dog!");
    assert_eq!(own(&template("Q: {prompt}\nA: {reply}\nEnd"), &pair).unwrap(), "Look at the dog!");
    // The words of the template in the record are the record's.
    let same = Record::pair("user", "assistant");
    let chatml = Formatting::Chat { chat_template: ChatTemplate::Chatml };
    assert_eq!(own(&chatml, &same).unwrap(), "userassistant");
    let conversation = Record::Conversation(vec![
        message(Role::System, "Be kind. "),
        message(Role::User, "Look"),
        message(Role::Assistant, "At what?"),
        message(Role::User, "The dog"),
        message(Role::Assistant, "Yes."),
    ]);
    assert_eq!(own(&chatml, &conversation).unwrap(), "Be kind.LookAt what?The dogYes.");
    let trimming = "{% for m in messages %}<{{ m.role }}>{{ m.content | trim }}\n{% endfor %}{% if add_generation_prompt \
                    %}<assistant>{% endif %}";
    assert_eq!(own(&chat(trimming), &conversation).unwrap(), "Be kind.LookAt what?The dogYes.");
    let changing = "{% for m in messages %}<{{ m.role }}>{{ m.content | replace('k', 'c') }} {{ m.content | length }}\n{% \
                    endfor %}{% if add_generation_prompt %}<assistant>{% endif %}";
    assert!(own(&chat(changing), &conversation).unwrap_err().contains("the template changes the text of messages"));
    assert_eq!(own(&chatml, &Record::Text("Look at the dog!".to_owned())).unwrap(), "Look at the dog!");
}
