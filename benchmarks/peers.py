"""Other engines on networks of the GPT's own shapes, with random weights: Qwen3 is the same block (RMSNorm, SwiGLU,
query-key norm, grouped heads, a tied head) with one-dimensional positions. Each is a contestant of `engine.py`.
"""

from __future__ import annotations

import ctypes
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from triptych.config import GPTConfig

PROMPT = 32  # positions before the steps that are timed
Work = Callable[[], None]


class Transformers:
    """transformers in float32: `generate` as it comes."""

    name = "transformers generate, fp32"
    compiled = False

    def __init__(self, config: GPTConfig) -> None:
        from transformers import Qwen3Config, Qwen3ForCausalLM

        torch.manual_seed(0)
        self.shape = Qwen3Config(
            vocab_size=config.vocabulary,
            hidden_size=config.width,
            intermediate_size=config.hidden,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            num_key_value_heads=config.kv_heads,
            head_dim=64,
            max_position_embeddings=16384,
            tie_word_embeddings=True,
        )
        self.model: Any = Qwen3ForCausalLM(self.shape).eval().requires_grad_(False)
        self.step_bytes = self.bytes = 4 * sum(p.numel() for p in self.model.parameters())  # the head is the embedding

    def decode(self, batch: int, steps: int) -> Work:
        """`steps` more ids after a prompt; the prompt's own reading is a small part of it."""
        ids = torch.randint(0, self.shape.vocab_size, (batch, PROMPT))
        mask = torch.ones_like(ids)

        @torch.inference_mode()
        def work() -> None:
            self.model.generate(
                ids, attention_mask=mask, max_new_tokens=steps, min_new_tokens=steps, do_sample=False, pad_token_id=0
            )

        return work

    def prefill(self, count: int) -> Work:
        """Read a prompt of so many ids."""
        ids = torch.randint(0, self.shape.vocab_size, (1, count))

        @torch.inference_mode()
        def work() -> None:
            self.model(ids, logits_to_keep=1)

        return work


class Compiled(Transformers):
    """The same by `torch.compile`, with a static cache as long as is needed and a bare loop instead of `generate`,
    which compiles nothing on a CPU."""

    name = "transformers, compiled, static cache, fp32"
    compiled = True

    def __init__(self, config: GPTConfig) -> None:
        super().__init__(config)
        self._quantize()
        torch._dynamo.config.recompile_limit = 256  # counts all sizes together, and what exceeds it runs uncompiled
        self.run = torch.compile(self.model.forward, dynamic=False)

    def _quantize(self) -> None:
        pass

    def decode(self, batch: int, steps: int) -> Work:
        """`steps` ids, each the likeliest after the one before."""
        cache = self._cache(batch, PROMPT + steps)
        first = torch.randint(0, self.shape.vocab_size, (batch, 1))

        @torch.no_grad()  # inference tensors make compiled code guard, and compile, anew
        def work() -> None:
            ids = first
            for layer in cache.layers:
                layer.cumulative_length.fill_(PROMPT)
            for place in range(PROMPT, PROMPT + steps):
                logits = self.run(
                    ids, position_ids=torch.full((batch, 1), place), past_key_values=cache, logits_to_keep=1
                ).logits
                ids = logits[:, -1].argmax(-1, keepdim=True)

        return work

    def prefill(self, count: int) -> Work:
        """Read a prompt of so many ids."""
        ids = torch.randint(0, self.shape.vocab_size, (1, count))

        @torch.no_grad()
        def work() -> None:
            self.run(ids, logits_to_keep=1, use_cache=False)

        return work

    def _cache(self, batch: int, room: int) -> Any:
        from transformers import StaticCache

        cache = StaticCache(config=self.shape, max_cache_len=room)
        heads = self.shape.num_key_value_heads
        cache.early_initialization(batch, heads, 64, torch.float32, torch.device("cpu"))
        return cache


class TorchAO(Compiled):
    """torchao's int8 weights and, found at run time, int8 rows; compiled."""

    name = "torchao int8, compiled, static cache"

    def _quantize(self) -> None:
        from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_

        # Linear layers alone are quantised: the head gets weights of its own, and the embedding stays as it is.
        self.model.lm_head.weight = torch.nn.Parameter(self.model.lm_head.weight.clone(), requires_grad=False)
        quantize_(self.model, Int8DynamicActivationInt8WeightConfig())
        embedding = self.model.get_input_embeddings().weight.numel()
        self.step_bytes = self.bytes // 4
        self.bytes = self.step_bytes + 4 * embedding


