/* SPDX-License-Identifier: Apache-2.0
 *
 * The command line. */
#define _GNU_SOURCE
#include "conform.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_usage(FILE *to)
{
    fputs("usage: q35rt-conform [options] libq35rt-<id>.so\n"
          "Holds a device plugin to the contract of <q35rt/plugin.h>; see \"Conformance\" in PLUGINS.md.\n\n"
          "  --device N            which device of the plugin (default 0)\n"
          "  --option KEY=VALUE    an option of the device; may be repeated\n"
          "  --filter GLOB         only cases whose name matches, like 'ops/*'; with commas several\n"
          "  --level N             only cases up to this level: 0 or 1\n"
          "  --seed N              seed of the data (default 1)\n"
          "  --replay NAME         this case alone, in this process, so that a debugger can watch it\n"
          "  --expect FILE         failures that are known: a name or pattern per line, then a reason\n"
          "  --timeout SECONDS     of a case (default 120)\n"
          "  --json FILE           results as JSON\n"
          "  --junit FILE          results as JUnit XML\n"
          "  --provoke             also make queued work fail, with ids outside of a table\n"
          "  --list                the cases, without running them\n"
          "  --quiet               only what did not pass, and the last lines\n"
          "  --help                this text\n\n"
          "Exit status: 0 all passed, 1 something failed, 2 usage, 4 the plugin cannot be loaded.\n",
          to);
}

static bool parse_number(const char *text, uint64_t most, uint64_t *value)
{
    char *end;
    *value = strtoull(text, &end, 0);
    return *text >= '0' && *text <= '9' && *end == '\0' && *value <= most;
}

static bool add_option(cf_options *o, char *text)
{
    char *equals = strchr(text, '=');
    if (!equals || equals == text || o->n_options == CF_MAX_OPTIONS)
        return false;
    *equals = '\0';
    o->keys[o->n_options] = text;
    o->values[o->n_options++] = equals + 1;
    return true;
}

enum { DEVICE = 1, OPTION, FILTER, LEVEL, SEED, REPLAY, EXPECT, TIMEOUT, JSON, JUNIT, PROVOKE, LIST, QUIET, HELP };

static const struct option longs[] = {{"device", required_argument, NULL, DEVICE},
                                      {"option", required_argument, NULL, OPTION},
                                      {"filter", required_argument, NULL, FILTER},
                                      {"level", required_argument, NULL, LEVEL},
                                      {"seed", required_argument, NULL, SEED},
                                      {"replay", required_argument, NULL, REPLAY},
                                      {"expect", required_argument, NULL, EXPECT},
                                      {"timeout", required_argument, NULL, TIMEOUT},
                                      {"json", required_argument, NULL, JSON},
                                      {"junit", required_argument, NULL, JUNIT},
                                      {"provoke", no_argument, NULL, PROVOKE},
                                      {"list", no_argument, NULL, LIST},
                                      {"quiet", no_argument, NULL, QUIET},
                                      {"help", no_argument, NULL, HELP},
                                      {NULL, 0, NULL, 0}};

/* False: usage. */
static bool parse_one(int c, char *value, cf_options *o)
{
    uint64_t number = 0;
    bool ok = true;
    switch (c) {
    case DEVICE: ok = parse_number(value, 1023, &number), o->device = (uint32_t)number; break;
    case OPTION: ok = add_option(o, value); break;
    case FILTER: o->filter = value; break;
    case LEVEL: ok = parse_number(value, 1, &number), o->max_level = (uint32_t)number; break;
    case SEED: ok = parse_number(value, UINT64_MAX, &o->seed); break;
    case REPLAY: o->replay = value; break;
    case EXPECT: o->expect = value; break;
    case TIMEOUT: ok = parse_number(value, 86400, &number) && number > 0, o->timeout = (unsigned)number; break;
    case JSON: o->json = value; break;
    case JUNIT: o->junit = value; break;
    case PROVOKE: o->provoke = true; break;
    case LIST: o->list = true; break;
    case QUIET: o->quiet = true; break;
    default: return false;
    }
    if (!ok)
        fprintf(stderr, "q35rt-conform: value '%s' does not fit its option\n", value);
    return ok;
}

int cf_options_parse(int argc, char **argv, cf_options *o)
{
    *o = (cf_options){.seed = 1, .max_level = 1, .timeout = 120};
    int c;
    while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        if (c == HELP) {
            print_usage(stdout);
            return 0;
        }
        if (!parse_one(c, optarg, o)) {
            print_usage(stderr);
            return 2;
        }
    }
    if (argc - optind == 1)
        o->plugin = argv[optind];
    if (argc - optind > 1 || (!o->plugin && !o->list)) {
        fprintf(stderr, "q35rt-conform: %d plugins named, need one\n", argc - optind);
        print_usage(stderr);
        return 2;
    }
    return -1;
}
