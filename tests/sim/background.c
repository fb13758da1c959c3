/*
 * background - base/background.h without threads: the seed decides when the call is made
 *
 * At once, at one of the waits, or at the end. What runs between two waits therefore interleaves
 * with it; what runs at the same time is not simulated.
 */
#include "base/background.h"

#include "sim.h"

enum { BACKGROUND_WAIT_NS_MAX = 1000000000 };

static void background_run(struct background *background)
{
    if (background->is_done)
        return;
    background->result = background->call(background->payload, &background->err);
    background->is_done = true;
}

void background_start(
    struct background *background, rc (*call)(void *payload, struct error *err), void *payload)
{
    *background = (struct background){ .call = call, .payload = payload };
    if (sim_below(2) == 0)
        background_run(background);
}

bool background_wait(struct background *background, int64_t until_ns)
{
    int64_t rest_ns = until_ns - sim->monotonic_ns;

    if (rest_ns > BACKGROUND_WAIT_NS_MAX || sim_below(2) == 0)
        background_run(background);
    if (background->is_done)
        return true;
    sim_pause(rest_ns > 0 ? rest_ns : 1000);
    return false;
}

rc background_finish(struct background *background, struct error *err)
{
    background_run(background);
    if (background->result != RC_OK && err != NULL)
        *err = background->err;
    return background->result;
}
