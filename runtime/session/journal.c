/* SPDX-License-Identifier: Apache-2.0
 *
 * The journal of a conversion. Little-endian, no padding:
 *
 *     file   = file_head record*
 *     record = record_head data[finished.bytes] u64 seal
 *
 * The seal is the XXH3-64 of fingerprint, offset and head, and the head has the checksum of the data: a record
 * counts when both fit, so nothing torn, changed, moved or left over from another conversion does. The file is
 * written front to back and never in place.
 *
 * Nothing is synced. What a killed process wrote is the kernel's already; after a power failure the file may end
 * earlier or in zeros, which costs the time of those tensors and is noticed like any other torn tail. */
#define _GNU_SOURCE
#define XXH_STATIC_LINKING_ONLY /* for a hash state on the stack */
#include "journal.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/file_io.h"
#include "runtime/base/log.h"
#include "runtime/base/path_tail.h"
#include "runtime/base/size.h"
#include "runtime/quant/certificate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#define SUFFIX        ".partial"
#define MAGIC         "Q35JRNL\n"
#define FILE_VERSION  1u
#define RECORD_MAGIC  0x44524351u /* "QCRD" */
#define PART_BYTES    (UINT64_C(1) << 20)
#define LOCK_TRIES    100
#define RECORD_AROUND (sizeof(record_head) + sizeof(uint64_t)) /* bytes of a record besides its data */

typedef struct file_head {
    char magic[8];
    uint32_t version, record_bytes;
    uint8_t fingerprint[16];
    uint64_t check; /* XXH3-64 of what stands before */
} file_head;

typedef struct record_head {
    uint32_t magic, pass;
    q35i_finished finished;
} record_head;

typedef struct sealed {
    uint8_t fingerprint[16];
    uint64_t offset; /* of the record */
    record_head head;
} sealed;

_Static_assert(sizeof(q35i_finished) == 80 && sizeof(file_head) == 40 && sizeof(record_head) == 88 &&
                   sizeof(sealed) == 112,
               "file layout has no padding");

typedef struct entry {
    q35i_finished finished; /* first: a pointer to it is one to the entry */
    uint64_t offset;        /* of the record */
    uint32_t pass;
} entry;

struct q35i_journal {
    char *path;
    int fd;
    uint8_t fingerprint[16];
    uint64_t end;    /* of the last whole record: where the next one goes */
    entry **entries; /* by tensor, pass, offset */
    uint64_t n, cap;
};

/* ---- bytes ---- */

static q35_status read_all(const q35i_journal *j, uint64_t offset, void *data, uint64_t bytes)
{
    int e = q35i_read_at(j->fd, offset, data, bytes);
    if (e == 0)
        return Q35_OK;
    return Q35_FAIL(Q35_E_IO, "%s: read of %llu bytes at offset %llu: %s", q35i_path_tail(j->path),
                    (unsigned long long)bytes, (unsigned long long)offset, q35i_read_error(e));
}

static uint64_t seal_of(const q35i_journal *j, uint64_t offset, const record_head *head)
{
    sealed s = {.offset = offset, .head = *head};
    memcpy(s.fingerprint, j->fingerprint, sizeof s.fingerprint);
    return q35i_checksum(&s, sizeof s);
}

/* ---- index ---- */

static int compare(const entry *a, const entry *b)
{
    if (a->finished.tensor != b->finished.tensor)
        return a->finished.tensor < b->finished.tensor ? -1 : 1;
    if (a->pass != b->pass)
        return a->pass < b->pass ? -1 : 1;
    return (a->offset > b->offset) - (a->offset < b->offset);
}

static int compare_entries(const void *a, const void *b)
{
    const entry *const *x = a, *const *y = b;
    return compare(*x, *y);
}

