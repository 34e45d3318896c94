#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/golden/family: tiny seeded models of every supported kind and their reference logits.

Each model is written three times over the same weights: as transformers saves it (hf/), in Mistral's own layout
(mistral/) and as a GGUF file (model.gguf). golden.json holds float32 logits of the reference at some positions of one
token sequence, which is made by the formula in tokens(). Needs torch, safetensors, gguf and the version of
transformers that golden.json names; the tests need none of them.

    python3 make_family.py OUT [NAME ...]
"""
import json
import math
import sys
from pathlib import Path

import gguf
import numpy as np
import torch
import transformers
from safetensors.torch import save_file

VOCAB = 64


def tokens(n):
    """The sequence: a linear congruential generator, upper bits."""
    ids, x = [], 1
    for _ in range(n):
        x = (x * 1103515245 + 12345) % (1 << 31)
        ids.append((x >> 16) % VOCAB)
    return ids


def ministral3(seed, tied, theta, hidden, heads, kv, layers):
    config = transformers.Ministral3Config(
        vocab_size=VOCAB, hidden_size=hidden, intermediate_size=2 * hidden, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=kv, head_dim=16, hidden_act="silu",
        max_position_embeddings=262144, rms_norm_eps=1e-5, tie_word_embeddings=tied, sliding_window=None,
        rope_parameters={"rope_type": "yarn", "rope_theta": theta, "factor": 16.0,
                         "original_max_position_embeddings": 16384, "beta_fast": 32.0, "beta_slow": 1.0,
                         "mscale": 1.0, "mscale_all_dim": 1.0, "llama_4_scaling_beta": 0.1},
        bos_token_id=1, eos_token_id=2, pad_token_id=11)
    return seed, transformers.Ministral3ForCausalLM, config


def llama(seed, tied, **more):
    config = transformers.LlamaConfig(
        vocab_size=VOCAB, hidden_size=48, intermediate_size=56, num_hidden_layers=2, num_attention_heads=3,
        num_key_value_heads=1, head_dim=16, max_position_embeddings=131072, rms_norm_eps=1e-5,
        tie_word_embeddings=tied, bos_token_id=1, eos_token_id=2, **more)
    return seed, transformers.LlamaForCausalLM, config


def mistral(seed):
    config = transformers.MistralConfig(
        vocab_size=VOCAB, hidden_size=48, intermediate_size=56, num_hidden_layers=2, num_attention_heads=3,
        num_key_value_heads=1, head_dim=16, max_position_embeddings=32768, rms_norm_eps=1e-5, sliding_window=None,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6}, bos_token_id=1, eos_token_id=2)
    return seed, transformers.MistralForCausalLM, config


LLAMA3 = {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 8192}

# name: (model, positions)
MODELS = {
    "ministral3-tied": (ministral3(1, True, 1e6, 24, 4, 2, 2), [0, 16383, 16384, 40000]),
    "ministral3-untied": (ministral3(2, False, 1e9, 24, 4, 2, 2), [0, 16383, 16384, 40000]),
    "ministral3-long": (ministral3(3, True, 1e6, 24, 2, 1, 2), [0, 16383, 16384, 40000, 262143]),
    "llama-llama3": (llama(4, True, rope_parameters=LLAMA3), [0, 1000, 8191, 20000]),
    "llama-linear": (llama(5, False, rope_parameters={"rope_type": "linear", "rope_theta": 1e4, "factor": 4.0}),
                     [0, 1000, 5000]),
    "mistral": (mistral(6), [0, 1000, 5000]),
}


def make_weights(model, seed):
    """Normal weights of size 1/sqrt(K), norms around 1: logits of a few units that depend on everything."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.dim() == 1:
                p.copy_(1 + 0.2 * torch.randn(p.shape, generator=generator))
            else:
                scale = 1.0 if "embed" in name else 2.0 / math.sqrt(p.shape[1])
                p.copy_(scale * torch.randn(p.shape, generator=generator))
            p.copy_(p.to(torch.bfloat16).to(torch.float32))


