/*
 * image - pages and their digests while a database is rebuilt
 *
 * Why pages carry a transaction: a snapshot is fuzzy, its pages are as of different transactions.
 * The log is applied from the snapshot's first transaction on; a page that was read later than that
 * already holds the first changes of the log and must not get them again. Until the snapshot's last
 * transaction the whole is of no one moment; from there on every transaction's digest must agree.
 */
#include "image_priv.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fs.h"
#include "base/path.h"
#include "base/text.h"
#include "codec/digest.h"
#include "codec/hash.h"

enum { ENTRIES_PER_READ = 512 };

_Static_assert(sizeof(struct page_entry) == 16, "entries are kept in a file side by side");

/* For file systems that know no files without names. A kill in between leaves an empty file. */
static rc scratch_file_open_named(int *ret, const char *folder, struct error *err)
{
    uint8_t random[8];
    char name[2 * sizeof random + 1];
    random_fill(random, sizeof random);
    text_put_hex(name, random, sizeof random);

    auto_free char *file = text_format(".seawal-scratch-%s", name);
    auto_free char *path = path_join(folder, file);
    auto_fd int fd = -1;
    TRY(fs_open(&fd, path, O_RDWR | O_CREAT | O_EXCL, 0600, err));
    rc code = fs_remove(path, err);
    if (code != RC_OK) {
        unlink(path);
        return code;
    }
    *ret = TAKE_FD(fd);
    return RC_OK;
}

rc scratch_file_open(int *ret, const char *folder, struct error *err)
{
    if (fs_open(ret, folder, O_RDWR | O_TMPFILE, 0600, NULL) == RC_OK)
        return RC_OK;
    return scratch_file_open_named(ret, folder, err);
}

void image_release(struct image *image)
{
    if (image->table >= 0)
        close(image->table);
    free(image->page);
    image->table = -1;
    image->page = NULL;
}

rc image_open(struct image *image, const struct image_start *start, struct error *err)
{
    image->fd = start->fd;
    image->page_size = start->page_size;
    image->txid = start->first_txid;
    image->usable_txid = start->usable_txid;
    image->page = mem_new_array(2, start->page_size);
    TRY_AS(err, scratch_file_open(&image->table, start->scratch_folder, err),
        "scratch file in '%s'", start->scratch_folder);
    return RC_OK;
}

/* ---- entries */

static uint64_t entry_offset(uint32_t pgno)
{
    assert(pgno > 0);
    return (uint64_t)(pgno - 1) * sizeof(struct page_entry);
}

static rc image_entries(const struct image *image, uint32_t first_pgno, size_t count,
    struct page_entry *ret, struct error *err)
{
    size_t size = 0;

    TRY(fs_read_some(image->table, ret, count * sizeof *ret, entry_offset(first_pgno), &size, err));
    memset((uint8_t *)ret + size, 0, count * sizeof *ret - size);
    return RC_OK;
}

rc image_entry(const struct image *image, uint32_t pgno, struct page_entry *ret, struct error *err)
{
    return image_entries(image, pgno, 1, ret, err);
}

static rc image_put_entry(struct image *image, uint32_t pgno, const struct page_entry *before,
    const struct page_entry *after, struct error *err)
{
    TRY(fs_write_at(image->table, bytes_of(after, sizeof *after), entry_offset(pgno), err));
    image->sum += after->digest - before->digest;
    image->page_total += (uint64_t)(after->digest != 0) - (uint64_t)(before->digest != 0);
    if (after->digest != 0 && pgno > image->extent)
        image->extent = pgno;
    return RC_OK;
}

/* ---- whole pages */

/*
 * The kernel lets one writer at a time into a file and lets the others spin; waiting here instead
 * leaves the processor to those who unpack.
 */
static rc image_write_run(struct image *image, const struct image_run *run, struct error *err)
{
    uint64_t offset = (uint64_t)(run->first_pgno - 1) * image->page_size;

    assert(run->pages.size == (size_t)run->count * image->page_size);
    pthread_mutex_lock(&image->write_mu);
    rc code = fs_write_at(image->fd, run->pages, offset, err);
    pthread_mutex_unlock(&image->write_mu);
    return code;
}

/* Put all of RUN with TAG; BEFORE is what the table had for its pages, NULL when that is nothing.
 */
