#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the rows of tests/golden/sentencepiece_ids.txt.

    test_sentencepiece --lines | make_spm_golden.py MODEL... > tests/golden/sentencepiece_ids.txt

Each row: name of the vocabulary, number of ids of all lines, FNV-1a of the ids (32-bit words, low byte first, a word
of ones behind each line). Needs the Python package sentencepiece (made with 0.2.3)."""
import os
import sys

import sentencepiece

PRIME, START, MASK = 0x100000001B3, 0xCBF29CE484222325, (1 << 64) - 1


def checksum(model, lines):
    value, count = START, 0
    for line in lines:
        ids = model.encode(line)
        count += len(ids)
        for word in ids + [0xFFFFFFFF]:
            for byte in word.to_bytes(4, "little"):
                value = (value ^ byte) * PRIME & MASK
    return count, value


def main():
    lines = sys.stdin.buffer.read().decode("utf-8").split("\n")[:-1]
    for path in sys.argv[1:]:
        model = sentencepiece.SentencePieceProcessor(model_file=path)
        count, value = checksum(model, lines)
        print(f"{os.path.basename(path)} {count} {value:016x}")


main()
