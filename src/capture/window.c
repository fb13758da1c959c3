/*
 * window - what was captured in a window of time, as one merged segment beside the log
 *
 * The database itself holds what has to be merged: before the first commit of the next window is
 * captured, every page is there as of the last transaction of the window that is over. So nothing
 * is fetched and no difference is resolved; what is remembered is which pages were written. That is
 * lost with the process, and with whatever breaks the row of transactions: the replica can merge
 * such a window from what is stored (replica/merge.h).
 */
#include "capture_priv.h"

#include <assert.h>
#include <string.h>

void window_note_page(struct capture *capture, uint32_t pgno)
{
    struct capture_window *window = &capture->window;

    if (!window->is_open)
        return;
    if (window->first_time_ms == 0) {
        const struct capture_position *now = capture_now(capture);
        window->first_time_ms = capture->wall_ms > now->time_ms ? capture->wall_ms : now->time_ms;
    }
    page_set_add(&window->pages, pgno);
}

/* From the position on. */
static void window_open(struct capture *capture)
{
    struct capture_window *window = &capture->window;

    page_set_release(&window->pages);
    window->pages = PAGE_SET_INIT;
    window->before = *capture_now(capture);
    window->first_time_ms = 0;
    window->is_open = true;
}

/* Whether what was noted is all that was written since, and nothing else. */
static bool window_is_whole(struct capture *capture)
{
    const struct capture_position *before = &capture->window.before;
    const struct capture_position *now = capture_now(capture);

    return capture->window.is_open && before->timeline == now->timeline &&
           before->page_size == now->page_size && before->txid <= now->txid &&
           memcmp(&before->database_id, &now->database_id, sizeof now->database_id) == 0;
}

static int64_t window_end_ms(const struct capture_window *window, int64_t time_ms)
{
    return (time_ms / window->every_ms + 1) * window->every_ms;
}

rc capture_window(struct capture *capture, int64_t wall_ms, bool is_wanted,
    struct capture_window_report *ret, struct error *err)
{
    struct capture_window *window = &capture->window;
    const struct capture_position *now = capture_now(capture);

    *ret = (struct capture_window_report){ 0 };
    if (window->every_ms == 0 || capture->state != CAPTURE_FOLLOWING ||
        capture_head_txid(capture) != now->txid)
        return RC_OK;
    if (!window_is_whole(capture))
        window_open(capture);
    if (now->txid == window->before.txid)
        return RC_OK;
    /* What crosses the end of a window cannot be told apart. */
    bool is_crossed = now->time_ms >= window_end_ms(window, window->first_time_ms);
    if (!is_crossed && wall_ms < window_end_ms(window, now->time_ms)) {
        ret->due_ms = window_end_ms(window, now->time_ms);
        return RC_OK;
    }

    rc begun = RC_OK;
    if (is_wanted && !is_crossed && capture->spool.merge == NULL && !capture->in_doubt) {
        begun = spool_merge_window(capture, window, err);
        ret->begun = begun == RC_OK;
    }
    ret->lost = !ret->begun;
    window_open(capture);
    return begun;
}
