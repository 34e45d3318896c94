#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Speed of OpenVINO's CPU device on a language model with state, as optimum-intel and OpenVINO GenAI write it (openvino_model.xml
with inputs input_ids, attention_mask, position_ids, beam_idx). One JSON object on standard output:

    prefill, decode   tokens per second; a prompt is one request, a decoded token is one
    bytes             of weights that a token reads: all constants behind the matrix products
    version

    openvino_bench.py MODEL.xml [-p TOKENS] [-n TOKENS] [-t THREADS] [--int8]

Runs under a Python with the package openvino (tried with 2026.4.1). Settings are OpenVINO's own for latency, and as in OpenVINO
GenAI only the last position's logits are computed. --int8: activations in 8 bits, a scale per 128, which without AMX is the
faster choice for weights in groups of 128 and the slower one for groups of 32. `tests/perf/peers` calls this."""
import argparse
import json
import time

import numpy as np
import openvino
from openvino import opset13 as op


DECOMPRESSION = ("Convert", "Subtract", "Multiply", "Reshape", "Transpose")


def weights(product):
    """Constants behind a matrix product's second input where that is a weight: name -> bytes."""
    found, todo = {}, [product.input_value(1).get_node()]
    while todo:
        node = todo.pop()
        if node.get_type_name() == "Constant":
            found[node.get_friendly_name()] = -(-int(np.prod(list(node.shape))) * node.get_element_type().bitwidth // 8)
        elif node.get_type_name() in DECOMPRESSION:
            todo += [value.get_node() for value in node.input_values()]
    return found


def last_position_only(model):
    """Puts the last position alone before the head."""
    node = model.outputs[0].get_node()
    while node.get_type_name() != "MatMul":
        node = node.input_value(0).get_node()
    one, end = op.constant(np.array([1])), op.constant(np.array([np.iinfo(np.int64).max]))
    node.input(0).replace_source_output(op.slice(node.input_value(0), op.constant(np.array([-1])), end, one, one).output(0))


class Session:
    def __init__(self, path, threads, int8):
        core = openvino.Core()
        model = core.read_model(path)
        constants = {}
        for node in model.get_ordered_ops():
            if node.get_type_name() == "MatMul":
                constants |= weights(node)
        self.bytes = sum(constants.values())
        last_position_only(model)
        settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
        if int8:
            settings |= {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": 128}
        self.request = core.compile_model(model, "CPU", settings).create_infer_request()
        self.past = 0

    def step(self, ids):
        """One request: ids int64 [tokens] after what went before."""
        end = self.past + len(ids)
        self.request.infer({"input_ids": ids[None], "attention_mask": np.ones((1, end), np.int64),
                            "position_ids": np.arange(self.past, end)[None], "beam_idx": np.zeros(1, np.int32)})
        self.past = end

    def forget(self):
        self.request.reset_state()
        self.past = 0

    def seconds(self, chunks, first=None):
        """For all chunks, after a context of the chunk `first`."""
        self.forget()
        if first is not None:
            self.step(first)
        begin = time.monotonic()
        for chunk in chunks:
            self.step(chunk)
        return time.monotonic() - begin


def main():
    parser = argparse.ArgumentParser(description="speed of OpenVINO on the CPU")
    parser.add_argument("model")
    parser.add_argument("-p", "--n-prompt", type=int, default=512)
    parser.add_argument("-n", "--n-gen", type=int, default=32)
    parser.add_argument("-t", "--threads", type=int, default=2)
    parser.add_argument("--int8", action="store_true")
    o = parser.parse_args()
    session = Session(o.model, o.threads, o.int8)
    ids = np.random.default_rng(1).integers(3, 256, max(o.n_prompt, o.n_gen + 1))
    prompt, tokens = [ids[:o.n_prompt]], np.split(ids[1:o.n_gen + 1], o.n_gen)
    session.seconds(prompt)  # the first request of a shape builds kernels
    prefill = session.seconds(prompt)
    session.seconds(tokens[:1], ids[:1])
    decode = session.seconds(tokens, ids[:1])
    print(json.dumps({"prefill": o.n_prompt / prefill, "decode": o.n_gen / decode, "bytes": session.bytes,
                      "version": openvino.__version__}))


if __name__ == "__main__":
    main()
