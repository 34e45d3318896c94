/* SPDX-License-Identifier: Apache-2.0
 *
 * A line draws from a few of the kinds below, so that some are of one script and some of all. */
#include "text/random_lines.h"

#include <string.h>

typedef struct kind {
    uint32_t first, last;    /* code points */
    const char *const *list; /* or strings */
    uint32_t n;
} kind;

static const char *const words[] = {"the",          "ing",          " and",    " of",       "don't",
                                    "'LL",          "'s",           " King",   "HELLO",     "https://",
                                    "e.g.",         "2024",         "1,000",   "x_y",       "{\"",
                                    "\":",          "\t",           "  ",      "    ",      "...",
                                    "--",           "<s>",          "</s>",    "[INST]",    "[/INST]",
                                    "[REF]",        "<unk>",        "<0x41>",  "a\xCC\x81", "[REFERENCE_DOC_12]",
                                    "\xE2\x80\x8D", "\xEF\xBB\xBF", "\xC2\xA0"};

static const kind kinds[] = {{'a', 'z', NULL, 0},
                             {'A', 'Z', NULL, 0},
                             {'0', '9', NULL, 0},
                             {' ', ' ', NULL, 0},
                             {' ', ' ', NULL, 0},
                             {'!', '/', NULL, 0},
                             {':', '~', NULL, 0},
                             {0xC0, 0x24F, NULL, 0},
                             {0x300, 0x36F, NULL, 0},
                             {0x370, 0x3FF, NULL, 0},
                             {0x400, 0x4FF, NULL, 0},
                             {0x5D0, 0x5EA, NULL, 0},
                             {0x620, 0x64A, NULL, 0},
                             {0x900, 0x97F, NULL, 0},
                             {0xE01, 0xE5B, NULL, 0},
                             {0x1780, 0x17DD, NULL, 0},
                             {0x2000, 0x206F, NULL, 0},
                             {0x2190, 0x22FF, NULL, 0},
                             {0x3041, 0x30FF, NULL, 0},
                             {0x4E00, 0x9FFF, NULL, 0},
                             {0x4E00, 0x5200, NULL, 0},
                             {0xAC00, 0xD7A3, NULL, 0},
                             {0xFF01, 0xFF5E, NULL, 0},
                             {0x1F300, 0x1F6FF, NULL, 0},
                             {0x10000, 0x100FF, NULL, 0},
                             {0, 0, words, sizeof words / sizeof *words},
                             {0, 0, words, sizeof words / sizeof *words}};

enum { N_KINDS = sizeof kinds / sizeof *kinds, LONGEST_PART = 24 };

static size_t put_character(uint32_t c, char *out)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3F));
    out[0] = (char)(0xF00 >> n | c);
    return n;
}

size_t random_line(q35t_rng *rng, char out[RANDOM_LINE_BYTES])
{
    uint64_t n_kinds = 1 + q35t_rng_below(rng, 8), parts = q35t_rng_below(rng, 64);
    const kind *chosen[8];
    size_t n = 0;
    for (uint64_t i = 0; i < n_kinds; i++)
        chosen[i] = &kinds[q35t_rng_below(rng, N_KINDS)];
    for (uint64_t i = 0; i < parts && n + LONGEST_PART < RANDOM_LINE_BYTES; i++) {
        const kind *k = chosen[q35t_rng_below(rng, n_kinds)];
        if (k->list) {
            const char *word = k->list[q35t_rng_below(rng, k->n)];
            memcpy(out + n, word, strlen(word));
            n += strlen(word);
        } else {
            uint32_t c = k->first + (uint32_t)q35t_rng_below(rng, k->last - k->first + 1);
            /* line and paragraph separators: readers of lines may split there */
            n += put_character(c == 0x2028 || c == 0x2029 ? ' ' : c, out + n);
        }
    }
    out[n] = '\0';
    return n;
}
