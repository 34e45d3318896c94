/* SPDX-License-Identifier: Apache-2.0
 *
 * Comparing ids, with the ones found in the message. */
#include "text/expect_ids.h"

#include "support/alloc_sweep.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

void expect_ids(const q35_tokenizer *t, const char *text, uint64_t len, uint32_t flags, const int32_t *ids)
{
    int32_t *found;
    uint64_t n, want = 0;
    char list[1024] = "";
    ck_assert_msg(q35_tokenizer_encode(t, text, len, flags, &found, &n) == Q35_OK, "%s", q35_error_message());
    while (ids[want] >= 0)
        want++;
    for (uint64_t i = 0, at = 0; i < n && at < sizeof list - 16; i++)
        at += (uint64_t)snprintf(list + at, sizeof list - at, " %d", found[i]);
    ck_assert_msg(n == want && (n == 0 || memcmp(found, ids, n * sizeof *ids) == 0), "'%s' gives%s, not %d%s",
                  text, list, ids[0], want > 1 ? " ..." : "");
    ck_assert_msg((found == NULL) == (n == 0), "'%s': ids %p for %llu tokens", text, (void *)found,
                  (unsigned long long)n);
    q35_tokens_free(found);
}

void expect_survives_no_memory(const q35_model *model, const char *text, uint64_t len, uint32_t flags)
{
    q35t_alloc_sweep sweep = {.limit = 1000};
    while (q35t_alloc_sweep_next(&sweep)) {
        q35_tokenizer *t;
        int32_t *ids = NULL;
        uint64_t n = 0;
        q35_status status = q35_tokenizer_create(model, &t);
        if (status == Q35_OK) {
            status = q35_tokenizer_encode(t, text, len, flags, &ids, &n);
            ck_assert(status == Q35_OK || (ids == NULL && n == 0));
        }
        q35t_alloc_sweep_end(&sweep, status);
        q35_tokens_free(ids);
        q35_tokenizer_destroy(t);
    }
}
