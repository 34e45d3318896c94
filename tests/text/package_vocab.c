/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokenizer files of packages, through the readers for model directories, into a GGUF file. */
#define _GNU_SOURCE
#include "text/package_vocab.h"

#include "runtime/base/file_map.h"
#include "runtime/model/gguf_write.h"
#include "runtime/model/hf_tokenizer.h"
#include "support/expect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void read_keys(const char *name, q35i_meta_list *out)
{
    const char *folder = getenv("Q35RT_TEST_PACKAGES"), *base = strrchr(name, '/') + 1;
    size_t n = strlen(name);
    char path[4096];
    q35i_file_map map;
    q35i_tok tok = {0};
    snprintf(path, sizeof path, "%s/%s", folder, name);
    EXPECT_OK(q35i_file_map_open(path, &map));
    if (n > 5 && strcmp(name + n - 5, ".json") == 0)
        EXPECT_OK(q35i_tok_read_tekken(&tok, base, map.data, map.bytes));
    else
        EXPECT_OK(q35i_tok_read_model(&tok, base, map.data, map.bytes));
    EXPECT_OK(q35i_tok_write(&tok, 0, out));
    q35i_tok_free(&tok);
    q35i_file_map_close(&map);
}

q35_model *package_model(const char *name)
{
    char path[] = "package-XXXXXX";
    q35i_meta_list keys = {0};
    q35i_gguf_writer *w;
    q35_model *model;
    read_keys(name, &keys);
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
    EXPECT_OK(q35i_gguf_writer_create(path, true, &w));
    EXPECT_OK(q35i_gguf_writer_string(w, "general.architecture", "llama"));
    for (uint64_t i = 0; i < keys.n; i++)
        EXPECT_OK(q35i_gguf_writer_copy(w, &keys.entries[i]));
    EXPECT_OK(q35i_gguf_writer_begin(w));
    EXPECT_OK(q35i_gguf_writer_commit(w));
    q35i_meta_list_free(&keys);
    q35_status status = q35_model_open(path, &model);
    unlink(path);
    EXPECT_OK(status);
    return model;
}

q35_tokenizer *package_tokenizer(const char *name)
{
    q35_model *model = package_model(name);
    q35_tokenizer *t;
    EXPECT_OK(q35_tokenizer_create(model, &t));
    q35_model_close(model);
    return t;
}
