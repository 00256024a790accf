/*
 * main.c - the table of subcommands, help and version; everything else is theirs.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <string.h>

#include "commands.h"

static const struct cmd cmds[] = {
    {NULL, NULL, NULL},
};

int main(int argc, char **argv)
{
    (void)cmds;
    (void)argc;
    (void)argv;
    puts("reprise " REPRISE_VERSION);
    return EXIT_DONE;
}
