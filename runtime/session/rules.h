/* SPDX-License-Identifier: Apache-2.0
 *
 * Which linears a conversion quantises, by the user's regular expressions (PCRE2 syntax, searched for anywhere in
 * the tensor's whole name): those that match a `keep` stay as they are, and with any `only` those that match none
 * do, too. One thread at a time. */
#ifndef Q35I_RULES_H
#define Q35I_RULES_H

#include <q35rt/status.h>

#include <stdbool.h>
#include <stdint.h>

typedef struct q35i_rules q35i_rules;

typedef struct q35i_rule_texts {
    const char *const *keep;
    const char *const *only;
    uint32_t n_keep, n_only;
} q35i_rule_texts;

/* INVALID names the expression, the byte where it fails, and why. The texts are copied. */
q35_status q35i_rules_create(const q35i_rule_texts *texts, q35i_rules **out);
void q35i_rules_destroy(q35i_rules *rules); /* NULL ok */

/* Notes which expressions match. Ask for every linear before any work: what goes wrong in matching is told by
 * q35i_rules_check. */
bool q35i_rules_quantise(q35i_rules *rules, const char *name);

/* After all names: INVALID when an expression matched none of them (with three names that it might have meant), or
 * took too many steps on one. */
q35_status q35i_rules_check(const q35i_rules *rules);

#endif
