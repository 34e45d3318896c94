/* SPDX-License-Identifier: Apache-2.0
 *
 * make_gguf_corpus DIR: writes the seeds of corpus/gguf, small files that reach the reader's branches. */
#include "support/image.h"
#include "support/q35_sample.h"

#include <q35rt/model.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *dir;

static void save(q35t_image *image, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(image->data, 1, image->len, f) != image->len || fclose(f) != 0) {
        perror(path);
        exit(1);
    }
    free(image->data);
    memset(image, 0, sizeof *image);
}

static void header_only(void)
{
    q35t_image i = {0};
    q35t_put_header(&i, 3, 0, 0);
    save(&i, "header_only.gguf");
    q35t_put_header(&i, 0x03000000, 0, 0);
    save(&i, "big_endian.gguf");
    q35t_put_header(&i, 3, UINT64_MAX, UINT64_MAX);
    q35t_put_zeros(&i, 64);
    save(&i, "absurd_counts.gguf");
}

static void all_types(void)
{
    q35t_image i = {0};
    q35t_put_header(&i, 3, 0, 13);
    for (uint32_t type = 0; type <= Q35_META_F64; type++) {
        char key[] = "type.a";
        key[5] = (char)('a' + type);
        q35t_put_key(&i, key, type);
        switch (type) {
        case Q35_META_U8:
        case Q35_META_I8:
        case Q35_META_BOOL: q35t_put_zeros(&i, 1); break;
        case Q35_META_U16:
        case Q35_META_I16: q35t_put_zeros(&i, 2); break;
        case Q35_META_STRING: q35t_put_string(&i, "text"); break;
        case Q35_META_ARRAY:
            q35t_put_u32(&i, Q35_META_STRING);
            q35t_put_u64(&i, 2);
            q35t_put_string(&i, "first");
            q35t_put_string(&i, "");
            break;
        case Q35_META_U64:
        case Q35_META_I64:
        case Q35_META_F64: q35t_put_u64(&i, UINT64_C(0x3ff0000000000000)); break;
        default: q35t_put_u32(&i, 0x3f800000); break;
        }
    }
    save(&i, "all_types.gguf");
}

static void nested_array(void)
{
    q35t_image i = {0};
    q35t_put_header(&i, 3, 0, 1);
    q35t_put_key(&i, "nested", Q35_META_ARRAY);
    for (int depth = 0; depth < 8; depth++) {
        q35t_put_u32(&i, Q35_META_ARRAY);
        q35t_put_u64(&i, 1);
    }
    save(&i, "nested_array.gguf");
}

static void tensors(void)
{
    static const uint64_t dim[4] = {32, 2, 1, 1};
    q35t_image i = {0};
    q35t_put_header(&i, 2, 3, 2);
    q35t_put_key(&i, "general.alignment", Q35_META_U32);
    q35t_put_u32(&i, 64);
    q35t_put_key(&i, "general.architecture", Q35_META_STRING);
    q35t_put_string(&i, "llama");
    q35t_put_tensor(&i, "token_embd.weight", 2, dim, 2, 0); /* Q4_0: 36 bytes */
    q35t_put_tensor(&i, "output_norm.weight", 1, dim, 0, 64);
    q35t_put_tensor(&i, "four", 4, dim, 24, 192);
    q35t_put_data(&i, 64, 192 + 64);
    save(&i, "tensors.gguf");
}

static void sample(const char *name, const q35t_sample_options *o)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.gguf", dir, name);
    if (q35t_sample_write(path, o) != Q35_OK) {
        fprintf(stderr, "%s\n", q35_error_message());
        exit(1);
    }
}

static void samples(void)
{
    q35t_sample_options o = q35t_sample_options_default();
    sample("pair", &o);
    o.dtype[0] = o.dtype[1] = Q35_DT_Q35_SPLIT;
    sample("split", &o);
    o = q35t_sample_options_default();
    o.dtype[0] = Q35_DT_Q35_ROW;
    o.dtype[1] = Q35_DT_Q40_ROW;
    o.rotation_width = 64;
    o.activation_block = 128;
    sample("rows", &o);
    o.dtype[0] = Q35_DT_Q60_ROW;
    sample("rows6", &o);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fputs("usage: make_gguf_corpus DIR\n", stderr);
        return 2;
    }
    dir = argv[1];
    header_only();
    all_types();
    nested_array();
    tensors();
    samples();
    return 0;
}
