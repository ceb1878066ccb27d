"""LoRA adapters for a GGUF file that is there, written with the GGUF library: real files, of made-up numbers."""

from pathlib import Path

import gguf
import numpy as np

RANK = 8


def write_adapter(base: Path, file: Path, strength: float, seed: int = 1) -> None:
    """For the feed-forward and attention outputs of every layer of `base`. `strength` 0 changes no answer; 1 and more
    drown what the weights know, as a training that went on for too long does."""
    read, chance = gguf.GGUFReader(base), np.random.default_rng(seed)
    writer = gguf.GGUFWriter(file, str(read.fields["general.architecture"].contents()))
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(RANK))
    for tensor in read.tensors:
        if not tensor.name.endswith(("ffn_down.weight", "attn_output.weight")):
            continue
        columns, rows = (int(n) for n in tensor.shape)
        for part, shape, scale in (("lora_a", (RANK, columns), 1.0), ("lora_b", (rows, RANK), strength)):
            numbers = chance.standard_normal(shape) * scale
            writer.add_tensor(f"{tensor.name}.{part}", numbers.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
