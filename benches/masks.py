"""Compares the token ids and loss masks of `grid` with those of TRL, LLaMA-Factory and Axolotl.

    python benches/masks.py GRID TOOL [--record]

GRID is the binary. TOOL is trl, llama-factory or axolotl, which the Python that runs this script must have; see the
comment at each. The examples are of the layouts that the documentation of each tool describes. `--record` writes what the
tool gave to tests/fixtures/masks/TOOL.json, with which a test compares `grid`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

FIXTURES = Path(__file__).resolve().parent.parent / "tests" / "fixtures" / "masks"

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}"
    "{{ '\n' }}{% else %}{{ message['content'] + '<|im_end|>' + '\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

SPEC = """\
name: masks
corpora: {speech: {world: speech, words: 6k}}
datasets: {data: DATASET}
tokenizer: {vocab_size: 400, corpora: [speech], datasets: [], special_tokens: [<|im_start|>, <|im_end|>]}
models: {nano: {hidden: 32, layers: 1, heads: 2, max_positions: 4096}}
pretrain: {sequence_length: 32, steps: 1, batch_size: 1, learning_rate: 1e-3}
tune: {epochs: 1, batch_size: 1, max_length: 4096, learning_rate: 1e-3}
held_out: 0
axes: {dataset: [data], curriculum: [merged], seed: [1]}
"""


def message(role, content, **more):
    return {"role": role, "content": content, **more}


def turn(speaker, value):
    return {"from": speaker, "value": value}


DIALOGUE = [
    message("system", "You are kind."),
    message("user", "Where is the dog?"),
    message("assistant", "It is here."),
    message("user", "And the cat?"),
    message("assistant", "I do not know."),
]


def show(grid, case):
    """The ids and the mask that `grid` gives for the rows of a case, and the folder of its tokenizer."""
    folder = Path(tempfile.mkdtemp())
    (folder / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in case["rows"]))
    if "template" in case:
        (folder / "chat.jinja").write_text(case["template"])
    (folder / "spec.yaml").write_text(SPEC.replace("DATASET", case["dataset"]))
    command = [grid, "data", "show", "spec.yaml", "data", "-n", "100", "--format", "json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        return done.stderr.strip()
    records = json.loads(done.stdout)["shown"]
    ids = [[token["id"] for token in record["tokens"]] for record in records]
    return ids, [[int(token["trained"]) for token in record["tokens"]] for record in records]


def tokenizer(grid):
    """A tokenizer that `grid` trained, as `transformers` loads it."""
    from transformers import AutoTokenizer

    folder = Path(tempfile.mkdtemp())
    (folder / "data.jsonl").write_text('{"text": "a"}\n')
    (folder / "spec.yaml").write_text(SPEC.replace("DATASET", "{files: data.jsonl}"))
    subprocess.run([grid, "run", "spec.yaml"], cwd=folder, check=True, capture_output=True)
    (trained,) = folder.glob("runs/masks/tokenizer-*/*/output")
    return AutoTokenizer.from_pretrained(trained)


# trl 1.16.0 with transformers 5.24.0: pip install trl


def trl(tokenizer):
    """The cases of TRL's dataset formats, and what its trainer gives."""
    from datasets import Dataset
    from transformers import LlamaConfig, LlamaForCausalLM
    from trl import SFTConfig, SFTTrainer

    def trained(rows, template=None, **options):
        tokenizer.chat_template = template
        size = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
        model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **size))
        config = SFTConfig(
            output_dir=tempfile.mkdtemp(), max_length=None, report_to=[], use_cpu=True, bf16=False, **options
        )
        trainer = SFTTrainer(model, config, train_dataset=Dataset.from_list(rows), processing_class=tokenizer)
        rows = list(trainer.train_dataset)
        labels = [[int(one) for one in trainer.data_collator([row])["labels"][0]] for row in rows]
        return [list(row["input_ids"]) for row in rows], [[int(one != -100) for one in label] for label in labels]

    pairs = [{"prompt": "The dog", "completion": " is here."}, {"prompt": "Look at th", "completion": "e cat!"}]
    messages = [
        {"prompt": [message("user", "Where is the dog?")], "completion": [message("assistant", "It is here.")]},
        {"prompt": DIALOGUE[:4], "completion": DIALOGUE[4:]},
    ]
    dialogues = [{"messages": DIALOGUE}, {"messages": DIALOGUE[1:3]}]
    cases = [
        {"name": "text", "rows": [{"text": "The dog is here."}, {"text": "Look!"}], "dataset": "{files: data.jsonl}"},
        {"name": "prompt_completion", "rows": pairs, "dataset": "{files: data.jsonl, separator: ''}"},
        {
            "name": "prompt_completion of messages",
            "rows": messages,
            "dataset": "{files: data.jsonl, chat_template: chat.jinja}",
            "template": CHATML,
        },
        {
            "name": "messages",
            "rows": dialogues,
            "dataset": "{files: data.jsonl, chat_template: chat.jinja}",
            "template": CHATML,
            "options": {"assistant_only_loss": True},
        },
    ]
    for case in cases:
        yield case, trained(case["rows"], case.get("template"), **case.pop("options", {}))


# llamafactory 0.9.5 with transformers 5.24.0: pip install llamafactory, and DISABLE_VERSION_CHECK=1


