/* SPDX-License-Identifier: Apache-2.0
 *
 * The operations of tile_ops.h in plain C, as the SDM describes the instructions: what a processor would refuse
 * ends the process. A thread's tiles are its own, per file that includes this. */
#ifndef Q35I_AMX_TILE_EMULATED_H
#define Q35I_AMX_TILE_EMULATED_H

#include <string.h>

typedef union q35i_emulated_tile {
    uint8_t byte[Q35I_TILE_ROWS][Q35I_TILE_ROW_BYTES];
    int32_t dword[Q35I_TILE_ROWS][Q35I_TILE_ROW_BYTES / 4];
} q35i_emulated_tile;

static _Thread_local struct {
    q35i_tile_config config; /* palette 0: none */
    q35i_emulated_tile tile[8];
} q35i_emulated;

/* Invalid opcode or general protection. */
static inline void q35i_emulated_need(int condition)
{
    if (!condition)
        __builtin_trap();
}

static inline void q35i_tile_configure(const q35i_tile_config *config)
{
    q35i_emulated_need(config->palette == 1);
    for (int i = 0; i < 14; i++)
        q35i_emulated_need(config->reserved[i] == 0);
    for (int t = 0; t < 16; t++) {
        q35i_emulated_need(config->rows[t] <= Q35I_TILE_ROWS && config->row_bytes[t] <= Q35I_TILE_ROW_BYTES);
        q35i_emulated_need(t < 8 || (config->rows[t] == 0 && config->row_bytes[t] == 0));
        q35i_emulated_need((config->rows[t] == 0) == (config->row_bytes[t] == 0));
    }
    memset(&q35i_emulated, 0, sizeof q35i_emulated);
    q35i_emulated.config = *config;
}

static inline void q35i_tile_release(void)
{
    memset(&q35i_emulated, 0, sizeof q35i_emulated);
}

static inline q35i_emulated_tile *q35i_emulated_at(int tile)
{
    q35i_emulated_need(q35i_emulated.config.palette == 1 && q35i_emulated.config.rows[tile] > 0);
    return &q35i_emulated.tile[tile];
}

static inline void q35i_tile_zero(int tile)
{
    memset(q35i_emulated_at(tile), 0, sizeof(q35i_emulated_tile));
}

static inline void q35i_tile_load(int tile, const void *p, int64_t stride)
{
    q35i_tile_zero(tile);
    for (int i = 0; i < q35i_emulated.config.rows[tile]; i++)
        memcpy(q35i_emulated.tile[tile].byte[i], (const uint8_t *)p + i * stride,
               q35i_emulated.config.row_bytes[tile]);
}

static inline void q35i_tile_store(int tile, void *p, int64_t stride)
{
    const q35i_emulated_tile *from = q35i_emulated_at(tile);
    for (int i = 0; i < q35i_emulated.config.rows[tile]; i++)
        memcpy((uint8_t *)p + i * stride, from->byte[i], q35i_emulated.config.row_bytes[tile]);
}

static inline void q35i_emulated_multiply(int c, int a, int b, int b_signed)
{
    const q35i_tile_config *shape = &q35i_emulated.config;
    q35i_emulated_tile *sum = q35i_emulated_at(c);
    const q35i_emulated_tile *x = q35i_emulated_at(a), *w = q35i_emulated_at(b);
    q35i_emulated_need(c != a && c != b && a != b && shape->rows[c] == shape->rows[a]);
    q35i_emulated_need(shape->row_bytes[c] == shape->row_bytes[b] && shape->row_bytes[a] == 4 * shape->rows[b]);
    for (int i = 0; i < shape->rows[c]; i++)
        for (int k = 0; k < shape->row_bytes[a]; k++)
            for (int j = 0; j < shape->row_bytes[c] / 4; j++) {
                const uint8_t weight = w->byte[k / 4][4 * j + k % 4];
                int32_t product = (int8_t)x->byte[i][k] * (b_signed ? (int8_t)weight : weight);
                sum->dword[i][j] = (int32_t)((uint32_t)sum->dword[i][j] + (uint32_t)product);
            }
}

static inline void q35i_tile_multiply(int c, int a, int b)
{
    q35i_emulated_multiply(c, a, b, 0);
}

static inline void q35i_tile_multiply_signed(int c, int a, int b)
{
    q35i_emulated_multiply(c, a, b, 1);
}

#endif
