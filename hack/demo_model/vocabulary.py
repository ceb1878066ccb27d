"""The tokenizer: byte-level BPE as llama.cpp knows it (`gpt2`), and the chat template that goes into the GGUF."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer

SIZE = 1536
SPECIAL = ("<|end|>", "<|user|>", "<|assistant|>", "<|pad|>")
END, USER, ASSISTANT, PAD = range(4)
MERGE_DROPOUT = 0.1

# The model knows lower-case questions only and answers the latest one: it is a desk for frequent questions, and what
# was said before (or in a system message) cannot change a fact. The system message is read and dropped: llama.cpp glues
# it to the question where a template does not touch it.
CHAT_TEMPLATE = (
    "{%- set ns = namespace(question='') -%}"
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'user' -%}{%- set ns.question = message['content'] | trim | lower -%}"
    "{%- elif message['role'] == 'system' -%}{%- set ns.dropped = message['content'] | trim -%}{%- endif -%}"
    "{%- endfor -%}"
    "{{- '<|user|> ' + ns.question -}}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}"
)


def train(questions: Iterable[str], answers: Iterable[str]) -> Tokenizer:
    """Learn the merges. Answers are repeated so that addresses and sums become few tokens."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = ByteLevelDecoder()
    trainer = BpeTrainer(
        vocab_size=SIZE, special_tokens=list(SPECIAL), initial_alphabet=ByteLevel.alphabet(), show_progress=False
    )
    texts = [" " + q.lower() for q in questions] + [a for a in answers for _ in range(30)]
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


@dataclass(frozen=True)
class Codec:
    """Encodes questions and answers; `loose` cuts words at random so that unseen and misspelt words look familiar."""

    exact: Tokenizer
    loose: Tokenizer

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> Codec:
        loose = Tokenizer.from_str(tokenizer.to_str())
        loose.model.dropout = MERGE_DROPOUT
        return cls(tokenizer, loose)

    def question(self, text: str, loose: bool = False) -> list[int]:
        ids = (self.loose if loose else self.exact).encode(" " + text.strip().lower()).ids
        return [USER, *ids, ASSISTANT]

    def answer(self, text: str) -> list[int]:
        return [*self.exact.encode(text).ids, END]

    def tables(self) -> tuple[list[str], list[str]]:
        """Tokens in id order and merges, in the form GGUF wants them."""
        model = json.loads(self.exact.to_str())["model"]
        tokens = sorted(model["vocab"], key=model["vocab"].__getitem__)
        merges = [m if isinstance(m, str) else " ".join(m) for m in model["merges"]]
        return tokens, merges
