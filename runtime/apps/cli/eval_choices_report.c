/* SPDX-License-Identifier: Apache-2.0
 *
 * q35rt eval --multiple-choice: accuracy by the sum of a choice's log-probabilities and by that per byte. */
#include "eval_choices.h"
#include "json_out.h"
#include "score.h"

#include <inttypes.h>
#include <stdlib.h>

typedef struct answers {
    score_value accuracy, base, difference, same; /* the last three with a base */
    uint64_t lost, won;                           /* right by the base and wrong by the model, and the other way */
} answers;

static uint32_t pick(const choice_question *q, int is_base, int per_byte)
{
    uint32_t best = 0;
    double most = 0;
    for (uint32_t i = 0; i < q->n_choices; i++) {
        const choice *c = &q->choices[i];
        double value = (is_base ? c->base : c->model) / (per_byte ? (double)c->bytes : 1);
        if (i == 0 || value > most) {
            most = value;
            best = i;
        }
    }
    return best;
}

static int count(const choice_run *run, int per_byte, answers *out)
{
    uint64_t right = 0, base_right = 0, same = 0, n = run->n_questions;
    score_samples difference = {0};
    int failed = 0;
    *out = (answers){0};
    for (uint64_t i = 0; i < n && !failed; i++) {
        const choice_question *q = &run->questions[i];
        uint32_t model = pick(q, 0, per_byte), base = pick(q, 1, per_byte);
        int good = model == q->answer, base_good = base == q->answer;
        right += (uint64_t)good;
        base_right += (uint64_t)base_good;
        same += model == base;
        out->lost += (uint64_t)(base_good && !good);
        out->won += (uint64_t)(good && !base_good);
        failed = score_add(&difference, good - base_good);
    }
    out->accuracy = score_share(right, n);
    out->base = score_share(base_right, n);
    out->same = score_share(same, n);
    out->difference = score_mean(&difference);
    free(difference.value);
    return failed ? cli_fail(CLI_EXIT_NOFIT, "answers: out of memory") : 0;
}

/* Expected of guessing. */
static double chance(const choice_run *run)
{
    double sum = 0;
    for (uint64_t i = 0; i < run->n_questions; i++)
        sum += 1.0 / run->questions[i].n_choices;
    return sum / (double)run->n_questions;
}

/* ---- text ---- */

static void print_answers(const choice_run *run, const char *label, const answers *a)
{
    printf("%s %.2f %% +- %.2f %%\n", label, 100 * a->accuracy.value, 100 * a->accuracy.error);
    if (!run->base.model)
        return;
    printf("  base          %.2f %% +- %.2f %%, change %+.2f %% +- %.2f %%\n", 100 * a->base.value,
           100 * a->base.error, 100 * a->difference.value, 100 * a->difference.error);
    printf("  same answer   %.2f %% +- %.2f %%, %" PRIu64 " right ones lost, %" PRIu64 " won\n",
           100 * a->same.value, 100 * a->same.error, a->lost, a->won);
}

/* ---- JSON ---- */

static json_t *json_answers(const choice_run *run, const answers *a)
{
    json_t *out = json_pack("{s:o, s:o}", "accuracy", json_number(a->accuracy.value), "accuracy_error",
                            json_number(a->accuracy.error));
    if (run->base.model)
        json_object_update_new(
            out, json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I}", "base_accuracy", json_number(a->base.value),
                           "base_accuracy_error", json_number(a->base.error), "difference",
                           json_number(a->difference.value), "difference_error", json_number(a->difference.error),
                           "same_answer", json_number(a->same.value), "same_answer_error",
                           json_number(a->same.error), "lost", (json_int_t)a->lost, "won", (json_int_t)a->won));
    return out;
}

static json_t *json_question(const choice_run *run, const choice_question *q)
{
    json_t *model = json_array(), *base = json_array(), *bytes = json_array();
    for (uint32_t i = 0; i < q->n_choices; i++) {
        json_array_append_new(model, json_number(q->choices[i].model));
        json_array_append_new(base, json_number(q->choices[i].base));
        json_array_append_new(bytes, json_integer((json_int_t)q->choices[i].bytes));
    }
    json_t *out =
        json_pack("{s:I, s:i, s:i, s:i, s:o, s:o}", "line", (json_int_t)q->line, "answer", (int)q->answer, "pick",
                  (int)pick(q, 0, 0), "pick_per_byte", (int)pick(q, 0, 1), "logprob", model, "bytes", bytes);
    if (run->base.model)
        json_object_set_new(out, "base_logprob", base);
    else
        json_decref(base);
    return out;
}

static int print_json(const choice_run *run, const answers *sum, const answers *per_byte)
{
    const cli_options *o = run->options;
    json_t *questions = json_array();
    for (uint64_t i = 0; i < run->n_questions; i++)
        json_array_append_new(questions, json_question(run, &run->questions[i]));
    json_t *out =
        json_pack("{s:o, s:s, s:s, s:I, s:o, s:o, s:o, s:o}", "model", json_text(q35_model_path(run->model.model)),
                  "act", cli_act_name(o->act), "kv_type", cli_kv_name(o->kv), "n_questions",
                  (json_int_t)run->n_questions, "chance", json_number(chance(run)), "sum", json_answers(run, sum),
                  "per_byte", json_answers(run, per_byte), "questions", questions);
    if (run->base.model)
        json_object_set_new(out, "base",
                            json_pack("{s:o, s:s, s:s}", "model", json_text(q35_model_path(run->base.model)),
                                      "act", cli_act_name(run->base_act), "kv_type", cli_kv_name(run->base_kv)));
    return json_out(out);
}

int choices_report(const choice_run *run)
{
    answers sum, per_byte;
    int rc = count(run, 0, &sum);
    if (rc == 0)
        rc = count(run, 1, &per_byte);
    if (rc)
        return rc;
    if (run->options->json)
        return print_json(run, &sum, &per_byte);
    printf("questions       %" PRIu64 ", guessing gives %.2f %%\n", run->n_questions, 100 * chance(run));
    print_answers(run, "accuracy       ", &sum);
    print_answers(run, "  per byte     ", &per_byte);
    return 0;
}
