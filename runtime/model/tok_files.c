/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* access */
#include "runtime/model/tok_files.h"

#include "runtime/base/alloc.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char *join(const char *dir, const char *name)
{
    size_t bytes = strlen(dir) + strlen(name) + 2;
    char *path = q35i_calloc(bytes, 1);
    if (path)
        snprintf(path, bytes, "%s/%s", dir, name);
    return path;
}

q35_status q35i_tok_file_open(q35i_tok_file *file, const char *dir, const char *name)
{
    file->path = join(dir, name);
    if (!file->path)
        return Q35_E_NOMEM;
    file->found = access(file->path, F_OK) == 0;
    return file->found ? q35i_file_map_open(file->path, &file->map) : Q35_OK;
}

void q35i_tok_file_close(q35i_tok_file *file)
{
    q35i_file_map_close(&file->map);
    q35i_free(file->path);
    *file = (q35i_tok_file){0};
}

q35_status q35i_tok_file_exists(const char *dir, const char *name, bool *out)
{
    char *path = join(dir, name);
    if (!path)
        return Q35_E_NOMEM;
    *out = access(path, F_OK) == 0;
    q35i_free(path);
    return Q35_OK;
}
