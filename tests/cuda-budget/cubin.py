# SPDX-License-Identifier: Apache-2.0
"""What a cubin says of its kernels without a disassembler: registers, stack, instructions by operation, and loops.

A cubin is an ELF64 file. Instructions are 16 bytes, the operation in the low 12 bits; of arithmetic ones bits 9 to 11
are the form of the operands, so the low 9 bits name the operation. Opcodes were found by compiling kernels of one
known instruction each; a name that no longer fits fails the calibration test."""
import struct
from collections import Counter

# Arithmetic, by the low 9 bits.
ALU = {0x02: "MOV", 0x07: "SEL", 0x0C: "ISETP", 0x10: "IADD3", 0x11: "LEA", 0x12: "LOP3", 0x16: "PRMT", 0x19: "SHF",
       0x20: "FMUL", 0x21: "FADD", 0x23: "FFMA", 0x24: "IMAD", 0x25: "IMAD.WIDE", 0x26: "IDP", 0x37: "IMMA"}
# Others, by all 12.
MEMORY = {0x381: "LDG", 0x981: "LDG", 0x386: "STG", 0x986: "STG", 0x983: "LDL", 0x387: "STL", 0x984: "LDS",
          0x388: "STS", 0x988: "STS", 0xFAE: "LDGSTS", 0x947: "BRA", 0x547: "BRA", 0x94D: "EXIT", 0x918: "NOP",
          0x389: "SHFL", 0x589: "SHFL", 0x989: "SHFL", 0xF89: "SHFL", 0xB1D: "BAR",
          0xDF1: "IGMMA", 0x9C5: "WARPGROUP",  # wgmma of int8; its fence, its wait
          0x82D: "PREEXIT", 0x82E: "ACQBULK"}  # griddepcontrol: launch_dependents, wait

# Attributes of .nv.info.
MIN_STACK, REGISTERS, FRAME = 0x12, 0x2F, 0x11


def name_of(word):
    return MEMORY.get(word & 0xFFF) or ALU.get(word & 0x1FF) or f"{word & 0xFFF:03x}"


class Kernel:
    def __init__(self, name, code, arch):
        self.name, self.registers, self.frame = name, None, None
        self.words = [int.from_bytes(code[i:i + 16], "little") for i in range(0, len(code), 16)]
        self.arch = arch
        self.counts = Counter(name_of(w) for w in self.words)

    def before(self, operation):
        """Counts of what stands before the first of these operations."""
        names = [name_of(w) for w in self.words]
        return Counter(names[:names.index(operation)] if operation in names else names)

    def loops(self):
        """Bodies of loops, as (first, last) instruction: backward branches, but for the one to itself at the end."""
        found = []
        for at, word in enumerate(self.words):
            if name_of(word) != "BRA":
                continue
            field = word >> 34 & (1 << 48) - 1
            if field >> 47:
                field -= 1 << 48
            distance = (field << 8 | word >> 16 & 0xFF) if self.arch >= 90 else field
            if self.arch >= 90 and distance >> 55 & 1 and distance > 0:
                distance -= 1 << 56
            target = at + 1 + distance * 4 // 16
            if 0 <= target < at:
                found.append((target, at))
        return found

    def body(self, operations):
        """Counts of the smallest loop with the most of these operations in it."""
        best = None
        for first, last in self.loops():
            counts = Counter(name_of(w) for w in self.words[first:last + 1])
            key = (sum(counts[o] for o in operations), first - last)
            if best is None or key > best[0]:
                best = (key, counts)
        return best[1] if best else Counter()


def read(path):
    """Kernels of a cubin, by name."""
    data = open(path, "rb").read()
    if data[:4] != b"\x7fELF":
        raise ValueError(f"{path}: not an ELF file")
    flags, = struct.unpack_from("<I", data, 0x30)
    table, = struct.unpack_from("<Q", data, 0x28)
    count, names_at = struct.unpack_from("<HH", data, 0x3C)
    sections = [struct.unpack_from("<IIQQQQIIQQ", data, table + 64 * i) for i in range(count)]

    def text(section, offset):
        start = section[4] + offset
        return data[start:data.index(b"\0", start)].decode()

    arch = flags >> 8 & 0xFF if flags >> 24 else flags & 0xFF
    kernels, info, symbols, strings = {}, None, None, None
    for s in sections:
        name = text(sections[names_at], s[0])
        if name.startswith(".text."):
            kernels[name[6:]] = Kernel(name[6:], data[s[4]:s[4] + s[5]], arch)
        elif name == ".nv.info":
            info = s
        elif s[1] == 2:
            symbols, strings = s, sections[s[6]]

    def symbol(index):
        return text(strings, struct.unpack_from("<I", data, symbols[4] + 24 * index)[0])

    at = info[4]
    while at < info[4] + info[5]:
        form, attribute, size = struct.unpack_from("<BBH", data, at)
        at += 4
        if form != 4:
            continue
        if attribute in (MIN_STACK, REGISTERS, FRAME):
            index, value = struct.unpack_from("<II", data, at)
            kernel = kernels.get(symbol(index))
            if kernel and attribute == REGISTERS:
                kernel.registers = value
            if kernel and attribute == FRAME:
                kernel.frame = value
        at += size
    return kernels
