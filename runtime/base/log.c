/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static q35_log_sink current_sink;
static void *current_user;
static int current_level;

void q35_log_set(q35_log_sink sink, void *user, int max_level)
{
    pthread_mutex_lock(&lock);
    current_sink = sink;
    current_user = user;
    current_level = max_level;
    pthread_mutex_unlock(&lock);
}

void q35i_log(int level, const char *fmt, ...)
{
    char line[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    pthread_mutex_lock(&lock);
    if (current_sink && level <= current_level)
        current_sink(current_user, level, line);
    pthread_mutex_unlock(&lock);
}
