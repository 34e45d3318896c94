#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rotates the residual stream of a GGUF model by a random orthogonal matrix: other weights, the same function.

A model that was quantised once in blocks of 32 is easier to quantise again in such blocks than any other way: its
values still lie on the old grid. After a rotation nothing of the grid is left. With x the residual stream (row vector,
d wide), Q a d x d orthogonal matrix and g a norm's weight, x Q takes the place of x everywhere:

    embedding                      E      ->  E Q
    q, k, v after attn_norm        W      ->  W diag(g) Q         (rows are outputs, as GGUF stores them)
    gate, up after ffn_norm        W      ->  W diag(g) Q
    output head after output_norm  H      ->  H diag(g) Q
    attn_output, ffn_down          W, b   ->  Q^T W, b Q
    the three norms                g      ->  1

RMSNorm without its weight commutes with Q, since Q keeps lengths, so the logits stay what they were up to rounding.
A head tied to the embedding cannot stay tied, for diag(g) is between them: the file gets an output.weight of its own
and is larger by it. Q is the orthogonal factor of a matrix of normal deviates, signs fixed so that it is uniform among
all orthogonal matrices; --seed picks it. With --plain nothing is rotated: the source's weights as they are, in F16.

Reads one GGUF file of a dense model whose tensors are named as llama's (architectures in KNOWN) with weights of any
type that the gguf package dequantises. Writes matrices in F16 (overflow is an error), vectors in F32, and all of the
source's metadata. Holds one matrix in memory beside the mapped source. Needs numpy and gguf from the Python package
index (tried with numpy 2.3.5 and gguf 0.19.0).

    python3 rotate_residual.py SOURCE.gguf OUT.gguf [--seed N | --plain]
"""
import argparse
import os
import re
import sys

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

KNOWN = ("llama", "mistral3", "qwen2", "qwen3")
EMBEDDING, HEAD, HEAD_NORM = "token_embd.weight", "output.weight", "output_norm.weight"

# Last parts of names below blk.N.: what happens to the tensor.
READS = {"attn_q.weight": "attn_norm", "attn_k.weight": "attn_norm", "attn_v.weight": "attn_norm",
         "ffn_gate.weight": "ffn_norm", "ffn_up.weight": "ffn_norm"}
WRITES = {"attn_output.weight", "ffn_down.weight", "attn_output.bias", "ffn_down.bias"}
NORMS = {"attn_norm.weight", "ffn_norm.weight"}
APART = {"attn_q.bias", "attn_k.bias", "attn_v.bias", "attn_q_norm.weight", "attn_k_norm.weight"}


def fail(text):
    sys.exit(f"rotate_residual: {text}")


def orthogonal(d, seed):
    """Haar-distributed d x d matrix in float32, computed in float64."""
    q, r = np.linalg.qr(np.random.default_rng(seed).standard_normal((d, d)))
    return (q * np.sign(np.diagonal(r))).astype(np.float32)


class Source:
    def __init__(self, path):
        try:
            self.reader = gguf.GGUFReader(path)
        except (OSError, ValueError) as error:
            fail(f"{path}: {error}")
        self.tensors = {t.name: t for t in self.reader.tensors}
        self.arch = self.value("general.architecture")
        if self.arch not in KNOWN:
            fail(f"{path}: architecture {self.arch} found, one of {', '.join(KNOWN)} needed")
        if self.value("split.count", 1) != 1:
            fail(f"{path}: one part of a split model found, a whole file needed")
        self.width = self.value(f"{self.arch}.embedding_length")
        for name in [EMBEDDING, HEAD_NORM]:
            if name not in self.tensors:
                fail(f"{path}: no tensor {name}")

    def value(self, key, default=None):
        field = self.reader.fields.get(key)
        return default if field is None else field.contents()

    def array(self, name):
        """The tensor in float32, rows first."""
        tensor = self.tensors[name]
        shape = [int(n) for n in reversed(tensor.shape)]
        return gguf.dequantize(tensor.data, tensor.tensor_type).reshape(shape).astype(np.float32, copy=False)


def rotated(source, name, q):
    """Tensor `name` of the rotated model in float32; q None: as it is."""
    if q is None:
        return source.array(name)
    if name == EMBEDDING:
        return source.array(name) @ q
    if name == HEAD:
        head = name if name in source.tensors else EMBEDDING
        return (source.array(head) * source.array(HEAD_NORM)) @ q
    if name == HEAD_NORM:
        return np.ones(source.width, np.float32)
    if name == "rope_freqs.weight":
        return source.array(name)
    block, last = re.match(r"(blk\.\d+\.|)(.*)", name).groups()
    if not block or last not in READS.keys() | WRITES | NORMS | APART:
        fail(f"tensor {name}: not known, so what a rotation does to it is not either")
    if last in READS:
        return (source.array(name) * source.array(f"{block}{READS[last]}.weight")) @ q
    if last in WRITES:
        array = source.array(name)
        return q.T @ array if array.ndim == 2 else array @ q
    return np.ones(source.width, np.float32) if last in NORMS else source.array(name)


def copy_metadata(source, writer):
    for name, field in source.reader.fields.items():
        if name.startswith("GGUF.") or name in ("general.architecture", "general.file_type",
                                                "general.quantization_version", "split.count", "split.no",
                                                "split.tensors.count"):
            continue
        inner = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(name, field.contents(), field.types[0], sub_type=inner)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)


def convert(source, q, out):
    names = list(source.tensors)
    if q is not None and HEAD not in names:
        names.append(HEAD)
    writer = gguf.GGUFWriter(out, source.arch)
    copy_metadata(source, writer)
    for name in names:
        shape = [int(n) for n in reversed(source.tensors[name if name in source.tensors else EMBEDDING].shape)]
        kind = np.float16 if len(shape) > 1 else np.float32
        writer.add_tensor_info(name, shape, np.dtype(kind), int(np.prod(shape)) * np.dtype(kind).itemsize)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for name in names:
        array = rotated(source, name, q)
        with np.errstate(over="ignore"):
            stored = np.ascontiguousarray(array, np.float16 if array.ndim > 1 else np.float32)
        if not np.isfinite(stored).all():
            fail(f"tensor {name}: largest value {np.abs(array).max()} found, at most 65504 needed for F16")
        writer.write_tensor_data(stored)
    writer.close()


def main():
    parser = argparse.ArgumentParser(description="rotates the residual stream of a GGUF model, writes F16")
    parser.add_argument("source")
    parser.add_argument("out")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--seed", type=int, default=1, help="picks the rotation [1]")
    choice.add_argument("--plain", action="store_true", help="do not rotate: the same weights in F16")
    arguments = parser.parse_args()
    if os.path.exists(arguments.out) and os.path.samefile(arguments.source, arguments.out):
        fail(f"{arguments.out}: the source itself")
    source = Source(arguments.source)
    q = None if arguments.plain else orthogonal(source.width, arguments.seed)
    convert(source, q, arguments.out)


if __name__ == "__main__":
    main()