/* Number of entries that stand before or at key. */
static uint64_t rank_of(const q35i_journal *j, const entry *key)
{
    uint64_t low = 0, high = j->n;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (compare(j->entries[middle], key) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* An entry that is not in the index yet, where there is room for one more. */
static q35_status new_entry(q35i_journal *j, const record_head *head, uint64_t offset, entry **out)
{
    if (j->n == j->cap) {
        uint64_t cap = q35i_max(64, 2 * j->cap);
        entry **grown = q35i_realloc(j->entries, cap, sizeof(entry *));
        if (!grown)
            return Q35_E_NOMEM;
        j->entries = grown;
        j->cap = cap;
    }
    entry *e = q35i_calloc(1, sizeof *e);
    if (!e)
        return Q35_E_NOMEM;
    *e = (entry){.finished = head->finished, .offset = offset, .pass = head->pass};
    *out = e;
    return Q35_OK;
}

/* ---- reading what is there ---- */

/* *out false: no whole record at the offset. */
static q35_status check_record(const q35i_journal *j, uint64_t offset, uint64_t left, uint8_t *part,
                               record_head *head, bool *out)
{
    uint64_t seal;
    XXH3_state_t state;
    *out = false;
    if (left < RECORD_AROUND)
        return Q35_OK;
    Q35_TRY(read_all(j, offset, head, sizeof *head));
    const uint64_t begin = offset + sizeof *head, bytes = head->finished.bytes;
    if (head->magic != RECORD_MAGIC || bytes > left - RECORD_AROUND)
        return Q35_OK;
    Q35_TRY(read_all(j, begin + bytes, &seal, sizeof seal));
    if (seal != seal_of(j, offset, head))
        return Q35_OK;
    XXH3_64bits_reset(&state);
    for (uint64_t at = 0; at < bytes; at += PART_BYTES) {
        uint64_t n = q35i_min(PART_BYTES, bytes - at);
        Q35_TRY(read_all(j, begin + at, part, n));
        XXH3_64bits_update(&state, part, (size_t)n);
    }
    *out = XXH3_64bits_digest(&state) == head->finished.checksum;
    return Q35_OK;
}

/* Every whole record from the front; size: of the file. */
static q35_status read_records(q35i_journal *j, uint64_t size)
{
    q35_status status;
    record_head head;
    entry *e;
    bool whole = true;
    uint8_t *part = q35i_calloc(PART_BYTES, 1);
    Q35_CHECK_ALLOC_GOTO(part, out);
    for (j->end = sizeof(file_head); whole;) {
        Q35_TRY_GOTO(check_record(j, j->end, size - j->end, part, &head, &whole), out);
        if (!whole)
            break;
        Q35_TRY_GOTO(new_entry(j, &head, j->end, &e), out);
        j->entries[j->n++] = e;
        j->end += RECORD_AROUND + head.finished.bytes;
    }
    if (j->n > 1)
        qsort(j->entries, j->n, sizeof(entry *), compare_entries);
out:
    q35i_free(part);
    return status;
}

static q35_status cut_tail(const q35i_journal *j, uint64_t size)
{
    if (size == j->end)
        return Q35_OK;
    q35i_log(Q35_LOG_WARN, "%s: %llu bytes behind %llu whole records are cut off", q35i_path_tail(j->path),
             (unsigned long long)(size - j->end), (unsigned long long)j->n);
    if (ftruncate(j->fd, (off_t)j->end) != 0)
        return Q35_FAIL(Q35_E_IO, "%s: cut to %llu bytes: %s", q35i_path_tail(j->path), (unsigned long long)j->end,
                        strerror(errno));
    return Q35_OK;
}

static q35_status start_anew(q35i_journal *j)
{
    file_head head = {.version = FILE_VERSION, .record_bytes = RECORD_AROUND};
    memcpy(head.magic, MAGIC, sizeof head.magic);
    memcpy(head.fingerprint, j->fingerprint, sizeof head.fingerprint);
    head.check = q35i_checksum(&head, offsetof(file_head, check));
    j->end = sizeof head;
    int e = ftruncate(j->fd, 0) == 0 ? q35i_write_at(j->fd, 0, &head, sizeof head, NULL) : errno;
    if (e == 0)
        return Q35_OK;
    (void)unlink(j->path); /* there is nothing in it */
    return Q35_FAIL(Q35_E_IO, "%s: write of %zu bytes at offset 0: %s", q35i_path_tail(j->path), sizeof head,
                    strerror(e));
}

/* A file that is not ours is left alone. */
static q35_status read_journal(q35i_journal *j, uint64_t size)
{
    file_head head = {.version = 0};
    const uint64_t n = q35i_min(size, sizeof head);
    Q35_TRY(read_all(j, 0, &head, n));
    if (memcmp(head.magic, MAGIC, q35i_min(n, sizeof head.magic)) != 0)
        return Q35_FAIL(Q35_E_INVALID,
                        "%s: is not the journal of a conversion, need it moved away or another output name",
                        q35i_path_tail(j->path));
    if (n == 0)
        return start_anew(j);
    if (n == sizeof head && head.check == q35i_checksum(&head, offsetof(file_head, check)) &&
        head.version == FILE_VERSION && head.record_bytes == RECORD_AROUND &&
        memcmp(head.fingerprint, j->fingerprint, sizeof head.fingerprint) == 0) {
        Q35_TRY(read_records(j, size));
        return cut_tail(j, size);
    }
    q35i_log(Q35_LOG_WARN, "%s: %llu bytes of another source, options or version are not used, started anew",
             q35i_path_tail(j->path), (unsigned long long)size);
    return start_anew(j);
}

/* ---- opening ---- */

/* Why open failed with e. */
static q35_status fail_open(const char *path, int e)
{
    struct stat st;
    const char *tail = q35i_path_tail(path);
    if (lstat(path, &st) != 0)
        return Q35_FAIL(Q35_E_IO, "%s: cannot create it: %s", tail, strerror(e));
    if (!S_ISREG(st.st_mode))
        return Q35_FAIL(Q35_E_INVALID, "%s: is %s, need a regular file or none there", tail,
                        S_ISDIR(st.st_mode)   ? "a directory"
                        : S_ISLNK(st.st_mode) ? "a symbolic link"
                                              : "not a regular file");
    return Q35_FAIL(Q35_E_IO, "%s: of user %u, cannot open it as user %u: %s", tail, (unsigned)st.st_uid,
                    (unsigned)geteuid(), strerror(e));
}

/* Bytes of another user are not ours to trust: anybody can make a checksum fit. */
static q35_status check_file(const q35i_journal *j, const struct stat *st)
{
    if (!S_ISREG(st->st_mode))
        return Q35_FAIL(Q35_E_INVALID, "%s: is not a regular file, need one or none there",
                        q35i_path_tail(j->path));
    if (st->st_size > 0 && st->st_uid != geteuid())
        return Q35_FAIL(Q35_E_INVALID, "%s: of user %u, need one of user %u, none there, or another output name",
                        q35i_path_tail(j->path), (unsigned)st->st_uid, (unsigned)geteuid());
    return Q35_OK;
}

static q35_status lock(const q35i_journal *j)
{
    if (flock(j->fd, LOCK_EX | LOCK_NB) == 0)
        return Q35_OK;
    if (errno == EWOULDBLOCK)
        return Q35_FAIL(Q35_E_INVALID,
                        "%s: is being written by another conversion, need its end or another output name",
                        q35i_path_tail(j->path));
    q35i_log(Q35_LOG_WARN, "%s: no lock against a second conversion of the same output: %s",
             q35i_path_tail(j->path), strerror(errno)); /* a file system without locks */
    return Q35_OK;
}

/* Opens and locks; *size: of the file. */
static q35_status open_file(q35i_journal *j, uint64_t *size)
{
    struct stat st;
    for (int tries = 0; tries < LOCK_TRIES; tries++) {
        /* non-blocking: a pipe of that name must not hold us up */
        j->fd = open(j->path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0666);
        if (j->fd < 0)
            return fail_open(j->path, errno);
        if (fstat(j->fd, &st) != 0)
            return Q35_FAIL(Q35_E_IO, "%s: %s", q35i_path_tail(j->path), strerror(errno));
        Q35_TRY(check_file(j, &st));
        Q35_TRY(lock(j));
        if (q35i_has_name(j->fd, j->path) && fstat(j->fd, &st) == 0) {
            *size = (uint64_t)st.st_size;
            return Q35_OK;
        }
        close(j->fd);
        j->fd = -1;
    }
    return Q35_FAIL(Q35_E_IO, "%s: was replaced %d times while it was opened, need it left alone",
                    q35i_path_tail(j->path), LOCK_TRIES);
}

static q35_status make_path(q35i_journal *j, const char *output)
{
    const size_t len = strlen(output);
    if (len == 0 || output[len - 1] == '/')
        return Q35_FAIL(Q35_E_INVALID, "output '%s': names no file, need a path of one", q35i_path_tail(output));
    j->path = q35i_calloc(len + sizeof SUFFIX, 1);
    if (!j->path)
        return Q35_E_NOMEM;
    memcpy(j->path, output, len);
    memcpy(j->path + len, SUFFIX, sizeof SUFFIX);
    return Q35_OK;
}

q35_status q35i_journal_open(const char *output, const uint8_t fingerprint[16], q35i_journal **out)
{
    q35_status status;
    uint64_t size = 0;
    *out = NULL;
    q35i_journal *j = q35i_calloc(1, sizeof *j);
    if (!j)
        return Q35_E_NOMEM;
    j->fd = -1;
    memcpy(j->fingerprint, fingerprint, sizeof j->fingerprint);
    Q35_TRY_GOTO(make_path(j, output), fail);
    Q35_TRY_GOTO(open_file(j, &size), fail);
    Q35_TRY_GOTO(read_journal(j, size), fail);
    *out = j;
    return Q35_OK;
fail:
    q35i_journal_close(j);
    return status;
}

/* ---- use ---- */

uint64_t q35i_journal_count(const q35i_journal *j)
{
    return j->n;
}

const q35i_finished *q35i_journal_find(const q35i_journal *j, uint32_t tensor, uint32_t pass)
{
    const entry key = {.finished = {.tensor = tensor}, .pass = pass, .offset = UINT64_MAX};
    const uint64_t rank = rank_of(j, &key);
    const entry *e = rank > 0 ? j->entries[rank - 1] : NULL;
    return e && e->finished.tensor == tensor && e->pass == pass ? &e->finished : NULL;
}

q35_status q35i_journal_read(q35i_journal *j, const q35i_finished *finished, void *buf)
{
    const entry *e = (const entry *)finished;
    Q35_TRY(read_all(j, e->offset + sizeof(record_head), buf, finished->bytes));
    uint64_t found = q35i_checksum(buf, finished->bytes);
    if (found != finished->checksum)
        return Q35_FAIL(Q35_E_FORMAT,
                        "%s: tensor %u, pass %u: checksum %016llx, need %016llx: the file was changed meanwhile",
                        q35i_path_tail(j->path), finished->tensor, e->pass, (unsigned long long)found,
                        (unsigned long long)finished->checksum);
    return Q35_OK;
}

static int write_record(const q35i_journal *j, const record_head *head, const void *data)
{
    const uint64_t begin = j->end + sizeof *head, seal = seal_of(j, j->end, head);
    int e = q35i_write_at(j->fd, j->end, head, sizeof *head, NULL);
    if (e == 0)
        e = q35i_write_at(j->fd, begin, data, head->finished.bytes, NULL);
    return e ? e : q35i_write_at(j->fd, begin + head->finished.bytes, &seal, sizeof seal, NULL);
}

q35_status q35i_journal_append(q35i_journal *j, const q35i_finished *finished, uint32_t pass, const void *data)
{
    record_head head = {.magic = RECORD_MAGIC, .pass = pass, .finished = *finished};
    entry *added;
    uint64_t bytes, end;
    if (!q35i_add(finished->bytes, RECORD_AROUND, &bytes) || !q35i_add(j->end, bytes, &end) || end > INT64_MAX)
        return Q35_FAIL(Q35_E_RANGE, "%s: record of %llu bytes at offset %llu, need an end below 2^63",
                        q35i_path_tail(j->path), (unsigned long long)finished->bytes, (unsigned long long)j->end);
    head.finished.checksum = q35i_checksum(data, finished->bytes);
    Q35_TRY(new_entry(j, &head, j->end, &added)); /* first, so that what is written is known */
    int e = write_record(j, &head, data);
    if (e != 0) {
        q35i_free(added);
        (void)ftruncate(j->fd, (off_t)j->end); /* else the next record or the next run covers it */
        return Q35_FAIL(Q35_E_IO, "%s: write of %llu bytes at offset %llu: %s, need room for them",
                        q35i_path_tail(j->path), (unsigned long long)bytes, (unsigned long long)j->end,
                        strerror(e));
    }
    const uint64_t rank = rank_of(j, added);
    memmove(j->entries + rank + 1, j->entries + rank, (j->n - rank) * sizeof(entry *));
    j->entries[rank] = added;
    j->n++;
    j->end = end;
    return Q35_OK;
}

void q35i_journal_close(q35i_journal *j)
{
    if (!j)
        return;
    if (j->fd >= 0)
        close(j->fd); /* lets the lock go */
    for (uint64_t i = 0; i < j->n; i++)
        q35i_free(j->entries[i]);
    q35i_free(j->entries);
    q35i_free(j->path);
    q35i_free(j);
}

void q35i_journal_remove(q35i_journal *j)
{
    if (j && q35i_has_name(j->fd, j->path) && unlink(j->path) != 0)
        q35i_log(Q35_LOG_WARN, "%s: cannot delete it: %s", q35i_path_tail(j->path), strerror(errno));
    q35i_journal_close(j);
}
