/* SPDX-License-Identifier: Apache-2.0
 *
 * Sequences of a session: made, forked, cut short, freed. */
#include "runtime/session/session.h"

#include "runtime/base/error.h"

q35_status q35i_session_check_sequence(const q35_session *s, uint32_t sequence)
{
    if (sequence >= s->pages.n_sequences || !s->pages.sequences[sequence].live)
        return Q35_FAIL(Q35_E_INVALID, "sequence %u: not there, need one that was made and not freed", sequence);
    return Q35_OK;
}

q35_status q35_session_new(q35_session *s, uint32_t *out_sequence)
{
    return q35i_pages_open(&s->pages, out_sequence);
}

q35_status q35_session_fork(q35_session *s, uint32_t from, uint32_t *out_sequence)
{
    Q35_TRY(q35i_session_check_sequence(s, from));
    return q35i_pages_fork(&s->pages, from, out_sequence);
}

q35_status q35_session_free(q35_session *s, uint32_t sequence)
{
    Q35_TRY(q35i_session_check_sequence(s, sequence));
    if (sequence == 0)
        return Q35_FAIL(Q35_E_INVALID, "sequence 0: cannot be freed, need one that was made");
    q35i_pages_close(&s->pages, sequence);
    return Q35_OK;
}

q35_status q35_session_truncate(q35_session *s, uint32_t sequence, uint32_t pos)
{
    Q35_TRY(q35i_session_check_sequence(s, sequence));
    if (pos > s->pages.sequences[sequence].n_tokens)
        return Q35_FAIL(Q35_E_RANGE, "rewind: to position %u, at %u", pos, s->pages.sequences[sequence].n_tokens);
    q35i_pages_truncate(&s->pages, sequence, pos);
    return Q35_OK;
}

q35_status q35_session_rewind(q35_session *s, uint32_t pos)
{
    return q35_session_truncate(s, 0, pos);
}

uint32_t q35_session_length(const q35_session *s, uint32_t sequence)
{
    return sequence < s->pages.n_sequences && s->pages.sequences[sequence].live
               ? s->pages.sequences[sequence].n_tokens
               : 0;
}

uint32_t q35_session_pos(const q35_session *s)
{
    return s->pages.sequences[0].n_tokens;
}
