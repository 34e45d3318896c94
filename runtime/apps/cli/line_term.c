/* SPDX-License-Identifier: Apache-2.0
 *
 * Editing and history by libedit. Its own signal handling is off: signals would end the wait only if the right
 * thread took them. Reading goes through get_char, which waits for input and for the program's signals, and while
 * it waits takes care of stopping (Ctrl-Z), quitting and the size of the terminal. */
#define _GNU_SOURCE
#include "line_term.h"

#include <stddef.h>

#ifdef Q35RT_HAVE_LIBEDIT

#include "cli.h"

#include <errno.h>
#include <histedit.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wchar.h>

enum { HISTORY_LINES = 1000 };

/* Bracketed paste: between these marks the terminal sends what was pasted, so that its line ends are no Enter. */
#define PASTE_ON    "\033[?2004h"
#define PASTE_OFF   "\033[?2004l"
#define PASTE_BEGIN "\033[200~"
#define PASTE_END   L"\033[201~"

struct line_term {
    EditLine *edit;
    History *history;
    char *history_path; /* NULL: none */
    const char *prompt;
    char *line; /* last one returned */
    uint64_t cap;
    mbstate_t state; /* of a character being read */
    uint64_t typed;  /* characters in the line when a signal came */
    FILE *out;
};

static volatile sig_atomic_t terminal_signal; /* SIGTSTP, SIGQUIT or SIGWINCH to be answered, 0: none */

static void on_terminal_signal(int number)
{
    terminal_signal = number;
    cli_signals_wake();
}

static const int handled[] = {SIGTSTP, SIGQUIT, SIGWINCH};
enum { N_HANDLED = sizeof handled / sizeof *handled };

static void catch_signals(struct sigaction old[N_HANDLED])
{
    struct sigaction action = {.sa_handler = on_terminal_signal};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < N_HANDLED; i++) {
        sigaction(handled[i], NULL, &old[i]);
        if (old[i].sa_handler != SIG_IGN)
            sigaction(handled[i], &action, NULL);
    }
}

static void release_signals(const struct sigaction old[N_HANDLED])
{
    for (size_t i = 0; i < N_HANDLED; i++)
        sigaction(handled[i], &old[i], NULL);
}

static void tell_terminal(const line_term *term, const char *text)
{
    fputs(text, term->out);
    fflush(term->out);
}

/* Lets a signal do what it does by default, with the terminal as it was. */
static void pass_signal(line_term *term, int number)
{
    struct sigaction plain = {.sa_handler = SIG_DFL}, old;
    sigemptyset(&plain.sa_mask);
    tell_terminal(term, PASTE_OFF);
    el_set(term->edit, EL_PREP_TERM, 0);
    sigaction(number, &plain, &old);
    raise(number);
    sigaction(number, &old, NULL);
    el_set(term->edit, EL_PREP_TERM, 1);
    tell_terminal(term, PASTE_ON);
    el_set(term->edit, EL_REFRESH);
}

static int get_char(EditLine *edit, wchar_t *out)
{
    line_term *term;
    el_get(edit, EL_CLIENTDATA, &term);
    for (;;) {
        char byte;
        int number = terminal_signal;
        terminal_signal = 0;
        if (number == SIGWINCH)
            el_resize(edit);
        else if (number)
            pass_signal(term, number);
        if (!line_wait()) {
            const LineInfo *line = el_line(edit);
            term->typed = (uint64_t)(line->lastchar - line->buffer);
            if (cli_interrupted())
                return -1;
            continue;
        }
        ssize_t n = read(STDIN_FILENO, &byte, 1);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n <= 0)
            return (int)n;
        size_t used = mbrtowc(out, &byte, 1, &term->state);
        if (used == 0 || used == 1)
            return 1;
        if (used == (size_t)-1)
            term->state = (mbstate_t){0};
    }
}

/* Takes a pasted text up to its end mark, which is left out; *text: free(). Line ends become "\n", other control
 * characters but tabs go. 0: no end came, or out of memory. */
static int read_paste(EditLine *edit, wchar_t **text)
{
    const size_t mark = wcslen(PASTE_END);
    size_t n = 0, cap = 0;
    wchar_t c;
    while (el_wgetc(edit, &c) == 1) {
        if (n + 1 >= cap) {
            cap = 2 * cap + 256;
            wchar_t *grown = realloc(*text, cap * sizeof *grown);
            if (!grown)
                return 0;
            *text = grown;
        }
        if (c == L'\r' || c == L'\n')
            (*text)[n++] = L'\n';
        else if ((c >= 32 && c != 127) || c == L'\t' || c == PASTE_END[0])
            (*text)[n++] = c;
        if (n >= mark && wmemcmp(*text + n - mark, PASTE_END, mark) == 0) {
            (*text)[n - mark] = L'\0';
            return 1;
        }
    }
    return 0;
}

static unsigned char on_paste(EditLine *edit, int key)
{
    wchar_t *text = NULL;
    (void)key;
    int complete = read_paste(edit, &text);
    if (complete) {
        wchar_t *to = text;
        for (const wchar_t *from = text; *from; from++)
            if (*from != PASTE_END[0])
                *to++ = *from;
        *to = L'\0';
        (void)el_winsertstr(edit, text);
    }
    free(text);
    return complete ? CC_REFRESH : CC_EOF;
}

static char *get_prompt(EditLine *edit)
{
    line_term *term;
    static char prompt[16];
    el_get(edit, EL_CLIENTDATA, &term);
    snprintf(prompt, sizeof prompt, "%s", term->prompt);
    return prompt;
}

