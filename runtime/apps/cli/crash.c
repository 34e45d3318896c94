/* SPDX-License-Identifier: Apache-2.0
 *
 * When a plugin crashes, the program ends with it; its last line says whose code ran. */
#define _GNU_SOURCE
#include "cli.h"

#include <q35rt/device.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static void say(const char *text)
{
    ssize_t n = write(STDERR_FILENO, text, strlen(text));
    (void)n; /* nothing else can be done here */
}

/* SA_RESETHAND: returning repeats the fault, and the system ends the process as it would have. */
static void crashed(int number)
{
    const char *slot, *path = q35_runtime_suspect(&slot);
    const char digits[] = {(char)('0' + number / 10), (char)('0' + number % 10), '\0'};
    if (!path)
        return;
    say("\nq35rt: crashed with signal ");
    say(digits + (digits[0] == '0'));
    say(" while plugin ");
    say(path);
    say(" was in ");
    say(slot ? slot : "?");
    say("; without that file, or with other devices (--device), the program may work\n");
}

void cli_crash_init(void)
{
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
    struct sigaction action = {.sa_handler = crashed, .sa_flags = (int)SA_RESETHAND};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (Q35_NOTE_SANITIZER == Q35_SANITIZER_NONE) /* a sanitizer says more */
            sigaction(numbers[i], &action, NULL);
}
