#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Mean KL (logarithmic) over the bits of the whole file, a panel per source.

    plot_quality.py ROWS.json OUT.svg

ROWS.json: {"panels": {"title": [{"series": "q35rt", "name": "default", "bits": 4.7, "kl": 0.105, "se": 0.003}, ...]}}; a row may
have "at": where its name stands, of "n", "s", "ne", "se", "nw", "sw" (default "ne")."""
import json
import math
import sys

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 470, 380, 58, 16, 34, 44
COLOURS = {"llama.cpp": "#b5651d", "q35rt": "#1f5fa8"}
TICKS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)


class Panel:
    def __init__(self, left, bits, kl):
        self.left, self.bits, self.kl = left, bits, [math.log10(v) for v in kl]

    def x(self, bits):
        low, high = self.bits
        return self.left + LEFT + (bits - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def y(self, kl):
        low, high = self.kl
        return HEIGHT - BOTTOM - (math.log10(kl) - low) / (high - low) * (HEIGHT - BOTTOM - TOP)


def text(x, y, what, anchor="start", colour="#222222", size=11):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}" font-size="{size}">{what}</text>'


def line(x0, y0, x1, y1, colour, width=1):
    return f'<line x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}" stroke="{colour}" stroke-width="{width}"/>'


def grid(p, title):
    middle, right = p.left + (LEFT + WIDTH - RIGHT) / 2, p.left + WIDTH - RIGHT
    out = [text(p.left + LEFT, 18, title, size=13), text(middle, HEIGHT - 8, "bits per weight, whole file", "middle")]
    for half in range(round(2 * p.bits[0]), round(2 * p.bits[1]) + 1):
        x = p.x(half / 2)
        out += [line(x, TOP, x, HEIGHT - BOTTOM, "#e4e4e4"), text(x, HEIGHT - BOTTOM + 15, f"{half / 2:g}", "middle")]
    for kl in TICKS:
        if p.kl[0] <= math.log10(kl) <= p.kl[1]:
            out += [line(p.left + LEFT, p.y(kl), right, p.y(kl), "#e4e4e4"), text(p.left + LEFT - 6, p.y(kl) + 4, f"{kl:g}", "end")]
    out.append(f'<text transform="translate({p.left + 14},{(TOP + HEIGHT - BOTTOM) / 2:.0f}) rotate(-90)" text-anchor="middle" '
               'font-size="11" fill="#222222">mean KL to F16</text>')
    return out


def point(p, row):
    x, y, colour, at = p.x(row["bits"]), p.y(row["kl"]), COLOURS[row["series"]], row.get("at", "ne")
    low, high = p.y(max(row["kl"] - row["se"], 1e-9)), p.y(row["kl"] + row["se"])
    dx, anchor = {"e": (7, "start"), "w": (-7, "end")}.get(at[-1], (0, "middle"))
    return [line(x, low, x, high, colour, 1.5), f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>',
            text(x + dx, y + (13 if at[0] == "s" else -6), row["name"], anchor, colour)]


def legend(p, series):
    out = []
    for i, name in enumerate(series):
        x, y = p.left + WIDTH - 90, TOP + 14 + 16 * i
        out += [f'<circle cx="{x}" cy="{y - 4}" r="4" fill="{COLOURS[name]}"/>', text(x + 8, y, name)]
    return out


def main():
    panels = json.load(open(sys.argv[1]))["panels"]
    rows = [row for panel in panels.values() for row in panel]
    bits = math.floor(2 * min(r["bits"] for r in rows) - 0.5) / 2, math.ceil(2 * max(r["bits"] for r in rows)) / 2
    kl = 0.8 * min(r["kl"] for r in rows), 1.25 * max(r["kl"] for r in rows)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH * len(panels)} {HEIGHT}" font-family="sans-serif">',
           '<rect width="100%" height="100%" fill="#ffffff"/>']
    for i, (title, panel) in enumerate(panels.items()):
        p = Panel(i * WIDTH, bits, kl)
        out += grid(p, title)
        for row in panel:
            out += point(p, row)
        out += legend(p, sorted({row["series"] for row in panel}))
    open(sys.argv[2], "w").write("\n".join(out + ["</svg>"]) + "\n")


if __name__ == "__main__":
    main()
