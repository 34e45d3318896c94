/* SPDX-License-Identifier: Apache-2.0
 *
 * Seeded lines of text in many scripts, for comparing encoders: words and noise, common and rare characters,
 * things that look like tokens. No line ends, no U+2581 (which some decoders turn into a space), well-formed
 * UTF-8. */
#ifndef Q35T_RANDOM_LINES_H
#define Q35T_RANDOM_LINES_H

#include "support/rng.h"

#include <stddef.h>

enum { RANDOM_LINES = 10000, RANDOM_LINE_BYTES = 1024 };

/* Writes a line with a NUL behind it and returns its length. */
size_t random_line(q35t_rng *rng, char out[RANDOM_LINE_BYTES]);

#endif