def llama_factory(tokenizer):
    """The cases of LLaMA-Factory's data/README.md, and what its processor gives."""
    from llamafactory.data.converter import AlpacaDatasetConverter, SharegptDatasetConverter
    from llamafactory.data.parser import DatasetAttr
    from llamafactory.data.processor import SupervisedDatasetProcessor
    from llamafactory.data.template import get_template_and_fix_tokenizer
    from llamafactory.hparams import DataArguments

    arguments = DataArguments(template="chatml", cutoff_len=512)
    template = get_template_and_fix_tokenizer(tokenizer, arguments)

    def trained(rows, converter, **attributes):
        attributes = {"load_from": "file", "dataset_name": "data", **attributes}
        attribute = DatasetAttr(**attributes)
        converted = [converter(attribute, arguments)(row) for row in rows]
        columns = {name: [row[name] for row in converted] for name in converted[0]}
        processor = SupervisedDatasetProcessor(template, tokenizer, None, arguments)
        done = processor.preprocess_dataset(columns)
        return done["input_ids"], [[int(one != -100) for one in label] for label in done["labels"]]

    # The tool trains on the line break behind the end of a reply, too.
    chat = CHATML.replace("{% endgeneration %}{{ '\n' }}", "{{ '\n' }}{% endgeneration %}")
    alpaca = [
        {"instruction": "Where is the dog?", "input": "", "output": "It is here."},
        {"instruction": "Name an animal.", "input": "It barks.", "output": "The dog.", "system": "You are kind."},
        {
            "instruction": "And the cat?",
            "input": "",
            "output": "I do not know.",
            "history": [["Where is the dog?", "It is here."]],
        },
    ]
    sharegpt = [
        {
            "conversations": [
                turn("human", "Where is the dog?"),
                turn("gpt", "It is here."),
                turn("human", "And the cat?"),
                turn("gpt", "I do not know."),
            ],
            "system": "You are kind.",
        }
    ]
    openai = [{"messages": DIALOGUE}]
    common = {"dataset": "{files: data.jsonl, chat_template: chat.jinja}", "template": chat}
    columns = {"prompt": "instruction", "query": "input", "response": "output", "system": "system", "history": "history"}
    whole = [{"system": "", "history": [], **row} for row in alpaca]
    yield {"name": "alpaca", "rows": alpaca, **common}, trained(whole, AlpacaDatasetConverter, **columns)
    columns = {"messages": "conversations", "system": "system"}
    yield {"name": "sharegpt", "rows": sharegpt, **common}, trained(sharegpt, SharegptDatasetConverter, **columns)
    tags = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
    columns = {"messages": "messages", **tags, "system_tag": "system"}
    yield {"name": "openai", "rows": openai, **common}, trained(openai, SharegptDatasetConverter, **columns)


# axolotl 0.19.0 with transformers 5.24.0: pip install axolotl


def axolotl(tokenizer):
    """The cases of Axolotl's documentation of dataset formats, and what its strategies give."""
    from axolotl.prompt_strategies.chat_template import ChatTemplatePrompter, ChatTemplateStrategy
    from axolotl.prompt_strategies.input_output import RawInputOutputPrompter, RawInputOutputStrategy

    def trained(rows, strategy):
        done = [strategy.tokenize_prompt(row) for row in rows]
        return [row["input_ids"] for row in done], [[int(one != -100) for one in row["labels"]] for row in done]

    segments = [
        {"segments": [{"label": False, "text": "Where is the dog? "}, {"label": True, "text": "It is here.<|endoftext|>"}]}
    ]
    raw = RawInputOutputStrategy(RawInputOutputPrompter(), tokenizer, False, 512)
    yield {"name": "input_output", "rows": segments, "dataset": "{files: data.jsonl}"}, trained(segments, raw)

    template = CHATML.replace("{% generation %}", "").replace("{% endgeneration %}", "")
    mixed = [dict(one) for one in DIALOGUE]
    mixed[2]["train"] = False
    rows = [{"messages": DIALOGUE}, {"messages": mixed}]
    prompter = ChatTemplatePrompter(
        tokenizer,
        chat_template=template,
        max_length=512,
        message_field_training="train",
        field_messages="messages",
        message_property_mappings={"role": "role", "content": "content"},
    )
    options = {"roles_to_train": ["assistant"], "train_on_eos": "turn", "eot_tokens": ["<|im_end|>"]}
    strategy = ChatTemplateStrategy(prompter, tokenizer, False, 512, **options)
    case = {"name": "chat_template", "rows": rows, "dataset": "{files: data.jsonl, chat_template: chatml}"}
    yield case, trained(rows, strategy)


TOOLS = {"trl": trl, "llama-factory": llama_factory, "axolotl": axolotl}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("grid", type=os.path.abspath)
    parser.add_argument("tool", choices=TOOLS)
    parser.add_argument("--record", action="store_true")
    arguments = parser.parse_args()
    recorded, failed = [], False
    for case, (ids, mask) in TOOLS[arguments.tool](tokenizer(arguments.grid)):
        # The first token has nothing before it from which it could be predicted.
        mask = [[0, *row[1:]] for row in mask]
        ours = show(arguments.grid, case)
        same = (ours[0] == ids, ours[1] == mask) if isinstance(ours, tuple) else ours
        failed |= same != (True, True)
        print(f"{arguments.tool:14} {case['name']:32} ids and mask equal: {same}")
        if same != (True, True):
            print("  tool:", ids, mask, "\n  grid:", ours)
        spec = SPEC.replace("DATASET", case.pop("dataset"))
        recorded.append({**case, "spec": spec, "ids": ids, "mask": mask})
    if arguments.record:
        FIXTURES.mkdir(parents=True, exist_ok=True)
        path = FIXTURES / f"{arguments.tool}.json"
        path.write_text(json.dumps(recorded, indent=1) + "\n")
        print("wrote", path)
    sys.exit(failed)


if __name__ == "__main__":
    main()
