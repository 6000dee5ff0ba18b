use super::*;

fn message(role: Role, content: &str) -> Message {
    Message { role, content: content.to_owned(), trained: role == Role::Assistant }
}

fn conversation() -> Vec<Message> {
    vec![
        message(Role::System, "be kind"),
        message(Role::User, "hi"),
        message(Role::Assistant, "yo"),
        message(Role::User, "bye"),
        message(Role::Assistant, "so long"),
    ]
}

/// The text with what is trained on in brackets.
fn shown(template: &str, messages: &[Message]) -> Result<String, String> {
    let special = SpecialTexts { bos: Some("<s>".into()), eos: Some("</s>".into()), pad: None };
    let segments = ChatRenderer::new(template, special)?.segments(messages)?;
    Ok(segments
        .iter()
        .map(|segment| if segment.trained { format!("[{}]", segment.text) } else { segment.text.clone() })
        .collect())
}

#[test]
fn chatml_learns_the_content_and_the_end_of_each_reply() {
    insta::assert_snapshot!(shown(CHATML, &conversation()).unwrap(), @"
    <|im_start|>system
    be kind<|im_end|>
    <|im_start|>user
    hi<|im_end|>
    <|im_start|>assistant
    [yo<|im_end|>]
    <|im_start|>user
    bye<|im_end|>
    <|im_start|>assistant
    [so long<|im_end|>]
    ");
}

#[test]
fn a_reply_that_is_not_trained_only_conditions() {
    let mut messages = conversation();
    messages[2].trained = false;
    let text = shown(CHATML, &messages).unwrap();
    assert!(text.contains("\nyo<|im_end|>\n") && text.contains("[so long<|im_end|>]"), "{text}");
}

/// Templates of published models are written so: white space control, methods and slices of Python, special tokens.
#[test]
fn templates_are_rendered_as_by_jinja_in_transformers() {
    let template = "{{- bos_token }}
{%- if messages[0]['role'] == 'system' %}
    {%- set system = messages[0]['content'].strip() %}
    {%- set rest = messages[1:] %}
{%- else %}
    {%- set rest = messages %}
{%- endif %}
{% for message in rest %}
    {% if message['role'] not in ['user', 'assistant'] %}
        {{ raise_exception('only users and assistants') }}
    {% endif %}
    {%- if loop.first and system is defined %}
        {{- '[' ~ system.upper() ~ '] ' }}
    {%- endif %}
    {%- if message.role == 'user' %}
        {{- 'Q: ' + message.content.strip() + '\\n' }}
    {%- else %}
        {{- 'A: ' + message.content|trim + eos_token }}
    {%- endif %}
{% endfor %}
{% if add_generation_prompt %}{{ 'A: ' }}{% endif %}";
    assert_eq!(
        shown(&template.replace("'[' ~ ", "'(' ~ ").replace("~ '] '", "~ ') '"), &conversation()).unwrap(),
        "<s>(BE KIND) Q: hi\nA: [yo</s>]Q: bye\nA: [so long</s>]"
    );
    let tool = [message(Role::User, "x"), message(Role::Tool, "y"), message(Role::Assistant, "z")];
    assert_eq!(shown(template, &tool), Err("line 10 of the template: only users and assistants".to_owned()));
}

#[test]
fn generation_blocks_say_what_is_learned() {
    let template = "{% for message in messages %}
{% if message.role == 'assistant' %}
A:{% generation %} {{ message.content }}!{% endgeneration %};
{% else %}
Q: {{ message.content }};
{% endif %}
{% endfor %}";
    let mut messages = conversation()[1..].to_vec();
    assert_eq!(shown(template, &messages).unwrap(), "Q: hi;\nA:[ yo!];\nQ: bye;\nA:[ so long!];\n");
    messages[1].trained = false;
    assert_eq!(shown(template, &messages).unwrap(), "Q: hi;\nA: yo!;\nQ: bye;\nA:[ so long!];\n");
}

/// Special tokens that the tokenizer lacks are nothing, not the word "none".
#[test]
fn missing_special_tokens_are_written_as_nothing() {
    let renderer =
        ChatRenderer::new("{{ bos_token }}{{ messages[0].content }}{{ eos_token }}", SpecialTexts::default());
    assert_eq!(renderer.unwrap().render(&conversation()[1..2], false).unwrap(), "hi");
}

#[test]
fn a_completion_is_everything_after_the_generation_prompt() {
    let messages = conversation();
    let renderer = ChatRenderer::new(CHATML, SpecialTexts::default()).unwrap();
    let [before, after] = &renderer.completion(&messages[..4], &messages[4..]).unwrap()[..] else {
        panic!("two parts")
    };
    assert!(before.text.ends_with("bye<|im_end|>\n<|im_start|>assistant\n") && !before.trained);
    assert_eq!((after.text.as_str(), after.trained), ("so long<|im_end|>\n", true));
}

/// Without a mark behind the content, the white space ends the reply.
#[test]
fn white_space_is_learned_if_nothing_else_ends_a_reply() {
    let template = "{% for message in messages %}{{ message.role }}: {{ message.content }}{{ '\n' }}{% endfor %}\
                    {% if add_generation_prompt %}assistant: {% endif %}";
    assert_eq!(shown(template, &conversation()[1..3]).unwrap(), "user: hi\nassistant: [yo\n]");
}

#[test]
fn what_cannot_be_decided_is_refused() {
    let only_last = "{% for m in messages %}{% if loop.last %}{{ m.content }}{% else %}-{% endif %}{% endfor %}";
    let other_start = "{% for m in messages %}<{{ m.content }}>{% endfor %}{% if add_generation_prompt %}A:{% endif %}";
    let errors = [
        shown(only_last, &conversation()),
        shown(other_start, &conversation()),
        shown("{% for m in messages %}", &conversation()),
        shown(
            "{% for m in messages %}<{% for part in m.content %}{{ part.text }}{% endfor %}>{% endfor %}",
            &conversation(),
        ),
        shown("{{ messages | tojson }}", &conversation()),
        shown("{{ strftime_now('%Y') }}", &conversation()),
        shown("{% generation %}x{% endgeneration %}", &{
            let mut messages = conversation();
            messages[2].trained = false;
            messages
        }),
    ];
    let errors: Vec<String> = errors.into_iter().map(Result::unwrap_err).collect();
    insta::assert_snapshot!(errors.join("\n"), @"
    the template writes message 3 differently if another one follows, so its trained part is not defined; use a template with {% generation %} blocks, or one record for each reply
    the generation prompt of the template is not the beginning of message 3; use a template with {% generation %} blocks
    line 1 of the template: unexpected end of input, expected end of block
    the template does not write the content of the reply 'yo'; does it expect a list of parts?
    line 1 of the template: the filter `tojson` is not supported
    line 1 of the template: strftime_now is unknown
    the template writes 1 {% generation %} blocks for 2 replies, so it is not clear which of them belong to the replies that are not to be trained on
    ");
}

#[test]
fn a_template_that_does_not_end_is_refused() {
    let numbers = "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}x{% endfor %}";
    let template = format!("{numbers}{{% endfor %}}{{% endfor %}}");
    let refusal = shown(&template, &conversation()).unwrap_err();
    assert!(refusal.starts_with("the template takes more than 10000000 steps"), "{refusal}");
}
