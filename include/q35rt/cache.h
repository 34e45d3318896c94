/* SPDX-License-Identifier: Apache-2.0
 *
 * The folder of packed weights, ${XDG_CACHE_HOME:-~/.cache}/q35rt/packed: what lies there, and removing it. Every
 * file can be deleted at any time; the next start of its model makes it again. */
#ifndef Q35RT_CACHE_H
#define Q35RT_CACHE_H

#include <q35rt/device.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct q35_cache q35_cache; /* the files found when it was opened. One thread at a time */

enum {
    Q35_CACHE_VERIFIED = 0, /* unchanged since all its bytes were verified */
    Q35_CACHE_UNVERIFIED,   /* the next start reads all its bytes before it trusts them */
    Q35_CACHE_STALE,        /* no start will use it: another model file, plugin, host or version */
    Q35_CACHE_DAMAGED,      /* not the bytes that were written */
    Q35_CACHE_UNFINISHED    /* left behind by a process that was killed while it packed */
};

typedef struct q35_cache_file {
    const char *path;
    const char *model;  /* file that the weights came from, absolute; "" when unknown */
    const char *device; /* "cpu" */
    const char *plugin, *version;
    uint64_t bytes;
    int64_t used;    /* last time, seconds since 1970 */
    uint32_t state;  /* Q35_CACHE_* */
    const char *why; /* STALE and DAMAGED: a sentence; else "" */
    int busy;        /* 1: a process has it mapped; when removed, its bytes become free as that one ends */
} q35_cache_file;

/* Looks at every file, ordered by path. The runtime tells which plugins there are. verify 1: reads all bytes of
 * each. No folder: no files. UNAVAILABLE when there can be none. */
Q35_API q35_status q35_cache_open(q35_runtime *runtime, int verify, q35_cache **out);
Q35_API void q35_cache_close(q35_cache *cache); /* NULL ok */

Q35_API const char *q35_cache_folder(const q35_cache *cache); /* borrowed, like all strings of files */
Q35_API uint64_t q35_cache_n_files(const q35_cache *cache);
Q35_API void q35_cache_file_at(const q35_cache *cache, uint64_t i, q35_cache_file *out);

/* Deletes a file. IO names it when it stays; one that is gone already is no error. */
Q35_API q35_status q35_cache_remove(q35_cache *cache, uint64_t i);

#ifdef __cplusplus
}
#endif
#endif
