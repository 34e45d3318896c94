/* SPDX-License-Identifier: Apache-2.0
 *
 * make_tiny_model OUT [--option value]...: the tiny model as a file, for tests that run programs. */
#include "tiny_model.h"

#include <q35rt/blocks.h>

#include <stdio.h>
#include <stdlib.h>

static const char usage[] =
    "usage: make_tiny_model OUT [--seed N] [--layers N] [--hidden N] [--heads N] [--kv-heads N] "
    "[--head-dim N] [--ffn N] [--context N] [--vocab N] [--tied 0|1] [--rope-freqs 0|1] "
    "[--dtype F32|F16|BF16|Q8_0|Q4_0|Q4_1] [--embed-dtype T] [--massive TENSOR]\n";

static int parse_dtype(const char *text, uint32_t *out)
{
    static const uint32_t known[] = {Q35_DT_F32, Q35_DT_F16, Q35_DT_BF16, Q35_DT_Q8_0, Q35_DT_Q4_0, Q35_DT_Q4_1};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(q35_dtype_describe(known[i]).name, text) == 0) {
            *out = known[i];
            return 1;
        }
    return 0;
}

static int parse_number(const char *text, uint64_t most, uint64_t *out)
{
    char *end;
    unsigned long long value = strtoull(text, &end, 10);
    *out = value;
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && value <= most;
}

static int parse_option(q35t_tiny_options *o, const char *name, const char *value)
{
    uint64_t n;
    int flag = 0;
    const struct {
        const char *name;
        uint32_t *field;
    } numbers[] = {{"--layers", &o->layers},     {"--hidden", &o->hidden},     {"--heads", &o->heads},
                   {"--kv-heads", &o->kv_heads}, {"--head-dim", &o->head_dim}, {"--ffn", &o->ffn},
                   {"--context", &o->context},   {"--vocab", &o->vocab}};
    if (strcmp(name, "--massive") == 0) {
        o->massive = value;
        return 1;
    }
    if (strcmp(name, "--dtype") == 0)
        return parse_dtype(value, &o->dtype);
    if (strcmp(name, "--embed-dtype") == 0)
        return parse_dtype(value, &o->embed_dtype);
    if (strcmp(name, "--seed") == 0)
        return parse_number(value, UINT64_MAX, &o->seed);
    if (strcmp(name, "--tied") == 0 || strcmp(name, "--rope-freqs") == 0) {
        flag = parse_number(value, 1, &n);
        *(strcmp(name, "--tied") == 0 ? &o->tied : &o->rope_freqs) = (int)n;
        return flag;
    }
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (strcmp(name, numbers[i].name) == 0 && parse_number(value, 1u << 20, &n)) {
            *numbers[i].field = (uint32_t)n;
            return 1;
        }
    return 0;
}

int main(int argc, char **argv)
{
    q35t_tiny_options o = q35t_tiny_options_default();
    if (argc < 2 || argc % 2 != 0) {
        fputs(usage, stderr);
        return 2;
    }
    for (int i = 2; i < argc; i += 2)
        if (!parse_option(&o, argv[i], argv[i + 1])) {
            fprintf(stderr, "make_tiny_model: %s %s: not an option with a value that fits\n%s", argv[i],
                    argv[i + 1], usage);
            return 2;
        }
    if (q35t_tiny_model_write(argv[1], &o) != Q35_OK) {
        fprintf(stderr, "make_tiny_model: %s\n", q35_error_message());
        return 1;
    }
    return 0;
}