static rc image_store_run(struct image *image, const struct image_run *run, uint64_t tag,
    const struct page_entry *before, struct error *err)
{
    struct page_entry entries[IMAGE_RUN_PAGE_COUNT_MAX];
    uint64_t sum = 0;
    uint64_t added = 0;

    assert(run->count > 0);
    assert(run->count <= IMAGE_RUN_PAGE_COUNT_MAX);
    for (uint32_t i = 0; i < run->count; i++) {
        uint64_t digest_before = before != NULL ? before[i].digest : 0;
        entries[i] = (struct page_entry){ .digest = run->digests[i], .tag = tag };
        sum += run->digests[i] - digest_before;
        added += digest_before == 0;
    }
    if (image->fd >= 0)
        TRY(image_write_run(image, run, err));
    TRY(fs_write_at(image->table, bytes_of(entries, run->count * sizeof *entries),
        entry_offset(run->first_pgno), err));
    atomic_fetch_add(&image->sum, sum);
    atomic_fetch_add(&image->page_total, added);
    return RC_OK;
}

rc image_put_run(struct image *image, const struct image_run *run, struct error *err)
{
    return image_store_run(image, run, 2 * run->txid, NULL, err);
}

rc image_snapshot_done(
    struct image *image, uint32_t extent, const struct segment_summary *summary, struct error *err)
{
    image->extent = extent;
    if (image->txid < image->usable_txid)
        return RC_OK;

    /* Not fuzzy: it must be right by itself. */
    image->known_digest = summary->digest;
    image->has_known_digest = true;
    image->page_count = summary->page_count;
    return image_check(image, summary->digest, summary->page_count, err);
}

rc image_merge_run(struct image *image, const struct image_run *run, struct error *err)
{
    struct page_entry before[IMAGE_RUN_PAGE_COUNT_MAX];

    assert(run->count <= IMAGE_RUN_PAGE_COUNT_MAX);
    TRY(image_entries(image, run->first_pgno, run->count, before, err));
    return image_store_run(image, run, 2 * run->txid + 1, before, err);
}

/* ---- the log */

/* Whether a snapshot gave the page with this transaction's changes (or later ones) already in it.
 */
static bool entry_is_newer(const struct page_entry *entry, uint64_t txid)
{
    return entry->digest != 0 && entry->tag >= 2 * txid && entry->tag != 2 * txid + 1;
}

static rc image_rebuild(struct image *image, uint32_t pgno, const struct log_frame *frame,
    struct bytes *ret, struct error *err)
{
    uint8_t *base = image->page;
    uint8_t *out = image->page + image->page_size;
    uint64_t offset = (uint64_t)(pgno - 1) * image->page_size;
    struct bytes base_bytes = bytes_of(NULL, 0);

    if (frame->kind == LOG_FRAME_DIFFERENCE) {
        TRY(fs_read_exact(image->fd, base, image->page_size, offset, err));
        base_bytes = bytes_of(base, image->page_size);
    }
    TRY(log_frame_apply(frame, image->page_size, base_bytes, out, err));
    *ret = bytes_of(out, image->page_size);
    return fs_write_at(image->fd, *ret, offset, err);
}

rc image_apply_frame(
    struct image *image, uint64_t txid, const struct log_frame *frame, struct error *err)
{
    assert(image->fd >= 0);
    assert(txid == image->txid + 1);

    uint32_t pgno = frame->pgno;
    if (pgno == 0 || pgno == lock_page_of(image->page_size))
        FAIL(err, RC_CORRUPT, "transaction %" PRIu64 " changes page %" PRIu32, txid, pgno);

    struct page_entry before;
    TRY(image_entry(image, pgno, &before, err));
    if (entry_is_newer(&before, txid))
        return RC_OK;
    if (frame->kind == LOG_FRAME_DIFFERENCE && before.digest == 0) {
        /* Gone again before the snapshot came to it: a later transaction removes or rewrites it. */
        if (txid <= image->usable_txid)
            return RC_OK;
        FAIL(err, RC_CORRUPT,
            "transaction %" PRIu64 " changes page %" PRIu32 ", which is not there", txid, pgno);
    }

    struct bytes page;
    TRY_AS(err, image_rebuild(image, pgno, frame, &page, err), "page %" PRIu32, pgno);
    struct page_entry after = { .digest = page_digest(pgno, page), .tag = 2 * txid + 1 };
    if (pgno > image->transaction_extent)
        image->transaction_extent = pgno;
    return image_put_entry(image, pgno, &before, &after, err);
}

