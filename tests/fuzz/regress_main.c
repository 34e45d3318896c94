/* SPDX-License-Identifier: Apache-2.0
 *
 * Replays files, and all files of directories, through a fuzz target: the stored corpus and past crashes in every
 * build, without a fuzzer. Ends with 1 when there was nothing to replay. */
#define _GNU_SOURCE
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A copy of exactly the file's size, so that a sanitizer sees a read past the end. */
static uint8_t *read_file(const char *path, size_t *out_size)
{
    struct stat st;
    FILE *f = fopen(path, "rb");
    if (!f || fstat(fileno(f), &st) != 0) {
        perror(path);
        exit(1);
    }
    size_t size = (size_t)st.st_size;
    uint8_t *data = malloc(size ? size : 1);
    if (!data || fread(data, 1, size, f) != size) {
        perror(path);
        exit(1);
    }
    fclose(f);
    *out_size = size;
    return data;
}

static int replay_file(const char *path)
{
    size_t size;
    uint8_t *data = read_file(path, &size);
    printf("%s: %zu bytes\n", path, size);
    fflush(stdout); /* a crash shows whose it is */
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    return 1;
}

static int replay_directory(const char *path)
{
    struct dirent **entries;
    int count = 0, n = scandir(path, &entries, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        char file[4096];
        int len = snprintf(file, sizeof file, "%s/%s", path, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.' && len > 0 && (size_t)len < sizeof file)
            count += replay_file(file);
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
    return count;
}

int main(int argc, char **argv)
{
    int count = 0;
    for (int i = 1; i < argc; i++) {
        struct stat st;
        if (stat(argv[i], &st) != 0) {
            perror(argv[i]);
            return 1;
        }
        count += S_ISDIR(st.st_mode) ? replay_directory(argv[i]) : replay_file(argv[i]);
    }
    printf("%d inputs replayed\n", count);
    return count ? 0 : 1;
}
