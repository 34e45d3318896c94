/* SPDX-License-Identifier: Apache-2.0
 *
 * Files in one piece; what cannot be read or written fails the test. */
#ifndef Q35T_WHOLE_FILE_H
#define Q35T_WHOLE_FILE_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Content with a NUL behind it; free() it. out_bytes may be NULL. */
static inline void *q35t_read_file(const char *path, size_t *out_bytes)
{
    FILE *f = fopen(path, "rb");
    ck_assert_msg(f != NULL, "cannot read %s", path);
    ck_assert_int_eq(fseek(f, 0, SEEK_END), 0);
    long n = ftell(f);
    ck_assert_int_ge(n, 0);
    rewind(f);
    char *data = malloc((size_t)n + 1);
    ck_assert_ptr_nonnull(data);
    ck_assert_uint_eq(fread(data, 1, (size_t)n, f), (size_t)n);
    fclose(f);
    data[n] = '\0';
    if (out_bytes)
        *out_bytes = (size_t)n;
    return data;
}

static inline void q35t_write_file(const char *path, const void *data, size_t bytes)
{
    FILE *f = fopen(path, "wb");
    ck_assert_msg(f != NULL, "cannot write %s", path);
    ck_assert_uint_eq(fwrite(data, 1, bytes, f), bytes);
    ck_assert_int_eq(fclose(f), 0);
}

/* Below root: folder/folder/name, with the folders that are missing. */
static inline void q35t_put_text(const char *root, const char *name, const char *text)
{
    char path[1024];
    int n = snprintf(path, sizeof path, "%s/%s", root, name);
    ck_assert(n > 0 && (size_t)n < sizeof path);
    for (char *slash = path + strlen(root); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0700);
        *slash = '/';
    }
    q35t_write_file(path, text, strlen(text));
}

#endif
