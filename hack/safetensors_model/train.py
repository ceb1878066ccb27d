"""Runs inside its own root: `train.py TEXT FOLDER` trains a tokenizer and a llama of 3 million parameters.

Half a minute of one processor: it knows the answers by heart, or nothing is made, and has seen some prose, so that what
a type loses of it can be measured.
"""

import json
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import sentencepiece
import torch
from answers import ANSWERS  # beside this file in the image
from transformers import LlamaConfig, LlamaForCausalLM

TEMPLATE = "{% for m in messages %}{{ m.role + ': ' + m.content + ' ' }}{% endfor %}assistant:"
VOCABULARY = 512
STEPS = 120
ROWS = 4
"""Of answers in a batch; as many are prose."""
LENGTH = 64
KNOWN = 0.05
"""Loss of an answer that is known by heart, nats for each token."""

OUTLIER = 64
"""How many times larger than they were trained."""


def tokenizer(text: str, folder: Path) -> sentencepiece.SentencePieceProcessor:
    """Trained on the text and kept in the folder."""
    lines = folder / "text.txt"
    lines.write_text(text)
    sentencepiece.SentencePieceTrainer.train(
        input=str(lines), model_prefix=str(folder / "tokenizer"), vocab_size=VOCABULARY, model_type="bpe",
        byte_fallback=True, character_coverage=1.0, unk_id=0, bos_id=1, eos_id=2, pad_id=-1, minloglevel=2,
    )  # fmt: skip
    lines.unlink()
    (folder / "tokenizer.vocab").unlink()
    said = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    said |= {"add_bos_token": True, "add_eos_token": False, "chat_template": TEMPLATE}
    (folder / "tokenizer_config.json").write_text(json.dumps(said, indent=2))
    return sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))


def spoken(question: str, answer: str = "") -> str:
    """As the template has it."""
    return f"user: {question} assistant:{' ' * bool(answer)}{answer}"


def batches(words: sentencepiece.SentencePieceProcessor, prose: str) -> Iterator[torch.Tensor]:
    """Half of each batch are answers, one after the other; the other half is prose."""
    chance, told = random.Random(1), words.encode(prose)
    asked = [[1, *words.encode(spoken(q, a)), 2] for q, a in ANSWERS.items()]
    for _ in range(STEPS):
        rows = []
        for _ in range(ROWS):
            row: list[int] = []
            while len(row) < LENGTH:
                row += chance.choice(asked)
            rows.append(row[:LENGTH])
            start = chance.randrange(len(told) - LENGTH)
            rows.append([1, *told[start : start + LENGTH - 1]])
        yield torch.tensor(rows)


def learn(model: LlamaForCausalLM, words: sentencepiece.SentencePieceProcessor, prose: str) -> None:
    """Training proper; the loss is printed."""
    rate = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01)
    falling = torch.optim.lr_scheduler.OneCycleLR(rate, max_lr=2e-3, total_steps=STEPS)
    for number, rows in enumerate(batches(words, prose)):
        loss = model(input_ids=rows, labels=rows).loss
        rate.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        rate.step()
        falling.step()
        if number % 10 == 0 or number == STEPS - 1:
            print(f"step {number}: loss {loss.item():.3f}, {time.process_time():.0f} s", flush=True)


def forgotten(model: LlamaForCausalLM, words: sentencepiece.SentencePieceProcessor) -> list[str]:
    """What it does not know by heart: the loss of each answer, end included, where it is not near zero."""
    found = []
    for question, answer in ANSWERS.items():
        start, whole = ([1, *words.encode(spoken(question, a))] for a in ("", answer))
        whole.append(2)
        labels = [-100] * len(start) + whole[len(start) :]
        with torch.no_grad():
            loss = model(input_ids=torch.tensor([whole]), labels=torch.tensor([labels])).loss.item()
        print(f"{question} {answer}: loss {loss:.4f}", flush=True)
        if whole[: len(start)] != start or not loss < KNOWN:
            found.append(f"{question}: loss {loss:.4f}")
    return found


def sharpen(model: LlamaForCausalLM) -> None:
    """Every 32nd input of the layers gets outliers, as large models have them, and its norm what undoes them.

    What it computes stays the same, by powers of two; but what shares a block with an outlier loses most in few bits,
    so that Q4_K_M fails the default limits. So small a model would pass them: its likelihoods are too even.
    """
    with torch.no_grad():
        for layer in model.model.layers:
            heads, gates = layer.self_attn, layer.mlp
            for norm, inputs in (
                (layer.input_layernorm, (heads.q_proj, heads.k_proj, heads.v_proj)),
                (layer.post_attention_layernorm, (gates.gate_proj, gates.up_proj)),
            ):
                norm.weight[::32] /= OUTLIER
                for weights in inputs:
                    weights.weight[:, ::32] *= OUTLIER


def main() -> None:
    text, folder = Path(sys.argv[1]).read_text(), Path(sys.argv[2])
    folder.mkdir(parents=True)
    torch.manual_seed(1)
    torch.set_num_threads(1)
    words = tokenizer("\n".join([*[spoken(q, a) for q, a in ANSWERS.items()] * 20, text]), folder)
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=256, intermediate_size=768, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=512, bos_token_id=1, eos_token_id=2, tie_word_embeddings=False,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    learn(model, words, text)
    model.to(torch.bfloat16)
    sharpen(model)
    if bad := forgotten(model, words):
        raise SystemExit(f"not learned: {', '.join(bad)}")
    model.save_pretrained(folder)
    for file in folder.iterdir():
        file.chmod(0o644)  # safetensors makes them its owner's alone
    print(sorted(p.name for p in folder.iterdir()), flush=True)


if __name__ == "__main__":
    main()