class LlamaCpp:
    """llama.cpp with Q8_0 weights, through llama_cpp's own bindings, from a GGUF file of the same shapes."""

    name = "llama.cpp, Q8_0"
    compiled = False

    def __init__(self, config: GPTConfig) -> None:
        import llama_cpp

        self.api, self.threads, self.vocabulary = llama_cpp, torch.get_num_threads(), config.vocabulary
        self.api.llama_backend_init()
        self._quiet = self.api.llama_log_callback(lambda level, text, data: None)
        self.api.llama_log_set(self._quiet, ctypes.c_void_p(0))
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "model.gguf"
            write_gguf(file, config)
            self.bytes = self.step_bytes = file.stat().st_size
            self.model = self.api.llama_model_load_from_file(str(file).encode(), self.api.llama_model_default_params())

    def decode(self, batch: int, steps: int) -> Work:
        """`steps` more ids in each of `batch` sequences."""
        decode = self._context(512 * batch, batch)
        for row in range(batch):
            decode([1] * PROMPT, range(PROMPT), [row] * PROMPT, False)
        place = PROMPT

        def work() -> None:
            nonlocal place
            for _ in range(steps):
                int(decode([5] * batch, [place] * batch, range(batch), True).argmax())
                place += 1

        return work

    def prefill(self, count: int) -> Work:
        """Read a prompt of so many ids."""
        decode = self._context(count + 8, 1)

        def work() -> None:
            self.api.llama_memory_clear(self.api.llama_get_memory(decode.context), True)  # type: ignore[attr-defined]
            for first in range(0, count, 2048):
                part = range(first, min(count, first + 2048))
                decode([3] * len(part), part, [0] * len(part), False)

        return work

    def _context(self, room: int, rows: int) -> Callable[..., np.ndarray]:
        settings = self.api.llama_context_default_params()
        settings.n_ctx, settings.n_batch, settings.n_ubatch, settings.n_seq_max = room, 2048, 512, rows
        settings.n_threads = settings.n_threads_batch = self.threads
        context = self.api.llama_init_from_model(self.model, settings)
        batch = self.api.llama_batch_init(2048, 0, 1)

        def decode(ids: Any, places: Any, rows: Any, each: bool) -> np.ndarray:
            batch.n_tokens = len(ids)
            for i, (token, place, row) in enumerate(zip(ids, places, rows, strict=True)):
                batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.seq_id[i][0] = token, place, 1, row
                batch.logits[i] = each or i == len(ids) - 1
            if self.api.llama_decode(context, batch) != 0:
                raise RuntimeError("llama_decode failed")
            last = self.api.llama_get_logits_ith(context, len(ids) - 1)
            return np.ctypeslib.as_array(last, (self.vocabulary,))

        decode.context = context  # type: ignore[attr-defined]
        return decode


def write_gguf(file: Path, config: GPTConfig) -> None:
    """Random Q8_0 weights of the GPT's shapes as a GGUF file."""
    import gguf

    rng, kind = np.random.default_rng(0), gguf.GGMLQuantizationType.Q8_0
    out = gguf.GGUFWriter(str(file), "qwen3")
    out.add_block_count(config.layers)
    out.add_context_length(16384)
    out.add_embedding_length(config.width)
    out.add_feed_forward_length(config.hidden)
    out.add_head_count(config.heads)
    out.add_head_count_kv(config.kv_heads)
    out.add_layer_norm_rms_eps(1e-6)
    out.add_key_length(64)
    out.add_value_length(64)
    out.add_rope_freq_base(10000.0)
    out.add_vocab_size(config.vocabulary)
    out.add_tokenizer_model("none")

    def matrix(name: str, outputs: int, inputs: int) -> None:
        values = rng.standard_normal((outputs, inputs), dtype=np.float32) * 0.02
        out.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)

    def ones(name: str, count: int) -> None:
        out.add_tensor(name, np.ones(count, np.float32))

    queries, keys = config.heads * 64, config.kv_heads * 64
    matrix("token_embd.weight", config.vocabulary, config.width)
    ones("output_norm.weight", config.width)
    for layer in range(config.layers):
        at = f"blk.{layer}."
        ones(f"{at}attn_norm.weight", config.width)
        ones(f"{at}ffn_norm.weight", config.width)
        ones(f"{at}attn_q_norm.weight", 64)
        ones(f"{at}attn_k_norm.weight", 64)
        matrix(f"{at}attn_q.weight", queries, config.width)
        matrix(f"{at}attn_k.weight", keys, config.width)
        matrix(f"{at}attn_v.weight", keys, config.width)
        matrix(f"{at}attn_output.weight", config.width, queries)
        matrix(f"{at}ffn_gate.weight", config.hidden, config.width)
        matrix(f"{at}ffn_up.weight", config.hidden, config.width)
        matrix(f"{at}ffn_down.weight", config.width, config.hidden)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()
