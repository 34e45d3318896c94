/* SPDX-License-Identifier: Apache-2.0
 *
 * A directory of the test program's own. Only the process that made it removes it, since forked test cases run
 * exit handlers too. */
#define _GNU_SOURCE
#include "temp_dir.h"

#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[Q35T_PATH_BYTES - 128];
static pid_t owner;

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *info)
{
    (void)st;
    (void)flag;
    (void)info;
    return remove(path);
}

int q35t_temp_dir_remove(void)
{
    if (owner != getpid())
        return 0;
    owner = 0;
    return nftw(dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static void remove_at_exit(void)
{
    (void)q35t_temp_dir_remove();
}

void q35t_temp_dir_create(void)
{
    const char *base = getenv("TMPDIR");
    int n = snprintf(dir, sizeof dir, "%s/q35rt-test-XXXXXX", base && base[0] == '/' ? base : P_tmpdir);
    if (n < 0 || (size_t)n >= sizeof dir || !mkdtemp(dir)) {
        perror("cannot make a temporary directory");
        exit(1);
    }
    owner = getpid();
    atexit(remove_at_exit);
}

const char *q35t_temp_dir(void)
{
    return dir;
}

void q35t_temp_path(char out[Q35T_PATH_BYTES], const char *name)
{
    snprintf(out, Q35T_PATH_BYTES, "%s/%.120s", dir, name);
}

int q35t_temp_dir_count(void)
{
    int n = 0;
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d)) != NULL;)
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    if (d)
        closedir(d);
    return n;
}