def logits_at(model, positions):
    ids = tokens(positions[-1] + 1)
    cache = transformers.DynamicCache(config=model.config)
    ends = sorted(p + 1 for p in positions)
    cuts = sorted(set(list(range(0, len(ids), 512)) + ends + [len(ids)]))
    out = {}
    with torch.no_grad():
        for begin, end in zip(cuts, cuts[1:]):
            part = torch.tensor([ids[begin:end]])
            positions_of = torch.arange(begin, end)[None]
            y = model(part, position_ids=positions_of, past_key_values=cache, use_cache=True, logits_to_keep=1)
            if end in ends:
                out[end - 1] = [float(f"{v:.6g}") for v in y.logits[0, -1].tolist()]
            if begin % 16384 == 0:
                print(f"  position {begin}", file=sys.stderr)
    return out


def halves_to_pairs(weight, n_heads):
    """Rows of each head from half-split to interleaved order."""
    rows, columns = weight.shape
    return weight.reshape(n_heads, 2, rows // n_heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def llama_names(state, config):
    """(consolidated name, GGUF name, tensor) of every weight, q and k interleaved."""
    table = {"input_layernorm": ("attention_norm", "attn_norm"), "post_attention_layernorm": ("ffn_norm", "ffn_norm"),
             "self_attn.q_proj": ("attention.wq", "attn_q"), "self_attn.k_proj": ("attention.wk", "attn_k"),
             "self_attn.v_proj": ("attention.wv", "attn_v"), "self_attn.o_proj": ("attention.wo", "attn_output"),
             "mlp.gate_proj": ("feed_forward.w1", "ffn_gate"), "mlp.up_proj": ("feed_forward.w3", "ffn_up"),
             "mlp.down_proj": ("feed_forward.w2", "ffn_down")}
    top = {"model.embed_tokens.weight": ("tok_embeddings.weight", "token_embd.weight"),
           "model.norm.weight": ("norm.weight", "output_norm.weight"), "lm_head.weight": ("output.weight",) * 2}
    for name, tensor in state.items():
        if name in top:
            yield *top[name], tensor
            continue
        _, _, layer, part = name.split(".", 3)
        mistral_part, gguf_part = table[part.removesuffix(".weight")]
        if "q_proj" in part:
            tensor = halves_to_pairs(tensor, config.num_attention_heads)
        if "k_proj" in part:
            tensor = halves_to_pairs(tensor, config.num_key_value_heads)
        yield f"layers.{layer}.{mistral_part}.weight", f"blk.{layer}.{gguf_part}.weight", tensor


def write_mistral(folder, tensors, config):
    rope = config.rope_parameters
    if rope["rope_type"] in ("llama3", "linear"):
        return  # params.json has no such scaling
    folder.mkdir(parents=True, exist_ok=True)
    params = {"dim": config.hidden_size, "n_layers": config.num_hidden_layers, "head_dim": config.head_dim,
              "hidden_dim": config.intermediate_size, "n_heads": config.num_attention_heads,
              "n_kv_heads": config.num_key_value_heads, "norm_eps": config.rms_norm_eps, "vocab_size": VOCAB,
              "rope_theta": rope["rope_theta"], "tied_embeddings": config.tie_word_embeddings,
              "max_position_embeddings": config.max_position_embeddings}
    if rope["rope_type"] == "yarn":
        params["yarn"] = {"original_max_position_embeddings": rope["original_max_position_embeddings"],
                          "factor": rope["factor"], "apply_scale": False, "beta": rope["beta_fast"],
                          "alpha": rope["beta_slow"]}
        params["llama_4_scaling"] = {
            "original_max_position_embeddings": rope["original_max_position_embeddings"],
            "beta": rope["llama_4_scaling_beta"]}
    (folder / "params.json").write_text(json.dumps(params, indent=2) + "\n")
    save_file({name: t.contiguous() for name, _, t in tensors}, folder / "consolidated.safetensors")


def llama3_divisors(rope, dim):
    i = np.arange(0, dim, 2, dtype=np.float32)
    f = np.float32(1) / np.power(np.float32(rope["rope_theta"]), i / np.float32(dim)).astype(np.float32)
    old, low, high, factor = (rope[k] for k in ("original_max_position_embeddings", "low_freq_factor",
                                               "high_freq_factor", "factor"))
    divisors = []
    for w in f.tolist():
        wavelength = 2 * math.pi / w
        smooth = (old / wavelength - low) / (high - low)
        divisors.append(1.0 if wavelength < old / high else factor if wavelength > old / low else
                        1 / ((1 - smooth) / factor + smooth))
    return np.array(divisors, dtype=np.float32)


def write_gguf(path, tensors, config, arch):
    rope = config.rope_parameters
    w = gguf.GGUFWriter(path, arch)
    w.add_block_count(config.num_hidden_layers)
    w.add_context_length(config.max_position_embeddings)
    w.add_embedding_length(config.hidden_size)
    w.add_feed_forward_length(config.intermediate_size)
    w.add_head_count(config.num_attention_heads)
    w.add_head_count_kv(config.num_key_value_heads)
    w.add_key_length(config.head_dim)
    w.add_value_length(config.head_dim)
    w.add_layer_norm_rms_eps(config.rms_norm_eps)
    w.add_rope_dimension_count(config.head_dim)
    w.add_rope_freq_base(rope["rope_theta"])
    w.add_vocab_size(VOCAB)
    if rope["rope_type"] == "yarn":
        w.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        w.add_rope_scaling_factor(rope["factor"])
        w.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
        w.add_rope_scaling_yarn_beta_fast(rope["beta_fast"])
        w.add_rope_scaling_yarn_beta_slow(rope["beta_slow"])
        w.add_rope_scaling_yarn_log_mul(rope["mscale_all_dim"])
        w.add_attn_temperature_scale(rope["llama_4_scaling_beta"])
    if rope["rope_type"] == "linear":
        w.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        w.add_rope_scaling_factor(rope["factor"])
    if rope["rope_type"] == "llama3":
        w.add_tensor("rope_freqs.weight", llama3_divisors(rope, config.head_dim))
    for _, name, t in tensors:
        if t.dim() == 1:
            w.add_tensor(name, t.float().numpy())
        else:
            raw = t.contiguous().view(torch.int16).numpy().view(np.uint8)
            w.add_tensor(name, raw, raw_dtype=gguf.GGMLQuantizationType.BF16)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def make(out, name):
    (seed, kind, config), positions = MODELS[name]
    model = kind(config).to(torch.float32).eval()
    make_weights(model, seed)
    folder = out / name
    golden = {"transformers": transformers.__version__, "torch": torch.__version__, "vocab": VOCAB,
              "positions": positions, "logits": [v for _, v in sorted(logits_at(model, positions).items())]}
    model = model.to(torch.bfloat16)
    model.save_pretrained(folder / "hf")
    (folder / "hf" / "generation_config.json").unlink(missing_ok=True)
    tensors = list(llama_names(model.state_dict() if not config.tie_word_embeddings else
                               {k: v for k, v in model.state_dict().items() if k != "lm_head.weight"}, config))
    write_mistral(folder / "mistral", tensors, config)
    write_gguf(folder / "model.gguf", tensors, config, "mistral3" if "ministral3" in name else "llama")
    (folder / "golden.json").write_text(json.dumps(golden) + "\n")


def main():
    out = Path(sys.argv[1])
    for name in sys.argv[2:] or MODELS:
        print(name, file=sys.stderr)
        make(out, name)


if __name__ == "__main__":
    main()