/* $XDG_STATE_HOME/q35rt/history, else ~/.local/state/q35rt/history; NULL: no such place. */
static char *find_history(void)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    char *path = NULL;
    int n = -1;
    if (state && *state == '/')
        n = asprintf(&path, "%s/q35rt/history", state);
    else if (home && *home == '/')
        n = asprintf(&path, "%s/.local/state/q35rt/history", home);
    if (n < 0)
        return NULL;
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        int rc = mkdir(path, 0700);
        *slash = '/';
        if (rc != 0 && errno != EEXIST) {
            free(path);
            return NULL;
        }
    }
    return path;
}

/* Characters are UTF-8 here, whatever the environment says. */
static void use_utf8(void)
{
    if (!setlocale(LC_CTYPE, "") || strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
        (void)setlocale(LC_CTYPE, "C.UTF-8");
}

static void bind_keys(EditLine *edit)
{
    static const char *const keys[][2] = {{"\\e[3~", "ed-delete-next-char"}, {"\\e[1~", "ed-move-to-beg"},
                                          {"\\e[4~", "ed-move-to-end"},      {"\\e[H", "ed-move-to-beg"},
                                          {"\\e[F", "ed-move-to-end"},       {"\\e[1;5C", "em-next-word"},
                                          {"\\e[1;5D", "ed-prev-word"},      {"^R", "em-inc-search-prev"}};
    el_set(edit, EL_EDITOR, "emacs");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        el_set(edit, EL_BIND, keys[i][0], keys[i][1], (char *)NULL);
}

line_term *line_term_open(void)
{
    const char *kind = getenv("TERM");
    if (!kind || !*kind || strcmp(kind, "dumb") == 0)
        return NULL;
    line_term *term = calloc(1, sizeof *term);
    if (!term)
        return NULL;
    use_utf8();
    HistEvent event;
    term->out = isatty(STDOUT_FILENO) ? stdout : stderr;
    term->edit = el_init("q35rt", stdin, term->out, stderr);
    term->history = history_init();
    if (!term->edit || !term->history) {
        line_term_close(term);
        return NULL;
    }
    el_set(term->edit, EL_CLIENTDATA, term);
    el_set(term->edit, EL_PROMPT, get_prompt);
    el_set(term->edit, EL_SIGNAL, 0);
    el_set(term->edit, EL_GETCFN, get_char);
    bind_keys(term->edit);
    history(term->history, &event, H_SETSIZE, HISTORY_LINES);
    history(term->history, &event, H_SETUNIQUE, 1);
    el_set(term->edit, EL_HIST, history, term->history);
    term->history_path = find_history();
    if (term->history_path)
        history(term->history, &event, H_LOAD, term->history_path);
    el_source(term->edit, NULL);
    /* wide: the narrow call would copy both texts and lose them */
    el_wset(term->edit, EL_ADDFN, L"q35rt-paste", L"takes a pasted text", on_paste);
    el_set(term->edit, EL_BIND, PASTE_BEGIN, "q35rt-paste", (char *)NULL);
    return term;
}

/* A history that cannot be written is no reason to complain. */
static void save_history(const line_term *term)
{
    HistEvent event;
    char *temporary;
    if (!term->history_path || asprintf(&temporary, "%s.%ld", term->history_path, (long)getpid()) < 0)
        return;
    if (history(term->history, &event, H_SAVE, temporary) < 0 || rename(temporary, term->history_path) != 0)
        unlink(temporary);
    free(temporary);
}

void line_term_close(line_term *term)
{
    if (term->history && term->edit)
        save_history(term);
    if (term->history)
        history_end(term->history);
    if (term->edit)
        el_end(term->edit);
    free(term->history_path);
    free(term->line);
    free(term);
}

static int keep_line(line_term *term, const char *line, uint64_t len)
{
    if (len >= term->cap) {
        char *grown = realloc(term->line, (size_t)(2 * len + 1));
        if (!grown)
            return cli_fail(CLI_EXIT_NOFIT, "line: out of memory");
        term->line = grown;
        term->cap = 2 * len + 1;
    }
    memcpy(term->line, line, (size_t)len);
    term->line[len] = '\0';
    return 0;
}

line_result line_term_read(line_term *term, const char *prompt, char **out_line, uint64_t *out_len)
{
    struct sigaction old[N_HANDLED];
    HistEvent event;
    int n = 0;
    term->prompt = prompt;
    term->state = (mbstate_t){0};
    term->typed = 0;
    catch_signals(old);
    el_set(term->edit, EL_PREP_TERM, 1); /* before the prompt shows: what is typed at it is for the editor */
    tell_terminal(term, PASTE_ON);
    const char *line = el_gets(term->edit, &n);
    tell_terminal(term, PASTE_OFF);
    release_signals(old);
    if (!line || n <= 0) {
        tell_terminal(term, "\n");
        *out_len = term->typed;
        return cli_interrupted() ? LINE_SIGNAL : LINE_END;
    }
    uint64_t len = (uint64_t)n;
    while (len && line[len - 1] == '\n') /* Enter's, and those at the end of a paste */
        len--;
    if (keep_line(term, line, len))
        return LINE_FAILED;
    if (len)
        history(term->history, &event, H_ENTER, term->line);
    *out_line = term->line;
    *out_len = len;
    return LINE_READ;
}

#else

line_term *line_term_open(void)
{
    return NULL;
}

void line_term_close(line_term *term)
{
    (void)term;
}

line_result line_term_read(line_term *term, const char *prompt, char **out_line, uint64_t *out_len)
{
    (void)term;
    (void)prompt;
    *out_line = NULL;
    *out_len = 0;
    return LINE_END;
}

#endif
