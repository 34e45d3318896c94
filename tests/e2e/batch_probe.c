/* SPDX-License-Identifier: Apache-2.0
 *
 * batch_probe MODEL THREADS PROMPT: one sequence, its prompt of so many tokens in chunks and then eight single
 * tokens, alone and in random company of up to 127 other sequences, forked from one of them or not. Its logits
 * must have the same bits every time; they go to stdout, in the bytes of the machine. */
#include <q35rt/q35rt.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SINGLE = 8, ROWS = 1 + SINGLE, MAX_BATCH = 128, MAX_CHUNK = 512, MATE_CONTEXT = 64 };

static const struct {
    uint32_t batch, chunk;
    int forked; /* a mate that has the first half of the prompt is where the sequence begins */
} scenes[] = {{1, 512, 0}, {1, 1, 0},  {1, 7, 0},    {1, 64, 0},   {2, 100, 1},   {2, 1, 0},    {7, 33, 0},
              {7, 200, 1}, {32, 8, 1}, {32, 480, 0}, {128, 61, 0}, {128, 128, 1}, {128, 384, 0}};

typedef struct probe {
    q35_session *session;
    uint32_t n_vocab, n_prompt, random;
    int32_t *ids; /* [n_prompt + SINGLE] */
    float *rows;  /* [ROWS][n_vocab] */
} probe;

static uint32_t below(probe *p, uint32_t n)
{
    p->random = p->random * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)p->random * n >> 32);
}

static int failed(q35_status status)
{
    if (status != Q35_OK)
        fprintf(stderr, "batch_probe: %s\n", q35_error_message());
    return status != Q35_OK;
}

/* Entries of the mates in a step, of `room` tokens together at most. Now and then one has several tokens. */
static uint32_t invite(probe *p, uint32_t n_mates, const uint32_t *mates, uint32_t room, int32_t (*ids)[4],
                       q35_session_entry *out)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < n_mates; i++) {
        uint32_t more = below(p, 16) == 0 ? 4 : 1;
        if (room - (n_mates - i) < 3)
            more = 1;
        if (q35_session_length(p->session, mates[i]) + more > MATE_CONTEXT)
            q35_session_truncate(p->session, mates[i], below(p, MATE_CONTEXT / 2));
        for (uint32_t t = 0; t < more; t++)
            ids[i][t] = (int32_t)below(p, p->n_vocab);
        out[n++] = (q35_session_entry){.sequence = mates[i], .ids = ids[i], .n = more, .logits = below(p, 2) == 0};
        room -= more;
    }
    return n;
}

/* One step of the sequence's tokens [from, from + n) among the mates; its logits to row, if not NULL. */
static int step(probe *p, uint32_t sequence, uint32_t from, uint32_t n, uint32_t n_mates, const uint32_t *mates,
                float *row)
{
    q35_session_entry entries[MAX_BATCH];
    int32_t ids[MAX_BATCH][4];
    const float *logits;
    uint32_t n_entries = invite(p, n_mates, mates, MAX_CHUNK - n, ids, entries);
    uint32_t place = below(p, n_entries + 1), before = 0;
    memmove(entries + place + 1, entries + place, (n_entries - place) * sizeof *entries);
    entries[place] =
        (q35_session_entry){.sequence = sequence, .ids = p->ids + from, .n = n, .logits = row != NULL};
    for (uint32_t i = 0; i < place; i++)
        before += entries[i].logits ? 1 : 0;
    if (failed(q35_session_step(p->session, entries, n_entries + 1, &logits)))
        return 1;
    if (row)
        memcpy(row, logits + (size_t)before * p->n_vocab, p->n_vocab * sizeof *row);
    return 0;
}

static int play(probe *p, uint32_t index)
{
    uint32_t mates[MAX_BATCH], sequence, n_mates = scenes[index].batch - 1, done = 0;
    p->random = index + 1;
    for (uint32_t i = 0; i < n_mates; i++)
        if (failed(q35_session_new(p->session, &mates[i])))
            return 1;
    if (scenes[index].forked) {
        done = p->n_prompt / 2;
        if (failed(q35_session_eval(p->session, p->ids, done, NULL)) ||
            failed(q35_session_fork(p->session, 0, &sequence)) || failed(q35_session_rewind(p->session, 0)))
            return 1;
    } else if (failed(q35_session_new(p->session, &sequence))) {
        return 1;
    }
    while (done < p->n_prompt + SINGLE) {
        uint32_t n = done < p->n_prompt ? p->n_prompt - done : 1;
        n = n < scenes[index].chunk ? n : scenes[index].chunk;
        float *row = done + n < p->n_prompt ? NULL : p->rows + (size_t)(done + n - p->n_prompt) * p->n_vocab;
        if (step(p, sequence, done, n, n_mates, mates, row))
            return 1;
        done += n;
    }
    q35_session_free(p->session, sequence);
    for (uint32_t i = 0; i < n_mates; i++)
        q35_session_free(p->session, mates[i]);
    return 0;
}

static int compare(probe *p)
{
    const size_t bytes = (size_t)ROWS * p->n_vocab * sizeof(float);
    float *first = malloc(bytes);
    int bad = !first;
    for (uint32_t i = 0; i < sizeof scenes / sizeof scenes[0] && !bad; i++) {
        memset(p->rows, 0, bytes);
        bad = play(p, i);
        if (i == 0)
            memcpy(first, p->rows, bytes);
        if (!bad && memcmp(first, p->rows, bytes) != 0) {
            fprintf(stderr, "batch_probe: other bits with batch %u, chunk %u%s\n", scenes[i].batch,
                    scenes[i].chunk, scenes[i].forked ? ", forked" : "");
            bad = 1;
        }
    }
    if (!bad)
        fwrite(first, 1, bytes, stdout);
    free(first);
    return bad;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: batch_probe MODEL THREADS PROMPT\n");
        return 2;
    }
    probe p = {.n_prompt = (uint32_t)atoi(argv[3]), .random = 7};
    q35_runtime *runtime = NULL;
    q35_model *model = NULL;
    q35_model_config config;
    q35_runtime_options threads = {.n_threads = (uint32_t)atoi(argv[2])};
    q35_session_options options = q35_session_options_default();
    options.devices = "cpu";
    options.n_ctx = p.n_prompt + SINGLE;
    options.max_chunk = MAX_CHUNK;
    options.n_sequences = MAX_BATCH + 1;
    options.n_kv_tokens = 2 * options.n_ctx + (MATE_CONTEXT + 32) * MAX_BATCH;
    if (failed(q35_runtime_create(&threads, &runtime)) || failed(q35_model_open(argv[1], &model)) ||
        failed(q35_model_read_config(model, &config)) ||
        failed(q35_session_create(runtime, model, &options, &p.session)))
        return 1;
    p.n_vocab = config.vocab;
    p.ids = calloc(options.n_ctx, sizeof *p.ids);
    p.rows = calloc((size_t)ROWS * p.n_vocab, sizeof *p.rows);
    for (uint32_t i = 0; p.ids && i < options.n_ctx; i++)
        p.ids[i] = (int32_t)below(&p, p.n_vocab);
    int bad = !p.ids || !p.rows || compare(&p);
    q35_session_destroy(p.session);
    q35_model_close(model);
    q35_runtime_destroy(runtime);
    free(p.ids);
    free(p.rows);
    return bad;
}
