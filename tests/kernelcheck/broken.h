/* SPDX-License-Identifier: Apache-2.0
 *
 * Kernels of the self-test: each does one thing wrong, as a kernel in the making would; the good_ ones are
 * ordinary f32 code and must pass, so that a bound cannot be too tight either.
 */
#ifndef KERNELCHECK_BROKEN_H
#define KERNELCHECK_BROKEN_H

#include <kernels-cpu/kernels.h>

/* broken_rows.c */
q35k_binary_fn good_swiglu, over_read, under_read, over_write, writes_input, wrong_tail, touches_empty, hangs,
    illegal_instruction, nondeterministic;
q35k_norm_fn good_norm, fills_padding, ignores_stride, skips_nan, leaves_last_row, coarse_root, clobbers_in_place;

/* broken_dots.c */
q35k_linear_fn good_linear, short_k, split_dependent, token_dependent, f16_accumulator, stale_scratch,
    padding_codes, unfused_parts, two_chains, minimum_first, any_nan;
q35k_kv_append_fn good_kv_append, next_position, truncates_f16, truncates_q8;
q35k_get_rows_fn next_row;

/* broken_attention.c */
q35k_attention_fn good_attention, sees_future, ignores_page_table, joins_otherwise, eight_lanes, library_exp,
    unfused_values, one_span;
q35k_rope_fn good_rope, pair_of_halves, exact_angle, unfused_pairs, no_temperature, temperature_of_first;

/* broken_linear_row.c */
q35k_linear_fn good_linear_row, swaps_products, rounds_once, saturates_pairs, drops_odd_tail, groups_backwards,
    unfused_groups, sums_in_f32;
q35k_pack_act_fn good_pack_act, packs_at_the_start;

/* broken_amx.c, x86-64 with AVX-512 only */
q35k_linear_fn swaps_signs;

/* broken_acts.c */
q35k_quantize_act_fn good_quantize_act, rounds_half_up, leaves_padding, sums_magnitudes, takes_sample,
    skips_rotation, codes_of_nan;
q35k_rotate_fn good_rotate, wide_first, scales_first, forgets_rest, clobbers_source, inverse_as_forward;

#endif