/* Pages behind PAGE_COUNT go, unless a snapshot read them after transaction TXID. */
static rc image_truncate(struct image *image, uint32_t page_count, uint64_t txid, struct error *err)
{
    struct page_entry entries[ENTRIES_PER_READ];
    uint32_t kept = page_count;

    for (uint32_t done = page_count; done < image->extent;) {
        uint32_t rest = image->extent - done;
        uint32_t count = rest < ENTRIES_PER_READ ? rest : ENTRIES_PER_READ;
        TRY(image_entries(image, done + 1, count, entries, err));
        for (uint32_t i = 0; i < count; i++) {
            static const struct page_entry none = { 0 };
            if (entries[i].digest == 0)
                continue;
            if (entries[i].tag > 2 * txid + 1)
                kept = done + 1 + i;
            else
                TRY(image_put_entry(image, done + 1 + i, &entries[i], &none, err));
        }
        done += count;
    }
    image->extent = kept;
    return RC_OK;
}

static rc image_shrink(struct image *image, uint32_t page_count, uint64_t txid, struct error *err)
{
    /* While a snapshot's later pages keep the extent up, look only when this transaction can
     * matter. */
    bool may_shrink = txid >= image->usable_txid || image->page_count == 0 ||
                      page_count < image->page_count || image->transaction_extent > page_count;

    if (page_count < image->extent && may_shrink)
        TRY(image_truncate(image, page_count, txid, err));
    image->page_count = page_count;
    image->transaction_extent = 0;
    return RC_OK;
}

static rc image_settle(struct image *image, uint64_t txid, uint64_t digest, struct error *err)
{
    image->txid = txid;
    image->known_digest = digest;
    image->has_known_digest = true;
    if (txid < image->usable_txid || image->is_partial || image->sum == digest)
        return RC_OK;
    FAIL(err, RC_CORRUPT,
        "transaction %" PRIu64 ": the database digest is %016" PRIx64 ", must be %016" PRIx64, txid,
        (uint64_t)image->sum, digest);
}

rc image_commit(
    struct image *image, const struct segment_transaction *transaction, struct error *err)
{
    TRY(image_shrink(image, transaction->page_count, transaction->txid, err));
    return image_settle(image, transaction->txid, transaction->digest, err);
}

rc image_apply_digest(
    struct image *image, uint64_t txid, uint32_t pgno, uint64_t digest, struct error *err)
{
    struct page_entry before;

    if (pgno == 0 || pgno == lock_page_of(image->page_size))
        FAIL(err, RC_CORRUPT, "the index names page %" PRIu32, pgno);
    TRY(image_entry(image, pgno, &before, err));
    if (entry_is_newer(&before, txid))
        return RC_OK;
    struct page_entry after = { .digest = digest, .tag = digest != 0 ? 2 * txid + 1 : 0 };
    return image_put_entry(image, pgno, &before, &after, err);
}

rc image_commit_digests(
    struct image *image, const struct segment_summary *summary, struct error *err)
{
    TRY(image_shrink(image, summary->page_count, summary->max_txid, err));
    return image_settle(image, summary->max_txid, summary->digest, err);
}

rc image_merge_done(
    struct image *image, uint32_t extent, const struct segment_summary *summary, struct error *err)
{
    if (extent > image->extent)
        image->extent = extent;
    /* Unlike a transaction, it does not tell which pages came and went within it: look. */
    if (summary->page_count < image->extent)
        TRY(image_truncate(image, summary->page_count, summary->max_txid, err));
    image->page_count = summary->page_count;
    return image_settle(image, summary->max_txid, summary->digest, err);
}

rc image_check(const struct image *image, uint64_t digest, uint32_t page_count, struct error *err)
{
    uint32_t lock_page = lock_page_of(image->page_size);
    uint64_t expected_total = (uint64_t)page_count - (page_count >= lock_page);

    if (image->is_partial)
        return RC_OK;
    if (image->sum != digest) {
        FAIL(err, RC_CORRUPT, "the database digest is %016" PRIx64 ", must be %016" PRIx64,
            (uint64_t)image->sum, digest);
    }
    if (image->page_total != expected_total || image->extent > page_count) {
        FAIL(err, RC_CORRUPT, "%" PRIu64 " pages are there, %" PRIu64 " should be",
            (uint64_t)image->page_total, expected_total);
    }
    return RC_OK;
}
