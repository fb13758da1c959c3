/*
 * inode_claim - which files this process has open as databases
 *
 * POSIX locks belong to the process and go when any descriptor of the file is closed. So a file is
 * opened as a database once, whatever name leads to it, and nothing else of ours opens it
 * meanwhile.
 *
 * Safe from any thread.
 */
#ifndef SEAWAL_SQLITE_INODE_CLAIM_PRIV_H
#define SEAWAL_SQLITE_INODE_CLAIM_PRIV_H

#include <stdbool.h>
#include <sys/types.h>

struct inode_claim {
    dev_t device;
    ino_t inode;
    struct inode_claim *next; /* guarded by the list's lock */
    bool held;
};
#define INODE_CLAIM_INIT ((struct inode_claim){ 0 })

/* False: somebody has it. CLAIM must not move while it is held. */
bool inode_claim_take(struct inode_claim *claim, dev_t device, ino_t inode);
void inode_claim_drop(struct inode_claim *claim);

bool inode_is_claimed(dev_t device, ino_t inode);

#endif
