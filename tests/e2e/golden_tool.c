/* SPDX-License-Identifier: Apache-2.0
 *
 * Compares the program with the golden file (logits of an independent float64 forward pass).
 *   golden_tool list GOLDEN                    one line per prompt: name, ids
 *   golden_tool compare GOLDEN NAME DUMP RUN   DUMP: --dump-logits of the prompt; RUN: --json of 48 greedy tokens
 * Every listed logit within BOUND, every log-sum-exp too, the same top token everywhere, the same greedy tokens.
 */
#include <jansson.h>

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BOUND 1e-3

typedef struct comparison {
    const float *row;
    int64_t vocab;
    double worst, worst_lse;
    int64_t n_logits, bad;
} comparison;

static void list_prompt(const json_t *prompt)
{
    printf("%s ", json_string_value(json_object_get(prompt, "name")));
    size_t i;
    json_t *id;
    json_array_foreach(json_object_get(prompt, "ids"), i, id)
        printf("%s%lld", i ? "," : "", (long long)json_integer_value(id));
    putchar('\n');
}

static void compare_logit(comparison *c, int64_t id, double wanted)
{
    double off = id >= 0 && id < c->vocab ? fabs((double)c->row[id] - wanted) : HUGE_VAL;
    c->n_logits++;
    if (!(off <= c->worst))
        c->worst = off;
}

static double log_sum_exp(const float *x, int64_t n, int64_t *top)
{
    double sum = 0;
    *top = 0;
    for (int64_t i = 1; i < n; i++)
        if (x[i] > x[*top])
            *top = i;
    for (int64_t i = 0; i < n; i++)
        sum += exp((double)x[i] - (double)x[*top]);
    return (double)x[*top] + log(sum);
}

static void compare_position(comparison *c, const json_t *position, const json_t *probe_ids, size_t at)
{
    size_t i;
    json_t *entry;
    const json_t *top = json_object_get(position, "top"), *probe = json_object_get(position, "probe");
    json_array_foreach(top, i, entry) compare_logit(c, json_integer_value(json_array_get(entry, 0)),
                                                    json_number_value(json_array_get(entry, 1)));
    json_array_foreach(probe, i, entry)
        compare_logit(c, json_integer_value(json_array_get(probe_ids, i)), json_number_value(entry));
    int64_t likeliest, wanted = json_integer_value(json_array_get(json_array_get(top, 0), 0));
    double off =
        fabs(log_sum_exp(c->row, c->vocab, &likeliest) - json_number_value(json_object_get(position, "lse")));
    if (!(off <= c->worst_lse))
        c->worst_lse = off;
    if (likeliest != wanted) {
        printf("position %zu: top token %lld found, %lld needed\n", at, (long long)likeliest, (long long)wanted);
        c->bad++;
    }
}

static float *read_floats(const char *path, size_t *out_n)
{
    FILE *f = fopen(path, "rb");
    long bytes = f && fseek(f, 0, SEEK_END) == 0 ? ftell(f) : -1;
    float *data = bytes > 0 ? malloc((size_t)bytes) : NULL;
    *out_n = 0;
    if (data) {
        rewind(f);
        *out_n = fread(data, sizeof *data, (size_t)bytes / sizeof *data, f);
    }
    if (f)
        fclose(f);
    return data;
}

static int64_t compare_greedy(const json_t *golden, const json_t *found)
{
    int64_t bad = 0;
    size_t i;
    json_t *pair;
    json_array_foreach(golden, i, pair)
    {
        json_int_t wanted = json_integer_value(json_array_get(pair, 0));
        const json_t *id = json_array_get(found, i);
        if (id && json_integer_value(id) == wanted)
            continue;
        printf("greedy token %zu: %lld found, %lld needed (margin %.4f)\n", i,
               id ? (long long)json_integer_value(id) : -1LL, (long long)wanted,
               json_number_value(json_array_get(pair, 1)));
        bad++;
        break; /* the rest follows from it */
    }
    return bad;
}

static int compare(const json_t *prompt, const char *dump, const char *run_path)
{
    size_t n, n_positions = json_array_size(json_object_get(prompt, "positions")), i;
    float *logits = read_floats(dump, &n);
    json_t *run = json_load_file(run_path, 0, NULL), *position;
    if (!logits || !run || n_positions == 0 || n % n_positions) {
        printf("%s or %s: cannot be read, or %zu logits are not whole rows of %zu positions\n", dump, run_path, n,
               n_positions);
        free(logits);
        json_decref(run);
        return 1;
    }
    comparison c = {.vocab = (int64_t)(n / n_positions)};
    json_array_foreach(json_object_get(prompt, "positions"), i, position)
    {
        c.row = logits + i * (size_t)c.vocab;
        compare_position(&c, position, json_object_get(prompt, "probe_ids"), i);
    }
    const json_t *greedy = json_object_get(prompt, "greedy");
    c.bad += compare_greedy(greedy, json_object_get(run, "ids"));
    printf("%s: %lld logits of %zu positions, largest difference %.2e (log-sum-exp %.2e), %zu greedy tokens\n",
           json_string_value(json_object_get(prompt, "name")), (long long)c.n_logits, n_positions, c.worst,
           c.worst_lse, json_array_size(greedy));
    free(logits);
    json_decref(run);
    return c.bad || !(c.worst <= BOUND) || !(c.worst_lse <= BOUND);
}

int main(int argc, char **argv)
{
    json_t *golden = argc > 2 ? json_load_file(argv[2], 0, NULL) : NULL, *prompt;
    if (!golden) {
        fprintf(stderr, "usage: golden_tool list GOLDEN | compare GOLDEN NAME DUMP RUN\n");
        return 2;
    }
    int rc = argc == 6;
    size_t i;
    json_array_foreach(json_object_get(golden, "prompts"), i, prompt)
    {
        const char *name = json_string_value(json_object_get(prompt, "name"));
        if (argc != 6)
            list_prompt(prompt);
        else if (strcmp(name, argv[3]) == 0)
            rc = compare(prompt, argv[4], argv[5]);
    }
    json_decref(golden);
    return rc;
}
