/* SPDX-License-Identifier: Apache-2.0
 *
 * Binaries of built programs, kept in q35rt/opencl below the cache folder: one file per key, written aside and
 * renamed, with a hash of its bytes. A file that is cut, changed or of another version counts as missing. Whatever
 * fails here costs a build, nothing else. */
#define _GNU_SOURCE
#include "plugins/opencl/opencl.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_CAP = 1024, MAX_BYTES = 64 << 20 };

typedef struct header {
    char magic[8];
    uint8_t key[16], hash[16];
    uint64_t bytes;
} header;

static const char magic[8] = "q35cl 1";

void q35i_cl_hash(uint8_t key[16], const void *data, size_t bytes)
{
    uint64_t h[2];
    memcpy(h, key, sizeof h);
    for (int part = 0; part < 2; part++) {
        uint64_t state = h[part] ^ (part ? 0x9e3779b97f4a7c15u : 0xcbf29ce484222325u);
        for (size_t i = 0; i < bytes; i++)
            state = (state ^ ((const uint8_t *)data)[i]) * 0x100000001b3u;
        h[part] = state;
    }
    memcpy(key, h, sizeof h);
}

/* Folder of the binaries; false: there is none to be had. creates: makes what is missing of it. */
static bool folder(char out[PATH_CAP], bool creates)
{
    static const char *const parts[] = {"", "/q35rt", "/opencl"};
    const char *cache = secure_getenv("XDG_CACHE_HOME"), *home = secure_getenv("HOME");
    int n = -1;
    if (cache && cache[0] == '/')
        n = snprintf(out, PATH_CAP, "%s", cache);
    else if (home && home[0] == '/')
        n = snprintf(out, PATH_CAP, "%s/.cache", home);
    if (n < 0 || n > PATH_CAP - 64)
        return false;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        strncat(out, parts[i], PATH_CAP - 1 - strlen(out));
        if (creates)
            (void)mkdir(out, 0700);
    }
    return true;
}

static bool path_of(const uint8_t key[16], char out[PATH_CAP], bool creates)
{
    if (!folder(out, creates))
        return false;
    size_t n = strlen(out);
    n += (size_t)snprintf(out + n, PATH_CAP - n, "/");
    for (int i = 0; i < 16; i++)
        n += (size_t)snprintf(out + n, PATH_CAP - n, "%02x", key[i]);
    return true;
}

/* True when all of the bytes were read or written. */
static bool transfer(int fd, void *data, size_t bytes, bool writes)
{
    size_t done = 0;
    while (done < bytes) {
        const ssize_t n =
            writes ? write(fd, (char *)data + done, bytes - done) : read(fd, (char *)data + done, bytes - done);
        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

unsigned char *q35i_cl_binary_load(const uint8_t key[16], size_t *out_bytes)
{
    char path[PATH_CAP];
    header h;
    uint8_t hash[16] = {0};
    unsigned char *binary = NULL;
    const int fd = path_of(key, path, false) ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
    if (fd < 0)
        return NULL;
    if (transfer(fd, &h, sizeof h, false) && memcmp(h.magic, magic, sizeof magic) == 0 &&
        memcmp(h.key, key, sizeof h.key) == 0 && h.bytes > 0 && h.bytes <= MAX_BYTES)
        binary = q35p_alloc(1, h.bytes);
    bool whole = binary && transfer(fd, binary, h.bytes, false);
    if (whole)
        q35i_cl_hash(hash, binary, h.bytes);
    whole = whole && memcmp(hash, h.hash, sizeof hash) == 0;
    close(fd);
    if (whole) {
        *out_bytes = h.bytes;
        return binary;
    }
    q35p_log(1, "opencl: binary %s is damaged, kernels are built anew", path);
    q35p_free(binary);
    return NULL;
}

void q35i_cl_binary_store(const uint8_t key[16], const unsigned char *binary, size_t bytes)
{
    char path[PATH_CAP], aside[PATH_CAP + 16];
    header h = {.bytes = bytes};
    if (bytes > MAX_BYTES || !path_of(key, path, true))
        return;
    memcpy(h.magic, magic, sizeof magic);
    memcpy(h.key, key, sizeof h.key);
    q35i_cl_hash(h.hash, binary, bytes);
    snprintf(aside, sizeof aside, "%s.XXXXXX", path);
    const int fd = mkostemp(aside, O_CLOEXEC);
    if (fd < 0) {
        q35p_log(2, "opencl: kernels are not kept: cannot write to %s", path);
        return;
    }
    const bool written = transfer(fd, &h, sizeof h, true) && transfer(fd, (void *)(uintptr_t)binary, bytes, true);
    if (close(fd) != 0 || !written || rename(aside, path) != 0)
        (void)unlink(aside);
}
