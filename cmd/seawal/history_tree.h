/*
 * history_tree - which timeline departs from which, one line each
 *
 *     timeline                departs after txid  of                        first txid ...
 *     00000001                                 -  -                                  1
 *     |- 00000002                             40  2026-11-21T10:00:00.000Z          41
 *     `- 00000003 (newest)                    52  2026-11-21T11:00:00.000Z          53
 */
#ifndef SEAWAL_CMD_SEAWAL_HISTORY_TREE_H
#define SEAWAL_CMD_SEAWAL_HISTORY_TREE_H

#include "replica/history.h"

/* On standard output; nothing at all for no timelines. */
void history_tree_print(const struct history *history);

#endif
