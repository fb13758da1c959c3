/* Which files this process has open as databases: a list, because it is asked on open only. */
#include "inode_claim_priv.h"

#include <assert.h>
#include <pthread.h>
#include <stddef.h>

static pthread_mutex_t inode_claim_mu = PTHREAD_MUTEX_INITIALIZER;
static struct inode_claim *inode_claim_first; /* guarded by inode_claim_mu */

static bool inode_claim_find(dev_t device, ino_t inode)
{
    for (struct inode_claim *at = inode_claim_first; at != NULL; at = at->next) {
        if (at->device == device && at->inode == inode)
            return true;
    }
    return false;
}

bool inode_claim_take(struct inode_claim *claim, dev_t device, ino_t inode)
{
    assert(!claim->held);

    pthread_mutex_lock(&inode_claim_mu);
    bool taken = inode_claim_find(device, inode);
    if (!taken) {
        *claim = (struct inode_claim){
            .device = device, .inode = inode, .next = inode_claim_first, .held = true
        };
        inode_claim_first = claim;
    }
    pthread_mutex_unlock(&inode_claim_mu);
    return !taken;
}

void inode_claim_drop(struct inode_claim *claim)
{
    if (!claim->held)
        return;

    pthread_mutex_lock(&inode_claim_mu);
    struct inode_claim **at = &inode_claim_first;
    while (*at != claim) {
        assert(*at != NULL);
        at = &(*at)->next;
    }
    *at = claim->next;
    pthread_mutex_unlock(&inode_claim_mu);
    *claim = INODE_CLAIM_INIT;
}

bool inode_is_claimed(dev_t device, ino_t inode)
{
    pthread_mutex_lock(&inode_claim_mu);
    bool taken = inode_claim_find(device, inode);
    pthread_mutex_unlock(&inode_claim_mu);
    return taken;
}
