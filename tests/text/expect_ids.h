/* SPDX-License-Identifier: Apache-2.0
 *
 * Ids that a text must become, in a Check test. */
#ifndef Q35T_EXPECT_IDS_H
#define Q35T_EXPECT_IDS_H

#include <q35rt/tokenizer.h>

/* Fails the test unless text[0..len) becomes these ids; the list ends with -1. */
void expect_ids(const q35_tokenizer *t, const char *text, uint64_t len, uint32_t flags, const int32_t *ids);

/* Fails the test unless every failure of memory, in making the model's tokenizer and in encoding, is reported and
 * leaks nothing. */
void expect_survives_no_memory(const q35_model *model, const char *text, uint64_t len, uint32_t flags);

#define EXPECT_IDS(t, text, flags, ...)                                                                           \
    expect_ids((t), (text), sizeof(text) - 1, (flags), (const int32_t[]){__VA_ARGS__, -1})

#endif
