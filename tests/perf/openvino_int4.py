#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Gives a language model of OpenVINO, as OpenVINO GenAI makes it from a Q4_0 GGUF file, random weights of 4 bits in groups of
GROUP with a zero point each, the form that optimum-intel exports and OpenVINO is fastest with. The embedding stays. For speed only.

    openvino_int4.py MODEL.xml OUT.xml GROUP

Each matrix product's weight [rows, groups, in a group] u4 -> f16, minus the zero point, times the scale, is replaced where
GROUP divides the row. Holds the new weights in memory. Runs under a Python with the package openvino (tried with 2026.4.1)."""
import sys

import numpy as np
import openvino
from openvino import Type
from openvino import opset13 as op

DECOMPRESSION = ("Convert", "Subtract", "Multiply", "Reshape")


def weight_shape(product):
    """Rows and columns of a matrix product's 4-bit weight; None where it has none."""
    node = product.input_value(1).get_node()
    while node.get_type_name() in DECOMPRESSION:
        node = node.input_value(0).get_node()
    if node.get_type_name() != "Constant" or node.get_element_type() != Type.u4:
        return None
    rows, groups, width = node.shape
    return rows, groups * width


class Random:
    """Constants of random values; keeps their memory, which the model only refers to."""

    def __init__(self):
        self.random, self.kept = np.random.default_rng(1), []

    def u4(self, *shape):
        self.kept.append(self.random.integers(0, 256, int(np.prod(shape)) // 2, np.uint8))
        return op.convert(op.constant(openvino.Tensor(self.kept[-1], list(shape), Type.u4)), "f16")

    def scale(self, *shape):
        return op.constant((self.random.random(shape, np.float32) * 0.002 + 0.001).astype(np.float16))


def main():
    if len(sys.argv) != 4:
        sys.exit("usage: openvino_int4.py MODEL.xml OUT.xml GROUP")
    model, random, group = openvino.Core().read_model(sys.argv[1]), Random(), int(sys.argv[3])
    for node in model.get_ordered_ops():
        if node.get_type_name() != "MatMul" or not (shape := weight_shape(node)):
            continue
        rows, columns = shape
        if columns % group:
            sys.exit(f"openvino_int4: a row of {columns} weights found, a multiple of {group} needed")
        groups = columns // group
        grouped = op.multiply(op.subtract(random.u4(rows, groups, group), random.u4(rows, groups, 1)), random.scale(rows, groups, 1))
        weight = op.convert(op.reshape(grouped, op.constant(np.array([rows, columns])), False), "f32")
        node.input(1).replace_source_output(weight.output(0))
    openvino.save_model(model, sys.argv[2], compress_to_fp16=False)


if __name__ == "__main__":
    main()
